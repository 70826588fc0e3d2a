"""Judges the facts of a machine. Pure: the same facts always give the same findings, one a check at least."""

from __future__ import annotations

from .checks_rdma import check_rdma
from .facts import Cpu, Facts, Tcp
from .findings import Finding, size_text
from .needs import Needs

__all__ = ["check_machine"]

#: Clocks that are read without entering the kernel.
_FAST_CLOCKS = ("tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter", "timebase")
_FAST_CLOCK_NS = 500
_BACKLOG = 128  # what a node asks of listen()
_TCP_BUFFER_BYTES = 1 << 20  # 10 Gbit/s times a round trip of 1 ms


def check_machine(facts: Facts, need: Needs, verbs_wanted: bool = False) -> list[Finding]:
    """Judge everything of one machine, for a node of such a group, which may insist on verbs."""
    return [
        *check_rdma(facts, need, verbs_wanted),
        *_memory(facts, need),
        _open_files(facts, need),
        *_processors(facts.cpu),
        _governor(facts.cpu),
        _clock(facts.cpu),
        *_tcp(facts.tcp),
    ]


def _memory(facts: Facts, need: Needs) -> list[Finding]:
    memory = facts.memory
    if memory.sealing_error:
        why = "nodes of this host cannot share memory, and use tcp with each other"
        shared = Finding("shared memory", "should", f"sealed memory cannot be made: {memory.sealing_error}", why)
    else:
        shared = Finding("shared memory", "fine", "sealed memory can be made")
    total, free = memory.dev_shm_total, memory.dev_shm_free
    shm = "not there" if total is None else f"{size_text(total)}, {size_text(free)} free"
    return [
        shared,
        Finding("/dev/shm", "fine", f"{shm}; the wire shm does not use it, its memory has no name"),
        _room(facts, need),
    ]


def _room(facts: Facts, need: Needs) -> Finding:
    memory = facts.memory
    bounds = [memory.available] + ([memory.cgroup_limit] if memory.cgroup_limit is not None else [])
    what = f"{size_text(memory.available)} available"
    what += "" if memory.cgroup_limit is None else f", the control group allows {size_text(memory.cgroup_limit)}"
    needed = f"a node of {need.nodes} uses up to {size_text(need.memory_bytes)}"
    if min(bounds) >= need.memory_bytes:
        return Finding("memory", "fine", f"{what}; {needed}")
    return Finding("memory", "must", what, f"{needed}: take smaller ring_bytes and mail_bytes, or give it more")


def _open_files(facts: Facts, need: Needs) -> Finding:
    soft, hard = facts.open_files_soft, facts.open_files_hard
    what = f"soft {'unlimited' if soft is None else soft}, hard {'unlimited' if hard is None else hard}"
    if soft is None or soft >= need.open_files:
        return Finding("open files", "fine", what)
    commands: tuple[str, ...] = ("LimitNOFILE=65536   # in [Service], for a systemd unit",)
    if hard is None or hard >= need.open_files:
        commands = (f"ulimit -n {need.open_files if hard is None else hard}   # for this shell", *commands)
    why = f"a node of {need.nodes} may open {need.open_files}, and the program's own come on top"
    return Finding("open files", "must", what, why, commands)


def _processors(cpu: Cpu) -> list[Finding]:
    what = f"{cpu.usable} usable"
    what += "" if cpu.quota is None else f", the control group allows the time of {cpu.quota:g}"
    what += {None: "", True: ", SMT on", False: ", SMT off"}[cpu.smt]
    if cpu.quota is not None and cpu.quota < 1:
        why = "a node is stopped for the rest of each period: latency of 100 ms, up to being suspected"
        return [Finding("processors", "should", what, why, ("docker run --cpus 2 ...   # or a larger limit",))]
    if cpu.usable < 2:
        return [Finding("processors", "should", what, "sender, driver and kernel take turns on one core", ())]
    return [Finding("processors", "fine", what)]


def _governor(cpu: Cpu) -> Finding:
    counts: dict[str, int] = {}
    for governor in cpu.governors.values():
        counts[governor] = counts.get(governor, 0) + 1
    what = ", ".join(f"{governor} on {count} cores" for governor, count in counts.items())
    slow = [core for core, governor in cpu.governors.items() if governor != "performance"]
    if not slow:
        return Finding("governor", "fine", what or "the kernel does not scale the frequency here")
    why = "a core that slept wakes at a low frequency: latency varies"
    commands = ("cpupower frequency-set -g performance   # from the package linux-cpupower",)
    return Finding("governor", "should", what, why, commands)


def _clock(cpu: Cpu) -> Finding:
    what = f"{cpu.clock_source or 'unknown'}, {cpu.clock_read_ns:.0f} ns a read"
    if cpu.clock_source is None or (cpu.clock_source in _FAST_CLOCKS and cpu.clock_read_ns <= _FAST_CLOCK_NS):
        return Finding("clock", "fine", what)
    if cpu.clock_source in _FAST_CLOCKS:
        why = "a node reads the clock at every step; a sandbox or a time namespace may be what makes it slow"
        return Finding("clock", "should", what, why)
    why = "a node reads the clock at every step, and reading this one is a system call"
    better = next((clock for clock in _FAST_CLOCKS if clock in cpu.clock_sources), None)
    if better:
        folder = "/sys/devices/system/clocksource/clocksource0"
        return Finding("clock", "should", what, why, (f"echo {better} > {folder}/current_clocksource",))
    why += "; the kernel trusts no other, which firmware, a hypervisor or the boot parameter tsc=reliable may change"
    return Finding("clock", "should", f"{what}; there are {', '.join(cpu.clock_sources)}", why)


def _tcp(tcp: Tcp) -> list[Finding]:
    found = []
    what = "somaxconn " + ("unknown" if tcp.somaxconn is None else str(tcp.somaxconn))
    if tcp.somaxconn is not None and tcp.somaxconn < _BACKLOG:
        why = f"a node wants room for {_BACKLOG} connections at once, as when a large group starts"
        commands: tuple[str, ...] = (f"sysctl -w net.core.somaxconn={_BACKLOG}",)
        found.append(Finding("tcp backlog", "should", what, why, commands))
    else:
        found.append(Finding("tcp backlog", "fine", what))
    buffers = {"tcp_rmem": tcp.tcp_rmem_max, "tcp_wmem": tcp.tcp_wmem_max}
    known = {name: most for name, most in buffers.items() if most is not None}
    what = ", ".join(f"{name} grows to {size_text(most)}" for name, most in known.items()) or "unknown"
    commands = tuple(
        f'sysctl -w net.ipv4.{name}="4096 131072 4194304"' for name, most in known.items() if most < _TCP_BUFFER_BYTES
    )
    why = "10 Gbit/s over a round trip of 1 ms keep more than 1 MB on its way" if commands else ""
    return [*found, Finding("tcp buffers", "should" if commands else "fine", what, why, commands)]
