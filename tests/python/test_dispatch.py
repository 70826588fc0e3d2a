"""Shows what the Python side does with events, without a core: a scripted ring stands in for `NativeGroup`.

Who drives, what a failing or interrupted handler leads to, when futures finish, and how state is taken over. The same
things run over the real core in test_group.py.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

import derecho
from derecho._native import pump
from derecho.engine import CALL, CLOSED, ORDERED, QUERY, REPLY, STATE, STATE_REQUEST, VIEW, Engine
from derecho.futures import Replies, Reply
from derecho.raw_host import RawHost
from derecho.service_host import ServiceHost

WANTED, FIRST, LAST = 1, 2, 4


@dataclass
class Event:
    """As `derecho.Message`."""

    sender: int = 1
    id: int = 0
    method: int = 0
    status: int = 0
    flags: int = 0
    payload: bytes = b""
    version: int = 0
    timestamp: int = 0
    kind: int = 0

    @property
    def data(self) -> memoryview:
        return memoryview(self.payload)

    def tobytes(self) -> bytes:
        return self.payload

    def detach(self) -> Event:
        return self

    def __len__(self) -> int:
        return len(self.payload)


class Script:
    """Gives the runs that a test adds, and notes the answers."""

    number = 0

    def __init__(self) -> None:
        self.runs: deque[Any] = deque()
        self.answers: list[tuple[int, int, int, bytes]] = []
        self.pieces: list[tuple[int, int, bytes, bool]] = []
        self.sizes: list[tuple[int, int, int]] = []
        self.failures: list[tuple[int, int, bytes]] = []
        self.room = 1 << 30
        self.refuse = 0
        self.left = 0
        self.polls: list[int] = []
        self.members = [(1, "a:1", True, True)]
        self._changed = threading.Condition()
        self._woken = False

    def add(self, kind: int, *events: Event, shard: int = 0) -> None:
        with self._changed:
            self.runs.append((kind, shard, iter(events)))
            self._changed.notify_all()

    def leave(self, timeout_ms: int) -> None:
        """As the core's does when the group has ended: it says why."""
        self.left += 1
        raise derecho.Ejected("view 7 went on without it")

    def poll(self, timeout_ns: int, backlog: list[Any]) -> None:
        self.polls.append(threading.get_ident())
        with self._changed:
            self._changed.wait_for(lambda: self.runs or self._woken, timeout_ns / 1e9)
            self._woken = False
            backlog += self.runs
            self.runs.clear()

    def spill(self, limit: int) -> None:
        pass

    def wake(self) -> None:
        with self._changed:
            self._woken = True
            self._changed.notify_all()

    def view(self) -> tuple[int, int, list[tuple[int, str, bool, bool]], str]:
        return 1, 0, self.members, ""

    def votes(self) -> None:
        """The view after this: who has got the state votes."""
        self.members = [(node, address, True, True) for node, address, *_ in self.members]
        self.add(VIEW, Event())

    def holdup(self, node: int | None) -> tuple[int, int, int, str]:
        return 0, 0, 0, ""

    def state_size(self, node: int, request: int, nbytes: int) -> None:
        self.sizes.append((node, request, nbytes))

    def state_fail(self, node: int, request: int, text: bytes) -> bool:
        self.failures.append((node, request, text))
        return True

    def reply(self, node: int, call: int, status: int, parts: tuple[Any, ...]) -> bool:
        if self.room <= 0 or self.refuse > 0:
            self.refuse -= 1
            return False
        self.room -= 1
        self.answers.append((node, call, status, b"".join(parts)))
        return True

    def state(self, node: int, request: int, piece: memoryview, last: bool) -> bool:
        if self.room <= 0:
            return False
        self.room -= 1
        self.pieces.append((node, request, bytes(piece), last))
        return True


@derecho.service
class Counter:
    def __init__(self) -> None:
        self.total = 0
        self.log: list[int] = []

    @derecho.ordered
    def add(self, by: int) -> int:
        if by == 0:
            raise ValueError("by must not be 0")
        if by == -1:
            raise KeyboardInterrupt
        self.total += by
        self.log.append(by)
        return self.total

    @derecho.query
    def get(self) -> int:
        return self.total

    @derecho.query
    def version(self) -> int:
        return derecho.context().version


ADD, GET, VERSION = derecho.schema(Counter).methods


def args(by: int) -> bytes:
    return b"".join(ADD.encode(by))


def result(value: int) -> bytes:
    return b"".join(ADD.encode_result(value))


class Rig:
    def __init__(self) -> None:
        self.script = Script()
        self.engine = Engine(cast(Any, self.script), timeout=2.0, piece_bytes=4)
        self.counter = Counter()
        self.host = ServiceHost(self.engine, derecho.schema(Counter), self.counter, 0)
        self.raw = RawHost(self.engine, "raw", 0, 1)
        self.engine.shards += [self.host, self.raw]

    def drive(self) -> None:
        self.engine.pump.try_drive()

    def replies(self, call: int) -> Replies[int]:
        future: Replies[int] = Replies(self.engine, "Counter.add", ADD.decode_result)
        self.engine.pending[call] = future
        return future

    def reply(self, call: int, member: int = 1) -> Reply[int]:
        future: Reply[int] = Reply(self.engine, "Counter.get", GET.decode_result, member)
        self.engine.pending[call] = future
        return future


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    yield rig
    rig.engine.pump.stop()


# ------------------------------------------------------------------------------------------------- handlers


def test_a_call_runs_the_handler_and_answers_only_if_wanted(rig: Rig) -> None:
    rig.script.add(CALL, Event(2, 7, payload=args(3), flags=WANTED), Event(2, 8, payload=args(4)))
    rig.drive()
    assert rig.counter.log == [3, 4]
    assert rig.script.answers == [(2, 7, 0, result(3))]


def test_a_failing_handler_answers_with_type_and_text_and_the_next_call_runs(rig: Rig) -> None:
    rig.script.add(CALL, Event(2, 7, payload=args(0), flags=WANTED), Event(2, 8, payload=args(4), flags=WANTED))
    rig.drive()
    assert rig.script.answers == [(2, 7, 17, b"ValueError: by must not be 0"), (2, 8, 0, result(4))]


def test_garbage_arguments_answer_with_a_decode_error(rig: Rig) -> None:
    rig.script.add(CALL, Event(2, 7, payload=b"junk", flags=WANTED))
    rig.drive()
    assert rig.script.answers[0][2:] == (17, b"DecodeError: Counter.add: malformed message: needs 8 bytes, has 4")


def test_an_unknown_method_is_answered_as_such(rig: Rig) -> None:
    rig.script.add(QUERY, Event(2, 7, method=9, flags=WANTED))
    rig.drive()
    assert rig.script.answers == [(2, 7, 18, b"")]


def test_ctrl_c_in_a_handler_answers_leaves_and_takes_its_course(rig: Rig) -> None:
    """The handler may have done the half of it: this replica must not go on."""
    reply = rig.reply(6)
    rig.script.add(CALL, Event(2, 7, payload=args(-1), flags=WANTED), Event(2, 8, payload=args(4)))
    rig.script.add(CALL, Event(2, 9, payload=args(5)))
    with pytest.raises(KeyboardInterrupt):
        rig.drive()
    assert rig.script.answers == [(2, 7, 17, b"KeyboardInterrupt: ")]
    assert rig.script.left == 1
    with pytest.raises(derecho.Closed, match="because Counter.add raised KeyboardInterrupt"):
        reply.result()
    rig.drive()
    assert rig.counter.log == []


class InterruptAt:
    """Traces, raising `KeyboardInterrupt` before the n-th opcode of a module, as a signal's handler may."""

    def __init__(self, file: str, n: int) -> None:
        self.file = file
        self.left = n
        self.raised = False

    def __call__(self, frame: Any, event: str, arg: object) -> Any:
        if frame.f_code.co_filename != self.file:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and not self.raised:
            self.left -= 1
            if self.left < 0:
                self.raised = True
                raise KeyboardInterrupt
        return self


def everywhere(rig: Rig, function: Callable[[], object]) -> Iterator[int]:
    """Do `function` again and again, interrupted at each place in the pump in turn."""
    for n in range(10_000):
        interrupt = InterruptAt(pump.__file__, n)
        before = sys.gettrace()
        sys.settrace(interrupt)
        try:
            function()
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        right = rig.engine.pump._right
        assert not right.held, f"interrupted at {n}"
        assert right.waiters == right.followers == 0, f"interrupted at {n}"
        yield n
        if not interrupt.raised:
            return


def test_ctrl_c_anywhere_in_the_pump_leaves_nobody_driving_and_nothing_out(rig: Rig) -> None:
    rig.script.add(CALL, Event(2, 0, payload=args(1), flags=WANTED))
    for n in everywhere(rig, lambda: rig.engine.pump.turn(0.0)):
        rig.drive()
        assert rig.counter.log == [1] * (n + 1)
        rig.script.add(CALL, Event(2, n + 1, payload=args(1), flags=WANTED))
    assert n > 50


def test_ctrl_c_anywhere_in_a_wait_leaves_nobody_waiting(rig: Rig) -> None:
    looks = 0

    def done() -> bool:
        nonlocal looks
        looks += 1
        rig.script.wake()  # so that no poll takes long
        return looks % 3 == 0

    places = list(everywhere(rig, lambda: rig.engine.pump.wait(done, 1.0, "")))
    places += everywhere(rig, lambda: rig.engine.pump.run(lambda: None))
    rig.engine.pump.only = 0  # so that waiting is following
    places += everywhere(rig, lambda: rig.engine.pump.turn(0.0))
    assert len(places) > 150


def test_what_was_dispatched_when_ctrl_c_came_is_dispatched_again_if_that_does_no_harm(rig: Rig) -> None:
    view, told = rig.script.view, []
    rig.engine.on_view.append(told.append)

    def interrupted() -> Any:
        rig.script.view = view  # type: ignore[method-assign]
        raise KeyboardInterrupt

    rig.script.view = interrupted  # type: ignore[method-assign]
    rig.script.add(VIEW, Event())
    with pytest.raises(KeyboardInterrupt):
        rig.drive()
    assert rig.engine.view is None
    rig.drive()
    assert rig.engine.views == told == [rig.engine.view]
    assert rig.engine.end is None


def test_an_exception_of_a_signals_handler_before_a_call_is_looked_at_loses_it_not(rig: Rig) -> None:
    on_calls = rig.host.on_calls

    def interrupted(_: object) -> None:
        rig.host.on_calls = on_calls  # type: ignore[method-assign]
        raise ValueError("out of a signal's handler")

    rig.host.on_calls = interrupted  # type: ignore[method-assign]
    rig.script.add(CALL, Event(2, 8, payload=args(4)))
    rig.drive()
    assert rig.counter.log == [4]


def test_a_call_that_ctrl_c_may_have_left_out_ends_this_members_part(rig: Rig) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    rig.script.reply = interrupted  # type: ignore[method-assign]
    rig.script.add(CALL, Event(2, 7, method=99, flags=WANTED), Event(2, 8, payload=args(4)))
    with pytest.raises(KeyboardInterrupt):
        rig.drive()
    assert rig.script.left == 1
    assert isinstance(rig.engine.end, derecho.Closed)
    rig.drive()
    assert rig.counter.log == []


def test_a_handler_that_waits_is_told_so_instead_of_hanging(rig: Rig) -> None:
    caught: list[BaseException] = []

    def wait(view: object) -> None:
        try:
            rig.reply(1).result()
        except derecho.InHandler as error:
            caught.append(error)

    rig.engine.on_view.append(wait)
    rig.script.add(VIEW, Event())
    rig.drive()
    assert "Counter.get" in str(caught[0])


def test_answers_that_find_no_room_are_sent_later_in_order(rig: Rig) -> None:
    rig.script.room = 1
    rig.script.add(CALL, *(Event(2, i, payload=args(1), flags=WANTED) for i in range(3)))
    rig.drive()
    assert len(rig.script.answers) == 1
    assert rig.engine.pump.must_retry
    rig.script.room = 10
    rig.drive()
    assert [a[1] for a in rig.script.answers] == [0, 1, 2]
    assert not rig.engine.pump.must_retry


def test_answers_to_one_node_stay_in_order_when_room_comes_meanwhile(rig: Rig) -> None:
    rig.script.refuse = 1  # the first answer finds no room, the second would
    rig.script.add(CALL, *(Event(2, i, payload=args(1), flags=WANTED) for i in range(3)))
    rig.drive()
    rig.drive()
    assert [a[1] for a in rig.script.answers] == [0, 1, 2]


# ------------------------------------------------------------------------------------------------- futures


def ordered(call: int, *nodes: int) -> Event:
    return Event(1, call, payload=struct.pack(f"<{len(nodes)}I", *nodes))


def test_replies_finish_with_the_first_answer_and_all_of_them(rig: Rig) -> None:
    replies = rig.replies(5)
    rig.script.add(ORDERED, ordered(5, 1, 2, 3))
    rig.script.add(REPLY, Event(2, 5, payload=result(8)))
    assert replies.result() == 8
    assert replies.members() == (1, 2, 3)
    with pytest.raises(derecho.Timeout, match="members 1, 3 did not answer within 0.01 s"):
        replies.all(0.01)
    rig.script.add(REPLY, Event(1, 5, payload=result(8)), Event(3, 5, status=16))
    assert replies.all() == {1: 8, 2: 8}
    assert 5 not in rig.engine.pending
    assert isinstance(replies.replies()[3].exception(), derecho.MemberRemoved)
    assert [node for node, _ in replies] == [2, 1, 3]


def test_a_remote_error_carries_member_type_and_text(rig: Rig) -> None:
    replies = rig.replies(5)
    rig.script.add(ORDERED, ordered(5, 1, 2))
    rig.script.add(REPLY, Event(1, 5, status=17, payload=b"ValueError: no: really"), Event(2, 5, payload=result(1)))
    with pytest.raises(derecho.RemoteError, match="member 1: ValueError: no: really") as caught:
        replies.all()
    assert (caught.value.member, caught.value.type_name, caught.value.text) == (1, "ValueError", "no: really")
    with pytest.raises(derecho.RemoteError):
        replies.result()


def test_a_member_that_left_first_does_not_spoil_the_answers_of_others(rig: Rig) -> None:
    replies = rig.replies(5)
    rig.script.add(ORDERED, ordered(5, 1, 2))
    rig.script.add(REPLY, Event(1, 5, status=16), Event(2, 5, payload=result(9)))
    assert replies.result() == 9
    assert replies.all() == {2: 9}


def test_replies_fail_when_every_member_left(rig: Rig) -> None:
    replies = rig.replies(5)
    rig.script.add(ORDERED, ordered(5, 2))
    rig.script.add(REPLY, Event(2, 5, status=16))
    with pytest.raises(derecho.MemberRemoved):
        replies.result()
    with pytest.raises(derecho.MemberRemoved):
        replies.all()


def test_what_is_pending_when_the_group_ends_fails_with_the_reason_for_that(rig: Rig) -> None:
    replies, reply = rig.replies(5), rig.reply(6, 1)
    rig.script.add(ORDERED, ordered(5, 1, 2))
    rig.script.add(REPLY, Event(1, 5, status=5), Event(2, 5, status=5), Event(1, 6, status=5))
    rig.script.add(CLOSED, Event(0, 0, status=10))
    for pending in (replies, reply):
        with pytest.raises(derecho.NoMajority):
            pending.result()


def test_a_reply_in_time_or_a_timeout_that_names_the_member(rig: Rig) -> None:
    late, known = rig.reply(5, 3), rig.reply(6, 3)
    rig.script.add(REPLY, Event(3, 6, payload=result(1)))
    assert known.result() == 1
    with pytest.raises(derecho.Timeout, match="Counter.get: member 3 did not answer within 0.05 s"):
        late.result(0.05)


@pytest.mark.parametrize("told", [False, True])
def test_a_node_whose_group_ends_says_so_once_if_nobody_is_told(
    rig: Rig, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    reasons: list[derecho.DerechoError] = []
    if told:
        rig.engine.on_end.append(reasons.append)
    rig.script.add(CLOSED, Event(status=9))
    rig.drive()
    rig.engine._ended(derecho.Closed("closed afterwards"))
    assert [type(reason) for reason in reasons] == [derecho.Ejected] * told
    said = "this node is out of its group: the others removed"
    assert [record.message.startswith(said) for record in caplog.records] == [True] * (not told)


def test_the_end_of_the_group_fails_what_is_pending(rig: Rig) -> None:
    replies, reply = rig.replies(5), rig.reply(6)
    rig.script.add(CLOSED, Event(status=9))
    with pytest.raises(derecho.Ejected, match="the others removed this node .*view 7 went on"):
        reply.result()
    for wait in (replies.result, replies.all, replies.members):
        with pytest.raises(derecho.Ejected):
            wait()


# ------------------------------------------------------------------------------------------------- who drives


@pytest.mark.parametrize("kind", [derecho.Ejected, derecho.NoMajority, derecho.NoMemory, derecho.Incompatible])
def test_the_end_has_the_class_of_its_status(rig: Rig, kind: type[derecho.DerechoError]) -> None:
    rig.script.add(CLOSED, Event(status=kind.status))
    rig.drive()
    assert type(rig.engine.end) is kind
    assert "status" not in str(rig.engine.end)


def test_the_background_thread_drives_when_nobody_waits_and_yields_to_who_does(rig: Rig) -> None:
    rig.engine.pump.start()
    rig.script.add(CALL, Event(2, 1, payload=args(1)))
    deadline = time.monotonic() + 2
    while rig.counter.total != 1 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert rig.counter.total == 1
    assert rig.script.polls[-1] != threading.get_ident()
    reply = rig.reply(6)
    threading.Timer(0.05, lambda: rig.script.add(REPLY, Event(1, 6, payload=result(1)))).start()
    assert reply.result() == 1
    assert rig.script.polls[-1] == threading.get_ident()
    time.sleep(0.1)
    rig.script.add(CALL, Event(2, 1, payload=args(1)))
    time.sleep(0.1)
    assert rig.counter.total == 2, "nobody waits any more: the background thread took over"


def test_several_threads_wait_at_once_and_each_gets_its_own(rig: Rig) -> None:
    rig.engine.pump.start()
    got: dict[int, int] = {}

    def wait(i: int) -> None:
        got[i] = rig.reply(i).result()

    threads = [threading.Thread(target=wait, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    for i in reversed(range(8)):
        rig.script.add(REPLY, Event(1, i, payload=result(i * 10)))
        time.sleep(0.002)
    for thread in threads:
        thread.join(5)
    assert got == {i: i * 10 for i in range(8)}


# ------------------------------------------------------------------------------------------------- state


def test_the_state_goes_out_in_pieces_as_room_allows(rig: Rig) -> None:
    rig.counter.total = 7
    rig.script.room = 2
    rig.script.add(STATE_REQUEST, Event(4, 99))
    rig.drive()
    rig.counter.total = 8  # later changes are not part of it
    rig.script.room = 100
    rig.drive()
    assert {(node, request) for node, request, _, _ in rig.script.pieces} == {(4, 99)}
    assert [last for *_, last in rig.script.pieces][-2:] == [False, True]
    assert max(len(piece) for _, _, piece, _ in rig.script.pieces) == 4
    fresh = Counter()
    derecho.state.load(fresh, b"".join(piece for _, _, piece, _ in rig.script.pieces))
    assert vars(fresh) == {"total": 7, "log": []}


def test_a_joiner_never_gets_a_piece_twice_when_sending_it_is_interrupted(rig: Rig) -> None:
    state = rig.script.state

    def interrupted(*piece: Any) -> bool:
        rig.script.state = state  # type: ignore[method-assign]
        state(*piece)
        raise ValueError("out of a signal's handler")

    rig.script.state = interrupted  # type: ignore[method-assign]
    rig.script.add(STATE_REQUEST, Event(3, 99))
    rig.drive()
    rig.drive()
    assert len(rig.script.pieces) == 1
    ((node, request, text),) = rig.script.failures
    assert (node, request, text) == (3, 99, b"ValueError: out of a signal's handler")


def test_what_waits_for_room_is_not_sent_twice_when_sending_it_is_interrupted(rig: Rig) -> None:
    sent, failed = [], []

    def attempt() -> None:
        sent.append(1)
        if len(sent) == 1:
            raise KeyboardInterrupt

    rig.engine.unsent.add(attempt, failed.append, 1, 10.0)
    with pytest.raises(KeyboardInterrupt):
        rig.drive()
    rig.drive()
    assert sent == [1]
    assert "interrupted" in str(failed[0])


def test_a_joiner_applies_calls_only_after_its_state(rig: Rig) -> None:
    rig.script.members = [(1, "a:1", False, False)]
    saved = Counter()
    saved.total = 40
    data = derecho.state.save(saved).whole()
    rig.script.add(VIEW, Event())
    rig.script.add(CALL, Event(2, 1, payload=args(2), flags=WANTED))
    rig.drive()
    assert rig.script.answers == []
    rig.script.add(STATE, Event(2, payload=b"a piece of a donor that died", flags=FIRST))
    rig.script.add(STATE, Event(3, payload=data[:5], flags=FIRST), Event(3, payload=data[5:], flags=LAST))
    rig.script.add(STATE, Event(3, flags=FIRST | LAST), shard=1)
    with pytest.raises(derecho.Timeout, match=r"view 1: \{1 joining\} and has the state, but was given no vote"):
        rig.engine.await_state(0.05)
    rig.script.votes()
    rig.engine.await_state(1.0)
    assert rig.counter.total == 42
    assert rig.script.answers == [(2, 1, 0, result(42))]


def test_a_state_that_does_not_come_is_named(rig: Rig) -> None:
    rig.script.members = [(1, "a:1", False, False)]
    rig.script.add(VIEW, Event())
    with pytest.raises(derecho.Timeout, match=r"view 1: \{1 joining\}, but the state of Counter, raw did not come"):
        rig.engine.await_state(0.05)


def test_a_time_out_counts_from_the_last_piece_and_progress_is_told(rig: Rig) -> None:
    rig.script.members = [(1, "a:1", False, False), (3, "c:1", True, True)]
    seen: list[derecho.Progress] = []
    rig.engine.on_progress = seen.append
    data = derecho.state.save(Counter()).whole()
    rig.script.add(VIEW, Event())

    def trickle() -> None:
        for i, byte in enumerate(data):
            time.sleep(0.03)
            flags = (FIRST if i == 0 else 0) | (LAST if i == len(data) - 1 else 0)
            rig.script.add(STATE, Event(3, payload=bytes([byte]), flags=flags, version=len(data)))
        rig.script.add(STATE, Event(3, flags=FIRST | LAST), shard=1)
        rig.script.votes()

    thread = threading.Thread(target=trickle)
    thread.start()
    rig.engine.await_state(0.2)  # all of it takes longer
    thread.join()
    assert [p.nbytes for p in seen] == list(range(1, len(data) + 1))
    assert {(p.service, p.total) for p in seen} == {("Counter", len(data))}
    assert seen[-1].rate > 0


def test_it_counts_from_the_end_of_loading_as_well(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(instance: object, data: bytes) -> None:
        time.sleep(0.4)
        threading.Timer(0.05, rig.script.votes).start()

    monkeypatch.setattr(derecho.service_host, "load", load)
    rig.script.members = [(1, "a:1", False, False)]
    rig.script.add(VIEW, Event())
    rig.script.add(STATE, Event(3, flags=FIRST | LAST))
    rig.script.add(STATE, Event(3, flags=FIRST | LAST), shard=1)
    rig.engine.await_state(0.3)
    assert rig.engine.view is not None
    assert rig.engine.view.voters == (1,)


def test_a_joiner_is_told_why_there_is_no_state(rig: Rig) -> None:
    rig.script.members = [(1, "a:1", False, False), (3, "c:1", True, True)]
    rig.script.add(VIEW, Event())
    rig.script.add(STATE, Event(3, payload=b"ValueError: it is broken", status=17))
    with pytest.raises(derecho.StateError, match="member 3 cannot give the state of Counter: ValueError: it is broken"):
        rig.engine.await_state(1.0)


def test_a_state_that_cannot_be_loaded_is_an_error(rig: Rig) -> None:
    rig.script.members = [(1, "a:1", False, False)]
    rig.script.add(VIEW, Event())
    rig.script.add(STATE, Event(3, payload=b"\xc1", flags=FIRST | LAST))
    rig.script.add(STATE, Event(3, flags=FIRST | LAST), shard=1)
    with pytest.raises(derecho.StateError, match="the state of Counter cannot be loaded"):
        rig.engine.await_state(1.0)


def pieces_of(rig: Rig) -> bytes:
    return b"".join(piece for _, _, piece, _ in rig.script.pieces)


def test_calls_are_held_back_while_a_state_that_may_change_is_saved_and_queries_are_not(rig: Rig) -> None:
    rig.counter.nested = [[1], [2]] * 100  # type: ignore[attr-defined]
    rig.script.room = 2
    rig.script.add(STATE_REQUEST, Event(4, 99))
    rig.script.add(CALL, Event(2, 1, payload=args(2), flags=WANTED))
    rig.script.add(QUERY, Event(2, 2, method=1, flags=WANTED))
    rig.drive()
    assert rig.counter.total == 0
    assert rig.host._savings
    rig.script.room = 1000
    rig.drive()
    assert rig.counter.total == 2
    assert [(call, value) for _, call, _, value in rig.script.answers] == [(2, result(0)), (1, result(2))]
    fresh = Counter()
    derecho.state.load(fresh, pieces_of(rig))
    assert fresh.total == 0


def test_queries_are_as_of_the_state_that_they_see(rig: Rig) -> None:
    def ask(call: int, version: int) -> None:
        rig.script.add(QUERY, Event(2, call, VERSION.id, flags=WANTED, version=version, kind=QUERY))

    rig.script.members = [(1, "a:1", False, False)]
    rig.script.add(VIEW, Event())
    ask(1, 0)
    rig.script.add(STATE, Event(3, 10, payload=derecho.state.save(Counter()).whole(), flags=FIRST | LAST))
    ask(2, 10)
    rig.drive()
    rig.counter.nested = [[1], [2]] * 100  # type: ignore[attr-defined]
    rig.script.room = 4
    rig.script.add(STATE_REQUEST, Event(4, 99, version=10))
    rig.script.add(CALL, Event(2, 3, payload=args(2), version=20))
    ask(4, 20)  # the core has given the call, which is held back here
    rig.drive()
    rig.script.room = 1000
    rig.drive()
    ask(5, 20)
    rig.drive()
    versions = {call: struct.unpack("<q", value)[0] for _, call, _, value in rig.script.answers}
    assert versions == {1: 10, 2: 10, 4: 10, 5: 20}


def test_of_a_flat_state_only_the_containers_are_copied_and_no_call_waits(rig: Rig) -> None:
    value = bytes(1 << 20)
    rig.counter.items = {"a": value}  # type: ignore[attr-defined]
    rig.script.room = 2
    rig.script.add(STATE_REQUEST, Event(4, 99))
    rig.script.add(CALL, Event(2, 1, payload=args(2), flags=WANTED))
    rig.drive()
    assert rig.counter.total == 2
    rig.counter.items = {}  # type: ignore[attr-defined]
    rig.script.room = 1 << 30
    rig.drive()
    fresh = Counter()
    derecho.state.load(fresh, pieces_of(rig))
    assert (fresh.total, fresh.items) == (0, {"a": value})  # type: ignore[attr-defined]


def test_a_second_joiner_gets_the_calls_that_came_while_the_first_ones_state_was_saved(rig: Rig) -> None:
    rig.counter.nested = [[1]] * 100  # type: ignore[attr-defined]
    rig.script.room = 2
    rig.script.add(STATE_REQUEST, Event(4, 99))
    rig.script.add(CALL, Event(2, 1, payload=args(2)))
    rig.script.add(STATE_REQUEST, Event(5, 100))
    rig.drive()
    rig.script.room = 10_000
    rig.drive()
    for joiner, total in ((4, 0), (5, 2)):
        fresh = Counter()
        derecho.state.load(fresh, b"".join(p for node, _, p, _ in rig.script.pieces if node == joiner))
        assert fresh.total == total


def test_a_generator_saves_in_pieces_and_what_it_raises_the_joiner_is_told(rig: Rig) -> None:
    def save() -> Iterator[bytes]:
        yield b"abc"
        yield b"defgh"
        if rig.counter.total:
            raise ValueError("it is broken")

    rig.counter.__derecho_save__ = save  # type: ignore[attr-defined]
    rig.script.add(STATE_REQUEST, Event(4, 99))
    rig.drive()
    assert pieces_of(rig) == b"abcdefgh"
    rig.counter.total = 1
    rig.script.add(STATE_REQUEST, Event(5, 100))
    rig.drive()
    told = b"StateError: Counter.__derecho_save__ failed: ValueError: it is broken"
    assert rig.script.failures == [(5, 100, told)]
    assert not rig.host._savings


def test_a_state_that_is_there_as_a_whole_tells_its_size(rig: Rig) -> None:
    rig.counter.__derecho_save__ = lambda: b"12345"  # type: ignore[attr-defined]
    rig.script.add(STATE_REQUEST, Event(4, 99))
    rig.drive()
    assert rig.script.sizes[0] == (4, 99, 5)


@pytest.mark.parametrize(
    "value",
    [
        {1, 2},
        (1, 2),
        object(),
        1 << 70,
        bytearray(b"x"),
        memoryview(b"x"),
        [{"a": [bytearray(b"x")]}],
        {memoryview(b"x"): 1},
        [*range(100), bytearray(b"x")],
        {**dict.fromkeys(range(100)), 100: {"a": bytearray(b"x")}},
        {**dict.fromkeys(range(100)), memoryview(b"x"): 1},
    ],
)
def test_a_service_whose_state_cannot_be_saved_is_refused_before_joining(value: object) -> None:
    counter = Counter()
    counter.extra = value  # type: ignore[attr-defined]
    said = r"Counter\.extra cannot be saved .*dataclasses, declare .*\(state=.*define Counter\.__derecho_save__"
    with pytest.raises(TypeError, match=said):
        derecho.join([counter])


def test_a_service_saves_and_loads_itself_if_it_says_how() -> None:
    @derecho.service
    class Own:
        def __init__(self) -> None:
            self.items = {1, 2}

        @derecho.query
        def get(self) -> int:
            return len(self.items)

        def __derecho_save__(self) -> bytes:
            return bytes(self.items)

        def __derecho_load__(self, data: bytes) -> None:
            self.items = set(data)

    fresh = Own()
    fresh.items = set()
    derecho.state.load(fresh, derecho.state.save(Own()).whole())
    assert fresh.items == {1, 2}


# ------------------------------------------------------------------------------------------------- asyncio


def test_await_follows_a_thread_that_drives(rig: Rig, tmp_path: Any) -> None:
    read, write = os.pipe()
    rig.script.fd = lambda: read  # type: ignore[attr-defined]

    async def main() -> tuple[int, dict[int, int]]:
        reply, replies = rig.reply(1), rig.replies(2)
        loop = asyncio.get_running_loop()

        def deliver() -> None:
            rig.script.add(REPLY, Event(1, 1, payload=result(5)))
            rig.script.add(ORDERED, ordered(2, 1, 2))
            rig.script.add(REPLY, Event(1, 2, payload=result(6)), Event(2, 2, payload=result(6)))
            os.write(write, b"x")

        loop.call_later(0.05, deliver)
        first = await reply
        os.read(read, 1)
        assert [n async for n, _ in replies] == [1, 2]
        return first, await replies.everyone

    assert asyncio.run(main()) == (5, {1: 6, 2: 6})


def test_awaiting_goes_on_after_an_exception_out_of_a_signals_handler(rig: Rig) -> None:
    read, write = os.pipe()
    rig.script.fd = lambda: read  # type: ignore[attr-defined]
    drive, told = rig.engine.pump.try_drive, []

    def interrupted() -> bool | None:
        rig.engine.pump.try_drive = drive  # type: ignore[method-assign]
        raise ValueError

    async def main() -> int:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        reply = rig.reply(1)
        rig.script.add(REPLY, Event(1, 1, payload=result(3)))
        return await reply

    rig.engine.pump.try_drive = interrupted  # type: ignore[method-assign]
    assert asyncio.run(main()) == 3
    assert len(told) == 1
    os.close(read)
    os.close(write)


def test_await_times_out_like_result(rig: Rig) -> None:
    import os

    read, _ = os.pipe()
    rig.script.fd = lambda: read  # type: ignore[attr-defined]
    rig.engine.timeout = 0.05

    async def main() -> None:
        await rig.reply(1, 9)

    with pytest.raises(derecho.Timeout, match="member 9 did not answer within 0.05 s"):
        asyncio.run(main())
