"""Takes the RDMA device away from the process that runs this, as the kernel does when a NIC is unplugged.

Soft-RoCE never does: `rdma link delete` waits until nobody has the device open any more. So the process is made to let
go of it, without its library knowing: what it has mapped of the device becomes memory like any other, and the device's
file one that only fails. The kernel then destroys all that was made with it, queue pairs and registrations, and
closes the channel of completions, which keeps whoever polls it awake for ever. What is missing is the event that a NIC
sends before, and that the kernel forgets the device at once: it does when the process closes the other channel.
`result` is how many mappings there were.
"""

from __future__ import annotations

import ctypes
import mmap
import os
from contextlib import suppress
from pathlib import Path

FILE = "/dev/infiniband/uverbs"
MAY_MOVE, FIXED = 1, 2

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = libc.mremap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.mremap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p]


def descriptor() -> int:
    for entry in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{entry}").startswith(FILE):
                return int(entry)
    raise LookupError("no RDMA device is open")


def mappings() -> list[tuple[int, int]]:
    lines = [line for line in Path("/proc/self/maps").read_text().splitlines() if FILE in line]
    return [(int(begin, 16), int(end, 16)) for begin, _, end in (line.split()[0].partition("-") for line in lines)]


def replace(begin: int, end: int) -> None:
    """Put a copy in its place, in one step."""
    private = libc.mmap(None, end - begin, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANON, -1, 0)
    ctypes.memmove(private, begin, end - begin)
    assert libc.mremap(private, end - begin, end - begin, MAY_MOVE | FIXED, begin) == begin


held = mappings()
for first, last in held:
    replace(first, last)
dead, other_end = os.openpty()
os.close(other_end)
os.dup2(dead, descriptor())
os.close(dead)
result = len(held)
