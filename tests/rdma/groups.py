#!/usr/bin/env python3
"""Groups of three over RDMA beside TCP, in turns: messages a second, processor time, what the device was asked to do.

    tests/rdma/vm.py -t 600 tests/rdma/groups.py [ROUNDS]       prints two tables for docs/performance.md

TCP is measured twice: as the kernel has it within a host, in pieces of up to 64 KB that nobody sums up, and in packets
of the size of Soft-RoCE's, which is what a cable without offloads would carry.

The least work that one batch can take: its sender writes data and a counter to each of the two others, and each of them
tells both others, by a counter, that it has them; what goes to one peer at one time takes one doorbell.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

# What the loopback device takes at once: what it does by itself, and RDMA's.
LOOPBACK = {
    "tcp": ("mtu", "65536", "gso_max_segs", "65535", "gso_max_size", "65536"),
    "tcp packets": ("mtu", "4200", "gso_max_segs", "1", "gso_max_size", "4200"),
}
BENCH = Path(__file__).resolve().parents[2] / "build" / "wheel" / "bench" / "derecho-bench"
MEMBERS = 3
LEAST_WORK_REQUESTS = 2 * 2 + 2 * 2
LEAST_DOORBELLS = 2 + 2 * 2
COUNTED = ("work_requests", "doorbells", "completions")


def over(way: str, payload: int) -> list[dict[str, Any]]:
    """A group over RDMA, or over TCP in one of its ways."""
    if way not in LOOPBACK:
        return group(bytes=payload, wire=way)
    try:
        subprocess.run(["ip", "link", "set", "lo", *LOOPBACK[way]], check=True)
        return group(bytes=payload, wire="tcp")
    finally:
        subprocess.run(["ip", "link", "set", "lo", *LOOPBACK["tcp"]], check=True)


def group(**settings: int | str) -> list[dict[str, Any]]:
    words = [f"{name}={value}" for name, value in settings.items()]
    timing = ["warm=0.3", "seconds=1.5"]
    run = [BENCH, "run", f"members={MEMBERS}", "senders=1", *timing, *words]
    found = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    members: list[dict[str, Any]] = json.loads(found.stdout)
    return members


def rate(members: list[dict[str, Any]]) -> float:
    return min(float(member["delivered_per_s"]) for member in members)


def cpu_us(members: list[dict[str, Any]]) -> float:
    """Processor time of all members for one message."""
    return sum(float(member["cpu_share"]) for member in members) / rate(members) * 1e6


def counts(members: list[dict[str, Any]]) -> list[float]:
    """Of all members together, for one delivered message."""
    delivered = statistics.mean(member["delivered"] for member in members)
    return [sum(member["stats"][name] for member in members) / delivered for name in COUNTED]


def row(cells: Iterable[str]) -> None:
    print("| " + " | ".join(cells) + " |")


def main() -> None:
    rounds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    row(("3 members, one sender", "delivered", "verbs beside it", "CPU of all, a message", "verbs beside it"))
    row(("---", *["---:"] * 4))
    for payload in (100, 10240):
        ways = ("verbs", "tcp packets", "tcp")
        runs = [{way: over(way, payload) for way in ways} for _ in rounds]
        rates = {way: statistics.median(rate(each[way]) for each in runs) for way in ways}
        costs = {way: statistics.median(cpu_us(each[way]) for each in runs) for way in ways}
        for way in ways:
            beside = [f"{a['verbs'] / a[way]:.2f} x" if way != "verbs" else "" for a in (rates, costs)]
            row((f"{payload} B, {way}", f"{rates[way]:,.0f}/s", beside[0], f"{costs[way]:.1f} µs", beside[1]))
    print()
    names = [name.replace("_", " ") for name in COUNTED]
    row(("messages a batch", names[0], "least", names[1], "least", names[2]))
    row(("---", *["---:"] * 5))
    for batch in (1, 8, 64):
        found = [counts(group(bytes=100, wire="verbs", burst=batch)) for _ in rounds]
        requests, doorbells, completions = (statistics.median(values) for values in zip(*found, strict=True))
        least = [f"{value / batch:.3f}" for value in (LEAST_WORK_REQUESTS, LEAST_DOORBELLS)]
        row((str(batch), f"{requests:.3f}", least[0], f"{doorbells:.3f}", least[1], f"{completions:.4f}"))


if __name__ == "__main__":
    main()
