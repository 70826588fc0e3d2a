#!/usr/bin/env python3
"""Groups of three over RDMA beside TCP, in turns: messages a second, processor time, what the device was asked to do.

    tests/rdma/vm.py -t 900 tests/rdma/groups.py [ROUNDS]       prints two tables for docs/performance.md

TCP is measured twice: as the kernel has it within a host, in pieces of up to 64 KB that nobody sums up, and in packets
of the size of Soft-RoCE's, which is what a cable without offloads would carry. What each way moves without a group is
measured beside it, by `ib_write_bw` or by a stream between two sockets: one where one member sends, two at once, which
is as many as there are cores, where all do. Of a message, the payload is moved once for each receiver.

The least work that one batch can take: its sender writes data and a counter to each of the two others, and each of them
tells both others, by a counter, that it has them; what goes to one peer at one time takes one doorbell.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import astuple, dataclass
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
MEMBERS = 3
SENDERS = (1, MEMBERS)
PAYLOADS = (100, 10240)
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


@dataclass
class Run:
    """Messages a second at the slowest member, and what one costs all of them."""

    rate: float
    cpu_us: float

    def moved_mib_s(self, payload: int) -> float:
        return (MEMBERS - 1) * payload * self.rate / MIB


def over(way: str, payload: int, senders: int) -> Run:
    """A group over RDMA, or over TCP in one of its ways."""
    with prepared(way) as wire:
        members = group(bytes=payload, wire=wire, senders=senders)
    rate = min(float(member["delivered_per_s"]) for member in members)
    return Run(rate, sum(float(member["cpu_share"]) for member in members) / rate * 1e6)


def alone(way: str, streams: int) -> float:
    """What so many streams move without us, together, in MiB/s."""
    with prepared(way) as wire, ThreadPoolExecutor() as pool:
        return sum(pool.map(write_bandwidth if wire == "verbs" else socket_bandwidth, range(streams)))


def write_bandwidth(stream: int) -> float:
    options = ("--size=65536", "--iters=3000", f"--port={18515 + stream}")
    return perftest.result("ib_write_bw", "BW_average", *options, client="rxe0", server="rxe0")


def socket_bandwidth(_stream: int) -> float:
    run = [BENCH, "limits", "only=tcp_stream_bytes_per_s", "seconds=0.75"]
    found = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    return float(json.loads(found.stdout)["tcp_stream_bytes_per_s"]) / MIB


def group(**settings: int | str) -> list[dict[str, Any]]:
    words = [f"{name}={value}" for name, value in settings.items()]
    timing = ["warm=0.3", "seconds=1.5"]
    run = [BENCH, "run", f"members={MEMBERS}", *timing, *words]
    found = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    members: list[dict[str, Any]] = json.loads(found.stdout)
    return members


def counts(members: list[dict[str, Any]]) -> list[float]:
    """Of all members together, for one delivered message."""
    delivered = statistics.mean(member["delivered"] for member in members)
    return [sum(member["stats"][name] for member in members) / delivered for name in COUNTED]


def row(cells: Iterable[str]) -> None:
    print("| " + " | ".join(cells) + " |")


def beside_tcp(rounds: range) -> None:
    row(
        (
            "3 members",
            "delivered",
            "verbs beside it",
            "CPU of all, a message",
            "verbs beside it",
            "moved",
            "alone",
            "of it",
        )
    )
    row(("---", *["---:"] * 7))
    for senders in SENDERS:
        limits: dict[str, list[float]] = {way: [] for way in WAYS}
        found: dict[tuple[str, int], list[Run]] = {(way, payload): [] for way in WAYS for payload in PAYLOADS}
        for _, way in itertools.product(rounds, WAYS):
            limits[way].append(alone(way, streams=min(senders, 2)))
            for payload in PAYLOADS:
                found[way, payload].append(over(way, payload, senders))
        for payload in PAYLOADS:
            runs = {
                way: Run(
                    *(statistics.median(figures) for figures in zip(*map(astuple, found[way, payload]), strict=True))
                )
                for way in WAYS
            }
            for way, run in runs.items():
                limit, moved = statistics.median(limits[way]), run.moved_mib_s(payload)
                ratios = (runs["verbs"].rate / run.rate, runs["verbs"].cpu_us / run.cpu_us)
                rate_beside, cpu_beside = ("" if way == "verbs" else f"{ratio:.2f} x" for ratio in ratios)
                row(
                    (
                        f"{'one sends' if senders == 1 else 'all send'}, {payload} B, {way}",
                        *(f"{run.rate:,.0f}/s", rate_beside, f"{run.cpu_us:.1f} µs", cpu_beside),
                        *(f"{moved:,.0f} MiB/s", f"{limit:,.0f} MiB/s", f"{moved / limit:.2f}"),
                    )
                )


def beside_the_least(rounds: range) -> None:
    names = [name.replace("_", " ") for name in COUNTED]
    row(("messages a batch", names[0], "least", names[1], "least", names[2]))
    row(("---", *["---:"] * 5))
    for batch in (1, 8, 64):
        found = [counts(group(bytes=100, wire="verbs", senders=1, burst=batch)) for _ in rounds]
        requests, doorbells, completions = (statistics.median(values) for values in zip(*found, strict=True))
        least = [f"{value / batch:.3f}" for value in (LEAST_WORK_REQUESTS, LEAST_DOORBELLS)]
        row((str(batch), f"{requests:.3f}", least[0], f"{doorbells:.3f}", least[1], f"{completions:.4f}"))


def main() -> None:
    rounds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    beside_tcp(rounds)
    print()
    beside_the_least(rounds)


if __name__ == "__main__":
    main()
