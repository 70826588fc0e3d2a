"""The README's lines are lines of the examples, in their order; the examples are compiled and run by other tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SOURCES = {
    "python": ["examples/cache.py", "examples/python/cache_member.py"],
    "java": ["examples/java/CacheMember.java"],
    "csharp": ["examples/csharp/CacheMember.cs"],
}


@pytest.mark.parametrize("language", SOURCES)
def test_what_the_readme_shows_is_in_the_examples(root: Path, language: str) -> None:
    (shown,) = re.findall(rf"```{language}\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    lines = iter("\n".join((root / path).read_text() for path in SOURCES[language]).splitlines())
    for line in filter(None, shown.splitlines()):
        if line.lstrip().startswith(("# ...", "// ...")):
            continue
        assert line in lines, f"not in the examples, or not in this order: {line}"
