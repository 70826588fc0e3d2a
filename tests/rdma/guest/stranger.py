#!/usr/bin/python3
"""A peer of the fabric with none of our code: pyverbs, a socket, and what is written in docs/rdma.md.

    stranger.py DEVICE HOST PORT lat|bw ROUNDS BYTES WINDOW

It answers one connection of `derecho_fabric_end lat|bw contact=HOST:PORT`, reads what that writes into its memory,
checks that data are never later than the counter that was pushed after them, and writes its own counter back. Prints a
line of JSON. For the distribution's Python, which is the one that has pyverbs.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import socket
import struct
import sys
import time
from pathlib import Path

import pyverbs.enums as e
from pyverbs.addr import GID, AHAttr, GlobalRoute
from pyverbs.cq import CQ
from pyverbs.device import Context
from pyverbs.mr import MR
from pyverbs.pd import PD
from pyverbs.qp import QP, QPAttr, QPCap, QPInitAttr
from pyverbs.wr import SGE, SendWR

MAGIC, VERSION = 0x48435244, 6
HELLO, READY, GO, VERBS = 1, 4, 5, 6
ANNOUNCE, KEY = 1, 2
ASLEEP, ECHOED, SYNCED, PROBE = 0, 8, 16, 24  # words of a link's control memory
COUNTER_BYTES = 64
PATIENCE_S = 60.0
WRITABLE = e.IBV_ACCESS_LOCAL_WRITE | e.IBV_ACCESS_REMOTE_WRITE


class Memory:
    """Registered memory that others may write to."""

    def __init__(self, pd: PD, size_bytes: int) -> None:
        self.map = mmap.mmap(-1, size_bytes)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        self.mr = MR(pd, size_bytes, WRITABLE, address=self.address)

    def word(self, offset: int) -> int:
        return int(struct.unpack_from("<Q", self.map, offset)[0])

    def put(self, offset: int, value: int) -> None:
        struct.pack_into("<Q", self.map, offset, value)


def wait(done, what: str) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited in vain for {what}")


def exactly(connection: socket.socket, size_bytes: int) -> bytes:
    found = b""
    while len(found) < size_bytes:
        if not (more := connection.recv(size_bytes - len(found))):
            raise ConnectionError("it closed the connection")
        found += more
    return found


def message(connection: socket.socket, kind: int) -> bytes:
    magic, version, found, length, _ = struct.unpack("<IHHII", exactly(connection, 16))
    body = exactly(connection, length)
    if (magic, version, found) != (MAGIC, VERSION, kind):
        raise ValueError(f"kind {found} of version {version} instead of {kind}: {body!r}")
    return body


def say(connection: socket.socket, kind: int, body: bytes = b"") -> None:
    connection.sendall(struct.pack("<IHHII", MAGIC, VERSION, kind, len(body), 0) + body)


def our_hello(theirs: bytes, address: bytes, verbs: bytes) -> bytes:
    """Their HELLO, said by another node: whatever both must have alike is theirs."""
    at = 4 + 4 + 8 + 6 * 8
    at += 2 + struct.unpack_from("<H", theirs, at)[0]  # the group's name
    (services,) = struct.unpack_from("<H", theirs, at)
    at += 2
    for _ in range(services):
        at += 2 + struct.unpack_from("<H", theirs, at)[0] + 8
    (wire,) = struct.unpack_from("<B", theirs, at + 4 + 8 + 1)
    own = struct.pack("<IQBBBQQQ", 1, 77, 0, wire, 0, 0, 0, 0) + struct.pack("<H", len(address)) + address
    own += bytes(16) + struct.pack("<QI", 0, 0) + bytes(16 * 8) + struct.pack("<H", 0) + bytes(16) + verbs
    return theirs[:at] + own


class Stranger:
    def __init__(self, device: str, host: str, port: int) -> None:
        self.context = Context(name=device)
        self.pd = PD(self.context)
        self.cq = CQ(self.context, 4096)
        attributes = self.context.query_port(1)
        self.mtu = attributes.active_mtu
        self.gid_index = next(
            i
            for i in range(attributes.gid_tbl_len)
            if "RoCE v2" in _type(device, i)
            and str(self.context.query_gid(1, i)).startswith("0000:0000:0000:0000:0000:ffff")
        )
        self.gid = bytes.fromhex(str(self.context.query_gid(1, self.gid_index)).replace(":", ""))
        capacity = QPCap(max_send_wr=1024, max_recv_wr=32, max_send_sge=1, max_recv_sge=1, max_inline_data=64)
        self.qp = QP(self.pd, QPInitAttr(qp_type=e.IBV_QPT_RC, scq=self.cq, rcq=self.cq, cap=capacity), QPAttr())
        self.control = Memory(self.pd, 4096)
        self.scratch = Memory(self.pd, 4096)
        self.posted = 0
        self.listener = socket.create_server((host, port))
        self.verbs = struct.pack("<BBBBH", 1, 1, 1, self.mtu, 0) + self.gid
        self.address = f"{host}:{port}".encode()

    def meet(self) -> None:
        self.listener.settimeout(PATIENCE_S)
        self.connection, _ = self.listener.accept()
        self.connection.settimeout(PATIENCE_S)
        say(self.connection, HELLO, our_hello(message(self.connection, HELLO), self.address, self.verbs))
        theirs = message(self.connection, VERBS)
        _, _, _, mtu, _, gid, pair, first, self.their_control, self.their_control_key = struct.unpack(
            "<BBBBH16sIIQI", theirs
        )
        self.to_ready(min(mtu, self.mtu), gid, pair, first)
        endpoint = struct.pack("<IIQI", self.qp.qp_num, 0, self.control.address, self.control.mr.rkey)
        say(self.connection, VERBS, self.verbs + endpoint)
        message(self.connection, READY)
        if self.control.word(PROBE) != 1:
            raise ValueError("READY came before the probe had landed")
        say(self.connection, GO)

    def to_ready(self, mtu: int, gid: bytes, pair: int, first: int) -> None:
        attributes = QPAttr(qp_state=e.IBV_QPS_INIT, port_num=1)
        attributes.qp_access_flags = e.IBV_ACCESS_REMOTE_WRITE
        self.qp.to_init(attributes)
        text = ":".join(gid.hex()[i : i + 4] for i in range(0, 32, 4))
        route = GlobalRoute(dgid=GID(text), sgid_index=self.gid_index, hop_limit=64)
        attributes = QPAttr(qp_state=e.IBV_QPS_RTR, port_num=1)
        attributes.path_mtu, attributes.dest_qp_num, attributes.rq_psn = mtu, pair, first
        attributes.max_dest_rd_atomic, attributes.min_rnr_timer = 0, 12
        attributes.ah_attr = AHAttr(gr=route, is_global=1, port_num=1)
        self.qp.to_rtr(attributes)
        attributes = QPAttr(qp_state=e.IBV_QPS_RTS, port_num=1)
        attributes.timeout, attributes.retry_cnt, attributes.rnr_retry = 14, 7, 7
        attributes.sq_psn, attributes.max_rd_atomic = 0, 0
        self.qp.to_rts(attributes)

    def exchange_regions(self) -> None:
        kind, _, region, _, size_bytes = struct.unpack("<IIQQQ", exactly(self.connection, 32))
        assert (kind, region) == (ANNOUNCE, 7), (kind, region)
        self.mirror = Memory(self.pd, size_bytes)
        self.connection.sendall(struct.pack("<IIQQQ", KEY, self.mirror.mr.rkey, region, self.mirror.address, 0))
        self.connection.sendall(struct.pack("<IIQQQ", ANNOUNCE, 0, 7, 0, size_bytes))
        kind, self.their_key, region, self.their_mirror, _ = struct.unpack("<IIQQQ", exactly(self.connection, 32))
        assert (kind, region) == (KEY, 7), (kind, region)
        self.write(1, self.their_control + SYNCED, self.their_control_key)

    def write(self, value: int, to: int, key: int) -> None:
        """One word, as RDMA WRITE."""
        self.scratch.put(0, value)
        piece = SGE(self.scratch.address, 8, self.scratch.mr.lkey)
        flags = e.IBV_SEND_INLINE | e.IBV_SEND_SIGNALED
        request = SendWR(opcode=e.IBV_WR_RDMA_WRITE, num_sge=1, sg=[piece], send_flags=flags)
        request.set_wr_rdma(key, to)
        self.qp.post_send(request)
        wait(lambda: self.landed(), "a write to land")

    def landed(self) -> bool:
        count, completions = self.cq.poll(1)
        if count and completions[0].status != e.IBV_WC_SUCCESS:
            raise ConnectionError(f"a write failed with status {completions[0].status}")
        return bool(count)

    def answer(self, rounds: int, size_bytes: int, window: int) -> dict[str, int]:
        heard = late = 0
        while heard < rounds:
            wait(lambda seen=heard: self.mirror.word(0) > seen, "a counter")  # type: ignore[misc]
            newest = self.mirror.word(0)
            if size_bytes:
                for i in range(max(heard, newest - window) + 1, newest + 1):
                    at = COUNTER_BYTES + (i - 1) % window * size_bytes
                    late += self.mirror.word(at) < i or self.mirror.word(at + size_bytes - 8) < i
            heard = newest
            self.write(heard, self.their_mirror, self.their_key)
        return {"heard": heard, "late": late, "synced": self.control.word(SYNCED)}


def _type(device: str, index: int) -> str:
    try:
        return Path(f"/sys/class/infiniband/{device}/ports/1/gid_attrs/types/{index}").read_text()
    except OSError:  # the kernel's way to say that an entry is empty
        return ""


def main() -> None:
    device, host, port, kind, rounds, size_bytes, window = sys.argv[1:]
    stranger = Stranger(device, host, int(port))
    print("listening", flush=True)
    stranger.meet()
    stranger.exchange_regions()
    found = stranger.answer(int(rounds), int(size_bytes) if kind == "bw" else 0, int(window))
    print(json.dumps(found), flush=True)
    time.sleep(1)  # so that the other end sees the last counter before the connection's end


if __name__ == "__main__":
    main()
