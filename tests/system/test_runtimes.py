"""A JVM or a CLR that ends without closing its group, in whichever way: it leaves in good order if it can, or
the others notice at once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from derecho import NoMajority, jvm
from derecho._native import LIBRARY
from derecho.testing import cluster

HERE = Path(__file__).resolve().parent
BINDINGS = HERE.parent.parent / "bindings"
PATIENCE_S = 60.0
SUSPECT_MS = 600_000  # silence alone would tell too late for the tests
SIGNALS = {"terminate": signal.SIGTERM, "interrupt": signal.SIGINT, "kill": signal.SIGKILL}


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


def ends(command: list[str], way: str, folder: Path, leaves: bool) -> None:
    """Start it as the second member, end it, and see what becomes of the first: after a crash no majority is left."""
    how, _, number = way.partition(" by ")
    if how in SIGNALS:
        how, number = "stay", how
    with cluster(1, raw=["log"], timeout=PATIENCE_S, config={"suspect_ms": SUSPECT_MS}) as members:
        other = members[0]
        process = subprocess.Popen(
            [*command, other.view.members[0].address, how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,  # mono leaves a dump
            env=os.environ | {"DERECHO_LIBRARY": str(LIBRARY)},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored, if all this began with nohup
        )
        with process:
            try:
                assert process.stdin is not None and process.stdout is not None
                assert process.stdout.readline() == "joined\n"
                assert other.wait_view(exactly=2).nodes == (1, 9)
                process.stdin.write("\n")
                process.stdin.flush()
                if number:
                    process.send_signal(SIGNALS[number])
                process.wait(PATIENCE_S)
            finally:
                process.kill()
        if leaves:
            assert other.wait_view(exactly=1).nodes == (1,)
        else:
            with pytest.raises(NoMajority):
                other.wait_view(exactly=1)


EXITS = ["exit in a handler", "exit when told of the end by terminate"]  # while others wait for that thread


@pytest.mark.parametrize("way", ["return", "exit", "throw", "terminate", "interrupt", *EXITS])
def test_a_jvm_that_ends_leaves_in_good_order(way: str, java: list[str], tmp_path: Path) -> None:
    ends(java, way, tmp_path, leaves=True)


@pytest.mark.parametrize("way", ["halt", "kill", "unwatched"])
def test_a_jvm_that_ends_at_once_is_missed_at_once(way: str, java: list[str], tmp_path: Path) -> None:
    ends(java, way, tmp_path, leaves=False)


# Mono does not tell the program of SIGTERM, and of Ctrl-C only in a terminal.
@pytest.mark.parametrize(
    "runtime, way",
    [
        *((runtime, way) for runtime in ("mono", "coreclr") for way in ("return", "exit")),
        *(("coreclr", way) for way in ("terminate", "interrupt", *EXITS)),
        ("mono", "exit in a handler"),
    ],
)
def test_a_clr_that_ends_leaves_in_good_order(runtime: str, way: str, csharp: Path, tmp_path: Path) -> None:
    ends(starter(csharp, runtime), way, tmp_path, leaves=True)


@pytest.mark.parametrize(
    "runtime, way",
    [
        *((runtime, way) for runtime in ("mono", "coreclr") for way in ("fail", "throw", "kill", "unwatched")),
        *(("mono", way) for way in ("terminate", "interrupt")),
    ],
)
def test_a_clr_that_ends_at_once_is_missed_at_once(runtime: str, way: str, csharp: Path, tmp_path: Path) -> None:
    ends(starter(csharp, runtime), way, tmp_path, leaves=False)


def starter(programs: Path, runtime: str) -> list[str]:
    program = programs / f"Ending-{runtime}"
    if not program.exists():
        pytest.skip("the runtime is not installed")
    return [str(program)]
