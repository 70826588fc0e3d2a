#!/usr/bin/env python3
"""Registered memory over RDMA, directly and by mail, beside what the device's own tools reach; in turns.

    tests/rdma/vm.py -t 600 tests/rdma/memory.py [ROUNDS]      prints a table for docs/performance.md

Best rounds: what else the machine does slows one or the other down, and never speeds it up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import perftest

END = Path(__file__).resolve().parents[2] / "build" / "wheel" / "derecho_memory_end"
LISTEN = "127.0.0.1:7402"
PATIENCE_S = 120
Figures = dict[tuple[bool, int], dict[str, float]]


def ours(*options: str) -> Figures:
    """What a member measures at the other end of the cable."""
    with subprocess.Popen([END, f"listen={LISTEN}", "rdma_device=rxe1", *options]) as serving:
        try:
            client = [END, "listen=127.0.0.1:0", f"contact={LISTEN}", "rdma_device=rxe0", *options]
            done = subprocess.run(client, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
            if done.returncode != 0:
                raise RuntimeError(done.stderr)
        finally:
            serving.kill()
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return {(line["read"], line["bytes"]): line for line in lines}


def tools() -> Figures:
    """Latency of a read, and bandwidth of reads and writes, as the device's tools measure them."""
    ends = {"client": "rxe0", "server": "rxe1"}
    found: Figures = {}
    found[True, 8] = {"ns": 1e3 * perftest.result("ib_read_lat", "t_typical", "--size=8", "--iters=1000", **ends)}
    for nbytes, count in ((65536, 1000), (1 << 20, 100)):
        for read, program in ((True, "ib_read_bw"), (False, "ib_write_bw")):
            rate = perftest.result(program, "BW_average", f"--size={nbytes}", f"--iters={count}", **ends)
            found[read, nbytes] = {"bytes_per_s": rate * 2**20}
    return found


def best(runs: list[Figures], case: tuple[bool, int], name: str) -> float:
    values = [run[case][name] for run in runs if name in run.get(case, {})]
    return (max if name == "bytes_per_s" else min)(values, default=0.0)


def row(*cells: str) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    sides: list[list[Figures]] = [[], [], []]
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        for side, measure in zip(sides, (tools, ours, lambda: ours("rdma_direct=false")), strict=True):
            side.append(measure())
    tool, direct, mail = sides
    row("", "the tool", "directly", "", "by mail", "directly / by mail")
    row("---", *["---:"] * 5)
    for name, unit, scale in (("ns", "µs", 1e3), ("bytes_per_s", "MiB/s", 2**20), ("fresh_ns", "µs", 1e3)):
        for case in direct[0]:
            values = [best(side, case, name) / scale for side in (tool, direct, mail)]
            what = {"ns": "one by one", "bytes_per_s": "16 at a time", "fresh_ns": "each on a fresh buffer"}[name]
            words = f"{'read' if case[0] else 'write'} of {case[1]} B, {what}"
            beside = f"{values[1] / values[0]:.2f} x" if values[0] else ""
            shown = [f"{value:.1f} {unit}" if value else "" for value in values]
            row(words, shown[0], shown[1], beside, shown[2], f"{values[1] / values[2]:.2f}")


if __name__ == "__main__":
    main()
