"""In-place buffers stay intact, and memory does not grow, while Python's collector runs at nearly every allocation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MESSAGES = 1_000_000
GROWTH_MAX_BYTES = 8 << 20


def test_a_million_messages_under_a_busy_collector() -> None:
    program = Path(__file__).with_name("collector_stress.py")
    command = [sys.executable, str(program), str(MESSAGES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    read, wrong, early, late = map(int, done.stdout.split())
    assert (read, wrong) == (MESSAGES, 0)
    assert late - early < GROWTH_MAX_BYTES
