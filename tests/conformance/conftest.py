"""Lets the conformance tests find each other's modules and the tools, and builds programs once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "tools")]

from languages import Program  # noqa: E402
from programs import build  # noqa: E402


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Program], list[str]]:
    """What starts a program, which is built first if need be; skips the test when its toolchain is missing."""
    built: dict[Program, list[str]] = {}

    def of(program: Program) -> list[str]:
        missing = program.missing()
        if missing:
            pytest.skip(missing)
        if program not in built:
            built[program] = build(program, tmp_path_factory.mktemp("built"))
        return built[program]

    return of
