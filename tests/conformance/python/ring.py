"""What the two rings of the Python executor have in common."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["KINDS", "Event", "Failed"]

#: DERECHO_EVENT_* without prefix.
KINDS = (
    *("", "MESSAGE", "CALL", "QUERY", "ORDERED", "REPLY", "VIEW", "STATE_REQUEST", "STATE", "CLOSED", "MEMORY"),
    "DIFFERENCE",
)


class Failed(Exception):
    """A status other than OK."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(frozen=True)
class Event:
    """A ``derecho_event``, its data copied; `address` is where it was."""

    kind: int
    node: int
    version: int
    id: int
    method: int
    shard: int
    status: int
    flags: int
    data: bytes
    address: int
