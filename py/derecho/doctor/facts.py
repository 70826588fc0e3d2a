"""What the doctor knows of a machine: plain data, which another machine's doctor may have written as JSON."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, cast, get_args, get_origin, get_type_hints

__all__ = [
    "Cpu",
    "Device",
    "Facts",
    "FactsError",
    "Gid",
    "Host",
    "Memory",
    "Port",
    "Rdma",
    "Tcp",
    "Uverbs",
    "read",
]


@dataclass(frozen=True)
class Gid:
    """One entry of a port's table of addresses; `type` is ``"IB"``, ``"RoCE v1"`` or ``"RoCE v2"``."""

    index: int
    gid: str
    type: str
    netdev: str = ""


@dataclass(frozen=True)
class Port:
    """A port of an RDMA device; `state` as the kernel names it, `link_layer` ``"InfiniBand"`` or ``"Ethernet"``."""

    number: int
    state: str
    link_layer: str
    gbit_per_s: float
    gids: tuple[Gid, ...] = ()

    @property
    def active(self) -> bool:
        """Whether it carries traffic."""
        return self.state == "ACTIVE"


@dataclass(frozen=True)
class Device:
    """An RDMA device."""

    name: str
    ports: tuple[Port, ...]


@dataclass(frozen=True)
class Uverbs:
    """A device file of the verbs, why it cannot be opened, if so, and of which device it is."""

    path: str
    error: str | None = None
    device: str = ""


@dataclass(frozen=True)
class Rdma:
    """RDMA devices as told by `source` (``"pyverbs"`` or ``"sysfs"``; `source_note` says why not the other)."""

    source: str = "sysfs"
    source_note: str = ""
    devices: tuple[Device, ...] = ()
    library_error: str | None = None  #: why libibverbs.so.1 cannot be loaded
    seen_by_library: tuple[str, ...] = ()  #: the devices that libibverbs has a driver for
    uverbs: tuple[Uverbs, ...] = ()


@dataclass(frozen=True)
class Memory:
    """Sizes in bytes; a limit that is None is no limit."""

    available: int
    cgroup_limit: int | None
    memlock_soft: int | None
    memlock_hard: int | None
    ipc_lock: bool  #: whether the process has CAP_IPC_LOCK, which lifts the limit
    transparent_huge_pages: str | None  #: always, madvise, never
    shared_huge_pages: str | None  #: of shared memory: always, within_size, advise, never, deny, force
    dev_shm_total: int | None
    dev_shm_free: int | None
    sealing_error: str | None  #: why sealed memory cannot be made


@dataclass(frozen=True)
class Cpu:
    """Processors as this process may use them."""

    usable: int
    quota: float | None  #: processors' worth of time that the cgroup allows
    governors: Mapping[str, str]  #: by core, such as cpu0; empty where the kernel does not scale
    smt: bool | None
    clock_source: str | None
    clock_sources: tuple[str, ...]
    clock_read_ns: float


@dataclass(frozen=True)
class Tcp:
    """What bounds TCP: connections that wait to be accepted, bytes on their way."""

    somaxconn: int | None
    tcp_rmem_max: int | None  #: the third of net.ipv4.tcp_rmem: how far a connection's buffer grows by itself
    tcp_wmem_max: int | None


@dataclass(frozen=True)
class Host:
    """Who this is; processes with equal `boot_id`, `network_namespace` and `user` can share memory."""

    name: str
    boot_id: str
    network_namespace: int
    user: int
    kernel: str
    architecture: str


@dataclass(frozen=True)
class Facts:
    """Everything of one machine, as one process of one user sees it."""

    host: Host
    rdma: Rdma
    memory: Memory
    cpu: Cpu
    tcp: Tcp
    open_files_soft: int | None
    open_files_hard: int | None


class FactsError(Exception):
    """Some JSON is not facts; the message names the place."""


def read(kind: Any, data: Any, place: str = "facts") -> Any:
    """Make a value of the type `kind` from what ``json.load`` returned; `FactsError` if it does not fit."""
    if is_dataclass(kind):
        if not isinstance(data, dict):
            raise FactsError(f"{place} is not an object")
        hints = get_type_hints(kind)
        for field in fields(kind):
            if field.name not in data:
                raise FactsError(f"{place}.{field.name} is missing")
        made = {f.name: read(hints[f.name], data[f.name], f"{place}.{f.name}") for f in fields(kind)}
        return cast(Any, kind)(**made)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is types.UnionType:  # always "or None"
        return None if data is None else read(arguments[0], data, place)
    if origin is tuple:
        if not isinstance(data, list):
            raise FactsError(f"{place} is not a list")
        return tuple(read(arguments[0], item, f"{place}[{i}]") for i, item in enumerate(data))
    if origin is Mapping:
        if not isinstance(data, dict):
            raise FactsError(f"{place} is not an object")
        return {key: read(arguments[1], item, f"{place}.{key}") for key, item in data.items()}
    accepted = (int, float) if kind is float else kind
    if not isinstance(data, accepted) or (isinstance(data, bool) and kind is not bool):
        raise FactsError(f"{place} is not of the type {kind.__name__}")
    return data
