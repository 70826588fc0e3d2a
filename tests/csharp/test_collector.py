"""A million messages under a harsh collector: none is corrupted, and what was forgotten is given back."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from derecho._native import LIBRARY

PROGRAM = Path(__file__).parent / "Collector.cs"
BUILD = Path(__file__).resolve().parent.parent.parent / "bindings" / "csharp" / "build.py"
MESSAGES = 1_000_000
GROWTH_MAX_BYTES = 8 << 20  # compiled code, mostly
HARSH = {
    "coreclr, concurrent": {"DOTNET_GCgen0size": "0x10000", "DOTNET_gcConcurrent": "1"},
    "coreclr, not concurrent": {"DOTNET_GCgen0size": "0x10000", "DOTNET_gcConcurrent": "0"},
    "mono": {"MONO_GC_PARAMS": "nursery-size=64k"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With what starts the program on each runtime there is."""
    if shutil.which("mcs") is None or shutil.which("mono") is None:
        pytest.skip("needs mono-mcs and mono-runtime")
    folder = tmp_path_factory.mktemp("collector")
    subprocess.run([sys.executable, BUILD, "--output", folder, "--program", "Collector", PROGRAM], check=True)
    return folder


@pytest.mark.parametrize("collector", HARSH)
def test_nothing_is_corrupted_and_nothing_grows(collector: str, folder: Path) -> None:
    starter = folder / f"Collector-{collector.partition(',')[0]}"
    if not starter.exists():
        pytest.skip("the runtime is not installed")
    with socket.create_server(("127.0.0.1", 0)) as found:
        address = f"127.0.0.1:{found.getsockname()[1]}"
    command = [str(starter), address, str(MESSAGES)]
    environment = os.environ | HARSH[collector] | {"DERECHO_LIBRARY": str(LIBRARY)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    delivered, collections, growth = map(int, done.stdout.split())
    assert delivered == MESSAGES
    assert collections > MESSAGES // 1000  # or it was not harsh
    assert growth < GROWTH_MAX_BYTES
