"""Shows what becomes of anything that the application's code may raise, wherever the group calls it.

An `Exception` is a failed call, or a line in the log; anything else ends the node's part in the group in good order.
The caller is answered in both cases, and no thread dies leaving a member that answers nothing.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import derecho

if TYPE_CHECKING:
    from conftest import Nodes

pytestmark = pytest.mark.parametrize("nodes", ["shm"], indirect=True)  # the core takes no part in this


class NoText(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class NoTextAtAll(Exception):
    def __str__(self) -> str:
        raise SystemExit(9)

    __repr__ = __str__


class TextIsNoText(Exception):
    def __str__(self) -> str:
        return 7  # type: ignore[return-value]


class Own(BaseException):
    pass


class OwnWithoutText(BaseException):
    __str__ = NoText.__str__


def recurse(deeper: int = 0) -> int:
    return recurse(deeper + 1) + 1


def until(done: Callable[[], object]) -> None:
    give_up = time.monotonic() + 30
    while not done():
        assert time.monotonic() < give_up
        time.sleep(0.001)


def throw(error: BaseException | type[BaseException]) -> Callable[[], Any]:
    def raises() -> Any:
        raise error

    return raises


#: What a handler does, its type at the caller, and what the text there begins with.
FAILS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "ValueError": (throw(ValueError("no")), "ValueError", "no"),
    "a class": (throw(ValueError), "ValueError", ""),
    "KeyError": (throw(KeyError("key")), "KeyError", "key"),
    "AssertionError": (throw(AssertionError()), "AssertionError", ""),
    "OSError": (throw(OSError(2, "not there")), "FileNotFoundError", "[Errno 2] not there"),
    "StopIteration": (throw(StopIteration(5)), "StopIteration", "5"),
    "StopAsyncIteration": (throw(StopAsyncIteration()), "StopAsyncIteration", ""),
    "MemoryError": (throw(MemoryError()), "MemoryError", ""),
    "RecursionError": (recurse, "RecursionError", "maximum recursion"),
    "NotImplementedError": (throw(NotImplementedError()), "NotImplementedError", ""),
    "surrogates": (throw(ValueError("\ud800")), "ValueError", "?"),
    "a long text": (throw(ValueError("x" * 1_000_000)), "ValueError", "xxx"),
    "no text": (throw(NoText()), "NoText", "(no text: str() of it raised ValueError)"),
    "no text at all": (throw(NoTextAtAll()), "NoTextAtAll", "(no text: str() of it raised SystemExit)"),
    "a text that is none": (throw(TextIsNoText()), "TextIsNoText", "(no text: str() of it raised TypeError)"),
    "a key without text": (throw(KeyError(NoText())), "KeyError", "(no text"),
    "RingFull": (throw(derecho.RingFull("mine")), "RingFull", "mine"),
    "Closed": (throw(derecho.Closed("mine")), "Closed", "mine"),
    "Timeout": (throw(derecho.Timeout("mine")), "Timeout", "mine"),
    "a wrong type of result": (lambda: "seven", "EncodeError", "Trouble.make"),
    "a result out of range": (lambda: 1 << 70, "EncodeError", "Trouble.make"),
}
ENDS: dict[str, tuple[Callable[[], Any], str, str]] = {
    "SystemExit": (throw(SystemExit(3)), "SystemExit", "3"),
    "SystemExit()": (throw(SystemExit()), "SystemExit", ""),
    "sys.exit": (lambda: sys.exit("bye"), "SystemExit", "bye"),
    "KeyboardInterrupt": (throw(KeyboardInterrupt()), "KeyboardInterrupt", ""),
    "GeneratorExit": (throw(GeneratorExit()), "GeneratorExit", ""),
    "CancelledError": (throw(asyncio.CancelledError()), "CancelledError", ""),
    "BaseException": (throw(BaseException("base")), "BaseException", "base"),
    "of one's own": (throw(Own("own")), "Own", "own"),
    "of one's own, without text": (throw(OwnWithoutText()), "OwnWithoutText", "(no text"),
}

if sys.version_info >= (3, 11):
    FAILS["a group"] = (throw(builtins.ExceptionGroup("many", [ValueError("a")])), "ExceptionGroup", "many")
    ENDS["a group of such"] = (throw(builtins.BaseExceptionGroup("many", [Own()])), "BaseExceptionGroup", "many")

behaviour: dict[int, Callable[[], Any]] = {}


@derecho.service
class Trouble:
    """At each node it does what the test wants there."""

    def __init__(self, node: int) -> None:
        self.node = node

    @derecho.ordered
    def make(self) -> int:
        return behaviour.get(self.node, lambda: 0)()  # type: ignore[no-any-return]

    @derecho.query
    def ask(self) -> int:
        return self.make()

    def __derecho_save__(self) -> bytes:
        behaviour.get(-self.node, lambda: 0)()
        return b""

    def __derecho_load__(self, data: bytes) -> None:
        behaviour.get(-self.node, lambda: 0)()


Pair = tuple[derecho.Group, derecho.Group]


@pytest.fixture
def pair(nodes: Nodes) -> Iterator[Pair]:
    for node in (1, 2):
        nodes.join([Trouble(node)], ["log"])
    for group in nodes.groups:
        group.wait_view(2)
    yield nodes.groups[0], nodes.groups[1]
    behaviour.clear()


@pytest.mark.parametrize("kind", [*FAILS, *ENDS])
def test_whatever_a_handler_raises_its_caller_is_told_what_and_where(
    pair: Pair, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    a, b = pair
    ended: list[derecho.DerechoError] = []
    b.on_end(ended.append)
    behaviour[2], type_name, text = (FAILS | ENDS)[kind]
    answers = a[Trouble].make().replies(10)
    assert answers[1].result() == 0
    error = answers[2].exception(10)
    assert isinstance(error, derecho.RemoteError), error
    assert (error.member, error.type_name) == (2, type_name)
    assert error.text.startswith(text)
    assert "Trouble.make" in str(error)
    behaviour.clear()
    if kind in FAILS:
        assert a[Trouble].make().all(10) == {1: 0, 2: 0}
        assert not ended
    else:
        a.wait_view([1], 10)
        assert a[Trouble].make().all(10) == {1: 0}
        with pytest.raises(derecho.Closed, match=f"because Trouble.make raised {type_name}"):
            b[Trouble].make()
        until(lambda: ended)
        assert ended == [b.ended]
    assert "Trouble.make" in caplog.text
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("kind", ["ValueError", "no text at all", "SystemExit", "of one's own, without text"])
def test_likewise_a_query(pair: Pair, kind: str) -> None:
    a, b = pair
    behaviour[2], type_name, _ = (FAILS | ENDS)[kind]
    with pytest.raises(derecho.RemoteError, match=type_name):
        a[Trouble].ask.at(2).result(10)
    behaviour.clear()
    if kind in FAILS:
        assert a[Trouble].ask.at(2).result(10) == 0
    else:
        a.wait_view([1], 10)
        until(lambda: b.ended)
        assert isinstance(b.ended, derecho.Closed)


def in_on_message(nodes: Nodes, raises: Callable[[], Any]) -> None:
    nodes.groups[1].raw("log").on_message = lambda _: raises()
    nodes.groups[0].raw("log").send(b"x")


def in_on_view(nodes: Nodes, raises: Callable[[], Any]) -> None:
    nodes.groups[1].on_view(lambda _: raises())
    nodes.join([Trouble(3)], ["log"]).leave()


def in_a_callback(nodes: Nodes, raises: Callable[[], Any]) -> None:
    nodes.groups[1][Trouble].make().add_done_callback(lambda _: raises())


@pytest.mark.parametrize("kind", ["ValueError", "no text at all", "SystemExit", "of one's own, without text"])
@pytest.mark.parametrize("place", [in_on_message, in_on_view, in_a_callback])
def test_whatever_comes_out_of_other_functions_the_node_goes_on_or_leaves(
    nodes: Nodes, pair: Pair, kind: str, place: Callable[..., None]
) -> None:
    a, b = pair
    told: list[derecho.DerechoError] = []
    b.on_end(told.append)
    place(nodes, (FAILS | ENDS)[kind][0])
    if kind in FAILS:
        assert a[Trouble].make().all(10) == {1: 0, 2: 0}
    else:
        a.wait_view([1], 10)
        assert a[Trouble].make().all(10) == {1: 0}
        until(lambda: told)
        assert "this node left the group, because" in str(told[0])


@pytest.mark.parametrize("kind", ["SystemExit", "of one's own, without text"])
def test_what_is_no_exception_ends_who_loads_the_state_and_join_says_so(nodes: Nodes, pair: Pair, kind: str) -> None:
    behaviour[-3] = ENDS[kind][0]
    with pytest.raises(BaseException) as caught:
        nodes.join([Trouble(3)], ["log"], node=3)
    assert type(caught.value).__name__ == ENDS[kind][1], "on the main thread it takes its course"
    pair[0].wait_view([1, 2], 10)


def test_on_end_is_told_once_and_why(pair: Pair) -> None:
    _, b = pair
    told: list[derecho.DerechoError] = []
    b.on_end(told.append)
    b.leave()
    b.on_end(told.append)
    assert len(told) == 2
    assert all(isinstance(error, derecho.Closed) for error in told)


def test_functions_may_be_given_to_join(nodes: Nodes) -> None:
    got: list[Any] = []
    with derecho.join(
        [Trouble(1)],
        raw=["log", "other"],
        node=1,
        listen="127.0.0.1:0",
        found=True,
        on_message={"log": lambda message: got.append(message.tobytes())},
        on_view=lambda view: got.append(view.nodes),
        on_end=lambda error: got.append(type(error)),
    ) as group:
        group.raw("log").send(b"x")
        group[Trouble].make().all()
    assert got == [(1,), b"x", derecho.Closed]
    with pytest.raises(derecho.InvalidArgument, match="no raw shard 'logs'; there are: log"):
        derecho.join([Trouble(1)], raw=["log"], listen="127.0.0.1:0", on_message={"logs": print})
    with pytest.raises(derecho.InvalidArgument, match=r"one function for 2 raw shards \(log, other\)"):
        derecho.join([Trouble(1)], raw=["log", "other"], listen="127.0.0.1:0", on_message=print)
