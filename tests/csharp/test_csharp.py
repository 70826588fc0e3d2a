"""The C# binding's own tests (bindings/csharp/tests), each a process, on mono and on CoreCLR."""

from __future__ import annotations

import importlib.util
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
TESTS = ROOT / "bindings" / "csharp" / "tests"


def load_build() -> ModuleType:
    """bindings/csharp/build.py, by its path: another package is called `build`, too."""
    spec = importlib.util.spec_from_file_location("csharp_build", ROOT / "bindings" / "csharp" / "build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


build: Any = load_build()
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
    return Path(package.origin).parent / "_native" / "libderecho.so"


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


# ------------------------------------------------------------------------------------------------- the example

EXAMPLE = ROOT / "examples" / "csharp"


def test_the_page_ends_in_the_example() -> None:
    code = (EXAMPLE / "CacheMember.cs").read_text()
    assert len(code.splitlines()) < 40
    assert (ROOT / "docs" / "csharp.md").read_text().endswith(f"```csharp\n{code}```\n")


@pytest.mark.parametrize("runtime", build.RUNTIMES)
def test_three_members_of_the_example_answer_each_other(runtime: str, tmp_path: Path) -> None:
    if reason := build.missing(runtime):
        pytest.skip(reason)
    stubs = write_stubs(EXAMPLE.parent / "cache.py", "Example", tmp_path)
    program = build.build_program("cache", [EXAMPLE / "CacheMember.cs", *stubs], build.build(tmp_path))
    ports = free_ports(3)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    members = [start(program, runtime, str(n), address, addresses[0]) for n, address in enumerate(addresses, 1)]
    try:
        for node, member in enumerate(members, 1):
            assert member.stdout is not None
            line = member.stdout.readline()
            assert line.startswith(f"node {node}: view 3: {{1, "), line
            assert sorted(re.findall(r"\[(\d), [123]\]", line)) == ["1", "2", "3"], line
            assert member.stdout.readline() == "member 1 has hello; press Enter to leave\n"
        for member in members:
            member.communicate("\n", timeout=_TEST_S)
            assert member.returncode == 0
    finally:
        for member in members:
            member.kill()
            member.wait()


def start(program: Path, runtime: str, *words: str) -> subprocess.Popen[str]:
    command = [*build.clr.command(runtime, program), *words]
    environment = os.environ | {"DERECHO_LIBRARY": str(library())}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def free_ports(count: int) -> list[int]:
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
