"""Shows registered memory from Python: members read and write each other's NumPy arrays and other buffers."""

from __future__ import annotations

import array
import asyncio
import gc
import mmap
import pickle
import weakref
from typing import TYPE_CHECKING, Any

import numpy
import pytest

import derecho
from derecho.memory import Transfer

if TYPE_CHECKING:
    from conftest import Nodes, Process


def pair(nodes: Nodes) -> list[derecho.Group]:
    return nodes.together(2, list, raw=["raw"])


def test_an_array_is_read_and_written(nodes: Nodes) -> None:
    a, b = pair(nodes)
    there = numpy.arange(100_000, dtype="f8").reshape(100, 1000)
    here = numpy.zeros((100, 1000))
    memory = b.register(there, read=True, write=True)
    key = memory.key_for(1)
    mine = a.register(here)
    assert a.read(2, key, 0, into=mine).result() == here.nbytes
    assert (here == there).all()
    here *= 2
    assert a.write(2, key, 0, data=mine).result() == here.nbytes
    assert (there == numpy.arange(100_000).reshape(100, 1000) * 2).all()


def test_a_run_goes_to_several_parts_and_comes_from_them(nodes: Nodes) -> None:
    a, b = pair(nodes)
    there = bytearray(range(100))
    key = b.register(there, read=True, write=True).key_for(1)
    first, second = bytearray(20), numpy.zeros(50, "u1")
    memory = a.register(first)
    parts: list[Any] = [(memory, 10, 5), second[30:33], bytearray(), memoryview(first)[0:2]]
    assert a.read(2, key, 50, parts).result() == 10
    assert first[10:15] == bytes(range(50, 55))
    assert second[30:33].tolist() == [55, 56, 57]
    assert first[:2] == bytes([58, 59])
    assert a.write(2, key, 0, (memory, 10, 5)).result() == 5
    assert a.write(2, key, 5, [b"text", second[30:33]]).result() == 7
    assert there[:12] == bytes(range(50, 55)) + b"text" + bytes([55, 56, 57])


@pytest.mark.parametrize("make", [bytearray, lambda n: array.array("d", bytes(n)), lambda n: mmap.mmap(-1, n)])
def test_any_writable_buffer_will_do(nodes: Nodes, make: Any) -> None:
    a, b = pair(nodes)
    there = make(64)
    with b.register(there, write=True) as memory:
        assert len(memory) == 64
        assert a.write(2, memory.key_for(1), 8, b"12345678").result() == 8
    assert bytes(memoryview(there))[8:16] == b"12345678"
    if hasattr(there, "close"):
        there.close()  # it is held by nobody


def test_own_memory_is_used_like_another_members(nodes: Nodes) -> None:
    a, _ = pair(nodes)
    here = bytearray(b"0123456789")
    key = a.register(here, read=True, write=True).key_for(1)
    a.write(1, key, 2, b"ab").result()
    into = bytearray(4)
    a.read(1, key, 1, into).result()
    assert into == b"1ab4"


def test_no_bytes_are_moved_as_well(nodes: Nodes) -> None:
    a, b = pair(nodes)
    key = b.register(bytearray(5), read=True).key_for(1)
    assert a.read(2, key, 5, []).result() == 0
    assert a.read(2, key, 0, bytearray()).result() == 0


def test_a_key_travels_in_any_way_and_hides_its_secret(nodes: Nodes) -> None:
    a, b = pair(nodes)
    key = b.register(bytearray(b"hello"), read=True).key_for(1)
    into = bytearray(5)
    for same in (pickle.loads(pickle.dumps(key)), bytes(key), bytearray(key), derecho.MemoryKey(bytes(key))):
        a.read(2, same, 0, into).result()
        assert into == b"hello"
    assert isinstance(pickle.loads(pickle.dumps(key)), derecho.MemoryKey)
    assert key.hex()[16:] not in repr(key)
    with pytest.raises(derecho.InvalidArgument, match="a key has 32 bytes, not 5"):
        a.read(2, b"wrong", 0, into)


def test_a_key_is_of_use_to_one_member_only(nodes: Nodes) -> None:
    a, b, c = nodes.together(3, list, raw=["raw"])
    memory = b.register(bytearray(5), read=True)
    for group, key in ((c, memory.key_for(1)), (b, memory.key_for(1)), (a, bytes(32))):
        with pytest.raises(derecho.InvalidArgument, match="read of 5 bytes from node 2: the key opens nothing"):
            group.read(2, key, 0, bytearray(5)).result()
    assert a.read(2, memory.key_for(1), 0, bytearray(5)).result() == 5


def test_what_is_not_allowed_or_not_there_is_refused(nodes: Nodes) -> None:
    a, b = pair(nodes)
    there = bytearray(10)
    key = b.register(there, read=True).key_for(1)
    with pytest.raises(derecho.InvalidArgument, match="was not registered for that"):
        a.write(2, key, 0, b"x").result()
    with pytest.raises(derecho.InvalidArgument, match="reaches beyond the end"):
        a.read(2, key, 8, bytearray(3)).result()
    with pytest.raises(derecho.InvalidArgument, match="offset -1 is negative"):
        a.read(2, key, -1, bytearray(3))
    with pytest.raises(derecho.NotMember, match="node 9 is not a member"):
        a.read(9, key, 0, bytearray(3))
    with pytest.raises(derecho.NotMember, match="node 9 is not a member"):
        b.register(there, read=True).key_for(9)
    with pytest.raises(derecho.InvalidArgument, match="no peer's access"):
        b.register(there).key_for(1)
    assert there == bytes(10)


def test_a_buffer_that_cannot_be_used_is_refused(nodes: Nodes) -> None:
    a, b = pair(nodes)
    key = b.register(bytearray(100), read=True).key_for(1)
    matrix = numpy.zeros((10, 10), "u1")
    for striped in (matrix[:, 3], matrix[::2], matrix.T[1:]):
        with pytest.raises(derecho.InvalidArgument, match=r"not C-contiguous.*ascontiguousarray"):
            a.register(striped)
        with pytest.raises(derecho.InvalidArgument, match="not C-contiguous"):
            a.read(2, key, 0, striped)
    with pytest.raises(derecho.InvalidArgument, match="read-only: peers cannot be let to write it"):
        a.register(b"bytes", write=True)
    with pytest.raises(derecho.InvalidArgument, match="read-only: nothing can be read into it"):
        a.read(2, key, 0, b"bytes")
    frozen = a.register(b"bytes", read=True)
    with pytest.raises(derecho.InvalidArgument, match="read-only: nothing can be read into it"):
        a.read(2, key, 0, frozen)
    with pytest.raises(derecho.InvalidArgument, match="5 bytes from 1 are not inside of the 5 registered"):
        a.write(2, key, 0, (frozen, 1, 5))
    with pytest.raises(derecho.InvalidArgument, match="size_bytes is 0"):
        a.register(b"")
    with pytest.raises(TypeError, match="int is no buffer"):
        a.register(5)  # type: ignore[arg-type]


def test_a_buffer_is_held_until_it_is_deregistered(nodes: Nodes) -> None:
    a, b = pair(nodes)
    there = bytearray(10)
    memory = b.register(there, write=True)
    key = memory.key_for(1)
    with pytest.raises(BufferError):
        there.append(1)
    lost = numpy.zeros(1000)
    alive = weakref.ref(lost)
    lost_key = b.register(lost, write=True).key_for(1)
    del lost
    gc.collect()
    assert alive() is not None, "peers may still write to it"
    assert a.write(2, lost_key, 0, b"x" * 8000).result() == 8000
    memory.deregister()
    memory.deregister()
    assert memory.closed
    there.append(1)
    with pytest.raises(derecho.InvalidArgument, match="the key opens nothing"):
        a.write(2, key, 0, b"x").result()
    with pytest.raises(derecho.Closed, match="deregistered"):
        memory.key_for(1)
    b.close()
    gc.collect()
    assert alive() is None


def test_deregistering_waits_for_what_is_pending(nodes: Nodes) -> None:
    a, b = pair(nodes)
    there = numpy.arange(4_000_000)
    here = numpy.zeros(4_000_000, there.dtype)
    key = b.register(there, read=True).key_for(1)
    mine = a.register(here)
    transfer = a.read(2, key, 0, mine)
    mine.deregister()
    assert (here == there).all()
    assert transfer.result() == here.nbytes


def test_deregistering_in_vain_says_for_whom_it_waited(nodes: Nodes) -> None:
    a, b = pair(nodes)
    there, here = bytearray(64 << 20), bytearray(64 << 20)
    key = b.register(there, write=True).key_for(1)
    mine = a.register(here)
    transfers = [a.write(2, key, 0, mine) for _ in range(30)]
    with pytest.raises(derecho.Timeout, match=r"operations that use the memory are pending: \d+ with node 2"):
        mine.deregister(0)
    assert not mine.closed
    assert transfers[-1].result(60) == len(here)
    mine.deregister()


def test_many_transfers_are_awaited_at_once(nodes: Nodes) -> None:
    a, b = pair(nodes)
    there = numpy.zeros(2000, "u4")
    key = b.register(there, read=True, write=True).key_for(1)

    async def transfer() -> int:
        values = [number.to_bytes(4, "little") for number in range(2000)]
        done = await asyncio.gather(*(a.write(2, key, 4 * i, value) for i, value in enumerate(values)))
        return sum(done)

    assert asyncio.run(transfer()) == 8000
    assert there.tolist() == list(range(2000))


def test_a_message_after_a_write_comes_after_its_bytes(nodes: Nodes) -> None:
    a, b = pair(nodes)
    there = bytearray(1)
    key = b.register(there, write=True).key_for(1)
    for number in range(100):
        a.write(2, key, 0, bytes([number])).result()
        a.raw("raw").send(b"look")
        assert [bytes(m.data) for m in b.raw("raw").poll(10)] == [b"look"]
        assert there[0] == number


def test_a_closed_group_ends_what_is_under_way(nodes: Nodes) -> None:
    a, b = pair(nodes)
    there, here = bytearray(64 << 20), bytearray(64 << 20)
    key = b.register(there, write=True).key_for(1)
    transfers = [a.write(2, key, 0, here) for _ in range(30)]
    a.close()
    with pytest.raises(derecho.Closed):
        transfers[-1].result()
    here.append(1)  # nobody holds it any more
    with pytest.raises(derecho.Closed):
        a.register(bytearray(5))


def test_the_end_of_a_group_is_told_of_every_transfer_whatever_its_buffer_is_up_to() -> None:
    class InUse:
        def deregister(self, _: float) -> None:
            raise derecho.Timeout("after 0 ms operations that use the memory are pending")

    engine: Any = None
    transfer = Transfer(engine, "a write", 2, 1, [InUse()])  # type: ignore[list-item]
    transfer._fail(derecho.Closed("it is over"))
    assert isinstance(transfer.exception(), derecho.Closed)


@pytest.mark.parametrize("wire", ["shm", "tcp"])
def test_processes_write_to_each_other_and_one_is_killed(process: Any, wire: str) -> None:
    alone: Any = {"wire": wire, "config": {"require_majority": False}}
    one: Process = process(do="join", node=1, found=True, **alone)
    two: Process = process(do="join", node=2, contacts=[one.ask(do="address")], **alone)
    one.ask(do="wait_view", nodes=2)
    size = 32 << 20
    key = two.ask(do="register", size=size, node=1)
    one.ask(do="begin_writes", node=2, key=key, size=size, seed=1, times=1)
    assert one.ask(do="end_writes") == [size]
    data = numpy.random.default_rng(1).bytes(size)
    assert two.ask(do="sum_of_memory") == sum(memoryview(data)) % 65521
    one.ask(do="begin_writes", node=2, key=key, size=size, seed=2, times=20)
    two.kill()
    assert one.ask(do="end_writes")[-1] == "write of 33554432 bytes to node 2: member 2 left the view first"
