"""Reads commands out of README.md and docs/*.md, whatever they are: fenced blocks, and commands within the text.

A fenced block `sh` holds commands that run one after the other. A block `console` holds terminals: each line that
begins with `$ ` is a command that goes on beside the others, one that begins with `> ` is typed into the first of them,
and any other line is what one of them prints. A code span
that begins with the name of a program is a command as well; a word in capitals in it stands for something of the
reader's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = "cd derecho cmake mvn python python3 pip make dotnet java javac cc"

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    kind: str
    lines: tuple[str, ...]

    @property
    def commands(self) -> list[str]:
        """Of a block `sh`: its commands, without comments."""
        joined = "\n".join(self.lines).replace("\\\n", " ")
        return [bare for line in joined.split("\n") if (bare := _without_comment(line))]

    @property
    def terminals(self) -> list[str]:
        """Of a block `console`: what is typed, a terminal each."""
        return [_without_comment(line[2:]) for line in self.lines if line.startswith("$ ")]

    @property
    def seen(self) -> list[str]:
        """Of a block `console`: what is typed, with its `> `, and what is seen."""
        return [line for line in self.lines if line and not line.startswith("$ ")]


@dataclass
class Page:
    name: str
    blocks: list[Block] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s+)#.*", "", line).strip()


def read(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    page = Page(path.relative_to(ROOT).as_posix())
    for match in _FENCE.finditer(text):
        page.blocks.append(Block(page.name, match[1], tuple(match[2].splitlines())))
    for span in _SPAN.findall(_FENCE.sub("", text).replace("\n", " ")):
        if span.split()[0] in PROGRAMS.split() and len(span.split()) > 1:
            page.spans.append(" ".join(span.split()))
    return page


def pages() -> list[Page]:
    return [read(path) for path in PAGES]
