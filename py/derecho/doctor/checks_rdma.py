"""Judges what there is of RDMA, and the memory it needs. Pure."""

from __future__ import annotations

from .facts import Device, Facts, Rdma
from .findings import Finding, size_text
from .needs import Needs
from .wires import networks_of

__all__ = ["check_rdma"]

_UNUSED = "without it auto uses tcp with other hosts, although there is an RDMA device"


def check_rdma(facts: Facts, need: Needs) -> list[Finding]:
    """Judge devices, ports, library, device files and locked memory; a host without a device needs none of it."""
    rdma = facts.rdma
    library = _library(rdma)
    if not rdma.devices:
        what = "no device: the wires are shm within this host and tcp to others"
        return [Finding("rdma devices", "fine", what), library, _memlock(facts, need)]
    return [
        *(_device(device, rdma) for device in rdma.devices),
        library,
        _uverbs(rdma),
        _memlock(facts, need),
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
    alone = Rdma(devices=(device,), seen_by_library=(device.name,))
    if networks_of(alone):
        return Finding("rdma devices", "fine", what)
    why = "auto needs a RoCE v2 GID that is not link-local: it comes with an IP address of the network interface"
    commands = tuple(f"ip addr add ADDRESS/PREFIX dev {netdev}" for netdev in netdevs)
    return Finding("rdma devices", "should", what, why, commands)


def _ports(device: Device) -> list[str]:
    return [
        f"port {port.number} {port.state}, {port.link_layer}, {port.gbit_per_s:g} Gbit/s, {len(port.gids)} GIDs"
        for port in device.ports
    ]


def _library(rdma: Rdma) -> Finding:
    if rdma.library_error:
        if not rdma.devices:
            return Finding("libibverbs", "fine", "not there, and not needed without a device")
        commands = ("apt-get install libibverbs1 ibverbs-providers",)
        return Finding("libibverbs", "must", f"cannot be loaded: {rdma.library_error}", _UNUSED, commands)
    unseen = [device.name for device in rdma.devices if device.name not in rdma.seen_by_library]
    if unseen:
        return Finding(
            "libibverbs",
            "must",
            f"loaded, but has no driver for {', '.join(unseen)}",
            _UNUSED,
            ("apt-get install ibverbs-providers",),
        )
    return Finding("libibverbs", "fine", "can be loaded")


def _uverbs(rdma: Rdma) -> Finding:
    if not rdma.uverbs:
        return Finding(
            "device files",
            "must",
            "no /dev/infiniband/uverbs*",
            _UNUSED,
            ("modprobe ib_uverbs", "docker run --device /dev/infiniband ...   # if this is a container"),
        )
    what = "; ".join(f"{uverbs.path} {uverbs.error or 'can be opened'}" for uverbs in rdma.uverbs)
    if any(uverbs.error is None for uverbs in rdma.uverbs):
        return Finding("device files", "fine", what)
    commands = tuple(f"chmod 666 {uverbs.path}   # as rdma-core's udev rules do" for uverbs in rdma.uverbs)
    return Finding("device files", "must", what, _UNUSED, commands)


def _memlock(facts: Facts, need: Needs) -> Finding:
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
    return Finding("memlock", "must", what, f"{needed}, and the device needs it locked", commands)


def _huge_pages(facts: Facts, need: Needs) -> Finding:
    pages = facts.memory.huge_pages
    what = "; ".join(f"{size_text(p.page_bytes)}: {p.free} free of {p.total}" for p in pages) or "not in this kernel"
    thp = facts.memory.transparent_huge_pages
    what += f"; transparent: {thp}" if thp else ""
    small = min(pages, key=lambda p: p.page_bytes, default=None)
    if small is None or any(p.free * p.page_bytes >= need.memory_bytes for p in pages):
        return Finding("huge pages", "fine", what)
    wanted = small.total - small.free - (-need.memory_bytes // small.page_bytes)
    return Finding(
        "huge pages",
        "should",
        what,
        f"registered memory ({size_text(need.memory_bytes)}) in huge pages costs the device fewer translations",
        (f"echo {wanted} > /proc/sys/vm/nr_hugepages",),
    )
