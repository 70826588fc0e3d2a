"""The tables of ``derecho bench``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

__all__ = [
    "API_NAMES",
    "LIMIT_ROWS",
    "bandwidth",
    "calls_line",
    "duration",
    "ffi_table",
    "quantity",
    "rate",
    "show",
    "size",
]

Result = Mapping[str, Any]

API_NAMES = {"c": "C", "python": "Python", "service": "Python handlers"}
API_NAMES |= {"java": "Java", "csharp": "C# on CoreCLR", "mono": "C# on mono"}

#: Limits in the order in which they are shown: what it is, its name in the JSON.
LIMIT_ROWS = (
    ("cache line there and back, two cores", "cache_line_ns"),
    ("the same in bulk, mean", "cache_line_mean_ns"),
    ("a turn of a ring of 3 that yield", "ring_of_3_turn_ns"),
    ("memcpy, streaming over 256 MB", "memcpy_streaming_bytes_per_s"),
    ("memcpy, 10 KB in cache", "memcpy_10kb_cached_bytes_per_s"),
    ("TCP loopback, 100 B there and back, spinning", "tcp_spin_100b_ns"),
    ("TCP loopback, 100 B there and back, blocking", "tcp_blocking_100b_ns"),
    ("TCP loopback, one stream", "tcp_stream_bytes_per_s"),
    ("wake a sleeper and back, futex, other core", "futex_other_core_ns"),
    ("wake a sleeper and back, futex, same core", "futex_same_core_ns"),
    ("wake a sleeper and back, eventfd, other core", "eventfd_other_core_ns"),
    ("read the clock", "clock_read_ns"),
)


def show(console: Console, report: Mapping[str, Any]) -> None:
    """Print a report: the machine, traffic, latency, the group, the targets."""
    limits, results = report["limits"], list(report["results"].values())
    console.print(_limits(report["machine"], limits))
    for title, kind, table in (
        ("Throughput: delivered at the slowest member", "throughput", _throughput),
        ("One at a time: send to own ordered delivery", "latency", _latency),
    ):
        found = [r for r in results if r["kind"] == kind]
        if found:
            console.print(table(title, found, limits))
    found = [r for r in results if r["kind"] in ("idle", "failover")]
    if found:
        console.print(_group(found))
    if report["targets"]:
        console.print(_targets(report["targets"]))
    for result in results:
        for error in [result["error"]] if "error" in result else result.get("errors", []):
            console.print(f"[red]{result['key']}[/red] failed: {error}", highlight=False)


#: The most that an ordered call through the stub DLL may cost more than the same through derecho.hpp.
DLL_COST_NS = 200


def ffi_table(languages: Mapping[str, Mapping[str, float]]) -> Table:
    """One row a language: its bare foreign call, and what a message costs, sent and read, in three ways."""
    table = _table(
        "A message of 100 B, sent and read in place by one program alone, and what that is over C",
        ("", "bare call", "copied", "claimed", "in batches"),
    )
    for language, found in languages.items():
        row = [f"{found['bare_ns']:.1f} ns"]
        for name in ("send_ns", "claim_ns", "many_ns"):
            over = found[name] - languages["C"][name]
            row.append(f"{found[name]:.0f} ns" + (f"  (+{over:.0f})" if language != "C" else ""))
        table.add_row(language, *row)
    return table


def calls_line(c: Mapping[str, float]) -> str:
    """What an ordered call and its answer cost through the stub DLL, beside derecho.hpp."""
    hpp, dll = c["call_hpp_ns"], c["call_dll_ns"]
    return (
        f"An ordered call and its answer: {hpp:.0f} ns through derecho.hpp, {dll:.0f} ns through the stub DLL "
        f"(+{dll - hpp:.0f}; at most +{DLL_COST_NS} is the target)"
    )


# -------------------------------------------------------------------------------------------- tables


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right")
    return table


def _limits(machine: Mapping[str, Any], limits: Mapping[str, Any]) -> Table:
    table = _table(f"Limits of this machine: {machine['cpu']}, {machine['processors']} cores", ("what", "figure"))
    for text, name in LIMIT_ROWS:
        limit = limits.get(name)
        if limit is None:
            continue
        if isinstance(limit, Mapping):
            table.add_row(text, f"{duration(limit['p50'])} (p99 {duration(limit['p99'])})")
        else:
            table.add_row(text, bandwidth(limit) if name.endswith("bytes_per_s") else duration(limit))
    return table


def _who(result: Result) -> list[str]:
    senders = "one" if result["senders"] == 1 else "all"
    return [
        f"{result['wire']}, {result['members']} members, {senders} sending, {API_NAMES[result['api']]}",
        size(result["payload_bytes"]) + (" read" if result["read"] else ""),
    ]


def _throughput(title: str, results: list[Result], limits: Mapping[str, Any]) -> Table:
    columns = ("", "payload", "messages/s", "GB/s", "limit", "of it", "CPU s / million", "PSS", "allocations")
    table = _table(title, columns)
    for r in results:
        if "error" in r:
            table.add_row(*_who(r), "[red]failed[/red]")
            continue
        name = "memcpy_streaming_bytes_per_s" if r["wire"] == "shm" else "tcp_stream_bytes_per_s"
        limit = r.get("limit", {}).get(name) or limits.get(name)
        table.add_row(
            *_who(r),
            rate(r["delivered_per_s"]),
            f"{r['bytes_per_s'] / 1e9:.2f}",
            f"{limit / 1e9:.1f} GB/s" if limit else "",
            f"{r['bytes_per_s'] / limit:.2f}" if limit else "",
            f"{r['cpu_s_per_million']:.3g}" if r["cpu_s_per_million"] else "",
            f"{r['pss_bytes'] / 2**20:.0f} MiB",
            f"{r['allocations']:.0f}",
        )
    return table


def _latency(title: str, results: list[Result], limits: Mapping[str, Any]) -> Table:
    table = _table(title, ("", "payload", "p50", "p99", "p99.9", "limit", "p50 / limit", "CPU s / million"))
    for r in results:
        if "error" in r:
            table.add_row(*_who(r), "[red]failed[/red]")
            continue
        name = "tcp_spin_100b_ns" if r["wire"] == "tcp" else "cache_line_ns"
        if r["wire"] == "shm" and r["members"] > limits.get("processors", 2):
            name = "ring_of_3_turn_ns"
        limit = r.get("limit", {}).get(name)
        times = r["latency_ns"]
        table.add_row(
            *_who(r),
            duration(times["p50"]),
            duration(times["p99"]),
            duration(times["p999"]),
            f"{duration(limit)}" if limit else "",
            f"{times['p50'] / limit:.2f}" if limit else "",
            f"{r['cpu_s_per_million']:.3g}" if r["cpu_s_per_million"] else "",
        )
    return table


def _group(results: list[Result]) -> Table:
    table = _table(
        "The group itself, 3 members", ("", "idle: of a core per node", "PSS", "mapped", "crash to new view", "max")
    )
    for wire in dict.fromkeys(r["wire"] for r in results):
        idle = next((r for r in results if r["kind"] == "idle" and r["wire"] == wire and "error" not in r), None)
        fail = next((r for r in results if r["kind"] == "failover" and r["wire"] == wire and "error" not in r), None)
        table.add_row(
            wire,
            f"{idle['cpu_share']:.3%}" if idle else "",
            f"{idle['pss_bytes'] / 2**20:.1f} MiB" if idle else "",
            f"{idle['mapped_bytes'] / 2**20:.1f} MiB" if idle else "",
            duration(fail["failover_ns"]["p50"]) if fail else "",
            duration(fail["failover_ns"]["max"]) if fail else "",
        )
    return table


def _targets(targets: list[Mapping[str, Any]]) -> Table:
    table = _table("Targets", ("what", "measured", "target", "limit in this run", "measured / limit", "met"))
    for t in targets:
        sign = "≥" if t["at_least"] else "≤"
        ratio = f"{t['ratio']:.2f} ({sign} {t['ratio_bound']:g})" if t["ratio"] is not None else ""
        table.add_row(
            t["text"],
            quantity(t["value"], t["unit"]),
            f"{sign} {quantity(t['bound'], t['unit'])}",
            quantity(t["limit_value"], t["unit"]) if t["limit_value"] else "",
            ratio,
            "[green]yes[/green]" if t["met"] else "[bold red]no[/bold red]",
        )
    return table


# -------------------------------------------------------------------------------------------- figures


def quantity(value: float, unit: str) -> str:
    """A figure with its unit."""
    if unit == "ns":
        return duration(value)
    if unit == "/s":
        return rate(value) + "/s"
    if unit == "B/s":
        return bandwidth(value)
    if unit == "B":
        return f"{value / 2**20:.1f} MiB"
    return f"{value:.2%}" if unit == "share" else f"{value:g}"


def duration(ns: float) -> str:
    """Nanoseconds, in a unit that suits them."""
    for unit, factor in (("ns", 1.0), ("µs", 1e3), ("ms", 1e6)):
        if ns < 1000 * factor:
            return f"{ns / factor:.3g} {unit}" if ns < 100 * factor else f"{ns / factor:.0f} {unit}"
    return f"{ns / 1e9:.2f} s"


def bandwidth(bytes_per_s: float) -> str:
    """Bytes a second."""
    return f"{bytes_per_s / 1e9:.2f} GB/s"


def rate(per_s: float) -> str:
    """Messages, in a unit that suits them."""
    if per_s >= 1e6:
        return f"{per_s / 1e6:.2f} M"
    return f"{per_s / 1e3:.1f} k"


def size(count: int) -> str:
    """A payload's size."""
    return f"{count} B" if count < 1024 else f"{count // 1024} KB"
