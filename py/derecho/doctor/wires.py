"""Which wire the option ``wire = "auto"`` picks for a pair of nodes, and why: the core's rule, applied to facts."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass

from .facts import Facts, Gid, Port, Rdma

__all__ = ["WireChoice", "choose_wire", "choose_wire_to_unknown", "networks_of", "same_host", "verbs_obstacle"]


@dataclass(frozen=True)
class WireChoice:
    """What two nodes would use; `assumes` says what nobody has verified, and is empty where all is known."""

    wire: str
    why: str
    assumes: str = ""


def choose_wire(a: Facts, b: Facts) -> WireChoice:
    """Decide for two nodes whose hosts' facts are known: shared memory, else verbs, else TCP.

    The rule is that of ``choose_wire`` in ``libderecho/fabric/wire_format.cpp``.
    """
    apart = _why_apart(a, b)
    if not apart and not (unsealed := a.memory.sealing_error or b.memory.sealing_error):
        return WireChoice("shm", "the same boot, network namespace and user: they can map each other's memory")
    apart = apart or f"sealed shared memory cannot be made ({unsealed})"
    for facts in (a, b):
        if obstacle := verbs_obstacle(facts.rdma):
            return WireChoice("tcp", f"{apart}; {facts.host.name}: {obstacle}")
    shared = networks_of(a.rdma) & networks_of(b.rdma)
    if shared:
        return WireChoice("verbs", f"{apart}; both have an active port: {min(shared)}")
    return WireChoice("tcp", f"{apart}; their active ports do not meet: {_ports(a)}, {_ports(b)}")


def choose_wire_to_unknown(here: Facts, is_this_host: bool) -> WireChoice:
    """Decide for a node here and one at an address of which nothing is known but whether it is this host's."""
    if is_this_host:
        if here.memory.sealing_error:
            return WireChoice("tcp", f"sealed shared memory cannot be made ({here.memory.sealing_error})")
        return WireChoice(
            "shm",
            "the address is this host's",
            "that the node there runs as the same user, not in a container with a network of its own",
        )
    if obstacle := verbs_obstacle(here.rdma):
        return WireChoice("tcp", f"another host, and here: {obstacle}")
    ports = " or ".join(sorted(networks_of(here.rdma)))
    return WireChoice(
        "verbs",
        "another host, and this one has an active port",
        f"that the host has one of the same kind, too ({ports}), and libibverbs; it is tcp otherwise. "
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


def verbs_obstacle(rdma: Rdma) -> str:
    """Say what keeps a host from using any of its ports with verbs; empty if nothing does."""
    if not rdma.devices:
        return "no RDMA device"
    if rdma.library_error:
        return "libibverbs cannot be loaded"
    if not any(uverbs.error is None for uverbs in rdma.uverbs):
        return "no /dev/infiniband/uverbs* can be opened"
    if not any(_usable_ports(rdma)):
        return "no port of an RDMA device is active"
    return "" if networks_of(rdma) else "no active RoCE port has a RoCE v2 GID beyond the link"


def _usable_ports(rdma: Rdma) -> Iterator[Port]:
    return (p for d in rdma.devices if d.name in rdma.seen_by_library for p in d.ports if p.active)


def networks_of(rdma: Rdma) -> set[str]:
    """Name what the active ports can reach: two hosts that have a name in common can talk."""
    found = set()
    for port in _usable_ports(rdma):
        if port.link_layer == "InfiniBand":
            found |= {f"InfiniBand, subnet {_subnet_prefix(gid)}" for gid in port.gids if gid.index == 0}
        elif port.link_layer == "Ethernet":
            found |= {f"RoCE v2 over {family}" for gid in port.gids if (family := _routable_family(gid))}
    return found


def _subnet_prefix(gid: Gid) -> str:
    return str(ipaddress.IPv6Address(gid.gid).packed[:8].hex(":", 2))


def _routable_family(gid: Gid) -> str:
    """``IPv4`` or ``IPv6`` for a RoCE v2 GID that routers and switches carry; empty for any other."""
    address = ipaddress.IPv6Address(gid.gid)
    if gid.type != "RoCE v2":
        return ""
    if address.ipv4_mapped is not None:
        return "" if address.ipv4_mapped.is_link_local else "IPv4"
    return "" if address.is_link_local else "IPv6"


def _ports(facts: Facts) -> str:
    return f"{facts.host.name} has {' and '.join(sorted(networks_of(facts.rdma)))}"
