"""Shared by the tests of stubs: the command, and where the installed headers and libraries are."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Stubs = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="session")
def installed() -> Path:
    """The package as pip installed it."""
    package = importlib.util.find_spec("derecho")
    assert package is not None and package.origin is not None
    return Path(package.origin).parent


@pytest.fixture
def ports() -> list[int]:
    """Three that are free."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    found = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return found


@pytest.fixture(scope="session")
def stubs() -> Stubs:
    """Runs ``derecho stubs`` with words; gives what came of it."""

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "derecho.cli", "stubs", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    return run


@pytest.fixture(scope="session")
def run() -> Callable[..., str]:
    """Runs a command that must not fail; gives its output."""

    def run_it(*command: str | Path) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run_it


@pytest.fixture(scope="session")
def library(root: Path, installed: Path, run: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The DLL of examples/cache_cpp, built as its own CMake project against what pip installed."""
    build = tmp_path_factory.mktemp("cache_cpp")
    package = installed / "lib" / "cmake" / "derecho"
    flags = "-DCMAKE_CXX_FLAGS=-Wall -Wextra -Wconversion -Werror"
    run("cmake", "-S", root / "examples" / "cache_cpp", "-B", build, f"-Dderecho_DIR={package}", flags)
    run("cmake", "--build", build)
    return build / "libcache.so"
