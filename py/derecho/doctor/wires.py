"""Which wire the option ``wire = "auto"`` picks for a pair of nodes, and why: the core's rule, applied to facts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace

from .facts import Device, Facts, Gid, Port, Rdma
from .findings import size_text
from .needs import Needs

__all__ = [
    "PortWanted",
    "WireChoice",
    "choose_wire",
    "choose_wire_to_unknown",
    "is_near",
    "network_of",
    "same_host",
    "verbs_obstacle",
]

_NEAR = "RoCE within its link"


@dataclass(frozen=True)
class WireChoice:
    """What two nodes would use; `assumes` says what nobody has verified, and is empty where all is known."""

    wire: str
    why: str
    assumes: str = ""


@dataclass(frozen=True)
class PortWanted:
    """What the options ``rdma_device``, ``rdma_port`` and ``rdma_gid_index`` say; these defaults leave the choice."""

    device: str = ""
    port: int = 0
    gid_index: int = -1


def choose_wire(a: Facts, b: Facts, need: Needs) -> WireChoice:
    """Decide for two nodes with default options whose hosts' facts are known: shared memory, else verbs, else TCP.

    The rule is that of ``choose_wire`` in ``libderecho/fabric/wire_format.cpp``.
    """
    apart = _why_apart(a, b)
    if not apart and not (unsealed := a.memory.sealing_error or b.memory.sealing_error):
        return WireChoice("shm", "the same boot, network namespace and user: they can map each other's memory")
    apart = apart or f"sealed shared memory cannot be made ({unsealed})"
    for facts in (a, b):
        if obstacle := verbs_obstacle(facts, need):
            return WireChoice("tcp", f"{apart}; {facts.host.name}: {obstacle}")
    networks = network_of(a.rdma), network_of(b.rdma)
    if networks[0] == networks[1]:
        return WireChoice("verbs", f"{apart}; both have an active port: {networks[0]}")
    ports = ", ".join(f"{facts.host.name} has {network}" for facts, network in zip((a, b), networks, strict=True))
    return WireChoice("tcp", f"{apart}; their ports do not meet: {ports}")


def choose_wire_to_unknown(here: Facts, is_this_host: bool, need: Needs) -> WireChoice:
    """Decide for a node here and one at an address of which nothing is known but whether it is this host's."""
    if is_this_host:
        if here.memory.sealing_error:
            return WireChoice("tcp", f"sealed shared memory cannot be made ({here.memory.sealing_error})")
        return WireChoice(
            "shm",
            "the address is this host's",
            "that the node there runs as the same user, not in a container with a network of its own",
        )
    if obstacle := verbs_obstacle(here, need):
        return WireChoice("tcp", f"another host, and here: {obstacle}")
    return WireChoice(
        "verbs",
        "another host, and this one has an active port",
        f"that the host has one of the same kind, too ({network_of(here.rdma)}), and libibverbs; it is tcp otherwise. "
        "Run derecho doctor --json there, and pass what it prints with --host",
    )


def same_host(a: Facts, b: Facts) -> bool:
    """Whether two nodes can pass descriptors to each other, and so share memory."""
    return not _why_apart(a, b)


def _why_apart(a: Facts, b: Facts) -> str:
    if not a.host.boot_id or a.host.boot_id != b.host.boot_id:
        return "different hosts"
    if a.host.network_namespace != b.host.network_namespace:
        return "different network namespaces"
    return "" if a.host.user == b.host.user else f"different users ({a.host.user}, {b.host.user})"


def verbs_obstacle(facts: Facts, need: Needs, wanted: PortWanted = PortWanted()) -> str:
    """Say what keeps a node of this host from using verbs with anybody; empty if nothing does."""
    rdma = facts.rdma
    if not rdma.devices:
        return "no RDMA device"
    devices = [device for device in rdma.devices if wanted.device in ("", device.name)]
    if not devices:
        return f"no RDMA device {wanted.device}, only {', '.join(device.name for device in rdma.devices)}"
    if rdma.library_error:
        return "libibverbs cannot be loaded"
    if not any(_can_be_opened(rdma, device) for device in devices):
        return "no /dev/infiniband/uverbs* can be opened" + (f" for {wanted.device}" if wanted.device else "")
    if not any(_usable_ports(rdma, wanted)):
        asked = f"port {wanted.port}" if wanted.port else "no port"
        where = wanted.device or "an RDMA device"
        return f"{asked} of {where} is {'not there, or not ' if wanted.port else ''}active"
    if not network_of(rdma, wanted):
        return "no active port has a GID" + (f" with index {wanted.gid_index}" if wanted.gid_index >= 0 else "")
    soft, least = facts.memory.memlock_soft, replace(need, nodes=2).memory_bytes
    if not facts.memory.ipc_lock and soft is not None and soft < least:
        return f"memlock is {size_text(soft)}, and a single peer takes {size_text(least)}"
    return ""


def _can_be_opened(rdma: Rdma, device: Device) -> bool:
    return any(uverbs.error is None and uverbs.device in ("", device.name) for uverbs in rdma.uverbs)


def _usable_ports(rdma: Rdma, wanted: PortWanted) -> Iterator[Port]:
    for device in rdma.devices:
        if wanted.device in ("", device.name) and device.name in rdma.seen_by_library and _can_be_opened(rdma, device):
            yield from (port for port in device.ports if port.active and wanted.port in (0, port.number))


def network_of(rdma: Rdma, wanted: PortWanted = PortWanted()) -> str:
    """Name what the port reaches that a node would take; empty if it has none. Two with the same name can talk.

    A node takes the first that reaches beyond its link, or else the first: ``libderecho/fabric/verbs/device.cpp``.
    """
    found = [name for port in _usable_ports(rdma, wanted) if (name := _network(port, wanted))]
    return next((name for name in found if not is_near(name)), found[0] if found else "")


def is_near(network: str) -> bool:
    """Whether it ends with the link."""
    return network.startswith(_NEAR)


def _network(port: Port, wanted: PortWanted) -> str:
    gids = [gid for gid in port.gids if wanted.gid_index in (-1, gid.index)]
    if not gids:
        return ""
    if port.link_layer == "InfiniBand":
        return f"InfiniBand, subnet {ipaddress.IPv6Address(gids[0].gid).packed[:8].hex(':', 2)}"
    best = max(gids, key=lambda gid: (not _within_link(gid), gid.type == "RoCE v2", -gid.index))
    family = "IPv6" if ipaddress.IPv6Address(best.gid).ipv4_mapped is None else "IPv4"
    return f"{_NEAR}, {family}" if _within_link(best) else f"RoCE v2 over {family}"


def _within_link(gid: Gid) -> bool:
    """Whether no router carries it."""
    address = ipaddress.IPv6Address(gid.gid)
    return gid.type != "RoCE v2" or (address.ipv4_mapped or address).is_link_local
