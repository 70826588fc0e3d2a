"""The replicated service of the demo: a tree of files, held in memory by every member.

Members in other languages implement it too (members/), with the stubs that `derecho stubs` makes of this file.
"""

from __future__ import annotations

from dataclasses import dataclass

import derecho

__all__ = ["FileStore", "Stored"]


@dataclass
class Stored:
    """The state: complete files by path, and the pieces so far of others."""

    files: dict[str, bytes]
    partial: dict[str, list[bytes]]


@derecho.service(state=Stored)
class FileStore:
    """Files by path. One larger than a message comes in pieces, each an ordered call."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.partial: dict[str, list[bytes]] = {}
        self.stored_bytes = 0

    @derecho.ordered
    def put(self, path: str, index: derecho.uint32, count: derecho.uint32, piece: bytes) -> bool:
        """Add piece `index` of `count`; a first piece starts the file afresh. Whether the file is complete."""
        if index == 0:
            self.partial[path] = []
        pieces = self.partial[path]
        if index != len(pieces):
            raise ValueError(f"{path}: piece {index} came, {len(pieces)} was due")
        pieces.append(piece)
        if len(pieces) < count:
            return False
        self.stored_bytes -= len(self.files.get(path, b""))
        self.files[path] = b"".join(self.partial.pop(path))
        self.stored_bytes += len(self.files[path])
        return True

    @derecho.query
    def get(self, path: str) -> bytes | None:
        """Return a complete file."""
        return self.files.get(path)

    def __derecho_save__(self) -> Stored:
        return Stored(self.files, self.partial)

    def __derecho_load__(self, state: Stored) -> None:
        self.files, self.partial = state.files, state.partial
        self.stored_bytes = sum(map(len, self.files.values()))
