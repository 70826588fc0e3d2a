"""The README's first screen, tried exactly as printed: three terminals are one group; one is killed with `kill -9`, the
others go on; it is started again, and is a member.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import Block, pages
from terminals import Terminals
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
        terminals.go_through(screen.seen, PATIENCE_S)
        killed, others = members[victim], [m for i, m in enumerate(members) if i != victim]
        killed.kill()
        terminals.started = others
        terminals.wait_for("view 6: {2, 3}", PATIENCE_S)
        others[0].type("pear")
        terminals.wait_for("every member says {2: 2, 3: 2}", PATIENCE_S)
        again = terminals.start(killed.command)
        terminals.started = [again]
        terminals.wait_for("view 8: {2, 3, 1}", PATIENCE_S)
        again.type("plum")
        terminals.wait_for("every member says {2: 3, 3: 3, 1: 3}", PATIENCE_S)
        assert again.text.count(": 3") == 3, f"the state came back with it: apple, pear and plum\n{again.text}"
        terminals.started = [*others, again]
        terminals.wait(PATIENCE_S)
