"""Judges what there is of RDMA, and the memory it needs. Pure."""

from __future__ import annotations

from .facts import Device, Facts, Rdma, Uverbs
from .findings import Finding, Severity, size_text
from .needs import Needs
from .wires import is_near, network_of

__all__ = ["check_rdma"]

_UNUSED = "without it auto uses tcp with other hosts, although there is an RDMA device"


def check_rdma(facts: Facts, need: Needs, wanted: bool) -> list[Finding]:
    """Judge devices, ports, library, device files and locked memory; a host without a device needs none of it.

    `wanted`: a configuration insists on verbs. Otherwise what is missing makes ``auto`` use TCP, and that works.
    """
    rdma = facts.rdma
    severity: Severity = "must" if wanted else "should"
    library = _library(rdma, severity)
    if not rdma.devices:
        what = "no device: the wires are shm within this host and tcp to others"
        return [Finding("rdma devices", "fine", what), library, _memlock(facts, need, severity)]
    return [
        *(_device(device, rdma) for device in rdma.devices),
        library,
        _uverbs(rdma, severity),
        _memlock(facts, need, severity),
        _huge_pages(facts, need),
    ]


def _device(device: Device, rdma: Rdma) -> Finding:
    what = f"{device.name}: " + "; ".join(_ports(device))
    netdevs = sorted({gid.netdev for port in device.ports for gid in port.gids if gid.netdev})
    active = [port for port in device.ports if port.active]
    if not active:
        if any(port.link_layer == "InfiniBand" for port in device.ports):
            commands: tuple[str, ...] = ("apt-get install opensm   # unless a switch runs the subnet manager",)
        else:
            commands = tuple(f"ip link set {netdev} up" for netdev in netdevs)
        return Finding("rdma devices", "should", what, "no port is active: check cable, switch and link", commands)
    # As if it were the only one, and the library there: of these others tell.
    alone = Rdma(devices=(device,), seen_by_library=(device.name,), uverbs=(Uverbs(""),))
    network = network_of(alone)
    if network and not is_near(network):
        return Finding("rdma devices", "fine", what)
    why = (
        "without a RoCE v2 GID that is not link-local it meets only hosts that have none either: "
        "one comes with an IP address of the network interface"
    )
    commands = tuple(f"ip addr add ADDRESS/PREFIX dev {netdev}" for netdev in netdevs)
    return Finding("rdma devices", "should", what, why, commands)


def _ports(device: Device) -> list[str]:
    return [
        f"port {port.number} {port.state}, {port.link_layer}, {port.gbit_per_s:g} Gbit/s, {len(port.gids)} GIDs"
        for port in device.ports
    ]


def _library(rdma: Rdma, severity: Severity) -> Finding:
    if rdma.library_error:
        if not rdma.devices:
            return Finding("libibverbs", "fine", "not there, and not needed without a device")
        commands = ("apt-get install libibverbs1 ibverbs-providers",)
        return Finding("libibverbs", severity, f"cannot be loaded: {rdma.library_error}", _UNUSED, commands)
    # Of a device whose file is not there it does not speak: that is told of the files.
    files = {uverbs.device for uverbs in rdma.uverbs}
    unseen = [d.name for d in rdma.devices if d.name not in rdma.seen_by_library and files & {"", d.name}]
    if unseen:
        return Finding(
            "libibverbs",
            severity,
            f"loaded, but has no driver for {', '.join(unseen)}",
            _UNUSED,
            ("apt-get install ibverbs-providers",),
        )
    return Finding("libibverbs", "fine", "can be loaded")


def _uverbs(rdma: Rdma, severity: Severity) -> Finding:
    if not rdma.uverbs:
        return Finding(
            "device files",
            severity,
            "no /dev/infiniband/uverbs*",
            _UNUSED,
            ("modprobe ib_uverbs", "docker run --device /dev/infiniband ...   # if this is a container"),
        )
    what = "; ".join(f"{uverbs.path} {uverbs.error or 'can be opened'}" for uverbs in rdma.uverbs)
    closed = [uverbs.path for uverbs in rdma.uverbs if uverbs.error is not None]
    if not closed:
        return Finding("device files", "fine", what)
    commands = tuple(f"chmod 666 {path}   # as rdma-core's udev rules do" for path in closed)
    return Finding("device files", severity, what, _UNUSED, commands)


def _memlock(facts: Facts, need: Needs, severity: Severity) -> Finding:
    memory = facts.memory
    what = f"soft {size_text(memory.memlock_soft)}, hard {size_text(memory.memlock_hard)}"
    what += ", lifted by CAP_IPC_LOCK" if memory.ipc_lock else ""
    rings = f"rings of {size_text(need.ring_bytes)}"
    needed = f"a node of {need.nodes} with {rings} registers {size_text(need.memory_bytes)}"
    soft = memory.memlock_soft
    if memory.ipc_lock or soft is None or soft >= need.memory_bytes:
        return Finding("memlock", "fine", f"{what}; over verbs {needed}")
    if not facts.rdma.devices:
        return Finding("memlock", "fine", f"{what}; only verbs would need more: {needed}")
    hard = memory.memlock_hard
    commands: tuple[str, ...] = (
        "echo '* - memlock unlimited' > /etc/security/limits.d/derecho.conf   # then log in again",
        "LimitMEMLOCK=infinity   # in [Service], for a systemd unit",
    )
    if hard is None or hard >= need.memory_bytes:
        commands = (f"ulimit -l {'unlimited' if hard is None else hard // 1024}   # for this shell", *commands)
    return Finding("memlock", severity, what, f"{needed}, and the device needs it locked", commands)


def _huge_pages(facts: Facts, need: Needs) -> Finding:
    # The library asks for them, as far as the kernel lets it: for memory of its own, and for what it shares.
    memory, folder = facts.memory, "/sys/kernel/mm/transparent_hugepage"
    kinds = (
        ("enabled", memory.transparent_huge_pages, "madvise"),
        ("shmem_enabled", memory.shared_huge_pages, "advise"),
    )
    what = "; ".join(f"{file}: {state or 'not in this kernel'}" for file, state, _ in kinds)
    commands = tuple(f"echo {wanted} > {folder}/{file}" for file, state, wanted in kinds if state in ("never", "deny"))
    if not commands:
        return Finding("huge pages", "fine", what)
    why = f"registered memory ({size_text(need.memory_bytes)}) in huge pages costs the device fewer translations"
    return Finding("huge pages", "should", what, why, commands)
