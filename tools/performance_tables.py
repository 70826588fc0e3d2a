#!/usr/bin/env python3
"""Puts the figures of a `derecho bench --json FILE` into docs/performance.md.

    tools/performance_tables.py bench.json [docs/performance.md]

Replaces what stands between `<!-- NAME: ... -->` and `<!-- end -->`; everything else in the page is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from derecho.bench.show import API_NAMES, LIMIT_ROWS, bandwidth, duration, quantity, rate, size

Report = Mapping[str, Any]
Rows = Iterable[Iterable[str]]


def table(columns: Iterable[str], rows: Rows) -> str:
    columns = list(columns)
    lines = ["| " + " | ".join(columns) + " |", "| --- |" + " ---: |" * (len(columns) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def targets(report: Report) -> str:
    def row(t: Mapping[str, Any]) -> list[str]:
        sign = "≥" if t["at_least"] else "≤"
        ratio = "" if t["ratio"] is None else f"{t['ratio']:.2f} ({sign} {t['ratio_bound']:g})"
        limit = quantity(t["limit_value"], t["unit"]) if t["limit_value"] else ""
        met = "met" if t["met"] else "**not met**"
        bound = f"{sign} {quantity(t['bound'], t['unit'])}"
        return [t["text"], quantity(t["value"], t["unit"]), bound, limit, ratio, met]

    head = ("", "measured", "target", "limit in the same run", "measured / limit", "")
    return table(head, (row(t) for t in report["targets"]))


def limits(report: Report) -> str:
    m = report["machine"]
    text = (
        f"{m['cpu']}, {m['processors']} cores, {m['memory_bytes'] / 2**30:.0f} GiB, Linux {m['kernel']}, "
        f"Python {m['python']}; {report['started'][:16].replace('T', ' ')}, load average {m['load_before']:.1f} before."
    )
    rows = []
    for what, name in LIMIT_ROWS:
        limit = report["limits"].get(name)
        if isinstance(limit, Mapping):
            rows.append([what, f"{duration(limit['p50'])} (p99 {duration(limit['p99'])})"])
        elif limit is not None:
            rows.append([what, bandwidth(limit) if name.endswith("bytes_per_s") else duration(limit)])
    return f"{text}\n\n{table(('limit', ''), rows)}"


def who(result: Mapping[str, Any]) -> list[str]:
    senders = "one sends" if result["senders"] == 1 else "all send"
    read = ", read" if result["read"] else ""
    return [f"{result['wire']}, {result['members']} members, {senders}, {API_NAMES[result['api']]}{read}"]


def of_kind(report: Report, *kinds: str) -> list[Mapping[str, Any]]:
    return [r for r in report["results"].values() if r["kind"] in kinds and "error" not in r]


def throughput(report: Report) -> str:
    def row(r: Mapping[str, Any]) -> list[str]:
        limit = next(iter(r["limit"].values()), None)
        share = f"{r['bytes_per_s'] / limit:.2f}" if limit else ""
        return [
            *who(r),
            size(r["payload_bytes"]),
            rate(r["delivered_per_s"]),
            f"{r['bytes_per_s'] / 1e9:.2f}",
            share,
            f"{r['cpu_s_per_million']:.3g}",
            f"{r['pss_bytes'] / 2**20:.0f}",
        ]

    head = ("", "payload", "messages/s", "GB/s", "of the limit", "CPU s / million", "PSS, MiB")
    return table(head, (row(r) for r in of_kind(report, "throughput")))


def latency(report: Report) -> str:
    def row(r: Mapping[str, Any]) -> list[str]:
        times, found = r["latency_ns"], r["limit"]
        crowded = r["members"] > report["machine"]["processors"]
        limit = found.get("ring_of_3_turn_ns" if crowded else "cache_line_ns") or found.get("tcp_spin_100b_ns")
        shown = [duration(limit), f"{times['p50'] / limit:.2f}"] if limit else ["", ""]
        return [*who(r), size(r["payload_bytes"]), *(duration(times[q]) for q in ("p50", "p99", "p999")), *shown]

    head = ("", "payload", "p50", "p99", "p99.9", "limit", "p50 / limit")
    return table(head, (row(r) for r in of_kind(report, "latency")))


def group(report: Report) -> str:
    rows = []
    for wire in ("shm", "tcp"):
        idle, failover = (report["results"].get(f"{kind}.{wire}.3", {}) for kind in ("idle", "failover"))
        if "cpu_share" in idle and "failover_ns" in failover:
            sizes = [f"{idle[name] / 2**20:.1f} MiB" for name in ("pss_bytes", "mapped_bytes")]
            times = [duration(failover["failover_ns"][q]) for q in ("p50", "max")]
            rows.append([wire, f"{idle['cpu_share']:.3%}", *sizes, *times])
    return table(("", "idle: of a core per node", "PSS", "mapped", "crash to new view, p50", "max"), rows)


PARTS: dict[str, Callable[[Report], str]] = {
    "targets": targets,
    "limits": limits,
    "throughput": throughput,
    "latency": latency,
    "group": group,
}


def main() -> None:
    report = json.loads(Path(sys.argv[1]).read_text())
    page = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent.parent / "docs" / "performance.md")
    text = page.read_text()
    for name, make in PARTS.items():
        pattern = re.compile(rf"(<!-- {name}:[^>]*-->\n).*?(<!-- end -->)", re.DOTALL)
        if not pattern.search(text):
            sys.exit(f"{page} has no place for {name}")
        body = make(report)
        text = pattern.sub(lambda m, body=body: f"{m[1]}\n{body}\n\n{m[2]}", text)  # type: ignore[misc]
    page.write_text(text)


if __name__ == "__main__":
    main()
