"""What a member does with registered memory, for test_faults.py: run in its process; `member` and `what` are given.

Buffers and keys stay with the member until the next call.
"""

from __future__ import annotations

import time
from typing import Any

import numpy

given: dict[str, Any] = globals()
group = given["member"].group
kept = vars(given["member"]).setdefault("memory", {})
if given["what"] == "register":  # memory for others; the key is for one of them
    kept["bytes"] = numpy.zeros(given["size"], "u1")
    kept["registered"] = group.register(kept["bytes"], read=True, write=True)
    result: Any = kept["registered"].key_for(given["node"]).hex()
elif given["what"] == "write":
    data = numpy.random.default_rng(given["seed"]).integers(0, 256, given["size"], "u1")
    result = group.write(given["node"], bytes.fromhex(given["key"]), 0, group.register(data)).result(60)
elif given["what"] == "begin_writes":  # one after the other
    data = group.register(numpy.zeros(given["size"], "u1"))
    kept["transfers"] = [
        group.write(given["node"], bytes.fromhex(given["key"]), 0, data) for _ in range(given["times"])
    ]
    result = None
elif given["what"] == "end_writes":  # what each came to
    result = [type(transfer.exception(60)).__name__ for transfer in kept["transfers"]]
elif given["what"] == "sum":
    result = int(kept["bytes"].sum())
elif given["what"] == "read":  # how many seconds each took
    into = group.register(numpy.zeros(given["size"], "u1"))
    result = []
    for _ in range(given["times"]):
        begun = time.monotonic()
        group.read(given["node"], bytes.fromhex(given["key"]), 0, into).result(60)
        result.append(time.monotonic() - begun)
