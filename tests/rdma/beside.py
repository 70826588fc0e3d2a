#!/usr/bin/env python3
"""The fabric's one-sided writes beside the device's own, in turns: 8 bytes for latency, 64 KB for bandwidth.

    tests/rdma/vm.py tests/rdma/beside.py [ROUNDS]      prints JSON: what each measured in each round, and the ratios

A ratio is that of the best rounds: what else the machine does slows one or the other down, and never speeds it up.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import perftest

END = Path(__file__).resolve().parents[2] / "build" / "wheel" / "derecho_fabric_end"
LISTEN = "127.0.0.1:7401"
PATIENCE_S = 60


@dataclass
class Beside:
    """Half a round trip, us; 2**20 bytes a second."""

    latency_us: list[float] = field(default_factory=list)
    tool_latency_us: list[float] = field(default_factory=list)
    bandwidth_mib_s: list[float] = field(default_factory=list)
    tool_bandwidth_mib_s: list[float] = field(default_factory=list)

    def latency(self) -> float:
        """Ours, in terms of ib_write_lat's."""
        return min(self.latency_us) / min(self.tool_latency_us)

    def bandwidth(self) -> float:
        """Ours, in terms of ib_write_bw's."""
        return max(self.bandwidth_mib_s) / max(self.tool_bandwidth_mib_s)

    def measure(self) -> None:
        """One round."""
        tool = perftest.measure()
        self.tool_latency_us.append(tool.latency_us)
        self.tool_bandwidth_mib_s.append(tool.bandwidth_mib_s)
        self.latency_us.append(ours("lat", "latency_ns") / 1e3)
        self.bandwidth_mib_s.append(ours("bw", "bytes_per_s") / 2**20)


def ours(what: str, name: str) -> float:
    """One figure of derecho_fabric_end, between the same devices as the tools'."""
    listening = subprocess.Popen([END, what, f"listen={LISTEN}", "device=rxe1"])
    try:
        client = [END, what, "listen=127.0.0.1:0", f"contact={LISTEN}", "device=rxe0"]
        done = subprocess.run(client, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"derecho_fabric_end {what}: {done.stderr}")
        return float(json.loads(done.stdout)[name])
    finally:
        listening.kill()
        listening.wait()


def main() -> None:
    beside = Beside()
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 5):
        beside.measure()
    print(json.dumps(vars(beside) | {"latency": beside.latency(), "bandwidth": beside.bandwidth()}, indent=1))


if __name__ == "__main__":
    main()
