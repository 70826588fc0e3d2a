"""A shard for plain messages as its group sees it: where messages wait, or are handed to the application."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ._native import Message
from .futures import Future
from .state import Incoming, Saving

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["RawHost"]

_log = logging.getLogger("derecho")


class RawHost:
    """Beside `ServiceHost`. Its functions are called by the thread that dispatches.

    Parameters
    ----------
    engine : Engine
        Of the group.
    name : str
        The shard's.
    shard : int
        Its handle.
    index : int
        Its number in events.
    """

    def __init__(self, engine: Engine, name: str, shard: int, index: int) -> None:
        self.name = name
        self.engine = engine
        self.shard = shard
        self.index = index
        self.loading = False
        self.queue: deque[Message] = deque()
        self.on_message: Callable[[Message], object] | None = None
        self.arrival: Future[None] | None = None
        self._incoming = Incoming()

    def on_messages(self, events: Iterator[Message]) -> None:
        """Queue what was delivered, or hand it to `on_message`."""
        if self.on_message is None:
            self.queue.extend(events)
            if self.arrival is not None:
                self.arrival._set(None)
            return
        if self.queue:
            self.hand_over()
        self._give(events)

    def hand_over(self) -> None:
        """Give what was queued before there was an `on_message`."""

        def queued() -> Iterator[Message]:
            while self.queue:
                yield self.queue.popleft()

        self._give(queued())

    def _give(self, events: Iterator[Message]) -> None:
        on_message = self.on_message
        assert on_message is not None
        where = f"on_message of {self.name}"
        while self.engine.end is None:
            try:
                for event in events:
                    on_message(event)
                return
            except Exception:
                self.engine.tell(logging.ERROR, f"{where} failed")
            except BaseException as error:
                self.engine.leave_because(where, error)

    def on_state_request(self, event: Message) -> None:
        """Plain messages have no state: say so."""
        self.engine.outbox.state(event.sender, event.id, Saving(iter(()), False, 0))

    def on_state(self, event: Message) -> None:
        """The end of an empty state."""
        if event.status or self._incoming.add(event) is not None:
            self.loading = False

    def on_end(self) -> None:
        """The group ended: wake whoever awaits a message."""
        if self.arrival is not None:
            self.arrival._set(None)
