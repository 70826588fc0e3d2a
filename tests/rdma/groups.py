#!/usr/bin/env python3
"""Groups of three over RDMA beside TCP, in turns: messages a second, processor time, what the device was asked to do.

    tests/rdma/vm.py -t 600 tests/rdma/groups.py [ROUNDS]       prints three tables for docs/performance.md

TCP is measured twice: as the kernel has it within a host, in pieces of up to 64 KB that nobody sums up, and in packets
of the size of Soft-RoCE's, which is what a cable without offloads would carry. The limit of each is what it moves
without a group: `ib_write_bw`, or one stream between two sockets. A message's payload moves once for each receiver.

The least work that one batch can take: its sender writes data and a counter to each of the two others, and each of them
tells both others, by a counter, that it has them; what goes to one peer at one time takes one doorbell.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import perftest

# What the loopback device takes at once: what it does by itself, and RDMA's.
LOOPBACK = {
    "tcp": ("mtu", "65536", "gso_max_segs", "65535", "gso_max_size", "65536"),
    "tcp packets": ("mtu", "4200", "gso_max_segs", "1", "gso_max_size", "4200"),
}
BENCH = Path(__file__).resolve().parents[2] / "build" / "wheel" / "bench" / "derecho-bench"
MIB = 1 << 20
WAYS = ("verbs", *reversed(LOOPBACK))
PAYLOADS = (100, 10240)
MEMBERS = 3
LEAST_WORK_REQUESTS = 2 * 2 + 2 * 2
LEAST_DOORBELLS = 2 + 2 * 2
COUNTED = ("work_requests", "doorbells", "completions")


@contextmanager
def prepared(way: str) -> Iterator[str]:
    """The wire's name, while the loopback device is as this way wants it."""
    try:
        if way in LOOPBACK:
            subprocess.run(["ip", "link", "set", "lo", *LOOPBACK[way]], check=True)
        yield way.split()[0]
    finally:
        subprocess.run(["ip", "link", "set", "lo", *LOOPBACK["tcp"]], check=True)


def over(way: str, payload: int) -> list[dict[str, Any]]:
    """A group over RDMA, or over TCP in one of its ways."""
    with prepared(way) as wire:
        return group(bytes=payload, wire=wire)


def limit(way: str) -> float:
    """What it moves without us, in MiB/s."""
    with prepared(way) as wire:
        if wire == "verbs":
            return perftest.measure("rxe0", "rxe0").bandwidth_mib_s
        run = [BENCH, "limits", "only=tcp_stream_bytes_per_s", "seconds=0.75"]
        found = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
        return float(json.loads(found.stdout)["tcp_stream_bytes_per_s"]) / MIB


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
    found = [{way: (limit(way), *(over(way, payload) for payload in PAYLOADS)) for way in WAYS} for _ in rounds]

    def median(figure: Callable[[Any], float], way: str, part: int) -> float:
        return statistics.median(figure(each[way][part]) for each in found)

    row(("3 members, one sender", "delivered", "verbs beside it", "CPU of all, a message", "verbs beside it"))
    row(("---", *["---:"] * 4))
    for part, payload in enumerate(PAYLOADS, start=1):
        rates, costs = ({way: median(figure, way, part) for way in WAYS} for figure in (rate, cpu_us))
        for way in WAYS:
            beside = [f"{a['verbs'] / a[way]:.2f} x" if way != "verbs" else "" for a in (rates, costs)]
            row((f"{payload} B, {way}", f"{rates[way]:,.0f}/s", beside[0], f"{costs[way]:.1f} µs", beside[1]))
    print()
    row(("", "alone", *(f"payload of {payload} B" for payload in PAYLOADS)))
    row(("---", *["---:"] * 3))
    for way in WAYS:
        alone = median(float, way, 0)
        moved = [
            (MEMBERS - 1) * payload * median(rate, way, part) / MIB for part, payload in enumerate(PAYLOADS, start=1)
        ]
        row((way, f"{alone:,.0f} MiB/s", *(f"{each:,.0f} MiB/s, {each / alone:.2f} x" for each in moved)))
    print()
    names = [name.replace("_", " ") for name in COUNTED]
    row(("messages a batch", names[0], "least", names[1], "least", names[2]))
    row(("---", *["---:"] * 5))
    for batch in (1, 8, 64):
        counted = [counts(group(bytes=100, wire="verbs", burst=batch)) for _ in rounds]
        requests, doorbells, completions = (statistics.median(values) for values in zip(*counted, strict=True))
        least = [f"{value / batch:.3f}" for value in (LEAST_WORK_REQUESTS, LEAST_DOORBELLS)]
        row((str(batch), f"{requests:.3f}", least[0], f"{doorbells:.3f}", least[1], f"{completions:.4f}"))


if __name__ == "__main__":
    main()
