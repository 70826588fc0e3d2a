"""Two members use a device's memory: test_device_memory.py runs it with the stand-ins; prints what became of it.

members.py WIRE KIND      KIND: stand-in, unmapped, cuda: memfds that pass for dma-bufs; vgem: a real one, in the guest
"""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy
import stand_in

import derecho

NBYTES = 1 << 20
OFFSET = 4096 + 24  # not where a page begins
DRM_IOCTL_MODE_CREATE_DUMB = 0xC02064B2
DRM_IOCTL_PRIME_HANDLE_TO_FD = 0xC00C642D
CUDA_BASE = 0x7F00000000


def vgem() -> int:
    """A dma-buf of the kernel's own, of a graphics device without hardware."""
    card = os.open("/dev/dri/card0", os.O_RDWR)
    made = bytearray(struct.pack("<IIIIIIQ", NBYTES // 4096, 4096, 8, 0, 0, 0, 0))  # height, width, bits, ...
    fcntl.ioctl(card, DRM_IOCTL_MODE_CREATE_DUMB, made)
    handle = struct.unpack("<IIIIIIQ", made)[4]
    shared = bytearray(struct.pack("<IIi", handle, os.O_CLOEXEC | os.O_RDWR, -1))
    fcntl.ioctl(card, DRM_IOCTL_PRIME_HANDLE_TO_FD, shared)
    return int(struct.unpack("<IIi", shared)[2])


class CudaArray:
    """What CuPy and PyTorch say of an array in a device's memory, at libcuda's only address here."""

    def __init__(self, fd: int, offset: int, nbytes: int, strides: Any = None) -> None:
        os.environ["STAND_IN_CUDA"] = str(fd)
        self.__cuda_array_interface__ = {
            "shape": (nbytes,),
            "typestr": "|u1",
            "data": (CUDA_BASE + offset, False),
            "strides": strides,
            "version": 3,
        }


def outcome(act: Callable[[], Any]) -> str:
    """What an operation came to, in words."""
    try:
        result = act()
    except derecho.DerechoError as error:
        return f"{type(error).__name__}: {error}"
    return "ok" if isinstance(result, (int, type(None))) else str(result)


def same(got: Any, wanted: Any) -> str:
    """Whether bytes are those, once an operation ended well."""
    return "same" if (numpy.frombuffer(got, "u1") == wanted).all() else "different"


def read_device(device: Any, offset: int, nbytes: int) -> bytes:
    """What is in the device's memory, past libderecho: of a memfd, or of vgem's through a mapping."""
    try:
        return os.pread(device, nbytes, offset)
    except OSError:
        with mmap.mmap(device, NBYTES) as whole:
            return whole[offset : offset + nbytes]


def run(wire: str, kind: str) -> dict[str, str]:
    """Everything once."""
    a = derecho.Group.join(node=1, listen="127.0.0.1:0", found=True, wire=wire, raw=["raw"], timeout=30)
    contact = a.view.members[0].address
    b = derecho.Group.join(node=2, listen="127.0.0.1:0", contacts=[contact], wire=wire, raw=["raw"], timeout=30)
    for group in (a, b):
        group.wait_view(2)
    device = vgem() if kind == "vgem" else stand_in.memory(NBYTES, mapped=kind != "unmapped")
    offset = 24 if kind == "cuda" else OFFSET  # CUDA's range begins with the array's page
    nbytes = NBYTES - offset
    data = numpy.random.default_rng(1).integers(0, 256, 200_000, "u1")
    back = numpy.zeros(200_000, "u1")
    told: dict[str, str] = {}
    if kind == "cuda":
        memory = b.register(CudaArray(device, offset, nbytes), read=True, write=True)
    else:
        memory = b.register_dmabuf(device, nbytes, offset, read=True, write=True)
    key = memory.key_for(1)
    told["size"] = str(memory.nbytes == nbytes)
    told["write"] = outcome(lambda: a.write(2, key, 1000, data).result(30))
    if told["write"] == "ok":
        told["written"] = same(read_device(device, offset + 1000, len(data)), data)
    told["small write"] = outcome(lambda: a.write(2, key, 0, numpy.full(8, 7, "u1")).result(30))
    told["read"] = outcome(lambda: a.read(2, key, 1000, back).result(30))
    if told["read"] == "ok":
        told["was read"] = same(back, data)
    # The other way about: the device's memory is this node's own part of the operation.
    there = numpy.zeros(NBYTES, "u1")
    host = a.register(there, read=True, write=True)
    told["write from it"] = outcome(lambda: b.write(1, host.key_for(2), 5, (memory, 1000, len(data))).result(30))
    if told["write from it"] == "ok":
        told["written from it"] = same(there[5 : 5 + len(data)], data)
    there[:] = 9
    told["read into it"] = outcome(
        lambda: b.read(1, host.key_for(2), 0, [(memory, 0, 500), (memory, 700, 50)]).result(30)
    )
    if told["read into it"] == "ok":
        told["was read into it"] = same(read_device(device, offset, 500) + read_device(device, offset + 700, 50), 9)
    told["nothing"] = outcome(lambda: a.read(2, key, 0, []).result(30))
    own = memory.key_for(2)
    told["its own"] = outcome(lambda: b.read(2, own, 0, back).result(30))
    # What is wrong is told, whatever way there is.
    told["beyond"] = outcome(lambda: a.write(2, key, nbytes - 1, data).result(30))
    told["beyond, own"] = outcome(lambda: b.read(2, own, nbytes - 1, back).result(30))
    memory.deregister()
    told["deregistered"] = outcome(lambda: a.write(2, key, 0, data).result(30))
    more = b.register_dmabuf(device, nbytes, offset, read=True)
    told["may only be read"] = outcome(lambda: a.write(2, more.key_for(1), 0, data).result(30))
    told["not a dma-buf"] = outcome(lambda: b.register_dmabuf(0, 1))
    told["not open"] = outcome(lambda: b.register_dmabuf(999, 1))
    told["too large"] = outcome(lambda: b.register_dmabuf(device, NBYTES, 1))
    for group in (a, b):
        group.close()
    return told


if __name__ == "__main__":
    print(json.dumps(run(sys.argv[1], sys.argv[2])))
