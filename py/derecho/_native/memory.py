"""Owner of a ``derecho_memory`` and of the hold on the buffer behind it; beginning operations on members' memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._load import check, ffi, lib
from .group import NativeGroup

__all__ = ["KEY_BYTES", "NativeMemory", "begin"]

KEY_BYTES: int = ffi.sizeof("derecho_memory_key")


class NativeMemory:
    """A registered buffer; it neither moves nor goes until `release`.

    Parameters
    ----------
    group : NativeGroup
        Whose it becomes.
    view : memoryview
        C-contiguous bytes, at least one.
    access : int
        ``DERECHO_MEMORY_*``: what peers may do.
    """

    def __init__(self, group: NativeGroup, view: memoryview, access: int) -> None:
        self._view = view
        self._pin: Any = ffi.from_buffer("char[]", view)
        self.address = int(ffi.cast("uintptr_t", self._pin))
        self.nbytes = view.nbytes
        self.writable = not view.readonly
        handle = ffi.new("derecho_memory **")
        try:
            check(lib.derecho_memory_register(group._handle, self._pin, self.nbytes, access, handle))
        except BaseException:
            self.release()
            raise
        self._handle: Any = handle[0]

    def key_for(self, node: int) -> bytes:
        """Return the key that opens it to a member."""
        key = ffi.new("derecho_memory_key *")
        check(lib.derecho_memory_key_for(self._handle, node, key))
        return bytes(ffi.buffer(key))

    def deregister(self, timeout_ms: int) -> None:
        """Take it back from the group, waiting for this node's operations; the buffer is held still."""
        check(lib.derecho_memory_deregister(self._handle, timeout_ms))

    def release(self) -> None:
        """Let the buffer go; after `deregister`, or when its group was closed."""
        ffi.release(self._pin)
        self._view.release()


def begin(
    group: NativeGroup,
    write: bool,
    node: int,
    key: bytes,
    offset: int,
    pieces: Sequence[tuple[NativeMemory, int, int]],
) -> int:
    """Begin an operation; return its number, which its event bears."""
    raw = ffi.new("derecho_memory_key *")
    ffi.memmove(raw, key, KEY_BYTES)
    parts = ffi.new("derecho_piece[]", [(memory._handle, first, nbytes) for memory, first, nbytes in pieces])
    operation = ffi.new("uint64_t *")
    function = lib.derecho_memory_write if write else lib.derecho_memory_read
    check(function(group._handle, node, raw, offset, parts, len(pieces), operation))
    return int(operation[0])
