"""Owner of a ``derecho_buffer``, and of the views that Python code keeps of it."""

from __future__ import annotations

from typing import Any

from ._load import check, ffi, lib

__all__ = ["Memory"]


class Memory:
    """Page-aligned memory that is registered with the group's wires and never moves.

    It is freed when this object was closed or dropped *and* no view of it is left.
    """

    def __init__(self, size: int) -> None:
        handle = ffi.new("derecho_buffer **")
        check(lib.derecho_buffer_create(size, handle))
        self._handle: Any = ffi.gc(handle[0], lib.derecho_buffer_release)

    def view(self) -> memoryview:
        """Return all of it, writable; the view holds a reference of its own."""
        data, size = ffi.new("void **"), ffi.new("uint64_t *")
        check(lib.derecho_buffer_data(self._handle, data, size))
        check(lib.derecho_buffer_retain(self._handle))
        handle = self._handle
        # ffi.buffer keeps the pointer alive, the pointer's destructor gives the view's reference back
        owned = ffi.gc(ffi.cast("char *", data[0]), lambda _: lib.derecho_buffer_release(ffi.cast(_POINTER, handle)))
        return memoryview(ffi.buffer(owned, size[0]))

    def close(self) -> None:
        """Give this object's reference back, once."""
        ffi.release(self._handle)


_POINTER = "derecho_buffer *"
