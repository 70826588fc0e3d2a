#!/usr/bin/env python3
"""Groups of three over RDMA beside TCP, in turns: messages a second, processor time, what the device was asked to do.

    tests/rdma/vm.py -t 600 tests/rdma/groups.py [ROUNDS]       prints two tables for docs/performance.md

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

BENCH = Path(__file__).resolve().parents[2] / "build" / "wheel" / "bench" / "derecho-bench"
MEMBERS = 3
LEAST_WORK_REQUESTS = 2 * 2 + 2 * 2
LEAST_DOORBELLS = 2 + 2 * 2
COUNTED = ("work_requests", "doorbells", "completions")


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
    row(("3 members, one sender", "tcp", "verbs", "verbs / tcp", "tcp CPU", "verbs CPU"))
    row(("---", *["---:"] * 5))
    for payload in (100, 10240):
        runs = [[group(bytes=payload, wire=wire) for wire in ("tcp", "verbs")] for _ in rounds]
        tcp, verbs = (statistics.median(rate(pair[i]) for pair in runs) for i in (0, 1))
        costs = [statistics.median(cpu_us(pair[i]) for pair in runs) for i in (0, 1)]
        rates = (f"{tcp:,.0f}/s", f"{verbs:,.0f}/s", f"{verbs / tcp:.2f}")
        row((f"{payload} B", *rates, *(f"{cost:.1f} µs" for cost in costs)))
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
