"""What an event loop has called or sent while there was no room: sent in order by whoever drives, as room comes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from .errors import DerechoError, RingFull, ViewChanging

__all__ = ["Unsent"]

_BYTES_MAX = 64 << 20


class _Entry:
    def __init__(self, attempt: Callable[[], object], fail: Callable[[DerechoError], object], nbytes: int) -> None:
        self.attempt = attempt
        self.fail = fail
        self.nbytes = nbytes
        self.deadline = 0.0
        self.begun = False  # an attempt was, and has not ended


class Unsent:
    """A queue, in order, each entry with a deadline.

    Parameters
    ----------
    late : callable
        ``late(error, seconds)`` returns the text of the error of an entry whose deadline has passed.
    """

    def __init__(self, late: Callable[[DerechoError, float], str]) -> None:
        self.waiting: deque[_Entry] = deque()
        self._late = late
        self._nbytes = 0

    def add(
        self, attempt: Callable[[], object], fail: Callable[[DerechoError], object], nbytes: int, seconds: float
    ) -> None:
        """Queue ``attempt()``, which raises `RingFull` or `ViewChanging` while it must wait.

        Raises
        ------
        RingFull
            When 64 MB wait already.
        """
        if self._nbytes + nbytes > _BYTES_MAX and self.waiting:
            raise RingFull(
                f"{self._nbytes} bytes that this event loop has sent wait for room already: await what was called "
                "before calling more"
            )
        entry = _Entry(attempt, fail, nbytes)
        entry.deadline = time.monotonic() + seconds
        self._nbytes += nbytes
        self.waiting.append(entry)

    def retry(self, seconds: float) -> bool:
        """Send what can be sent, fail what waited too long; return whether something is left."""
        while self.waiting:
            entry = self.waiting[0]
            if entry.begun:  # it must not be sent twice
                self._drop(entry, DerechoError("interrupted while it was sent: whether it was is not known"))
                continue
            entry.begun = True
            try:
                entry.attempt()
            except (RingFull, ViewChanging) as error:
                entry.begun = False
                if time.monotonic() < entry.deadline:
                    return True
                self._drop(entry, type(error)(self._late(error, seconds)))
            except DerechoError as error:
                self._drop(entry, error)
            else:
                self._drop(entry, None)
        return False

    def end(self, error: DerechoError) -> None:
        """Fail all of it."""
        while self.waiting:
            self._drop(self.waiting[0], error)

    def _drop(self, entry: _Entry, error: DerechoError | None) -> None:
        self.waiting.popleft()
        self._nbytes -= entry.nbytes
        if error is not None:
            entry.fail(error)


def in_loop() -> Any:
    """Return the event loop that runs on this thread, if any."""
    import asyncio

    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
