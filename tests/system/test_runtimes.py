"""A JVM or a CLR that ends without closing its group, in whichever way: it ends, and the others notice at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from derecho import jvm
from derecho._native import LIBRARY
from derecho.testing import cluster

HERE = Path(__file__).resolve().parent
BINDINGS = HERE.parent.parent / "bindings"
PATIENCE_S = 60.0
SUSPECT_MS = 600_000  # silence alone would tell too late for the tests
SIGNALS = {"terminate": signal.SIGTERM, "kill": signal.SIGKILL}


@pytest.fixture(scope="module")
def java(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What starts Ending on a JVM."""
    try:
        launcher = next(jvm.homes()) / "bin" / "java"
    except jvm.JavaMissing as missing:
        pytest.skip(str(missing))
    jar, out = LIBRARY.parent / "derecho.jar", tmp_path_factory.mktemp("java")
    words = ["--output", out, "--classpath", jar, "--sources", HERE / "Ending.java"]
    subprocess.run([sys.executable, BINDINGS / "java" / "build.py", *words], check=True)
    classpath = f"{jar}{os.pathsep}{out}"
    return [str(launcher), "--enable-native-access=ALL-UNNAMED", "-cp", classpath, "Ending"]


@pytest.fixture(scope="module")
def csharp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what starts Ending on each CLR there is."""
    if shutil.which("mcs") is None or shutil.which("mono") is None:
        pytest.skip("needs mono-mcs and mono-runtime")
    out = tmp_path_factory.mktemp("csharp")
    words = ["--output", out, "--program", "Ending", HERE / "Ending.cs"]
    subprocess.run([sys.executable, BINDINGS / "csharp" / "build.py", *words], check=True)
    return out


def is_missed(command: list[str], way: str, folder: Path) -> None:
    """Start it as the third member, and see that it is gone as soon as it has ended."""
    with cluster(2, raw=["log"], timeout=PATIENCE_S, config={"suspect_ms": SUSPECT_MS}) as members:
        contact = members[0].view.members[0].address
        process = subprocess.Popen(
            [*command, contact, way if way not in SIGNALS else "stay"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,  # mono leaves a dump
            env=os.environ | {"DERECHO_LIBRARY": str(LIBRARY)},
        )
        with process:
            try:
                assert process.stdin is not None and process.stdout is not None
                assert process.stdout.readline() == "joined\n"
                assert members[0].wait_view(exactly=3).nodes == (1, 2, 9)
                if way in SIGNALS:
                    process.send_signal(SIGNALS[way])
                else:
                    process.stdin.write("\n")
                    process.stdin.flush()
                process.wait(PATIENCE_S)
            finally:
                process.kill()
        for group in members:
            assert group.wait_view(exactly=2).nodes == (1, 2)


@pytest.mark.parametrize("way", ["return", "exit", "halt", "throw", *SIGNALS])
def test_a_jvm_that_ends_is_missed_at_once(way: str, java: list[str], tmp_path: Path) -> None:
    is_missed(java, way, tmp_path)


@pytest.mark.parametrize("way", ["return", "exit", "fail", "throw", *SIGNALS])
@pytest.mark.parametrize("runtime", ["mono", "coreclr"])
def test_a_clr_that_ends_is_missed_at_once(runtime: str, way: str, csharp: Path, tmp_path: Path) -> None:
    starter = csharp / f"Ending-{runtime}"
    if not starter.exists():
        pytest.skip("the runtime is not installed")
    is_missed([str(starter)], way, tmp_path)
