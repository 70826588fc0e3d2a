"""The C# binding's own tests (bindings/csharp/tests), each a process, on mono and on CoreCLR."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = ROOT / "bindings" / "csharp" / "tests"


#: bindings/csharp/build.py, by its path: another package is called `build`, too.
build = SimpleNamespace(**runpy.run_path(str(ROOT / "bindings" / "csharp" / "build.py")))
_TEST_S = 120.0
NAMES = [
    f"{path.stem}.{name}"
    for path in sorted(TESTS.glob("*Tests.cs"))
    for name in re.findall(r"^        public static void (\w+)\(\)", path.read_text(), re.MULTILINE)
]


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if reason := build.missing("mono"):
        pytest.skip(reason)
    library = build.build(tmp_path_factory.mktemp("csharp"))
    services = (TESTS / "odd.py", "Tests"), (ROOT / "tests" / "conformance" / "everything.py", "Conformance")
    stubs = [path for service, namespace in services for path in write_stubs(service, namespace, library.parent)]
    return build.build_program("tests", [*sorted(TESTS.glob("*.cs")), *stubs], library)


def write_stubs(service: Path, namespace: str, folder: Path) -> list[Path]:
    words = ["stubs", service, "--lang", "csharp", "--package", namespace, "--out", folder]
    done = subprocess.run([sys.executable, "-m", "derecho.cli", *words], capture_output=True, text=True, check=True)
    return [Path(line) for line in done.stdout.splitlines()]


@pytest.fixture(params=build.RUNTIMES)
def run(program: Path, request: pytest.FixtureRequest) -> Callable[..., subprocess.CompletedProcess[str]]:
    if reason := build.missing(request.param):
        pytest.skip(reason)
    command = build.clr.command(request.param, program)

    def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {"DERECHO_LIBRARY": str(library())} | environment
        return subprocess.run(
            [*command, *words], capture_output=True, text=True, timeout=_TEST_S, env=os.environ | known, check=False
        )

    return run


def library() -> Path:
    package = importlib.util.find_spec("derecho")
    assert package is not None and package.origin is not None, "the package is not installed: make setup"
    return next((Path(package.origin).parent / "_native").glob("libderecho.so.*"))


@pytest.mark.parametrize("name", NAMES)
def test_in_csharp(name: str, run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run(name)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_test_of_the_program_is_a_case_here(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert sorted(run().stdout.split()) == sorted(NAMES)


def test_a_test_that_fails_is_noticed(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run("RawTests.The_library_says_what_it_is", DERECHO_LIBRARY="/does/not/exist.so")
    assert done.returncode == 1
    assert "DllNotFoundException" in done.stderr
    assert "/does/not/exist.so" in done.stderr


def test_a_library_of_another_header_is_refused(
    tmp_path: Path, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    source = tmp_path / "other.c"
    source.write_text("unsigned long derecho_abi_hash(void) { return 0xabc; }")
    other = tmp_path / "libother.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", other, source], check=True)
    done = run("RawTests.The_library_says_what_it_is", DERECHO_LIBRARY=str(other))
    assert done.returncode == 1
    assert f"{other} has the ABI hash 0000000000000abc" in done.stderr


def test_the_library_beside_the_assembly_is_found_and_one_that_is_named_goes_first(
    program: Path, run: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    beside = program.with_name("libderecho.so")
    beside.write_bytes(library().read_bytes())
    try:
        assert run("RawTests.The_library_says_what_it_is").returncode == 0
        done = run("RawTests.The_library_says_what_it_is", DERECHO_LIBRARY="")
        assert f"found {beside}" in done.stderr  # the test expects that the variable has the path
    finally:
        beside.unlink()
