"""Answers and pieces of state that found no room, by destination, tried again whenever the group is driven."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from ._native import NativeGroup
from .codec.encode import Parts
from .errors import DerechoError, TooLarge
from .state import Piece, Saving

__all__ = ["Outbox", "error_parts", "error_text"]

_log = logging.getLogger("derecho")
_ANSWERS_MAX = 1 << 16  # for one node; the core holds back 64 MB more
_REMOTE_ERROR = 17
_ERROR_BYTES_MAX = 4096


def error_text(error: BaseException) -> str:
    """Return "Type: text" of any error, even of one whose text cannot be had."""
    try:
        text = str(error)
        if isinstance(error, KeyError):  # str() of it is the key's repr alone: keep what Python shows
            text = str(error.args[0]) if len(error.args) == 1 else text
    except BaseException as second:
        text = f"(no text: str() of it raised {type(second).__name__})"
    return f"{type(error).__name__}: {text}"


def error_parts(error: BaseException) -> Parts:
    """What a caller is told of a failure."""
    return (error_text(error).encode("utf-8", "replace")[:_ERROR_BYTES_MAX],)


class _Answer:
    def __init__(self, call: int, status: int, parts: Parts) -> None:
        self.call = call
        self.status = status
        self.parts = parts

    def send(self, native: NativeGroup, node: int) -> bool:
        try:
            return native.reply(node, self.call, self.status, self.parts)
        except TooLarge as error:  # found late, but its caller still waits
            self.status, self.parts = _REMOTE_ERROR, error_parts(error)
            return native.reply(node, self.call, self.status, self.parts)


class _State:
    def __init__(self, request: int, saving: Saving, piece_bytes: int, done: Callable[[], None]) -> None:
        self.request = request
        self.saving = saving
        self.done = done
        self.piece_bytes = piece_bytes
        self.announced = saving.nbytes is None
        self.piece = memoryview(b"")  # due
        self.over = False  # there are no more of them
        self.failed: Parts | None = None

    def send(self, native: NativeGroup, node: int) -> bool:
        if not self.announced:
            native.state_size(node, self.request, self.saving.nbytes or 0)
            self.announced = True
        while True:
            if not self.piece and not self.over:
                self._next()
            if self.failed is not None:
                return native.state_fail(node, self.request, bytes(self.failed[0]))
            piece = self.piece[: self.piece_bytes]
            last = self.over and len(piece) == len(self.piece)
            if not native.state(node, self.request, piece, last):
                return False
            self.piece = self.piece[len(piece) :]
            if last:
                return True

    def give_up(self, error: BaseException) -> None:
        """Tell the joiner that there is no more of it, and why."""
        self.over, self.failed = True, error_parts(error)

    def _next(self) -> None:
        """Take the next piece, or so many of them that are small."""
        parts: list[Piece] = []
        size = 0
        try:
            while size < self.piece_bytes:
                parts.append(next(self.saving.pieces))
                size += len(parts[-1])
        except StopIteration:
            self.over = True
        except Exception as error:
            _log.exception("the state cannot be saved")
            self.give_up(error)
        self.piece = memoryview(parts[0] if len(parts) == 1 else b"".join(parts))
        if self.over:
            self.done()


class Outbox:
    """Sends what can be sent, in order for each node, and keeps the rest.

    Parameters
    ----------
    native : NativeGroup
        The group.
    piece_bytes : int
        Most bytes in a piece of state.
    """

    def __init__(self, native: NativeGroup, piece_bytes: int) -> None:
        self._native = native
        self._piece_bytes = piece_bytes
        self._waiting: dict[int, deque[_Answer | _State]] = {}

    def answer(self, node: int, call: int, status: int, parts: Parts) -> None:
        """Answer a call or query of `node`."""
        if node not in self._waiting and self._native.reply(node, call, status, parts):
            return
        self._keep(node, _Answer(call, status, parts))

    def state(self, node: int, request: int, saving: Saving, done: Callable[[], None] = lambda: None) -> None:
        """Send the state to a joiner, as its pieces are made; `done` is called when the last one was."""
        self._keep(node, _State(request, saving, self._piece_bytes, done))
        self.retry()

    def no_state(self, node: int, request: int, error: BaseException) -> None:
        """Tell a joiner why there will be none."""
        failed = _State(request, Saving(iter(()), False, None), self._piece_bytes, lambda: None)
        failed.give_up(error)
        self._keep(node, failed)
        self.retry()

    @property
    def gives_state(self) -> bool:
        """Whether a state is on its way."""
        return any(isinstance(entry, _State) for queue in self._waiting.values() for entry in queue)

    def retry(self) -> bool:
        """Send again; return whether something is left."""
        if not self._waiting:
            return False
        for node, queue in list(self._waiting.items()):
            try:
                while queue and queue[0].send(self._native, node):
                    queue.popleft()
            except DerechoError as error:  # the joiner went, or the group ended: nothing more can be done for it
                _log.warning("what was meant for member %d is dropped: %s", node, error)
                dropped = queue.popleft()
                if isinstance(dropped, _State) and not dropped.over:
                    dropped.done()
            except BaseException as error:  # out of a signal's handler: whether the piece was sent, nobody knows
                if queue and isinstance(queue[0], _State):
                    queue[0].give_up(error)
                raise
            if not queue:
                del self._waiting[node]
        return bool(self._waiting)

    def _keep(self, node: int, entry: _Answer | _State) -> None:
        queue = self._waiting.setdefault(node, deque())
        if len(queue) >= _ANSWERS_MAX:
            _log.error("member %d does not take its answers: %d wait, one more is dropped", node, len(queue))
            return
        queue.append(entry)
