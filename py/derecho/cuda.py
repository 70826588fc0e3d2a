"""Memory of CUDA devices as dma-bufs, so that RDMA devices reach it without a copy.

Not tried on a GPU so far: its tests have a stand-in for CUDA's driver (docs/memory.md).
"""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .errors import InvalidArgument

__all__ = ["dmabuf", "is_cuda"]

_DMA_BUF_FD = 1  # CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD


def is_cuda(array: object) -> bool:
    """Whether it is an array in a CUDA device's memory: CuPy's, PyTorch's, Numba's, ..."""
    return hasattr(array, "__cuda_array_interface__")


@contextmanager
def dmabuf(array: Any) -> Iterator[tuple[int, int, int]]:
    """Lend the dma-buf of a CUDA array's memory, for as long as the block lasts.

    Parameters
    ----------
    array : object
        With a ``__cuda_array_interface__``; C-contiguous. Its device's context is the thread's current one.

    Yields
    ------
    fd, offset, nbytes : int
        The descriptor, and where in it the array is.

    Raises
    ------
    InvalidArgument
        When the array is empty or not contiguous, CUDA's driver is not installed, or does not give the memory away.
    """
    address, nbytes = _range(array.__cuda_array_interface__)
    # The driver gives away whole pages.
    first = address - address % mmap.PAGESIZE
    end = -(-(address + nbytes) // mmap.PAGESIZE) * mmap.PAGESIZE
    fd = ctypes.c_int(-1)
    result = _driver().cuMemGetHandleForAddressRange(
        ctypes.byref(fd),
        ctypes.c_uint64(first),
        ctypes.c_size_t(end - first),
        ctypes.c_int(_DMA_BUF_FD),
        ctypes.c_ulonglong(0),
    )
    if result != 0:
        raise InvalidArgument(
            f"CUDA's driver does not give the array's memory away as a dma-buf, error {result}: it takes memory of "
            "cudaMalloc or cuMemCreate, a current context, and Nvidia's open kernel modules on Linux 5.12 or newer"
        )
    try:
        yield fd.value, address - first, nbytes
    finally:
        os.close(fd.value)


def _range(interface: dict[str, Any]) -> tuple[int, int]:
    """Where an array's memory begins, and how many bytes it has."""
    shape = tuple(interface["shape"])
    nbytes = int(interface["typestr"][2:])
    contiguous: list[int] = []
    for extent in reversed(shape):
        contiguous.insert(0, nbytes)
        nbytes *= extent
    strides = interface.get("strides")
    if (
        strides is not None
        and nbytes
        and any(s != c for s, c, n in zip(strides, contiguous, shape, strict=True) if n > 1)
    ):
        raise InvalidArgument("the array is not C-contiguous, its bytes do not lie in one run: take a copy of it")
    if nbytes == 0:
        raise InvalidArgument("the array is empty")
    return int(interface["data"][0]), nbytes


def _driver() -> ctypes.CDLL:
    try:
        driver = ctypes.CDLL("libcuda.so.1")
        driver.cuMemGetHandleForAddressRange  # noqa: B018 - CUDA 11.7 or newer has it
    except (OSError, AttributeError) as error:
        raise InvalidArgument(f"CUDA's driver is not installed, or too old to give memory away: {error}") from None
    return driver
