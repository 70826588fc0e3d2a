"""Moves the queue pairs of the process that runs this to the error state, as its device does after a fault.

The kernel is asked as libibverbs asks it, past the library that uses the queue pair: with what MODIFY_QP is in
<rdma/ib_user_verbs.h>. `result` is their number.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress

MODIFY_QP, STATE, ERROR = 26, 1, 6
HANDLES = 64


def descriptor() -> int:
    for entry in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            if os.readlink(f"/proc/self/fd/{entry}").startswith("/dev/infiniband/uverbs"):
                return int(entry)
    raise LookupError("no RDMA device is open")


def modify(device: int, handle: int, what: int) -> bool:
    addresses = bytes(2 * 32)
    numbers = struct.pack("<7I2H", handle, what, 0, 0, 0, 0, 0, 0, 0)
    command = addresses + numbers + bytes([ERROR]) + bytes(15)
    with suppress(OSError):  # it is something else's handle, or nothing's
        os.write(device, struct.pack("<IHH", MODIFY_QP, (8 + len(command)) // 4, 0) + command)
        return True
    return False


# Found first, then broken in one go: who has lost one peer and not yet the other would accuse the one to the other.
device = descriptor()
pairs = [handle for handle in range(HANDLES) if modify(device, handle, 0)]
result = sum(modify(device, handle, STATE) for handle in pairs)
