"""A member under test, in a process of its own; conftest.Member speaks to it in lines of JSON. Not a test."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

import derecho

PATIENCE_S = 60.0


@derecho.service
class Ledger:
    """A list that must be the same at every member, and bytes that make its state as large as wanted."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.ballast = b""
        self.pause_s = 0.0
        self.pauses = 0  # that are left

    @derecho.ordered
    def add(self, entry: str) -> int:
        if self.pause_s and self.pauses:
            self.pauses -= 1
            time.sleep(self.pause_s)
        self.entries.append(entry)
        return len(self.entries)

    @derecho.ordered
    def load(self, nbytes: int) -> int:
        self.ballast = bytes(nbytes)
        return nbytes

    @derecho.query
    def count(self) -> int:
        return len(self.entries)


class Member:
    """The commands."""

    def join(self, **options: Any) -> str:
        options = {"listen": "127.0.0.1:0", "timeout": PATIENCE_S} | options
        self.ledger = Ledger()
        self.group = derecho.join([self.ledger], **options)
        return next((m.address for m in self.group.view.members if m.node == self.group.node), "")

    def wait_view(self, nodes: Any) -> list[int]:
        return list(self.group.wait_view(nodes, PATIENCE_S).nodes)

    def group_id(self) -> str:
        return self.group.view.group_id

    def view(self) -> list[int]:
        return list(self.group.view.nodes)

    def add(self, entry: str, timeout: float = PATIENCE_S) -> list[int]:
        """Add an entry; return who has applied it."""
        return sorted(self.group[Ledger].add(entry).all(timeout))

    def add_many(self, prefix: str, count: int) -> None:
        replies = [self.group[Ledger].add(f"{prefix}{i}") for i in range(count)]
        for reply in replies:
            reply.all(PATIENCE_S)

    def flood(self, seconds: float = float("inf")) -> None:
        """Add until the group ends, and say why it did; or for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.group[Ledger].add("flood").result(PATIENCE_S)

    def fill(self, entry: str, timeout: float, count: int = 1_000_000) -> int:
        """Add without waiting for answers, until there is no room for so long, or so many are sent."""
        self.group._engine.timeout = timeout
        for _ in range(count):
            self.group[Ledger].add(entry)
        return count

    def holdup(self) -> list[Any] | None:
        found = self.group.holdup()
        return [found.node, found.cause] if found else None

    def load(self, nbytes: int) -> None:
        self.group[Ledger].load(nbytes).all(PATIENCE_S)

    def hoard_descriptors(self, but: int = 0) -> None:
        """Take all descriptors that this process may have, but so many."""
        self.hoard = []
        with contextlib.suppress(OSError):
            while True:
                self.hoard.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(but):
            os.close(self.hoard.pop())

    def freeze_memory(self) -> None:
        """Let this process have no more address space than it has."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (256 << 10), resource.RLIM_INFINITY))

    def pause(self, seconds: float, times: int = 1_000_000) -> None:
        """Let the handler of `add` take so long, so many times."""
        self.ledger.pause_s = seconds
        self.ledger.pauses = times

    def count_at(self, node: int) -> int:
        return self.group[Ledger].count.at(node).result(PATIENCE_S)

    def entries(self) -> list[str]:
        return list(self.ledger.entries)

    def ballast(self) -> int:
        return len(self.ledger.ballast)

    def wait_end(self) -> list[str]:
        """Wait until the group ends for this node; return the exception's type and text."""
        deadline = time.monotonic() + PATIENCE_S
        while self.group.ended is None:
            assert time.monotonic() < deadline, "the group did not end"
            self.group.drive(0.05)
        return [type(self.group.ended).__name__, str(self.group.ended)]

    def ended(self) -> bool:
        return self.group.ended is not None

    def leave(self) -> None:
        self.group.leave(PATIENCE_S)

    def close(self) -> None:
        if hasattr(self, "group"):
            self.group.close()

    def kill_joiners(self, first_node: int, delays_ms: list[float], **options: Any) -> int:
        """Fork processes that join, and kill each after its delay, the last one as soon as it is a member.

        Return how many of them had become members.

        Only in a process that has not joined itself: a fork has none of its threads.
        """
        became = 0
        for i, delay_ms in enumerate(delays_ms):
            reader, writer = os.pipe()
            child = os.fork()
            if child == 0:
                with contextlib.suppress(BaseException):
                    group = derecho.join([Ledger()], node=first_node + i, listen="127.0.0.1:0", **options)
                    os.write(writer, b"x")
                    group.wait_view(99, PATIENCE_S)
                os._exit(1)
            os.close(writer)
            time.sleep(delay_ms / 1000)
            if delay_ms == delays_ms[-1]:
                became += len(os.read(reader, 1))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            became += len(os.read(reader, 1))
            os.close(reader)
        return became

    def run(self, program: str, **names: Any) -> Any:
        """Run a Python file in this process, with this object as `member`; return what it calls `result`."""
        return runpy.run_path(program, names | {"member": self}).get("result")

    def memory_bytes(self) -> int:
        return self.group.stats()["memory_bytes"]

    def footprint(self) -> dict[str, int]:
        """Return what may leak: descriptors, threads, mappings, resident kilobytes."""
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return {
            "descriptors": len(os.listdir("/proc/self/fd")),
            "threads": int(status["Threads"]),
            "mappings": len(Path("/proc/self/maps").read_text().splitlines()),
            "kilobytes": int(status["VmRSS"].split()[0]),
        }


def main() -> None:
    """Obey until stdin ends."""
    member = Member()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = {"result": getattr(member, command.pop("do"))(**command)}
        except Exception as error:
            answer = {"error": [type(error).__name__, str(error)]}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
