"""What a call gives at once, and its answers later: `Reply` for a query, `Replies` for an ordered call.

Answers are dispatched by whichever thread drives the group; a thread that calls `result` drives it itself. A future
belongs to the group's lock-step, not to a lock of its own: it changes only while dispatching, under the GIL.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, Generic, Protocol, TypeVar

from ._native import Message
from .errors import DecodeError, DerechoError, MemberRemoved, RemoteError, ReplicasDiffer, Timeout, from_reply
from .outbox import error_text

__all__ = ["Future", "Replies", "Reply", "Waiter"]

T = TypeVar("T")
_OK = 0
_PENDING = object()
_SAID_LENGTH_MAX = 100


class Waiter(Protocol):
    """What a future needs of its group."""

    timeout: float

    def wait(self, done: Callable[[], bool], timeout: float, what: str) -> bool: ...
    def holdup_text(self, node: int | None = None) -> str: ...
    async def wait_async(self, future: Future[Any], timeout: float) -> bool: ...
    def run(self, where: str, function: Callable[..., object], *args: object) -> None: ...


class Future(Generic[T]):
    """A value that arrives later: `result` in a thread, ``await`` in asyncio.

    Notes
    -----
    Not made by applications. `timeout` arguments are seconds; None means the group's default (10 s unless set).

    `asyncio.create_task`, `TaskGroup.create_task`, `gather` and `wait_for` take it as they take a coroutine, whose
    protocol it has; `asyncio.wait` takes tasks only.
    """

    __slots__ = ("_callbacks", "_error", "_steps", "_value", "_waiter", "_what")

    def __init__(self, waiter: Waiter, what: str) -> None:
        self._waiter = waiter
        self._what = what
        self._value: Any = _PENDING
        self._error: DerechoError | None = None
        self._callbacks: list[Callable[[Future[T]], object]] | None = None
        self._steps: Generator[Any, None, T] | None = None

    def done(self) -> bool:
        """Whether the value, or an error, is there."""
        return self._value is not _PENDING

    def result(self, timeout: float | None = None) -> T:
        """Wait for the value, driving the group meanwhile.

        Raises
        ------
        Timeout
            Naming what did not come.
        DerechoError
            The call's own failure, such as `RemoteError` or `MemberRemoved`.
        InHandler
            When a handler waits.
        """
        if self._value is _PENDING:
            seconds = self._waiter.timeout if timeout is None else timeout
            if not self._waiter.wait(self.done, seconds, self._what):
                raise Timeout(self._late(seconds))
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[no-any-return]

    def exception(self, timeout: float | None = None) -> DerechoError | None:
        """Wait as `result` does; return the error instead of raising it, None if there is none."""
        try:
            self.result(timeout)
        except DerechoError:
            if not self.done():
                raise
        return self._error

    def add_done_callback(self, function: Callable[[Future[T]], object]) -> None:
        """Call ``function(self)`` when done: at once if it is, else on the thread that drives. It must not wait."""
        if self._value is not _PENDING:
            function(self)
        elif self._callbacks is None:
            self._callbacks = [function]
        else:
            self._callbacks.append(function)

    def __await__(self) -> Generator[Any, None, T]:
        if self._value is _PENDING:
            seconds = self._waiter.timeout
            if not (yield from self._waiter.wait_async(self, seconds).__await__()):
                raise Timeout(self._late(seconds))
        return self.result(0)

    def send(self, value: Any) -> Any:
        """For asyncio, of which `create_task` wants a coroutine: go on awaiting."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        """For asyncio: end awaiting by an exception."""
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.throw(*error)

    def close(self) -> None:
        """For asyncio: await no more."""
        if self._steps is not None:
            self._steps.close()

    def __repr__(self) -> str:
        state = "pending" if self._value is _PENDING else repr(self._error or self._value)
        return f"<{type(self).__name__} {self._what}: {state}>"

    def _late(self, seconds: float) -> str:
        return f"{self._what}: nothing came within {seconds:g} s{self._because()}"

    def _because(self, *nodes: int) -> str:
        """Whose fault it may be that something does not come, to be added to an error."""
        texts = filter(None, (self._waiter.holdup_text(node) for node in (*nodes, None)))
        text = next(texts, "")
        return f" ({text})" if text else ""

    def _set(self, value: Any, error: DerechoError | None = None) -> None:
        """Finish, once; called while dispatching."""
        if self._value is not _PENDING:
            return
        self._error = error
        self._value = value
        callbacks, self._callbacks = self._callbacks, None
        for function in callbacks or ():
            self._waiter.run(f"a callback of {self._what}", function, self)


class Reply(Future[T]):
    """The answer of one member."""

    __slots__ = ("_decode", "_digest", "member")

    def __init__(self, waiter: Waiter, what: str, decode: Callable[[memoryview], T], member: int) -> None:
        super().__init__(waiter, what)
        self._decode = decode
        self._digest: int | None = None  # of the answer to an ordered call
        #: The node that answers.
        self.member = member

    def _late(self, seconds: float) -> str:
        return f"{self._what}: member {self.member} did not answer within {seconds:g} s{self._because(self.member)}"

    def _take(self, event: Message) -> bool:
        """Finish with what a member answered; True, as nothing else will come."""
        if event.status != MemberRemoved.status:
            self._digest = event.version
        if event.status == _OK:
            try:
                value = self._decode(event.data)
            except DecodeError as error:
                self._set(None, error)
            except Exception as error:  # of a dataclass of the application's: its __post_init__, say
                self._set(None, DecodeError(f"{self._what}: {error_text(error)}"))
            else:
                self._set(value)
        else:
            text = str(event.data, "utf-8", "replace")
            self._set(None, from_reply(event.status, self.member, self._what, text))
        return True

    def _fail(self, error: DerechoError) -> None:
        self._set(None, error)


class Replies(Future[T]):
    """The answers of all members to an ordered call.

    As a future it is the *first* answer: members are replicas, so one tells what all will say. `all` waits for
    everybody, which also means that everybody has applied the call; `members` only for its place in the order.

    Examples
    --------
    >>> replies = cache.put("k", b"v")
    >>> replies.result()                      # the first answer
    >>> replies.members()                     # who will answer: it is ordered now
    >>> replies.all()                         # {1: 1, 2: 1, 3: 1}
    >>> for member, reply in replies: ...     # as they come; reply.result() may raise
    """

    __slots__ = ("_arrived", "_decode", "_ordered", "_replies", "_whole")

    def __init__(self, waiter: Waiter, what: str, decode: Callable[[memoryview], T]) -> None:
        super().__init__(waiter, what)
        self._decode = decode
        self._replies: dict[int, Reply[T]] | None = None  # by node, once ordered
        self._arrived: list[Reply[T]] = []
        self._ordered: Future[tuple[int, ...]] | None = None  # the two are made when asked for
        self._whole: Future[dict[int, T]] | None = None

    @property
    def ordered(self) -> Future[tuple[int, ...]]:
        """The nodes that owe an answer, as a future that can be awaited; done once the call is ordered."""
        if self._ordered is None:
            self._ordered = Future(self._waiter, f"{self._what}: its place in the order")
            self._announce()
        return self._ordered

    @property
    def everyone(self) -> Future[dict[int, T]]:
        """What `all` returns, as a future that can be awaited."""
        if self._whole is None:
            self._whole = Future(self._waiter, f"{self._what}: the answers of all members")
            self._announce()
        return self._whole

    def members(self, timeout: float | None = None) -> tuple[int, ...]:
        """Wait until the call is ordered; return the nodes that apply and answer it, by rank."""
        return self.ordered.result(timeout)

    def first(self, timeout: float | None = None) -> T:
        """Same as `result`: the first answer, whoever's."""
        return self.result(timeout)

    def all(self, timeout: float | None = None) -> dict[int, T]:
        """Wait for every member that was in the view when the call was ordered.

        Returns
        -------
        dict of int to T
            Node to value, by rank. Members that left before they answered are not in it.

        Raises
        ------
        ReplicasDiffer
            If they did not all answer alike, in values, or in that some of them failed: names who said what.
        RemoteError
            If the handler failed at all of them: the first such, by rank.
        MemberRemoved
            If every one of them left.
        Timeout
            Naming who did not answer.
        """
        whole = self.everyone
        try:
            return whole.result(timeout)
        except Timeout:
            if whole.done():
                raise
            waiting = [node for node, reply in (self._replies or {}).items() if not reply.done()]
            seconds = self._waiter.timeout if timeout is None else timeout
            who = f"members {', '.join(map(str, waiting))} did not answer" if waiting else "it was not ordered"
            raise Timeout(f"{self._what}: {who} within {seconds:g} s{self._because(*waiting)}") from None

    def replies(self, timeout: float | None = None) -> dict[int, Reply[T]]:
        """Wait until the call is ordered; return each member's own future."""
        self.members(timeout)
        return dict(self._replies or {})

    def __iter__(self) -> Iterator[tuple[int, Reply[T]]]:
        """Give ``(node, reply)`` as the answers come, each reply done; `Timeout` after the group's default each."""
        total = len(self.members())
        for i in range(total):
            if not self._waiter.wait(lambda i=i: len(self._arrived) > i, self._waiter.timeout, self._what):  # type: ignore[misc]
                raise Timeout(self._late(self._waiter.timeout))
            yield self._arrived[i].member, self._arrived[i]

    async def __aiter__(self) -> AsyncIterator[tuple[int, Reply[T]]]:
        await self.ordered
        replies = list((self._replies or {}).values())
        for i in range(len(replies)):
            if len(self._arrived) <= i:
                step: Future[None] = Future(self._waiter, self._what)
                for reply in replies:
                    if not reply.done():
                        reply.add_done_callback(lambda _, step=step: step._set(None))  # type: ignore[misc]
                await step
            reply = self._arrived[i]
            await _settled(reply)
            yield reply.member, reply

    def _order(self, event: Message) -> None:
        """The call has its place: `event` names who owes an answer."""
        nodes = struct.unpack(f"<{len(event) // 4}I", event.data)
        self._replies = {node: Reply(self._waiter, self._what, self._decode, node) for node in nodes}
        self._announce()

    def _take(self, event: Message) -> bool:
        """Hand an answer to its future; whether it was the last one."""
        replies = self._replies
        reply = replies.get(event.sender) if replies is not None else None
        if replies is None or reply is None:
            return False
        if reply not in self._arrived:  # otherwise its dispatch was interrupted, and it is dispatched again
            self._arrived.append(reply)
        reply._take(event)
        last = len(self._arrived) == len(replies)
        if reply._error is None or not isinstance(reply._error, MemberRemoved):
            self._set(reply._value, reply._error)
        elif last:
            self._set(None, MemberRemoved(f"{self._what}: every member left before it answered"))
        if last:
            self._announce()
        return last

    def _fail(self, error: DerechoError) -> None:
        """Nothing will come any more."""
        for reply in (self._replies or {}).values():
            if not reply.done():
                self._arrived.append(reply)
                reply._fail(error)
        for future in (self._ordered, self._whole):
            if future is not None:
                future._set(None, error)
        self._set(None, error)

    def _announce(self) -> None:
        """Finish the two dependent futures, as far as somebody asked for them."""
        replies = self._replies
        if replies is None:
            if self._value is not _PENDING:  # failed before it was ordered
                for future in (self._ordered, self._whole):
                    if future is not None:
                        future._set(None, self._error)
            return
        if self._ordered is not None:
            self._ordered._set(tuple(replies))
        if self._whole is None or len(self._arrived) < len(replies):
            return
        if different := _differences(self._what, list(replies.values())):
            self._whole._set(None, different)
            return
        errors = [r._error for r in replies.values() if r._error and not isinstance(r._error, MemberRemoved)]
        values = {node: r._value for node, r in replies.items() if r._error is None}
        if errors or not values:
            self._whole._set(None, errors[0] if errors else self._error)
        else:
            self._whole._set(values)


def _differences(what: str, replies: list[Reply[Any]]) -> ReplicasDiffer | None:
    """Whether members answered differently, by the digests of their answers, which are the same in every language."""
    by_digest: dict[int, list[Reply[Any]]] = {}
    for reply in replies:
        if reply._digest is not None:
            by_digest.setdefault(reply._digest, []).append(reply)
    if len(by_digest) < 2:
        return None
    groups = sorted(by_digest.values(), key=len)  # those in the minority first
    text = ", ".join(f"{_named(group)} {_said(group[0])}" for group in groups)
    answers = {reply.member: reply._error or reply._value for reply in replies if reply._digest is not None}
    return ReplicasDiffer(f"{what}: replicas differ: {text}", answers)


def _named(replies: list[Reply[Any]]) -> str:
    nodes = ", ".join(str(reply.member) for reply in replies)
    return f"{'node' if len(replies) == 1 else 'nodes'} {nodes}"


def _said(reply: Reply[Any]) -> str:
    error = reply._error
    if isinstance(error, RemoteError):
        text = f"failed with {error.type_name}: {error.text}"
    elif error is not None:
        text = f"failed: {error}"
    else:
        text = f"answered {reply._value!r}"
    return text if len(text) <= _SAID_LENGTH_MAX else text[:_SAID_LENGTH_MAX] + "..."


async def _settled(reply: Reply[Any]) -> None:
    try:
        await reply
    except DerechoError:
        if not reply.done():
            raise
