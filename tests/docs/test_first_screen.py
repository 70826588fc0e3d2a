"""The README's first screen, tried exactly as printed: three terminals are one group; one is killed with `kill -9`, the
others go on; it is started again, and is a member.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from documents import Block, pages
from terminals import Terminal, Terminals
from test_commands import PATIENCE_S, clone, environment, lacks  # noqa: F401 - fixtures among them

README = next(page for page in pages() if page.name == "README.md")


def first_screen() -> tuple[list[str], Block]:
    """What is to be run before, and the first block of terminals."""
    before: list[str] = []
    for block in README.blocks:
        if block.kind == "sh":
            before += block.commands
        elif block.kind == "console":
            return before, block
    raise AssertionError("README.md shows no terminals")


@pytest.mark.parametrize("victim", [0, 1, 2], ids=["the first", "the second", "the third"])
def test_one_is_killed_the_others_go_on_and_it_comes_back(
    victim: int,
    clone: Path,  # noqa: F811
    environment: dict[str, str],  # noqa: F811
) -> None:
    if reason := lacks(README):
        pytest.skip(reason)
    before, screen = first_screen()
    with Terminals(clone, environment) as terminals:
        for command in before:
            code, said = terminals.run(command, PATIENCE_S)
            assert code == 0, f"{command}\n{said}"
        members = [terminals.start(command) for command in screen.terminals]
        for line in screen.printed:
            terminals.wait_for(line, PATIENCE_S)
        killed, others = members[victim], [m for i, m in enumerate(members) if i != victim]
        if any(not stays(member) for member in members):
            pytest.xfail("the members of the first screen exit at once, so there is nobody to kill")
        killed.kill()
        again = terminals.start(killed.command)
        terminals.wait_for_more(again, PATIENCE_S)
        assert all(member.process.poll() is None for member in (*others, again)), str(terminals)


def stays(member: Terminal) -> bool:
    """Whether it is there still, a moment after it has done what it does."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline and member.process.poll() is None:
        time.sleep(0.05)
    return member.process.poll() is None
