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
