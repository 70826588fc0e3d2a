"""One member of the demo, a process of its own: ``python -m derecho.demo.member PARENT``, started by the supervisor.

It reads its task from standard input, one line of JSON, then commands, one a line: "report", "leave". It writes what
happens to standard output, an object a line. It ends with its supervisor, however that ends.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import derecho

from .files import digest
from .store import FileStore

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_WINDOW = 8  # calls under way
_PIECE_BYTES = 128 << 10
_REPORT_EVERY_S = 0.02
_DEADLINE_S = 30.0

_output = threading.Lock()


def tell(event: str, **fields: Any) -> None:
    """Write one line to the supervisor."""
    line = json.dumps({"event": event, "at": time.monotonic(), **fields})
    with _output:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def end_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent dies, and notice if that has happened already."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


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


def run(task: dict[str, Any]) -> None:
    """Join, send the share, then do what the supervisor asks."""
    store = FileStore()
    views: list[dict[str, Any]] = []

    def on_view(view: derecho.View) -> None:
        views.append({"id": view.id, "nodes": list(view.nodes)})
        tell("view", id=view.id, nodes=list(view.nodes))

    group = derecho.Group.join(
        [store],
        node=task["node"],
        listen=task["listen"],
        contacts=task["contacts"],
        group=task["group"],
        wire=task["wire"],
        timeout=_DEADLINE_S,
        on_view=on_view,
    )
    tell("joined", files=len(store.files), bytes=store.stored_bytes)
    threading.Thread(target=report_progress, args=(store,), daemon=True).start()
    group.wait_view(task["members"])
    share = Share(group, Path(task["root"]), task["paths"])
    share.send()
    tell("sent", **share.totals())
    for line in sys.stdin:
        if line.strip() == "report":
            tell(
                "report",
                files=len(store.files),
                bytes=store.stored_bytes,
                digest=digest(sorted(store.files.items())),
                views=views,
                **share.totals(),
            )
        elif line.strip() == "leave":
            break
    group.leave()


def main() -> None:
    """Do the task on the first line of standard input."""
    end_with_parent(int(sys.argv[1]))
    line = sys.stdin.readline()
    if not line:
        return
    try:
        run(json.loads(line))
    except (derecho.DerechoError, OSError) as error:
        tell("failed", text=f"{type(error).__name__}: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
