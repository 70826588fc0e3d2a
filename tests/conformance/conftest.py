"""Lets the conformance tests find each other's modules and the tools, and builds programs once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "tools"), str(HERE.parent / "devices")]

from languages import Program  # noqa: E402
from programs import BuildError, build  # noqa: E402


@pytest.fixture(scope="session")
def command(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Program], list[str]]:
    """What starts a program, which is built first if need be; skips the test when its toolchain is missing."""
    built: dict[Program, list[str]] = {}
    broken: dict[Program, str] = {}

    def of(program: Program) -> list[str]:
        missing = program.missing()
        if missing:
            pytest.skip(missing)
        if program not in built and program not in broken:
            try:
                built[program] = build(program, tmp_path_factory.mktemp("built"))
            except BuildError as error:
                broken[program] = str(error)
        if program in broken:
            pytest.fail(broken[program], pytrace=False)
        return built[program]

    return of
