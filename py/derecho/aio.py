"""Driving a group from an asyncio loop: through the group's descriptor, so that nothing ever blocks the loop."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from .futures import Future

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["AsyncDriver", "driver_of"]

_ROUNDS = 8  # polls in a row before other tasks get their turn
_LATER_S = 0.001


def driver_of(engine: Engine) -> AsyncDriver:
    """Return the driver of the running loop; a group is driven by one loop at a time."""
    loop = asyncio.get_running_loop()
    if engine.aio is not None and engine.aio.loop is loop:
        return engine.aio
    if not engine.pump.may_drive():  # only another thread, or loop, does
        return AsyncDriver(engine, loop)
    if engine.aio is not None:
        engine.aio.abandon()
    engine.aio = AsyncDriver(engine, loop)
    return engine.aio


class AsyncDriver:
    """While at least one task waits, the loop watches the descriptor and dispatches; otherwise it is left alone.

    Where other threads alone run handlers it drives nothing, and only wakes its tasks.
    """

    def __init__(self, engine: Engine, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._engine = engine
        self._fd = engine.native.fd()
        self._waiting: set[object] = set()
        self._watching = False
        self._again: asyncio.Handle | None = None

    def stay(self) -> None:
        """Drive for good: handlers are to run on this loop alone. Called on its thread."""
        self._engine.pump.only = threading.get_ident()
        self._engine.aio = self
        self._attach(self)

    async def wait(self, future: Future[Any], timeout: float) -> bool:
        """Wait for a future; False when the time passed first."""
        woken: asyncio.Future[None] = self.loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        def done(_: Future[Any]) -> None:  # on whichever thread drives
            if not self.loop.is_closed():
                self.loop.call_soon_threadsafe(wake)

        timer = self.loop.call_later(timeout, wake)
        try:
            self._attach(woken)
            future.add_done_callback(done)
            await woken
        finally:
            timer.cancel()
            self._release(woken)
        return future.done()

    def _attach(self, who: object) -> None:
        alone = not self._waiting
        self._waiting.add(who)
        if alone and self._engine.pump.may_drive():
            self._engine.pump.enter(self)
            self._schedule(0)  # the descriptor is armed by a poll that finds nothing

    def _release(self, who: object) -> None:
        self._waiting.discard(who)
        if not self._waiting and self._engine.aio is self and self._engine.pump.may_drive():
            self._detach()

    def abandon(self) -> None:
        """Another loop takes over: tasks of this one were left waiting when it ended."""
        if self._waiting:
            self._waiting.clear()
            self._detach()

    def _detach(self) -> None:
        """Stop watching; the background thread takes over."""
        if self._watching and not self.loop.is_closed():
            self.loop.remove_reader(self._fd)
        self._watching = False
        if self._again is not None:
            self._again.cancel()
            self._again = None
        self._engine.pump.exit(self)

    def _schedule(self, delay: float) -> None:
        if self._again is None:
            self._again = self.loop.call_later(delay, self._step) if delay else self.loop.call_soon(self._step)

    def _step(self) -> None:
        self._again = None
        try:
            self._drive()
        except BaseException:  # out of a signal's handler: the loop may go on
            self._schedule(_LATER_S)
            raise

    def _drive(self) -> None:
        for _ in range(_ROUNDS):
            if self._engine.end is not None:
                return
            found = self._engine.pump.try_drive()
            if found is None:  # a thread drives just now, and wakes the tasks itself; see whether it still does
                self._watch(False)
                self._schedule(_LATER_S)
                return
            if not found:
                self._watch(True)
                if self._engine.pump.must_retry:
                    self._schedule(_LATER_S)
                return
        self._schedule(0)

    def _watch(self, on: bool) -> None:
        if on and not self._watching:
            self.loop.add_reader(self._fd, self._step)
        elif not on and self._watching:
            self.loop.remove_reader(self._fd)
        self._watching = on
