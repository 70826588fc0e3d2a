"""The machinery of one group: the pump, the calls under way, and what each kind of event does.

Events are handled by the one thread that has the pump's right, in the order in which the core gave them.
"""

from __future__ import annotations

import contextlib
import logging
import operator
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ._native import Claim, Message, NativeGroup, Pump, fast
from .codec.encode import Parts
from .errors import (
    Closed,
    DerechoError,
    Ejected,
    Incompatible,
    NoMajority,
    NoMemory,
    ReplicasDiffer,
    RingFull,
    StateLost,
    Timeout,
    ViewChanging,
)
from .futures import Future, Replies, Reply
from .memory import Memories
from .outbox import Outbox, error_text
from .service_host import ServiceHost
from .unsent import Unsent, in_loop
from .views import Difference, Holdup, Progress, View, make_holdup, make_view

if TYPE_CHECKING:
    from .aio import AsyncDriver
    from .raw_host import RawHost

__all__ = ["Engine"]

T = TypeVar("T")
_log = logging.getLogger("derecho")

# DERECHO_EVENT_*
MESSAGE, CALL, QUERY, ORDERED, REPLY, VIEW, STATE_REQUEST, STATE, CLOSED, MEMORY, DIFFERENCE = range(1, 12)
_ONCE = {CALL, QUERY, STATE_REQUEST, STATE}  # what may not be dispatched again, and not be left out
_AGAIN = {ORDERED, REPLY, VIEW, CLOSED, MEMORY, DIFFERENCE}  # what may be dispatched again
_ANY_NODE = 0xFFFFFFFF
_RETRY_S = 0.001
_SPILLED_BYTES_MAX = 64 << 20

#: Seconds of waiting in vain before messages are copied out of the rings.
SPILL_AFTER_S = 0.01
#: Seconds for leaving in good order when something failed: then it is over, whatever the others say.
LEAVE_AFTER_FAILURE_S = 2.0
_COMPLAIN_S = 5.0

_ENDS: dict[int, tuple[type[DerechoError], str]] = {
    Closed.status: (Closed, "this node left the group"),
    Ejected.status: (Ejected, "the others removed this node from the group: close it and join again"),
    Incompatible.status: (
        Incompatible,
        "the group that this node was part of is no longer there: close it and join again",
    ),
    NoMajority.status: (
        NoMajority,
        "half or more of the members that vote were lost, so this node stopped, lest two halves go separate ways: "
        "close the group, then join again or start afresh",
    ),
    NoMemory.status: (
        NoMemory,
        "this node lacks memory or descriptors: close the group, and join again when it has them",
    ),
    ReplicasDiffer.status: (ReplicasDiffer, "replicas differ, and option digest_policy is stop"),
    StateLost.status: (StateLost, "every member that had the state is gone: close the group and start afresh"),
}


def _waited_in_vain(error: DerechoError, seconds: float, whose: str) -> str:
    if isinstance(error, ViewChanging):
        return f"members were still being added or removed after {seconds:g} s; try again"
    whose = whose or "a member, perhaps this one, is slow to take messages, or keeps them"
    return f"no room within {seconds:g} s: {whose}; try again, or raise option ring_bytes (for queries mail_bytes)"


class Engine:
    """Runs one group for its public face, `derecho.Group`.

    Parameters
    ----------
    native : NativeGroup
        A joined group.
    timeout : float
        Default of every wait, seconds.
    piece_bytes : int
        Most bytes in a piece of state.
    """

    def __init__(self, native: NativeGroup, timeout: float, piece_bytes: int) -> None:
        self.native = native
        self.timeout = timeout
        self.outbox = Outbox(native, piece_bytes)
        self.memories = Memories(self)
        self.view: View | None = None
        self.views: list[View] = []
        self.on_view: list[Callable[[View], object]] = []
        self.on_end: list[Callable[[DerechoError], object]] = []
        self.on_difference: list[Callable[[Difference], object]] = []
        self.end: DerechoError | None = None
        self.shards: list[ServiceHost | RawHost] = []  # in order of declaration, as events number them
        self.pending: dict[int, Replies[Any] | Reply[Any]] = {}
        self.aio: AsyncDriver | None = None
        self.on_progress: Callable[[Progress], object] | None = None
        self.last_progress = 0.0
        self._arriving: dict[str, tuple[int, float]] = {}  # by service: bytes of its state so far, since when
        self.unsent = Unsent(lambda error, seconds: _waited_in_vain(error, seconds, self.holdup_text()))
        self._complained = 0.0
        self.pump = Pump(native, self._dispatch, self._retry, self._ended, self._make_room)
        self._on: dict[int, Callable[[int, Iterator[Message]], None]] = {
            MESSAGE: self._messages,
            CALL: self._calls,
            QUERY: self._queries,
            ORDERED: self._ordered,
            REPLY: self._replies,
            VIEW: self._views,
            STATE_REQUEST: self._state_requests,
            STATE: self._state,
            CLOSED: self._closed,
            MEMORY: self.memories.on_events,
            DIFFERENCE: self._differences,
        }

    # ---------------------------------------------------------------------------------------- waiting

    def wait(self, done: Callable[[], bool], timeout: float, what: str) -> bool:
        """Drive the group until `done()` or the group's end; False when the time passed."""
        if not self.pump.wait(lambda: done() or self.end is not None, timeout, what):
            return False
        if self.end is not None and not done():
            raise self.end
        return True

    async def wait_async(self, future: Future[Any], timeout: float) -> bool:
        """Wait for a future in asyncio; False when the time passed."""
        from .aio import driver_of

        return await driver_of(self).wait(future, timeout)

    def retrying(self, attempt: Callable[[], T], timeout: float | None = None) -> T:
        """Do `attempt()`, and again while there is no room or the view is changing; raise its error at the deadline."""
        try:
            return attempt()
        except (RingFull, ViewChanging):
            if self.pump.in_handler:  # room comes by dispatching, which the handler holds up
                raise
        started = time.monotonic()
        seconds = self.timeout if timeout is None else timeout
        while True:
            self.pump.turn(_RETRY_S)
            if self.end is not None:
                raise self.end
            try:
                return attempt()
            except (RingFull, ViewChanging) as error:
                waited = time.monotonic() - started
                if waited >= seconds:
                    raise type(error)(_waited_in_vain(error, seconds, self.holdup_text())) from None
                if waited > SPILL_AFTER_S:
                    self.spill()

    def holdup(self, node: int | None = None) -> Holdup | None:
        """Whether a member holds others up; None: whichever does so the longest."""
        try:
            return make_holdup(*self.native.holdup(node))
        except Closed:
            return None

    def holdup_text(self, node: int | None = None) -> str:
        """Tell so as a sentence, "" if it does not."""
        return str(self.holdup(node) or "")

    def spill(self) -> None:
        """Make room in the rings that is taken by messages which are unread, or kept in variables: copy them out.

        Called by who waits in vain for a moment: for room, or for messages, which may need room to come.
        """
        self.native.spill(_SPILLED_BYTES_MAX)

    def _make_room(self, full: bool) -> None:
        """Copy out of the rings what only lies in queues and variables; tell it if it was too much to poll."""
        self.spill()
        now = time.monotonic()
        if full and now >= self._complained + _COMPLAIN_S:
            self._complained = now
            self.tell(
                logging.WARNING,
                "this application keeps so many messages that the group waits for it: what was not in use was copied "
                f"out of the rings, up to {_SPILLED_BYTES_MAX >> 20} MB. Read the raw shards that were declared, drop "
                "messages, and copy (tobytes, detach) views of data that are kept",
            )

    def _retry(self) -> bool:
        left = False
        try:
            left = self.outbox.retry()
        except Exception:
            self.tell(logging.ERROR, "sending answers and state failed")
        except BaseException as error:  # of a service that saves its state in pieces, or out of a signal's handler
            if not self.outbox.gives_state:
                raise
            self.leave_because("saving the state", error)
        return (self.unsent.retry(self.timeout) if self.unsent.waiting else False) or left

    # ---------------------------------------------------------------------------------------- sending

    def call(self, shard: int, method: int, flags: int, parts: Parts, future: Any, wait: bool) -> None:
        """Send an ordered call; its future is known before its first event can be dispatched."""
        if self.end is not None:
            raise self.end
        try:
            if self.unsent.waiting and future is not None and wait and in_loop():
                raise RingFull("calls of this event loop wait for room already")
            result = fast.call(shard, method, flags, parts, self.pending, future)
        except (RingFull, ViewChanging):
            if not wait:
                raise
            if future is not None and in_loop():
                self._call_later(shard, method, flags, parts, future)
                return
            result = self.retrying(lambda: fast.call(shard, method, flags, parts, self.pending, future))
        if not isinstance(result, int):
            self._commit(result, future)

    def _commit(self, claim: Claim, future: Any) -> None:
        """Commit a filled claim that met a view change."""
        try:
            self.retrying(lambda: claim.commit(claim.size, self.pending, future))
        except DerechoError:
            if claim.open:
                claim.abort()
            raise

    def _call_later(self, shard: int, method: int, flags: int, parts: Parts, future: Any) -> None:
        """Leave a call of an event loop to whoever drives: the loop must not wait."""
        copies = tuple(bytes(part) for part in parts)
        claim: list[Claim] = []

        def attempt() -> None:
            if not claim:
                result = fast.call(shard, method, flags, copies, self.pending, future)
                if isinstance(result, int):
                    return
                claim.append(result)
            claim[0].commit(claim[0].size, self.pending, future)

        def fail(error: DerechoError) -> None:
            if claim and claim[0].open:
                claim[0].abort()
            future._fail(error)

        self._later(attempt, fail, sum(map(len, copies)), self.timeout)

    def _later(
        self, attempt: Callable[[], object], fail: Callable[[DerechoError], object], nbytes: int, seconds: float
    ) -> None:
        self.unsent.add(attempt, fail, nbytes, seconds)
        self.native.wake()  # a thread that drives may be in for a long poll

    async def send_later(self, attempt: Callable[[], T], nbytes: int, timeout: float | None) -> T:
        """Do ``attempt()`` when there is room, and the view is not changing."""
        seconds = self.timeout if timeout is None else timeout
        sent: Future[T] = Future(self, "sending")
        self._later(lambda: sent._set(attempt()), lambda error: sent._set(None, error), nbytes, seconds)
        await self.wait_async(sent, seconds + 1.0)
        return sent.result(0)

    def query(self, shard: int, node: int, method: int, parts: Parts, future: Any) -> None:
        """Send a query."""
        if self.end is not None:
            raise self.end
        if not in_loop():
            self.retrying(lambda: fast.query(shard, node, method, parts, self.pending, future))
            return
        try:
            fast.query(shard, node, method, parts, self.pending, future)
        except (RingFull, ViewChanging):
            copies = tuple(bytes(part) for part in parts)
            self._later(
                lambda: fast.query(shard, node, method, copies, self.pending, future),
                future._fail,
                sum(map(len, copies)),
                self.timeout,
            )

    def nearest(self) -> int:
        """This node if it is a member, else the first member."""
        view = self.view
        if view is None or not view.members:
            raise Closed("there is no view to send a query to")
        return view.members[view.self_rank or 0].node

    # ---------------------------------------------------------------------------------------- dispatching

    def _dispatch(self, kind: int, shard: int, events: Iterator[Message]) -> None:
        stuck = False
        while True:
            left = operator.length_hint(events)
            try:
                self._on[kind](shard, events)
                return
            except Exception as error:  # not the application's: that is caught where it is called
                self.tell(logging.ERROR, f"an event of kind {kind} could not be handled", error)
                if operator.length_hint(events) < left:
                    stuck = False
                elif not stuck:  # a signal's handler may have raised it, before anything was done: once more
                    stuck = True
                elif next(events, None) is None:
                    return
            except BaseException as error:  # out of a signal's handler, say Ctrl-C
                if operator.length_hint(events) < left:
                    self._interrupted(kind, events, error)
                raise

    def _interrupted(self, kind: int, events: Any, error: BaseException) -> None:
        """Dispatching stopped somewhere in the last event that was taken, or after it: nobody knows."""
        if self.end is not None:
            return
        if kind in _ONCE:
            self.leave_because("dispatching", error)
        elif kind in _AGAIN:
            at = events.__reduce__()  # of an iterator over a list: how to make it again, its index last
            if isinstance(at[-1], int):
                events.__setstate__(at[-1] - 1)

    # ---------------------------------------------------------------------------------------- the application's code

    def tell(self, level: int, text: str, error: BaseException | None = None) -> None:
        """Log; whatever the application has made of logging, the driver goes on."""
        with contextlib.suppress(Exception):
            _log.log(level, "%s", text, exc_info=error if error is not None else level == logging.ERROR)

    def run(self, where: str, function: Callable[..., object], *args: object) -> None:
        """Run a function of the application's which no caller waits for."""
        try:
            function(*args)
        except Exception:
            self.tell(logging.ERROR, f"{where} failed")
        except BaseException as error:
            self.leave_because(where, error)

    def leave_because(self, where: str, error: BaseException) -> None:
        """Something that is no `Exception` came out of the application's code: leave in good order, and say why.

        On the main thread it takes its course afterwards, with its traceback: it may come from a signal, say Ctrl-C.
        """
        surfaces = threading.current_thread() is threading.main_thread()
        if self.end is None:
            text = f"{where} raised {type(error).__name__}: this node leaves the group"
            self.tell(logging.CRITICAL, text, None if surfaces else error)
            self.end = Closed(f"this node left the group, because {where} raised {error_text(error)}")
            self.pump.halt()
            try:
                self.native.leave(int(LEAVE_AFTER_FAILURE_S * 1000))
            except DerechoError as late:
                self.tell(logging.WARNING, f"leaving: {late}")
            self._ended(self.end)
        if surfaces:
            raise error

    def _messages(self, shard: int, events: Iterator[Message]) -> None:
        host = self.shards[shard]
        if not isinstance(host, ServiceHost):
            host.on_messages(events)

    def _calls(self, shard: int, events: Iterator[Message]) -> None:
        host = self.shards[shard]
        if isinstance(host, ServiceHost):
            host.on_calls(events)
            return
        for event in events:
            if event.flags & 1:
                self.outbox.answer(event.sender, event.id, 18, ())

    def _queries(self, shard: int, events: Iterator[Message]) -> None:
        host = self.shards[shard]
        if isinstance(host, ServiceHost):
            host.on_queries(events)
        else:
            self._calls(shard, events)

    def _ordered(self, shard: int, events: Iterator[Message]) -> None:
        for event in events:
            future = self.pending.get(event.id)
            if isinstance(future, Replies):
                future._order(event)

    def _replies(self, shard: int, events: Iterator[Message]) -> None:
        pending = self.pending
        for event in events:
            if event.status == Closed.status:
                continue  # what ended the group fails it, at once
            call = event.id
            future = pending.get(call)
            if future is not None and future._take(event):
                pending.pop(call, None)

    def _views(self, shard: int, events: Iterator[Message]) -> None:
        for _ in events:
            view = make_view(*self.native.view())
            if self.view is None and view.self_rank is not None and not view.members[view.self_rank].has_state:
                for host in self.shards:
                    host.loading = True
            again = bool(self.views) and self.views[-1].id == view.id  # see _interrupted
            self.views[len(self.views) - again :] = [view]
            self.view = view
            for function in list(self.on_view):
                self.run("on_view", function, view)

    def current_view(self) -> View | None:
        """Return the view applied last, with who holds the state by now: newcomers get it after their view began."""
        view = self.view
        if view is None or self.end is not None or all(member.has_state for member in view.members):
            return view
        with contextlib.suppress(DerechoError):
            now = make_view(*self.native.view())
            if now.id == view.id and now != view and self.view is view:
                self.view = self.views[-1] = now
        return self.view

    def _state_requests(self, shard: int, events: Iterator[Message]) -> None:
        for event in events:
            self.shards[shard].on_state_request(event)

    def _state(self, shard: int, events: Iterator[Message]) -> None:
        for event in events:
            self.shards[shard].on_state(event)

    def _differences(self, shard: int, events: Iterator[Message]) -> None:
        for event in events:
            node = None if event.sender == _ANY_NODE else event.sender
            text = str(event.data, "utf-8", "replace")
            difference = Difference(self.shards[shard].name, event.version, node, text)
            self.tell(logging.WARNING, text)
            for function in list(self.on_difference):
                self.run("on_difference", function, difference)

    def _closed(self, shard: int, events: Iterator[Message]) -> None:
        for event in events:
            kind, text = _ENDS.get(event.status, (Closed, f"the group ended with status {event.status}"))
            try:
                self.native.leave(0)  # does nothing any more but tell the details
            except DerechoError as error:
                text = f"{text} ({error})" if error.status == event.status else text
            self._ended(kind(text))

    def _ended(self, error: DerechoError) -> None:
        """Nothing more will come: whoever waits is told why."""
        if self.end is None:
            self.end = error
            if not self.on_end and not isinstance(error, Closed):  # the application may not call for a long time
                self.tell(logging.WARNING, f"this node is out of its group: {error}")
        pending, self.pending = dict(self.pending), {}
        for future in pending.values():
            future._fail(self.end)
        self.memories.end(self.end)
        self.unsent.end(self.end)
        for shard in self.shards:
            if not isinstance(shard, ServiceHost):
                shard.on_end()
        told, self.on_end = self.on_end, []
        for function in told:
            self.run("on_end", function, self.end)

    def forget(self) -> None:
        """In the child of a fork, which has no part in the group: what the core says of it is why everything fails."""
        self.pump.forget()
        self.on_end = []
        self.on_difference = []
        self.unsent.waiting.clear()
        try:
            self.native.fd()
        except DerechoError as error:
            self.end = error

    # ---------------------------------------------------------------------------------------- joining

    def progressed(self, service: str, event: Message) -> None:
        """Note a piece of state, and tell whoever wants to know."""
        now = time.monotonic()
        if event.flags & 2:  # DERECHO_FLAG_FIRST
            self._arriving[service] = (0, now)
        nbytes, began = self._arriving.get(service, (0, now))
        nbytes += len(event.data)
        self._arriving[service] = (nbytes, began)
        self.last_progress = now
        if self.on_progress is not None:
            self.run("on_progress", self.on_progress, Progress(service, nbytes, event.version or None, now - began))

    def await_state(self, timeout: float, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait until every service has its state and this node votes; `timeout` counts from the last progress.

        Raises
        ------
        Timeout
            Naming the services whose state is missing, and who owes it.
        StateError
            When it came but could not be loaded, or the member that was to give it said why it cannot.
        """

        loaded = False

        def ready() -> bool:
            nonlocal loaded
            if not loaded and self.view is not None and not any(host.loading for host in self.shards):
                loaded = True
                self.last_progress = time.monotonic()  # loading may have taken long
            failed = any(isinstance(host, ServiceHost) and host.load_error for host in self.shards)
            return failed or cancelled() or self._is_in()

        self.last_progress = time.monotonic()
        left = timeout
        while not self.wait(ready, left, "joining"):
            left = self.last_progress + timeout - time.monotonic()
            if left <= 0:
                raise Timeout(self._no_state(timeout))
        if cancelled():
            raise Closed("joining was cancelled")
        for host in self.shards:
            if isinstance(host, ServiceHost) and host.load_error is not None:
                raise host.load_error

    def _is_in(self) -> bool:
        view = self.view
        if view is None or any(host.loading for host in self.shards):
            return False
        return view.self_rank is None or view.members[view.self_rank].votes

    def _no_state(self, timeout: float) -> str:
        if self.view is None:
            return f"joined, but no view was installed within {timeout:g} s"
        if not any(host.loading for host in self.shards):
            return f"joined as part of {self.view} and has the state, but was given no vote within {timeout:g} s"
        names = ", ".join(host.name for host in self.shards if host.loading)
        donor = next((m.node for m in self.view.members if m.has_state), None)
        came = sum(nbytes for nbytes, _ in self._arriving.values())
        whose = self.holdup_text(donor)
        return (
            f"joined as part of {self.view}, but the state of {names} did not come from member {donor}: {came} bytes "
            f"came, and nothing for {timeout:g} s{f' ({whose})' if whose else ''}"
        )
