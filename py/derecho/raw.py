"""Plain ordered messages, in place: no schema, no handlers, the shortest way from one memory to another."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

from ._native import Claim, Claiming, Message, fast
from .engine import SPILL_AFTER_S
from .errors import RingFull, ViewChanging
from .futures import Future
from .raw_host import RawHost

if TYPE_CHECKING:
    from typing_extensions import Buffer as SupportsBuffer  # contiguous bytes-like objects, NumPy arrays included

__all__ = ["RawShard"]

_LONG_S = 3600.0
_version = attrgetter("version")


class RawShard:
    """The members of a group as receivers and senders of plain messages.

    Every member gets every message, in the same order. Messages that were delivered and not yet read take room in the
    senders' rings, in the end holding them back: read them, or set `on_message`. Messages that were read take room as
    long as a view of their data is in use; one that is merely kept in a variable is copied out when room gets short.

    Attributes
    ----------
    name : str
        As declared to :meth:`derecho.Group.join`.
    """

    def __init__(self, host: RawHost, group: object) -> None:
        self.name = host.name
        self._host = host
        self._group = group  # stays open as long as this is in use
        self._engine = host.engine
        self._take = host.engine.pump.take
        self._shard = host.shard
        self._index = host.index
        self._queue = host.queue

    # ---------------------------------------------------------------------------------------- sending

    def send(self, data: SupportsBuffer, timeout: float | None = None) -> int:
        """Send one message to every member, in order; waits for room, and for a view change to finish.

        Parameters
        ----------
        data : bytes-like
            Contiguous; copied once, into the ring, before this returns.
        timeout : float, optional
            Seconds; the group's default if None.

        Returns
        -------
        int
            The ticket: `Message.id` of this message when it is delivered here.

        Raises
        ------
        RingFull, ViewChanging
            When the time passed.
        TooLarge, Closed, Ejected, NoMajority, NotMember
            As the core says.
        """
        try:
            return fast.send(self._shard, data)
        except (RingFull, ViewChanging):
            return self._engine.retrying(lambda: fast.send(self._shard, data), timeout)

    async def send_async(self, data: SupportsBuffer, timeout: float | None = None) -> int:
        """As `send`, without blocking the loop: messages that find no room wait for it, in their order."""
        if not self._engine.unsent.waiting:
            try:
                return fast.send(self._shard, data)
            except (RingFull, ViewChanging):
                pass
        copy = bytes(data)  # of what the caller may change meanwhile
        return await self._engine.send_later(lambda: fast.send(self._shard, copy), len(copy), timeout)

    def try_send(self, data: SupportsBuffer) -> int:
        """As `send`, but `RingFull` or `ViewChanging` at once instead of waiting."""
        return fast.send(self._shard, data)

    def send_many(self, items: Sequence[SupportsBuffer], timeout: float | None = None) -> None:
        """Send messages in this order, in one call; waits for room as `send` does, then goes on where it was."""
        sent = fast.send_many(self._shard, items, 0)
        while sent < len(items):
            self.send(items[sent], timeout)
            sent += 1
            sent += fast.send_many(self._shard, items, sent)

    def try_send_many(self, items: Sequence[SupportsBuffer], start: int = 0) -> int:
        """Send as many of ``items[start:]`` as there is room for, in one call; return how many."""
        return fast.send_many(self._shard, items, start)

    def claim(self, nbytes: int, timeout: float | None = None) -> Claiming:
        """Fill a message in place: ``with shard.claim(1000) as view: view[:] = ...``; sent on leaving the block.

        Parameters
        ----------
        nbytes : int
            The message's size. Other messages of this node wait until the block is left: fill it and go.
        timeout : float, optional
            Seconds to wait for room, and for a view change to finish; the group's default if None.

        Returns
        -------
        Claiming
            Its block has a memoryview: writable, `nbytes` long, 8-byte aligned, in this node's ring. Other views made
            of it (slices, NumPy arrays) must be gone when the block is left, or `BufferError` says so and the message
            is not sent.

        Raises
        ------
        RingFull, ViewChanging
            When the time passed.
        TooLarge, Closed, Ejected, NoMajority, NotMember
            As the core says.

        Notes
        -----
        An exception in the block gives the claim back unsent.
        """
        return self._engine.retrying(lambda: self.try_claim(nbytes), timeout)

    def try_claim(self, nbytes: int) -> Claiming:
        """As `claim`, but `RingFull` or `ViewChanging` at once instead of waiting for room."""
        return fast.claiming(self._shard, nbytes, self._commit)

    def _commit(self, claim: Claim) -> int:
        return self._engine.retrying(lambda: claim.commit(claim.size))

    # ---------------------------------------------------------------------------------------- receiving

    def poll(self, timeout: float = 0.0, most: int | None = None) -> list[Message]:
        """Return delivered messages, waiting for the first at most `timeout` seconds, driving the group meanwhile.

        Returns
        -------
        list of Message
            In order; empty when the time passed. Each is a buffer, its ``data`` a memoryview in place; their room in
            the ring is free again when the last message of a batch, and the last view of its data, is dropped.

        Raises
        ------
        Closed, Ejected, NoMajority, StateLost
            When the group has ended and every message was given.
        """
        found: list[Message] = []
        try:
            self._poll(found, timeout, most)
        except BaseException:  # out of a signal's handler: the next poll gives them
            self._queue.extendleft(reversed(found))
            raise
        return found

    def _poll(self, found: list[Message], timeout: float, most: int | None) -> None:
        queue = self._queue
        if not queue:
            # The short way, which nearly every poll takes: nobody else drives, and what comes next are messages.
            if self._host.on_message or not self._take(self._index, queue, most, timeout, SPILL_AFTER_S, found):
                self._look(timeout)
            elif not found and timeout > 0:
                self._engine.spill()  # what the caller still has of the last batch must not hold back the next one
                self._look(timeout - SPILL_AFTER_S)
            else:
                return
        with suppress(IndexError):  # one by one, for other threads add to it meanwhile, or take from it
            found.extend(islice(iter(queue.popleft, None), len(queue) if most is None else most))

    def _look(self, timeout: float) -> None:
        if self._engine.end is not None:
            raise self._engine.end
        if timeout <= 0:
            self._engine.pump.turn(0.0)
        elif not self._wait(min(timeout, SPILL_AFTER_S)):
            self._engine.spill()
            self._wait(timeout - SPILL_AFTER_S)

    def messages(self, timeout: float = math.inf) -> Iterator[Message]:
        """Iterate over messages as they are delivered; ends when none came for `timeout` seconds, or with the group."""
        batch: list[Message] = []
        try:
            while True:
                deadline = time.monotonic() + timeout
                while not batch:
                    left = deadline - time.monotonic()
                    if left <= 0 or (self._engine.end is not None and not self._queue):
                        return
                    self._poll(batch, min(left, 1.0), 256)
                batch.reverse()
                # By an iterator in C: no signal's handler runs between taking a message off the batch and giving it.
                try:  # noqa: SIM105 - suppress() is Python code, in which a signal's handler runs, too
                    yield from iter(batch.pop, None)
                except IndexError:
                    pass
        finally:  # whoever stops in the middle, or is stopped by a signal's handler, finds the rest where it was
            self._queue.extendleft(sorted(batch, key=_version, reverse=True))  # whichever way round it lies

    async def __aiter__(self) -> AsyncIterator[Message]:
        """Iterate in asyncio, through the group's descriptor; ends with the group."""
        while True:
            with suppress(IndexError):
                for message in iter(self._queue.popleft, None):
                    yield message
            if self._engine.end is not None:
                return
            arrival = self._host.arrival
            if arrival is None or arrival.done():
                arrival = self._host.arrival = Future(self._engine, f"messages of {self.name}")
            if not await self._engine.wait_async(arrival, SPILL_AFTER_S):
                self._engine.spill()
                await self._engine.wait_async(arrival, _LONG_S)

    def _wait(self, timeout: float) -> bool:
        return self._engine.wait(lambda: bool(self._queue), timeout, f"messages of {self.name}")

    @property
    def on_message(self) -> Callable[[Message], object] | None:
        """Called with each message, on the thread that drives the group, instead of queueing it.

        Messages that were queued before it was set are given first. What it raises is logged; anything but an
        `Exception` ends this node's part in the group, in good order.
        """
        return self._host.on_message

    @on_message.setter
    def on_message(self, function: Callable[[Message], object] | None) -> None:
        self._host.on_message = function
        if function is not None and self._queue:
            self._engine.pump.run(self._host.hand_over)
