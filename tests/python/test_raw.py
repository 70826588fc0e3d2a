"""Shows plain messages: delivered in place, their room freed by dropping them, sent from any buffer."""

from __future__ import annotations

import gc
import threading
import time
from array import array
from typing import TYPE_CHECKING, Any

import pytest

import derecho

if TYPE_CHECKING:
    from conftest import Nodes

RING = {"ring_bytes": 65536}


def logs(nodes: Nodes, count: int) -> list[derecho.RawShard]:
    return [g.raw("log") for g in nodes.together(count, list, raw=["log"], config=RING)]


def read(shard: derecho.RawShard, count: int) -> list[bytes]:
    found: list[bytes] = []
    for message in shard.messages(timeout=10.0):
        found.append(message.tobytes())
        if len(found) == count:
            break
    return found


class Reader:
    """Reads a shard on a thread of its own, in place; keeps copies, or the messages themselves."""

    def __init__(self, shard: derecho.RawShard, count: int) -> None:
        self.found: list[bytes] = []
        self._thread = threading.Thread(target=lambda: self.found.extend(read(shard, count)))
        self._thread.start()

    def all(self) -> list[bytes]:
        self._thread.join(30)
        return self.found


def test_messages_of_all_members_come_in_one_order(nodes: Nodes) -> None:
    a, b, c = logs(nodes, 3)
    for i in range(50):
        for shard in (a, b, c):
            shard.send(f"{shard.name}{i}".encode())
    assert read(a, 150) == read(b, 150) == read(c, 150)


def test_a_message_knows_who_when_and_in_which_place(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    ticket = a.send(b"one")
    a.send(b"two")
    theirs = b.poll(10.0)
    while len(theirs) < 2:
        theirs += b.poll(10.0)
    own = a.poll(10.0)
    while len(own) < 2:
        own += a.poll(10.0)
    assert [m.sender for m in theirs] == [1, 1]
    assert (own[0].id, own[0].own, theirs[0].own) == (ticket, True, False)
    assert theirs[0].version < theirs[1].version
    assert [m.version for m in own] == [m.version for m in theirs]
    assert [m.timestamp for m in own] == [m.timestamp for m in theirs]


def test_the_payload_is_in_place_read_only_and_outlives_the_message(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    a.send(b"hello world")
    (message,) = a.poll(10.0)
    view = message.data
    assert view.readonly
    assert memoryview(message) == view == b"hello world"
    assert len(message) == 11
    del message
    gc.collect()
    assert view[6:] == b"world"


def test_views_stay_readable_after_the_group_was_closed(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    a.send(b"x" * 1000)
    (message,) = b.poll(10.0)
    for group in nodes.groups:
        group.close()
    assert message.data == b"x" * 1000


def test_dropping_messages_frees_the_ring_and_holding_them_holds_the_senders(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    held: list[memoryview] = []
    sent = 0
    with pytest.raises(derecho.RingFull):
        while sent < 1000:  # some of what is held is in place
            a.send(bytes(1000), timeout=0.3)
            sent += 1
            a.poll()
            held += [m.data for m in b.poll()]
    assert all(view == bytes(1000) for view in held)
    rest = sent - len(held) + 200
    held.clear()
    reader = Reader(b, rest)
    for _ in range(200):  # three times the ring
        a.send(bytes(1000))
        a.poll()
    assert reader.all() == [bytes(1000)] * rest


def test_messages_kept_in_variables_hold_back_nobody(nodes: Nodes) -> None:
    """`for message in shard.messages()` keeps one, and with it a whole batch, while it waits for the next."""
    a, b = logs(nodes, 2)
    kept: list[derecho.Message] = []

    def keep() -> None:
        while len(kept) < 300:
            kept.extend(b.poll(10.0))

    reader = threading.Thread(target=keep)
    reader.start()
    mine: list[derecho.Message] = []
    for i in range(300):
        a.send(i.to_bytes(4, "little") * 250, timeout=10.0)
        mine += a.poll()
    reader.join(20)
    while len(mine) < 300:
        mine += a.poll(10.0)
    for messages in (kept, mine):
        assert [int.from_bytes(m.data[:4], "little") for m in messages] == list(range(300))


def test_a_sender_that_never_reads_is_not_held_back_by_itself(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    reader = Reader(b, 300)
    for i in range(300):  # four rings' worth of messages that a does not read meanwhile
        a.send(i.to_bytes(4, "little") * 250, timeout=10.0)
    for received in (reader.all(), read(a, 300)):
        assert [int.from_bytes(m[:4], "little") for m in received] == list(range(300))


def test_a_held_copy_holds_no_room(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    copies: list[derecho.Message] = []
    for i in range(200):
        a.send(bytes([i]) * 1000)
        copies += [m.detach() for m in a.poll(10.0)]
    assert [m.data[0] for m in copies] == list(range(200))


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda b: array("B", b)])
def test_any_contiguous_buffer_can_be_sent(make: object) -> None:
    with derecho.Group.join(raw=["log"], node=1, listen="127.0.0.1:0", found=True) as group:
        log = group.raw("log")
        log.send(make(b"12345678"))  # type: ignore[operator]
        assert read(log, 1) == [b"12345678"]


def test_numpy_arrays_are_sent_and_read_in_place(nodes: Nodes) -> None:
    numpy = pytest.importorskip("numpy")
    (a,) = logs(nodes, 1)
    values = numpy.arange(100, dtype="<f8")
    a.send(values)
    (message,) = a.poll(10.0)
    assert (numpy.frombuffer(message, dtype="<f8") == values).all()
    with pytest.raises((BufferError, ValueError)):
        a.send(values[::2])


def test_many_messages_go_in_one_call(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    items = [str(i).encode() for i in range(5000)]
    reader = Reader(b, 5000)
    a.send_many(items)
    assert reader.all() == items
    assert read(a, 5000) == items


def test_many_messages_of_all_sizes_and_kinds_of_buffer(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    items = [b"", bytearray(b"one"), memoryview(b"three")[1:], b"x" * 9000, *(b"y" * n for n in range(300))]
    reader = Reader(b, len(items) - 1)
    sent = a.try_send_many(items, 1)
    assert sent > 1
    a.send_many(items[1 + sent :])
    expected = [bytes(item) for item in items[1:]]
    assert reader.all() == expected
    assert read(a, len(items) - 1) == expected


def test_what_cannot_be_sent_among_many_says_so(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    with pytest.raises(TypeError, match="str"):
        a.try_send_many([b"before", "a string"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="start"):
        a.try_send_many([b"before"], -1)
    with pytest.raises(derecho.TooLarge):
        a.send_many([b"small", bytes(100_000)])
    assert read(a, 1) == [b"small"]


def test_what_another_thread_has_queued_comes_before_what_is_polled(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    a.send(b"first")
    a._engine.pump.turn(1.0)  # as another thread may, after this one saw an empty queue
    a.send(b"second")
    found: list[derecho.Message] = []
    assert not a._take(a._index, a._queue, None, 1.0, 1.0, found)
    assert found == []
    assert read(a, 2) == [b"first", b"second"]


def test_an_exception_out_of_a_signals_handler_loses_no_message(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    take = a._take

    def interrupted(*args: Any) -> Any:
        came = take(*args)
        if came:
            a._take = take
            raise KeyboardInterrupt
        return came

    for receive in (lambda: a.poll(10.0), lambda: next(a.messages(10.0))):
        a.send_many([b"1", b"2", b"3"])
        a._take = interrupted
        with pytest.raises(KeyboardInterrupt):
            while True:
                receive()
        assert read(a, 3) == [b"1", b"2", b"3"]


def test_whoever_stops_iterating_finds_the_rest_later(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    a.send_many([b"1", b"2", b"3", b"4"])
    for message in a.messages(10.0):
        if message.tobytes() == b"2":
            break
    assert read(a, 2) == [b"3", b"4"]


def test_a_claim_is_filled_in_place(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    with a.claim(16) as view:
        assert len(view) == 16
        view[:8] = b"12345678"
        view[8:] = b"abcdefgh"
    assert read(b, 1) == [b"12345678abcdefgh"]


def test_who_tries_to_claim_in_a_full_ring_hears_so_at_once(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    held = []
    with pytest.raises(derecho.RingFull):
        while True:
            with a.try_claim(10_000) as view:
                view[:4] = b"full"
            held += b.poll(0.1)
    assert {message.tobytes()[:4] for message in held} == {b"full"}
    held.clear()
    with a.claim(10_000) as view:
        view[:4] = b"room"


def test_a_claim_is_given_back_when_the_block_fails(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    with pytest.raises(KeyError), a.claim(100) as view:
        view[0] = 1
        raise KeyError("no")
    a.send(b"next")
    assert read(a, 1) == [b"next"]


def test_a_view_that_outlives_its_claim_is_an_error_and_sends_nothing(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    kept = []
    with pytest.raises(BufferError, match="still in use"), a.claim(100) as view:
        kept.append(view[:10])
    kept[0][:] = b"0123456789"  # harmless: the room is still ours
    kept.clear()
    a.send(b"next")
    assert read(a, 1) == [b"next"]


def test_too_large_names_both_sizes(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    with pytest.raises(derecho.TooLarge, match="100000"):
        a.send(bytes(100_000))


def test_a_callback_gets_messages_instead_of_the_queue(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    seen: list[bytes] = []
    b.on_message = lambda message: seen.append(message.tobytes())
    a.send(b"x")
    a.send(b"y")
    read(a, 2)
    for _ in range(1000):
        if len(seen) == 2:
            break
        nodes.groups[1].drive(0.01)
    assert seen == [b"x", b"y"]


def test_empty_messages_are_messages(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    a.send(b"")
    assert read(b, 1) == [b""]


def test_an_unknown_shard_is_named(nodes: Nodes) -> None:
    logs(nodes, 1)
    with pytest.raises(derecho.InvalidArgument, match="no raw shard 'other'; there are: log"):
        nodes.groups[0].raw("other")


@pytest.mark.parametrize("name", ["a\0", "\0", "a\nb", "", "x" * 64, "\x7f", "\x85"])
def test_a_name_is_refused_as_a_whole_and_never_cut_short(name: str) -> None:
    everything = {"node": 1, "listen": "127.0.0.1:0", "timeout": 10.0}
    with pytest.raises(derecho.InvalidArgument, match=r"NUL|1 to 63 bytes"):
        derecho.join(raw=[name], **everything)
    with pytest.raises(derecho.InvalidArgument, match=r"NUL|1 to 63 bytes"):
        derecho.join(raw=["a"], group=name, **everything)


def test_a_name_may_be_of_any_language(nodes: Nodes) -> None:
    group = nodes.join(raw=["Größe 中文"], group="😀")
    group.raw("Größe 中文").send(b"x")
    with pytest.raises((derecho.InvalidArgument, KeyError), match="a"):
        group.raw("Größe 中文\0")


def test_reading_ends_with_the_group(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    a.send(b"last")
    (message,) = b.poll(10.0)
    assert message.data == b"last"
    nodes.groups[1].close()
    assert list(b.messages(timeout=5.0)) == []
    with pytest.raises(derecho.Closed):
        b.poll()


# ------------------------------------------------------------------------------------------------- buffers


def test_a_buffer_is_zeroed_page_aligned_and_writable() -> None:
    numpy = pytest.importorskip("numpy")
    with derecho.buffer(10_000) as buffer:
        assert len(buffer) == buffer.nbytes == 10_000
        assert bytes(buffer.view) == bytes(10_000)
        array = buffer.numpy("<i4", (50, 50))
        array[:] = 7
        assert array.ctypes.data % 4096 == 0
        assert buffer.view.cast("i")[0] == 7
        assert numpy.shares_memory(array, buffer.numpy("<i4"))


def test_views_of_a_buffer_outlive_it() -> None:
    buffer = derecho.buffer(1 << 20)
    view = buffer.view
    view[:4] = b"kept"
    buffer.close()
    buffer.close()
    with pytest.raises(ValueError, match="closed"):
        buffer.view  # noqa: B018
    del buffer
    gc.collect()
    assert bytes(view[:4]) == b"kept"
    view[-1] = 1


def test_a_buffer_of_nothing_is_refused() -> None:
    with pytest.raises(derecho.InvalidArgument):
        derecho.buffer(0)


def test_a_buffer_can_be_sent(nodes: Nodes) -> None:
    (a,) = logs(nodes, 1)
    with derecho.buffer(100) as buffer:
        buffer.view[:5] = b"hello"
        a.send(buffer.view[:5])
    assert read(a, 1) == [b"hello"]


# ------------------------------------------------------------------------------------------------- beside a service


@derecho.service
class Tally:
    """Counts, for callers on other threads than the one that reads messages."""

    def __init__(self) -> None:
        self.total = 0

    @derecho.ordered
    def add(self, by: int) -> int:
        self.total += by
        return self.total

    def __derecho_save__(self) -> bytes:
        return str(self.total).encode()

    def __derecho_load__(self, data: bytes) -> None:
        self.total = int(data)


def test_who_only_reads_messages_serves_the_calls_that_come_meanwhile(nodes: Nodes) -> None:
    reader, caller = nodes.together(2, lambda: [Tally()], raw=["log"])
    log = reader.raw("log")
    log.poll(0.0)
    caller[Tally].add.send(3)
    deadline = time.monotonic() + 10
    while reader.local(Tally).total != 3 and time.monotonic() < deadline:
        assert log.poll(0.01) == []
    assert reader.local(Tally).total == 3


def test_a_busy_reader_does_not_keep_other_threads_from_their_answers(nodes: Nodes) -> None:
    group, _ = nodes.together(2, lambda: [Tally()], raw=["log"])
    log, done = group.raw("log"), threading.Event()
    answers: list[int] = []

    def call() -> None:
        answers.extend(group[Tally].add(1).result() for _ in range(200))
        done.set()

    caller = threading.Thread(target=call)
    caller.start()
    sent = seen = 0
    while not done.is_set() or seen < sent:
        if not done.is_set():
            log.send(b"x")
            sent += 1
        seen += len(log.poll(0.01))
    caller.join()
    assert answers == list(range(1, 201))
    assert seen == sent


def test_what_is_more_than_was_asked_for_stays_for_the_next_poll(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    a.send_many([b"1", b"2", b"3"])
    found: list[bytes] = []
    while len(found) < 3:
        batch = b.poll(10.0, 1)
        assert len(batch) <= 1
        found += [message.tobytes() for message in batch]
    assert found == [b"1", b"2", b"3"]


def fill_the_leases(sender: derecho.RawShard, reader: derecho.RawShard) -> None:
    """Send more than 1,024 messages, each of which comes to the reader in a poll of its own."""
    for i in range(1200):
        sender.send(i.to_bytes(4, "little"), timeout=10.0)
        sender.poll()
        reader._engine.pump.turn(0.0)


def test_whoever_keeps_a_message_for_good_gets_all_that_come_later(nodes: Nodes) -> None:
    """Leases are given back in their order: one that is kept would end all polling after 1,024."""
    a, b = logs(nodes, 2)
    a.send(b"kept")
    kept = b.poll(10.0)
    got: list[bytes] = []
    for i in range(3000):
        a.send(i.to_bytes(4, "little"), timeout=10.0)
        a.poll()
        got += [m.tobytes() for m in b.poll(10.0)]
    assert [int.from_bytes(data, "little") for data in got] == list(range(3000))
    assert kept[0].data == b"kept"


def test_services_go_on_beside_a_raw_shard_that_nobody_reads(nodes: Nodes, caplog: pytest.LogCaptureFixture) -> None:
    a, b = nodes.together(2, lambda: [Totals()], raw=["log"])
    log = a.raw("log")
    for i in range(3000):
        log.send(bytes([i % 256]), timeout=10.0)
        if i % 100 == 0:
            assert a[Totals].add(1).all(10.0)
    assert len(b.raw("log").poll(10.0)) > 0
    assert "Read the raw shards that were declared" in caplog.text or len(b.raw("log")._queue) < 3000


def test_on_message_set_late_gets_what_came_before(nodes: Nodes) -> None:
    a, b = logs(nodes, 2)
    fill_the_leases(a, b)
    got: list[int] = []
    b.on_message = lambda message: got.append(int.from_bytes(message.data, "little"))
    for i in range(1200, 1300):
        a.send(i.to_bytes(4, "little"), timeout=10.0)
        a.poll()
    deadline = time.monotonic() + 20
    while len(got) < 1300 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert got == list(range(1300))


@derecho.service
class Totals:
    def __init__(self) -> None:
        self.total = 0

    @derecho.ordered
    def add(self, by: int) -> int:
        self.total += by
        return self.total
