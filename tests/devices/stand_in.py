"""Builds the stand-ins for drivers of devices that are not there, and makes their memory."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["build", "memory"]

HERE = Path(__file__).parent


def build(folder: Path) -> dict[str, str]:
    """Compile them into a folder; return the environment of programs that shall meet them."""
    for source, library in (("stand_in.c", "stand_in.so"), ("cuda.c", "libcuda.so.1")):
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", folder / library, HERE / source, "-ldl"], check=True)
    return {"LD_PRELOAD": str(folder / "stand_in.so"), "LD_LIBRARY_PATH": str(folder)}


def memory(nbytes: int, mapped: bool = True, inherited: bool = False) -> int:
    """Make memory of a device; a descriptor of what stand_in.c takes for a dma-buf."""
    fd = os.memfd_create("stand-in" if mapped else "stand-in-unmapped", 0 if inherited else os.MFD_CLOEXEC)
    os.ftruncate(fd, nbytes)
    return fd
