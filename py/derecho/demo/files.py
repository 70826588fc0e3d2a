"""The tree that is replicated, and the digest that two trees are compared by."""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterable
from pathlib import Path

__all__ = ["digest", "digest_of_tree", "find_files", "standard_library"]

_SKIPPED = {"__pycache__", "site-packages", "dist-packages"}  # written while Python runs, or not the library's own


def standard_library() -> Path:
    """Return the folder of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def find_files(root: Path) -> dict[str, int]:
    """Return the readable regular files below `root`: path inside it to size in bytes, sorted by path."""
    found: dict[str, int] = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [f for f in folders if f not in _SKIPPED]
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
                inside = str(path.relative_to(root))
                if inside.isprintable():  # names that are not Unicode text cannot be a str argument
                    found[inside] = path.stat().st_size
    return dict(sorted(found.items()))


def digest(files: Iterable[tuple[str, bytes]]) -> str:
    """Return the SHA-256 over ``(path, content)`` in this order, each preceded by its length, in hex."""
    whole = hashlib.sha256()
    for path, content in files:
        for part in (path.encode(), content):
            whole.update(len(part).to_bytes(8, "little"))
            whole.update(part)
    return whole.hexdigest()


def digest_of_tree(root: Path, paths: Iterable[str]) -> str:
    """Return the digest straight from disk."""
    return digest((path, (root / path).read_bytes()) for path in sorted(paths))
