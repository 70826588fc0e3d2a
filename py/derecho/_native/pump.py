"""Who calls derecho_poll: whoever waits drives, and a background thread when nobody does.

One thread at a time polls and dispatches, so handlers see ordered events in order. A thread that waits for a result
takes that right if it is free, otherwise it follows: it sleeps until the driver has dispatched something. The
background thread has it while nobody waits, and yields at once to somebody who does. An event that was polled is always
dispatched, even when a handler is interrupted (Ctrl-C): the next driver begins with what was left over.

An exception may come out of a signal's handler between any two steps of Python code. So what must not be left half done
is done by C code (`Right`), which calls what is to be done meanwhile: having the right, being counted.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..errors import DerechoError, InHandler, RingFull
from ._load import Message, Right
from .group import Runs

if TYPE_CHECKING:
    from typing_extensions import TypeVarTuple, Unpack

    T = TypeVar("T")
    Ts = TypeVarTuple("Ts")

__all__ = ["Pollable", "Pump"]

_DRIVE_S = 0.1  # longest single poll of a waiter, so that Ctrl-C is noticed
_FOLLOW_S = 0.002  # how long a follower sleeps before it looks again by itself
_BACKGROUND_POLL_NS = 1_000_000_000
# How often the background thread looks whether it is needed: each look takes the interpreter from who drives, so it
# looks less often the longer it was not. It comes in as late as that, once, when the application stops.
_BACKGROUND_PAUSE_S = (0.002, 0.02)
_QUIET_NS = 10_000_000  # after so long without events, room is made
_RETRY_NS = 500_000  # while something is to be retried, polls are this short


class Pollable(Protocol):
    """What the pump needs of a `NativeGroup`."""

    number: int

    def poll(self, timeout_ns: int, backlog: Runs) -> None: ...
    def wake(self) -> None: ...


class Pump:
    """Drives one group.

    Parameters
    ----------
    native : Pollable
        The group.
    dispatch : callable
        ``dispatch(kind, shard, events)`` consumes the iterator `events`.
    retry : callable
        Called after each poll: sends again what found no room; returns whether something is left.
    ended : callable
        Called once with the error that ended the group, when polling fails.
    make_room : callable
        ``make_room(full)`` copies out of the rings what the application keeps. Called when nothing came for a moment,
        which may be because of that, and, with True, when too much is kept to poll at all.
    """

    def __init__(
        self,
        native: Pollable,
        dispatch: Callable[[int, int, Iterator[Message]], None],
        retry: Callable[[], bool],
        ended: Callable[[DerechoError], None],
        make_room: Callable[[bool], None],
    ) -> None:
        self._native = native
        self._dispatch = dispatch
        self._retry = retry
        self._ended = ended
        self._make_room = make_room
        #: The only thread that may drive; None: any. 0: none, yet.
        self.only: int | None = None
        self._quiet_ns = 0  # polled in vain since the last event, up to when room is made
        self._right = Right(native.number)
        self._background_drives = False
        self._loops: set[object] = set()  # that want to drive for as long as they are in it
        self._sleepers: deque[Any] = deque()  # a held lock for each follower: released, it wakes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._background, name="derecho-pump", daemon=True)

    def start(self, alone: bool = False) -> None:
        """Start the background thread; `alone`: it is the only one that drives."""
        if alone:
            self.only = 0
        self._thread.start()
        if alone:
            self.only = self._thread.ident

    def halt(self) -> None:
        """Dispatch nothing any more, from a handler."""
        self._stopping.set()
        del self._right.backlog[:]

    def forget(self) -> None:
        """In the child of a fork: whatever other threads hold, or wait for, they are not here."""
        self._stopping.set()
        del self._right.backlog[:]
        self._sleepers.clear()

    def stop(self) -> None:
        """End the background thread; wait for it unless called from it."""
        self._stopping.set()
        self._native.wake()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(5.0)

    @property
    def in_handler(self) -> bool:
        """Whether the calling thread is dispatching right now."""
        return self._right.mine

    # ---------------------------------------------------------------------------------------- waiting

    def wait(self, done: Callable[[], bool], timeout: float, what: str) -> bool:
        """Drive, or follow who does, until `done()`.

        Parameters
        ----------
        done : callable
            Cheap; made true by dispatching.
        timeout : float
            Seconds.
        what : str
            What is waited for, for the error.

        Returns
        -------
        bool
            False when the time passed.

        Raises
        ------
        InHandler
            When called by a handler, which would wait for itself.
        """
        if done():
            return True
        if self._right.mine:
            raise InHandler(f"a handler must not wait ({what}): what it waits for is dispatched after it returned")
        return self._right.wait(self._wait, done, time.monotonic() + timeout)

    def _wait(self, done: Callable[[], bool], deadline: float) -> bool:
        self._background_stands_aside()
        while not done():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._turn(left)
        return True

    def turn(self, timeout: float) -> None:
        """Drive once, or follow once; for loops that retry something themselves. Does nothing in a handler."""
        if self._right.mine:
            return
        self._right.wait(self._turn, timeout)

    def may_drive(self) -> bool:
        """Whether the calling thread is one that runs handlers."""
        return self.only is None or self.only == threading.get_ident()

    def run(self, function: Callable[[], None]) -> None:
        """Run ``function()`` as if it were dispatched: while nothing else is; at once in a handler."""
        if self._right.mine:
            function()
            return

        def call() -> bool:
            function()
            return True

        def wait() -> None:
            self._background_stands_aside()
            while self._drive_by(call) is None:
                self._follow(_FOLLOW_S)

        self._right.wait(wait)

    def try_drive(self) -> bool | None:
        """Drive once, without waiting.

        Returns
        -------
        bool or None
            Whether events were dispatched; None when another thread drives, or this one, which runs a handler.
        """
        if not self.may_drive():
            return None
        self._right.entries += 1  # so that the background thread stands aside for a while
        return self._drive_by(self._drive, 0)

    @property
    def take(self) -> Callable[[int, deque[Message], int | None, float, float, list[Message]], bool]:
        """``take(shard, queue, most, timeout_s, longest_s, found)``: poll once; add plain messages to the list `found`.

        False when there is more to do (some are in the queue, another thread drives, more than `most` or other events
        came, the group has ended): then `wait`.
        """
        return self._right.take

    def enter(self, loop: object) -> None:
        """Announce that a loop is going to drive, so that the background thread stands aside."""
        self._loops.add(loop)
        self._right.entries += 1
        self._background_stands_aside()

    def exit(self, loop: object) -> None:
        """End what `enter` began, if it did."""
        self._loops.discard(loop)

    def _background_stands_aside(self) -> None:
        if self._background_drives and self.only is None:
            self._native.wake()

    @property
    def must_retry(self) -> bool:
        """Whether something waits for room, so that drives should go on without events."""
        return self._right.must_retry

    def _turn(self, timeout: float) -> None:
        if not self.may_drive() or self._drive_by(self._drive, int(min(timeout, _DRIVE_S) * 1e9)) is None:
            self._follow(timeout)

    def _follow(self, timeout: float) -> None:
        self._right.follow(self._sleep, min(timeout, _FOLLOW_S))

    def _sleep(self, timeout: float) -> None:
        # No `threading.Condition`: interrupted in the middle of entering it, a thread would keep its lock for ever.
        woken = threading.Lock()
        woken.acquire()
        try:
            self._sleepers.append(woken)
            if self._right.held or not self.may_drive():
                self._background_stands_aside()
                woken.acquire(timeout=timeout)
        finally:
            with contextlib.suppress(ValueError):  # woken, it is there no more
                self._sleepers.remove(woken)

    def _wake_followers(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._sleepers.pop().release()

    # ---------------------------------------------------------------------------------------- driving

    def _drive_by(self, function: Callable[[Unpack[Ts]], T], *args: Unpack[Ts]) -> T | None:
        """Call a function while having the right, then wake those that follow; None if another thread has it."""
        right = self._right
        try:
            return right.drive(function, *args)
        finally:
            if right.followers and not right.held:
                self._wake_followers()

    def _drive(self, timeout_ns: int) -> bool:
        """Poll and dispatch once; return whether anything came."""
        right, backlog = self._right, self._right.backlog
        if not backlog:
            if right.must_retry:
                timeout_ns = min(timeout_ns, _RETRY_NS)
            elif self._quiet_ns < _QUIET_NS:
                timeout_ns = min(timeout_ns, _QUIET_NS)
            try:
                self._native.poll(timeout_ns, backlog)
            except RingFull:  # too many leases are held
                self._make_room(True)
                time.sleep(min(timeout_ns, _RETRY_NS) / 1e9)
                right.must_retry = self._retry()
                return False
            except DerechoError as error:
                self._stopping.set()
                self._ended(error)
                return False
        found = bool(backlog)
        if found:
            self._quiet_ns = 0
        elif self._quiet_ns < _QUIET_NS:
            self._quiet_ns += timeout_ns
            if self._quiet_ns >= _QUIET_NS:
                self._make_room(False)
        while backlog:
            kind, shard, events = backlog[0]
            self._dispatch(kind, shard, events)
            del backlog[:1], events
        right.must_retry = self._retry()
        return found

    def _background(self) -> None:
        # Signals are for the application's threads: one that came here would not end a sleep of the main thread.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        seen, pause = -1, _BACKGROUND_PAUSE_S[0]
        while not self._stopping.is_set():
            if self.only is None and (self._waited_for or self._right.entries != seen):
                pause = min(pause * 1.5, _BACKGROUND_PAUSE_S[1])
                seen = self._right.entries
                self._stopping.wait(pause)
                continue
            pause = _BACKGROUND_PAUSE_S[0]
            if self._drive_by(self._drive_in_background) is None:
                self._stopping.wait(pause)

    def _drive_in_background(self) -> bool:
        self._background_drives = True
        try:
            if self._waited_for and self.only is None:  # came just now, and saw that nobody drives
                return False
            return self._drive(_BACKGROUND_POLL_NS)
        finally:
            self._background_drives = False

    @property
    def _waited_for(self) -> bool:
        return self._right.waiters > 0 or bool(self._loops)
