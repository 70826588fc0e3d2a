"""Owner of a ``derecho_group``: the calls of the C ABI with exceptions for statuses and Python values for structs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from ..errors import Closed
from ._load import Message, c_text, check, fast, ffi, lib, number, text
from .config import Config

__all__ = ["Cancel", "NativeGroup", "Runs"]

_LEAVE_MS = 1000

#: What one poll gives: kind, shard, and the events of a run of the same kind and shard.
Runs = list[tuple[int, int, Iterator[Message]]]


class Cancel:
    """What another thread gives up a join with, whether it has begun or not."""

    def __init__(self) -> None:
        self._set = False
        self._config: Config | None = None

    def attach(self, config: Config) -> None:
        """Join with this configuration."""
        self._config = config
        if self._set:
            config.cancel_join()

    def set(self) -> None:
        """Make the join return."""
        self._set = True
        if self._config is not None:
            self._config.cancel_join()

    def is_set(self) -> bool:
        """Whether it was given up."""
        return self._set


def _join(config: Config, timeout_ms: int) -> Any:
    handle = ffi.new("derecho_group **")
    check(lib.derecho_group_join(config.handle, timeout_ms, handle))
    return handle[0]


def _join_interruptibly(config: Config, timeout_ms: int) -> Any:
    """Join on another thread, so that Ctrl-C ends the wait on this one."""
    came: list[Any] = []
    done = threading.Event()  # interrupted, Thread.join() takes the thread for ended

    def join() -> None:
        try:
            came.append(_join(config, timeout_ms))
        except BaseException as error:
            came.append(error)
        done.set()

    threading.Thread(target=join, name="derecho-join", daemon=True).start()
    try:
        done.wait()
    except BaseException:
        config.cancel_join()
        done.wait()
        if not isinstance(came[0], BaseException):
            lib.derecho_group_leave(came[0], _LEAVE_MS)
            lib.derecho_group_close(came[0])
        raise
    if isinstance(came[0], BaseException):
        raise came[0]
    return came[0]


class NativeGroup:
    """One node's part in a group.

    Parameters
    ----------
    config : Config
        Copied.
    timeout_ms : int
        For joining.
    """

    def __init__(self, config: Config, timeout_ms: int) -> None:
        # Signals end waits of the main thread only.
        main = threading.current_thread() is threading.main_thread()
        handle = (_join_interruptibly if main else _join)(config, timeout_ms)
        self._handle: Any = handle
        self.number = number(self._handle)

    def poll(self, timeout_ns: int, backlog: Runs) -> None:
        """Add completions to `backlog`, waiting for the first without the GIL; driving the protocol meanwhile."""
        fast.poll(self.number, timeout_ns, backlog)

    def spill(self, limit: int) -> None:
        """Move messages that are kept, but not being looked at, out of the ring, until copies take `limit` bytes."""
        fast.spill(self.number, limit)

    def wake(self) -> None:
        """Make a `poll` on another thread return."""
        lib.derecho_wake(self._handle)

    def leave(self, timeout_ms: int) -> None:
        """Leave in good order."""
        check(lib.derecho_group_leave(self._handle, timeout_ms))

    def close(self) -> None:
        """Stop at once, as a crash would; a second time does nothing."""
        with contextlib.suppress(Closed):
            check(lib.derecho_group_close(self._handle))

    def fd(self) -> int:
        """Return the descriptor that is readable when `poll` has something; armed by a `poll` that had nothing."""
        out = ffi.new("int *")
        check(lib.derecho_group_fd(self._handle, out))
        return int(out[0])

    def view(self) -> tuple[int, int, list[tuple[int, str, bool, bool]], str]:
        """Return id, own rank, members ``(node, address, has_state, votes)`` and group of the view being given."""
        out = ffi.new("derecho_view *")
        out.struct_bytes = ffi.sizeof("derecho_view")
        check(lib.derecho_group_view(self._handle, out))
        members = [
            (
                m.node,
                text(m.address),
                bool(m.flags & lib.DERECHO_MEMBER_HAS_STATE),
                bool(m.flags & lib.DERECHO_MEMBER_VOTES),
            )
            for m in out.members[0 : out.member_count]
        ]
        return int(out.id), int(out.self_rank), members, text(out.group_id)

    def holdup(self, node: int | None) -> tuple[int, int, int, str]:
        """Return node, cause, milliseconds and sentence of a member that holds others up; cause 0 for nobody."""
        out = ffi.new("derecho_holdup *")
        out.struct_bytes = ffi.sizeof("derecho_holdup")
        check(lib.derecho_group_holdup(self._handle, lib.DERECHO_ANY_NODE if node is None else node, out))
        return int(out.node), int(out.cause), int(out.lasted_ms), text(out.text)

    def troubles(self) -> list[str]:
        """Return the sentences of what no call can report."""
        out = ffi.new("derecho_trouble *")
        found: list[str] = []
        while True:
            out.struct_bytes = ffi.sizeof("derecho_trouble")
            check(lib.derecho_group_trouble(self._handle, len(found), out))
            if len(found) >= int(out.count):
                return found
            found.append(text(out.text))

    def stats(self) -> dict[str, int]:
        """Return the running totals by name."""
        out = ffi.new("derecho_stats *")
        out.struct_bytes = ffi.sizeof("derecho_stats")
        check(lib.derecho_group_stats(self._handle, out))
        hidden = ("struct_bytes", "reserved")
        return {name: getattr(out, name) for name, _ in ffi.typeof("derecho_stats").fields if name not in hidden}

    def shard(self, service: str) -> int:
        """Return the shard of a service, as the number that `fast` takes."""
        out = ffi.new("derecho_shard **")
        check(lib.derecho_shard_open(self._handle, c_text(service), out))
        return number(out[0])

    def reply(self, node: int, call: int, status: int, parts: tuple[bytes | bytearray | memoryview, ...]) -> bool:
        """Answer a call or query; False when too many answers await that caller: poll, then retry."""
        return fast.reply(self.number, node, call, status, parts)

    def state_size(self, node: int, request: int, nbytes: int) -> None:
        """Tell a joiner how long its state will be."""
        check(lib.derecho_group_state_size(self._handle, node, request, nbytes))

    def state_fail(self, node: int, request: int, text: bytes) -> bool:
        """Tell a joiner why there will be none; False when there is no room: poll, then retry."""
        status = lib.derecho_group_state_fail(self._handle, node, request, text, len(text))
        if status == lib.DERECHO_AGAIN:
            return False
        check(status)
        return True

    def state(self, node: int, request: int, piece: memoryview, last: bool) -> bool:
        """Send a piece of the state; False when there is no room: poll, then retry."""
        return fast.state(self.number, node, request, piece, last)
