"""The stubs that are committed beside the demo's members are those that would be generated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(("language", "file"), [("java", "FileStore.java"), ("csharp", "FileStore.cs")])
def test_the_stubs_of_the_demo_are_fresh(language: str, file: str, root: Path, stubs: Any, tmp_path: Path) -> None:
    demo = root / "py" / "derecho" / "demo"
    assert stubs(demo / "store.py", "--lang", language, "--package", "file_store", "--out", tmp_path).returncode == 0
    (fresh,) = tmp_path.rglob(file)
    assert fresh.read_text() == (demo / "members" / language / file).read_text()
