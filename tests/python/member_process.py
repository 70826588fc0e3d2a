"""A member under test, in a process of its own; conftest.Process speaks to it. Not a test."""

from __future__ import annotations

import json
import sys
import traceback
from typing import Any

import numpy

import derecho


@derecho.service
class Ledger:
    """Every member's list must come out the same."""

    def __init__(self) -> None:
        self.entries: list[str] = []

    @derecho.ordered
    def add(self, entry: str) -> int:
        self.entries.append(entry)
        return len(self.entries)

    @derecho.query
    def get(self) -> list[str]:
        return self.entries


class Member:
    def join(self, **options: Any) -> str:
        self.group = derecho.Group.join([Ledger()], timeout=20.0, listen="127.0.0.1:0", **options)
        self.ledger = self.group[Ledger]
        return self.address()

    def address(self) -> str:
        return next(m.address for m in self.group.view.members if m.node == self.group.node)

    def wait_view(self, nodes: Any) -> list[int]:
        return list(self.group.wait_view(nodes, 20.0).nodes)

    def add_many(self, prefix: str, count: int) -> dict[str, int]:
        """Add entries, several under way; return how many members answered the last call."""
        replies = [self.ledger.add(f"{prefix}{i}") for i in range(count)]
        for reply in replies:
            answers = reply.all(20.0)
        return {str(node): value for node, value in answers.items()}

    def entries(self) -> list[str]:
        return list(self.group.local(Ledger).entries)

    def register(self, size: int, node: int) -> str:
        """Register memory; return the key that opens it to a node."""
        self.bytes = bytearray(size)
        return self.group.register(self.bytes, read=True, write=True).key_for(node).hex()

    def sum_of_memory(self) -> int:
        return sum(self.bytes) % 65521

    def begin_writes(self, node: int, key: str, size: int, seed: int, times: int) -> None:
        """Begin to write random bytes to a member's memory, so many times."""
        data = numpy.random.default_rng(seed).bytes(size)
        self.transfers = [self.group.write(node, bytes.fromhex(key), 0, data) for _ in range(times)]

    def end_writes(self) -> list[int | str]:
        """Return what each came to."""
        errors = [transfer.exception(20.0) for transfer in self.transfers]
        return [str(e) if e else t.result() for e, t in zip(errors, self.transfers, strict=True)]

    def leave(self) -> None:
        self.group.leave()


def main() -> None:
    member = Member()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"result": getattr(member, command.pop("do"))(**command)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
