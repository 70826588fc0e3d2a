"""What a method of a service may ask about the call that it handles: `context`."""

from __future__ import annotations

import threading
from typing import NamedTuple, Protocol

__all__ = ["CallContext", "context", "running"]


class CallContext(NamedTuple):
    """Whose call it is, and its place and time. Of an ordered call all three are the same at every member."""

    caller: int
    """Id of the node that made the call: a member, or for a query perhaps a client. No argument can forge it."""
    version: int
    """Grows with every ordered call of the service. For a query: of the last ordered call that the state has."""
    time_ns: int
    """Nanoseconds since the Unix epoch, by the clock of the sender, on which all members agree; of an ordered call
    never less than that of a call before it. For a query: of the last ordered call that the state has, so it stands
    still while there are none; 0 where there was none yet."""


class Handling(Protocol):
    """What runs methods."""

    def call_context(self) -> CallContext | None: ...


class _Running(threading.local):
    host: Handling | None = None  # whose method this thread runs


#: Set by hosts for as long as they run methods.
running = _Running()


def context() -> CallContext:
    """Return the context of the call that the calling thread handles: for methods of services.

    Raises
    ------
    RuntimeError
        Outside of such a method, and on other threads than the one that runs it. A test that calls a method without
        a group has `derecho.testing.call_context`.
    """
    found = running.host.call_context() if running.host is not None else None
    if found is None:
        raise RuntimeError(
            "derecho.context() is for a method of a service while it handles a call, on the thread that runs it: "
            "there is no call here"
        )
    return found
