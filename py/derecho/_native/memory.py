"""Owner of a ``derecho_memory`` and of the hold on the buffer behind it; beginning operations on members' memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._load import check, ffi, lib
from .group import NativeGroup

__all__ = ["KEY_BYTES", "NativeMemory", "begin"]

KEY_BYTES: int = ffi.sizeof("derecho_memory_key")


class NativeMemory:
    """Registered memory: a buffer, which neither moves nor goes until `release`, or a device's.

    Parameters
    ----------
    group : NativeGroup
        Whose it becomes.
    memory : memoryview or (int, int, int)
        C-contiguous bytes, at least one; or of a dma-buf the descriptor, the offset and the size.
    access : int
        ``DERECHO_MEMORY_*``: what peers may do.
    holds : object, optional
        Not to be freed meanwhile, either.
    """

    def __init__(
        self, group: NativeGroup, memory: memoryview | tuple[int, int, int], access: int, holds: object = None
    ) -> None:
        self._holds = holds
        self._held: list[Any] = []  # in the order to be let go
        handle = ffi.new("derecho_memory **")
        try:
            if isinstance(memory, tuple):
                self.nbytes, self.writable = memory[2], True
                check(lib.derecho_memory_register_dmabuf(group._handle, *memory, access, handle))
            else:
                self.nbytes, self.writable = memory.nbytes, not memory.readonly
                pin = ffi.from_buffer("char[]", memory)
                self._held = [lambda: ffi.release(pin), memory.release]
                check(lib.derecho_memory_register(group._handle, pin, self.nbytes, access, handle))
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
        for let_go in self._held:
            let_go()
        self._held, self._holds = [], None


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
