"""Shows that what we put on the wire is verbs, no private agreement: the other end is pyverbs and none of our code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OURS = ROOT / "build" / "wheel" / "derecho_fabric_end"
STRANGER = Path(__file__).with_name("stranger.py")
PATIENCE_S = 90


@pytest.mark.parametrize(
    ("what", "rounds", "nbytes", "window"),
    [
        pytest.param("lat", 300, 0, 1, id="counters_in_turn"),
        pytest.param("bw", 300, 65536, 16, id="data_before_their_counters"),
    ],
)
def test_a_peer_of_pyverbs_sees_what_is_pushed_and_is_seen(what: str, rounds: int, nbytes: int, window: int) -> None:
    assert OURS.exists(), "cmake --build build/wheel --target derecho_tests"
    numbers = [what, str(rounds), str(nbytes), str(window)]
    stranger = subprocess.Popen([STRANGER, "rxe0", "10.9.0.1", "7201", *numbers], stdout=subprocess.PIPE, text=True)
    try:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "listening\n"
        settings = [f"rounds={rounds}", f"bytes={nbytes}", f"window={window}", "device=rxe1"]
        ours = subprocess.run(
            [OURS, what, *settings, "listen=10.9.0.2:7102", "contact=10.9.0.1:7201"],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert ours.returncode == 0, ours.stderr
        # What it wrote was seen here, or this end would have waited in vain; it saw each thing before what came after.
        assert json.loads(stranger.communicate(timeout=PATIENCE_S)[0]) == {"heard": rounds, "late": 0, "synced": 1}
    finally:
        stranger.kill()
