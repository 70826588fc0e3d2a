"""A million messages under a harsh collector: none is corrupted, and what was forgotten is given back."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from derecho._native import LIBRARY

PROGRAM = Path(__file__).parent / "Collector.java"
MESSAGES = 1_000_000
GROWTH_MAX_BYTES = 8 << 20  # compiled code, mostly; buffers that are never given back would be 64 MB


@pytest.mark.parametrize("collector", ["UseSerialGC", "UseG1GC", "UseZGC"])
def test_nothing_is_corrupted_and_nothing_grows(
    collector: str, jar: Path, java: Path, compiled: Callable[[Iterable[Path]], Path]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as found:
        address = f"127.0.0.1:{found.getsockname()[1]}"
    memory = ["-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch", f"-XX:+{collector}"]
    classpath = f"{jar}{os.pathsep}{compiled([PROGRAM])}"
    options = ["--enable-native-access=ALL-UNNAMED", f"-Dderecho.library={LIBRARY}", "-cp", classpath]
    command = [str(java), *memory, *options, "Collector", address, str(MESSAGES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    delivered, growth = map(int, done.stdout.split())
    assert delivered == MESSAGES
    assert growth < GROWTH_MAX_BYTES
