"""One member of the demo in Python, a process of its own: ``python -m derecho.demo.member``, started by the supervisor.

What it reads and writes is in members/README.md.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import derecho

from .files import digest
from .store import FileStore

__all__ = ["main"]

_WINDOW = 8  # calls under way
_PIECE_BYTES = 128 << 10
_REPORT_EVERY_S = 0.02
_DEADLINE_S = 30.0

_output = threading.Lock()


def tell(event: str, **fields: Any) -> None:
    """Write one line to the supervisor."""
    line = json.dumps({"event": event, **fields})
    with _output:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


class Share:
    """Sends this member's files, some calls ahead, and measures each call until every member has answered."""

    def __init__(self, group: derecho.Group, root: Path, paths: list[str]) -> None:
        self.store = group[FileStore]
        self.local = group.local(FileStore)
        self.root = root
        self.paths = paths
        self.sent_bytes = 0
        self.sent_files = 0
        self.seconds = 0.0
        self.latencies: list[float] = []
        self._under_way: deque[derecho.Replies[bool]] = deque()

    def send(self) -> None:
        """Send every file that the replica does not have yet; return when every member has all of them."""
        started = time.perf_counter()
        for path in self.paths:
            if path in self.local.files:  # the state came with it
                continue
            content = (self.root / path).read_bytes()
            count = max(1, -(-len(content) // _PIECE_BYTES))
            for index in range(count):
                self._call(path, index, count, content[index * _PIECE_BYTES : (index + 1) * _PIECE_BYTES])
            self.sent_files += 1
            self.sent_bytes += len(content)
        while self._under_way:
            self._under_way.popleft().all(_DEADLINE_S)
        self.seconds = time.perf_counter() - started

    def _call(self, path: str, index: int, count: int, piece: bytes) -> None:
        while len(self._under_way) >= _WINDOW:
            self._under_way.popleft().all(_DEADLINE_S)
        began = time.perf_counter()
        replies = self.store.put(path, index, count, piece)
        replies.everyone.add_done_callback(lambda _: self.latencies.append(time.perf_counter() - began))
        self._under_way.append(replies)

    def totals(self) -> dict[str, Any]:
        """What the final table shows of it."""
        ordered = sorted(self.latencies)

        def at(share: float) -> float | None:
            return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else None

        return {
            "sent_files": self.sent_files,
            "sent_bytes": self.sent_bytes,
            "seconds": self.seconds,
            "calls": len(ordered),
            "p50_s": at(0.5),
            "p99_s": at(0.99),
        }


def report_progress(store: FileStore) -> None:
    """Tell how much the replica has, as long as the process lives."""
    last = -1
    while True:
        if store.stored_bytes != last:
            last = store.stored_bytes
            tell("progress", stored_bytes=last)
        time.sleep(_REPORT_EVERY_S)


class Member:
    """Does what standard input says, a method a line."""

    def __init__(self) -> None:
        self.store = FileStore()
        self.paths: list[str] = []
        self.task: list[str] = []
        self.group: derecho.Group | None = None

    def member(self, *task: str) -> None:
        """Who to be."""
        self.task = list(task)

    def path(self, path: str) -> None:
        """A file of this member's share."""
        self.paths.append(path)

    def go(self) -> None:
        """Join and send the share, while the main thread goes on reading."""
        threading.Thread(target=self._run, daemon=True).start()

    def report(self) -> None:
        """Tell what the replica holds."""
        files = self.store.files
        tell("report", files=len(files), bytes=self.store.stored_bytes, digest=digest(sorted(files.items())))

    def leave(self) -> None:
        """Leave, and end."""
        if self.group is not None:
            self.group.leave()
        os._exit(0)

    def _run(self) -> None:
        try:
            self._join_and_send()
        except (derecho.DerechoError, OSError) as error:
            tell("failed", text=f"{type(error).__name__}: {error}")
            os._exit(1)

    def _join_and_send(self) -> None:
        node, listen, addresses, name, wire, members, root = self.task
        self.group = derecho.Group.join(
            [self.store],
            node=int(node),
            listen=listen,
            initial_members=addresses.split(","),
            group=name,
            wire=wire,
            timeout=_DEADLINE_S,
            on_view=lambda view: tell("view", id=view.id, nodes=list(view.nodes)),
        )
        tell("joined", files=len(self.store.files), bytes=self.store.stored_bytes)
        threading.Thread(target=report_progress, args=(self.store,), daemon=True).start()
        self.group.wait_view(int(members))
        share = Share(self.group, Path(root), self.paths)
        share.send()
        tell("sent", **share.totals())


def main() -> None:
    """Read lines until the supervisor is gone."""
    member = Member()
    for line in sys.stdin:
        what, *words = line.split()
        getattr(member, what)(*map(unquote, words))
    os._exit(1)


if __name__ == "__main__":
    main()
