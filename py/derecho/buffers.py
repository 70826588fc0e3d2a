"""Buffers that no garbage collector moves, registered with the group's wires."""

from __future__ import annotations

from typing import Any

from ._native import Memory

__all__ = ["Buffer", "buffer"]


class Buffer:
    """Page-aligned memory of the library's, as Python knows memory.

    Supports the buffer protocol's consumers through `view`: ``memoryview``, NumPy, files. Closing it, or dropping it,
    gives up *this* object's hold; the memory itself lives until the last view of it is gone, so no view ever dangles.

    Parameters
    ----------
    nbytes : int
        At least 1; `InvalidArgument` otherwise. Zeroed.
    """

    def __init__(self, nbytes: int) -> None:
        self._memory: Memory | None = Memory(nbytes)
        self.nbytes = nbytes

    @property
    def view(self) -> memoryview:
        """All of it, writable, format ``"B"``; each access makes a view that holds the memory by itself.

        Raises
        ------
        ValueError
            After `close`.
        """
        if self._memory is None:
            raise ValueError("the buffer is closed")
        return self._memory.view().cast("B")

    def numpy(self, dtype: Any = "u1", shape: Any = None) -> Any:
        """Return a NumPy array over it, without a copy.

        Parameters
        ----------
        dtype : data-type
            Of the elements.
        shape : int or tuple of int, optional
            By default one dimension over all of it.
        """
        import numpy

        array = numpy.frombuffer(self.view, dtype=dtype)
        return array if shape is None else array.reshape(shape)

    def close(self) -> None:
        """Give up this object's hold. Views stay valid. A second time does nothing."""
        memory, self._memory = self._memory, None
        if memory is not None:
            memory.close()

    def __len__(self) -> int:
        return self.nbytes

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def buffer(nbytes: int) -> Buffer:
    """Allocate a zeroed `Buffer` of `nbytes` bytes."""
    return Buffer(nbytes)
