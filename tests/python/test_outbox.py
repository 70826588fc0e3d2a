"""Answers that wait for room, to a member that takes what a test lets it take."""

from __future__ import annotations

from typing import Any, cast

from derecho.errors import TooLarge
from derecho.outbox import Outbox

_OK, _REMOTE_ERROR = 0, 17


class Mail:
    """Full at first; takes 100 bytes an answer."""

    def __init__(self) -> None:
        self.full = True
        self.taken: list[tuple[int, int, bytes]] = []

    def reply(self, node: int, call: int, status: int, parts: tuple[bytes, ...]) -> bool:
        data = b"".join(parts)
        if self.full:
            return False
        if len(data) > 100:
            raise TooLarge(f"{len(data)} bytes are too many")
        self.taken.append((call, status, data))
        return True


def test_a_too_large_answer_queued_behind_others_is_told_to_its_caller() -> None:
    mail = Mail()
    outbox = Outbox(cast(Any, mail), 100)
    outbox.answer(1, 1, _OK, (b"first",))
    outbox.answer(1, 2, _OK, (b"x" * 200,))
    outbox.answer(1, 3, _OK, (b"last",))
    mail.full = False
    assert not outbox.retry()
    told = b"TooLarge: 200 bytes are too many"
    assert mail.taken == [(1, _OK, b"first"), (2, _REMOTE_ERROR, told), (3, _OK, b"last")]
