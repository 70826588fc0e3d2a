#!/usr/bin/env python3
"""What the device does without us: the figures of ib_write_lat and ib_write_bw, which ours are divided by.

    tests/rdma/vm.py tests/rdma/perftest.py [--from rxe0] [--to rxe1]     prints them as JSON

One-sided writes of 8 bytes for latency, of 64 KB for bandwidth, over a reliable connection, as in `libderecho/fabric`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import subprocess
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

PATIENCE_S = 60.0
# Where network.sh put each device.
ADDRESS = {"rxe0": "10.9.0.1", "rxe1": "10.9.0.2"}


@dataclass
class Figures:
    """Half a round trip of 8 bytes, the middle one of all; 2**20 bytes a second, in writes of 64 KB."""

    latency_us: float
    bandwidth_mib_s: float


def routable_gid(device: str) -> int:
    """The index of the device's RoCE v2 GID of an IPv4 address."""
    port = Path(f"/sys/class/infiniband/{device}/ports/1")
    for gid in sorted((port / "gids").iterdir(), key=lambda gid: int(gid.name)):
        with contextlib.suppress(OSError):  # the kernel's way to say that an entry is empty
            kind = (port / "gid_attrs" / "types" / gid.name).read_text().strip()
            if kind == "RoCE v2" and gid.read_text().startswith("0000:0000:0000:0000:0000:ffff:"):
                return int(gid.name)
    raise LookupError(f"{device} has no RoCE v2 GID of an IPv4 address")


def result(program: str, name: str, *options: str, client: str, server: str) -> float:
    """Runs both sides of one of perftest's programs, and takes one of the client's results."""

    def side(device: str) -> list[str]:
        return [program, "--CPU-freq", *options, f"--ib-dev={device}", f"--gid-index={routable_gid(device)}"]

    with subprocess.Popen(side(server), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as listening:
        try:
            with tempfile.NamedTemporaryFile("r") as file:
                connect([*side(client), "--out_json", f"--out_json_file={file.name}", ADDRESS[server]], listening)
                return number(name, Path(file.name).read_text())
        finally:
            listening.kill()


def connect(client: list[str], listening: subprocess.Popen[bytes]) -> None:
    """Runs the client as soon as the server listens."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        done = subprocess.run(client, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        if done.returncode == 0:
            return
        said = done.stdout + done.stderr
        if "Couldn't connect" not in said or listening.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"{' '.join(client)}: {said} (the server's code: {listening.poll()})")
        time.sleep(0.1)


def number(name: str, written: str) -> float:
    """One number of what perftest takes for JSON: `name: number,` on a line of its own."""
    found = re.search(rf"^{re.escape(name)}: ([0-9.]+),$", written, re.MULTILINE)
    if found is None:
        raise ValueError(f"no {name} in {written!r}")
    return float(found[1])


def measure(client: str = "rxe0", server: str = "rxe1") -> Figures:
    ends = {"client": client, "server": server}
    latency = result("ib_write_lat", "t_typical", "--size=8", "--iters=2000", **ends)
    return Figures(latency, result("ib_write_bw", "BW_average", "--size=65536", "--iters=2000", **ends))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="client", choices=ADDRESS, default="rxe0")
    parser.add_argument("--to", dest="server", choices=ADDRESS, default="rxe1")
    arguments = parser.parse_args()
    print(json.dumps(asdict(measure(arguments.client, arguments.server))))


if __name__ == "__main__":
    main()
