"""A million messages under a harsh collector: none is corrupted, and what was forgotten is given back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from test_csharp import build, free_ports, library

PROGRAM = Path(__file__).parent / "Collector.cs"
MESSAGES = 1_000_000
GROWTH_MAX_BYTES = 8 << 20  # compiled code, mostly
HARSH = {
    "coreclr, concurrent": {"DOTNET_GCgen0size": "0x10000", "DOTNET_gcConcurrent": "1"},
    "coreclr, not concurrent": {"DOTNET_GCgen0size": "0x10000", "DOTNET_gcConcurrent": "0"},
    "mono": {"MONO_GC_PARAMS": "nursery-size=64k"},
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := build.missing("mono"):
        pytest.skip(reason)
    assembly = build.build(tmp_path_factory.mktemp("collector"))
    return build.build_program("Collector", [PROGRAM], assembly, "-unsafe")


@pytest.mark.parametrize("collector", HARSH)
def test_nothing_is_corrupted_and_nothing_grows(collector: str, program: Path) -> None:
    runtime = collector.partition(",")[0]
    if reason := build.missing(runtime):
        pytest.skip(reason)
    command = [*build.clr.command(runtime, program), f"127.0.0.1:{free_ports(1)[0]}", str(MESSAGES)]
    environment = os.environ | HARSH[collector] | {"DERECHO_LIBRARY": str(library())}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    delivered, collections, growth = map(int, done.stdout.split())
    assert delivered == MESSAGES
    assert collections > MESSAGES // 1000  # or it was not harsh
    assert growth < GROWTH_MAX_BYTES
