"""Every command line of README.md and docs/*.md is run, literally, in a fresh clone: see documents.py.

A page's blocks run in their order, in a network of their own, so that its addresses are nobody else's. Commands within
the text are run as well, with words in capitals filled in; `derecho stubs` alone, without arguments, must be there.
What cannot be run is in exceptions.py, with the reason.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from documents import ROOT, Page, pages
from exceptions import CODES, NOT_RUN, WORDS
from terminals import Terminals

from derecho import jvm

PAGES = pages()
WITH_BLOCKS = [page for page in PAGES if any(block.kind in ("sh", "console") for block in page.blocks)]
WITH_SPANS = [page for page in PAGES if page.spans]
PATIENCE_S = 240.0


def left_out(command: str) -> bool:
    return any(command.startswith(beginning) for beginning in NOT_RUN)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What git would give to one who clones, and nothing that was built."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0"):
        if name and (ROOT / name).is_file() and not name.startswith("tests/"):
            target = tmp_path / "clone" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return tmp_path / "clone"


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of a reader who has installed the package, a JDK and mono."""
    folders = [str(Path(sys.executable).parent)]
    folders += [str(home / "bin") for home in _homes() if (home / "bin" / "javac").exists()]
    return os.environ | {"PATH": os.pathsep.join([*folders, os.environ["PATH"]])}


def lacks(page: Page) -> str:
    """Which of the page's compilers is not on this machine."""
    text = "\n".join(line for block in page.blocks for line in block.lines)
    javas = [home for home in _homes() if (home / "bin" / "javac").exists()]
    if re.search(r"^javac ", text, re.MULTILINE) and not javas:
        return "there is no JDK 22 or later"
    if "csharp" in text and shutil.which("mcs") is None:
        return "there is no mcs"
    return ""


def _homes() -> list[Path]:
    try:
        return list(jvm.homes())
    except jvm.JavaMissing:
        return []


@pytest.mark.parametrize("page", WITH_BLOCKS, ids=lambda page: page.name)
def test_the_blocks_of_a_page_do_what_they_say(page: Page, clone: Path, environment: dict[str, str]) -> None:
    if reason := lacks(page):
        pytest.skip(reason)
    with Terminals(clone, environment) as terminals:
        for block in page.blocks:
            if block.kind == "sh":
                for command in block.commands:
                    if not left_out(command):
                        code, said = terminals.run(command, PATIENCE_S)
                        assert code in codes(command), f"{command}\n{said}"
            elif block.kind == "console":
                for command in block.terminals:
                    terminals.start(command)
                terminals.go_through(block.seen, PATIENCE_S)
                terminals.wait(PATIENCE_S)


def codes(command: str) -> set[int]:
    return next((found for beginning, found in CODES.items() if command.startswith(beginning)), {0})


@pytest.mark.parametrize("page", WITH_SPANS, ids=lambda page: page.name)
def test_commands_within_the_text_can_be_typed(page: Page, clone: Path, environment: dict[str, str]) -> None:
    shutil.copy(clone / "examples" / "cache.py", clone)
    (clone / "source.cs").write_text("class Program { static void Main() {} }")
    with Terminals(clone, environment) as terminals:
        for span in dict.fromkeys(page.spans):
            if left_out(span):
                continue
            words = [WORDS.get(word, word) for word in span.split()]
            command = " ".join(words)
            if len(words) == 2 or ("--dll" in words and "--out" not in words):  # only named, not to be typed as it is
                command = f"{words[0]} {'--help' if words[1].startswith('-') else words[1] + ' --help'}"
            code, said = terminals.run(command, PATIENCE_S)
            assert code in codes(command), f"{span}, run as: {command}\n{said}"


def test_what_is_left_out_is_still_in_a_document() -> None:
    commands = [command for page in PAGES for block in page.blocks for command in block.commands]
    commands += [span for page in PAGES for span in page.spans]
    assert [b for b in NOT_RUN if not any(command.startswith(b) for command in commands)] == []
