"""Collects the facts of this machine. Nothing here judges; what cannot be read is None."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import platform
import resource
import time
from pathlib import Path

from .facts import Cpu, Facts, Host, Memory, Tcp
from .gather_rdma import gather_rdma

__all__ = ["gather"]

_CAP_IPC_LOCK = 14
_F_SEAL_FUTURE_WRITE = 0x10
_UNLIMITED = 1 << 62  # cgroup v1 writes no limit as a number near this


def gather(root: Path = Path("/")) -> Facts:
    """Collect everything; takes a fraction of a second, and writes nothing.

    Parameters
    ----------
    root : Path
        Where the machine's ``/sys``, ``/proc`` and ``/dev`` are: elsewhere in tests.
    """
    open_files = _limit(resource.RLIMIT_NOFILE)
    return Facts(_host(root), gather_rdma(root), _memory(root), _cpu(root), _tcp(root), *open_files)


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None


def _number(path: Path, word: int = 0) -> int | None:
    words = (_text(path) or "").split()
    return int(words[word]) if len(words) > word and words[word].isdecimal() else None


def _limit(which: int) -> tuple[int | None, int | None]:
    soft, hard = (None if n == resource.RLIM_INFINITY else n for n in resource.getrlimit(which))
    return soft, hard


def _host(root: Path) -> Host:
    name = os.uname()
    boot_id = _text(root / "proc/sys/kernel/random/boot_id") or ""
    try:
        namespace = (root / "proc/self/ns/net").stat().st_ino
    except OSError:
        namespace = 0
    return Host(name.nodename, boot_id, namespace, os.geteuid(), name.release, platform.machine())


# ---------------------------------------------------------------------------------------------------- memory


def _memory(root: Path) -> Memory:
    available = 0
    for line in (_text(root / "proc/meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    shm_total: int | None = None
    shm_free: int | None = None
    with contextlib.suppress(OSError):
        shm = os.statvfs(root / "dev/shm")
        shm_total, shm_free = shm.f_blocks * shm.f_frsize, shm.f_bavail * shm.f_frsize
    soft, hard = _limit(resource.RLIMIT_MEMLOCK)
    return Memory(
        available=available,
        cgroup_limit=_cgroup_memory(root),
        memlock_soft=soft,
        memlock_hard=hard,
        ipc_lock=_has_ipc_lock(root),
        transparent_huge_pages=_chosen(_text(root / "sys/kernel/mm/transparent_hugepage/enabled")),
        shared_huge_pages=_chosen(_text(root / "sys/kernel/mm/transparent_hugepage/shmem_enabled")),
        dev_shm_total=shm_total,
        dev_shm_free=shm_free,
        sealing_error=_sealing_error(),
    )


def _chosen(text: str | None) -> str | None:
    """Of "always [madvise] never", what is in brackets."""
    return text.partition("[")[2].partition("]")[0] or None if text else None


def _has_ipc_lock(root: Path) -> bool:
    """Whether the process has the capability where it counts for RDMA: in the first user namespace."""
    everybody = "0 0 4294967295"
    if " ".join((_text(root / "proc/self/uid_map") or everybody).split()) != everybody:
        return False
    for line in (_text(root / "proc/self/status") or "").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> _CAP_IPC_LOCK & 1)
    return False


def _sealing_error() -> str | None:
    """Make a page of memory as the wire shm does; why that fails, if it does."""
    try:
        fd = os.memfd_create("derecho-doctor", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        return f"memfd_create: {error.strerror}"
    try:
        os.ftruncate(fd, 4096)
        seals = fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | _F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    except OSError as error:
        return f"sealing: {error.strerror}"
    finally:
        os.close(fd)
    return None


# ---------------------------------------------------------------------------------------------------- control groups


def _cgroups(root: Path, controller: str) -> list[Path]:
    """The folders that bound this process, from its own up to the root of the hierarchy: version 2, then 1."""
    folders = []
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", controller) and controller not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / controllers
        own = top / path.lstrip("/")
        folders += [own, *(parent for parent in own.parents if parent.is_relative_to(top))]
    return folders


def _cgroup_memory(root: Path) -> int | None:
    names = ("memory.max", "memory.limit_in_bytes")
    limits = (_number(folder / name) for folder in _cgroups(root, "memory") for name in names)
    return min((n for n in limits if n is not None and n < _UNLIMITED), default=None)


def _cgroup_quota(root: Path) -> float | None:
    quotas = []
    for folder in _cgroups(root, "cpu"):
        for quota, period in (
            (_number(folder / "cpu.max"), _number(folder / "cpu.max", 1)),
            (_number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")),
        ):
            if quota is not None and period:
                quotas.append(quota / period)
    return min(quotas, default=None)


# ---------------------------------------------------------------------------------------------------- processors, tcp


def _cpu(root: Path) -> Cpu:
    system = root / "sys/devices/system"
    governors = {path.parts[-3]: _text(path) or "?" for path in system.glob("cpu/cpu[0-9]*/cpufreq/scaling_governor")}
    smt = _number(system / "cpu/smt/active")
    clock = system / "clocksource/clocksource0"
    return Cpu(
        usable=len(os.sched_getaffinity(0)),
        quota=_cgroup_quota(root),
        governors=dict(sorted(governors.items(), key=lambda item: int(item[0][3:]))),
        smt=None if smt is None else smt == 1,
        clock_source=_text(clock / "current_clocksource"),
        clock_sources=tuple((_text(clock / "available_clocksource") or "").split()),
        clock_read_ns=_clock_read_ns(),
    )


def _clock_read_ns() -> float:
    """What reading the monotonic clock costs, a call of the interpreter taken off: the best of some runs."""

    def best(call: object) -> float:
        assert callable(call)
        times = []
        for _ in range(20):
            begin = time.perf_counter_ns()
            for _ in itertools.repeat(None, 500):
                call()
            times.append((time.perf_counter_ns() - begin) / 500)
        return min(times)

    return round(max(best(time.monotonic_ns) - best(tuple), 0.0), 1)


def _tcp(root: Path) -> Tcp:
    net = root / "proc/sys/net"
    return Tcp(
        somaxconn=_number(net / "core/somaxconn"),
        tcp_rmem_max=_number(net / "ipv4/tcp_rmem", 2),
        tcp_wmem_max=_number(net / "ipv4/tcp_wmem", 2),
    )
