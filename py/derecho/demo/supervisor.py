"""Starts the members, kills one midway, has a fresh one take over, and compares what they hold with the disk.

Each member is a child process, in whatever language, spoken to in lines (members/README.md). Whatever happens, no child
outlives the supervisor: it kills them on its way out, and they end with their standard input should it have no way out.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from .files import digest_of_tree, find_files
from .launchers import LANGUAGES, Launcher
from .probe import Probe

__all__ = ["NAMES", "Demo", "DemoError", "MemberProcess"]

#: Of the members, in order of their node ids (from 1); the one after the last is the fresh member.
NAMES = (
    "ann",
    "bob",
    "cleo",
    "dan",
    "eve",
    "fay",
    "gus",
    "hal",
    "ida",
    "jan",
    "kim",
    "leo",
    "mia",
    "ned",
    "oda",
    "pat",
)


_PLAIN = "/,:.-_"  # besides letters and digits: not escaped in a line


class DemoError(Exception):
    """The demo could not be carried out; the text says why."""


@dataclass
class MemberProcess:
    """One member as the supervisor sees it."""

    name: str
    language: str
    node: int
    address: str
    paths: list[str]
    process: subprocess.Popen[str]
    errors: IO[str]
    alive: bool = True
    stored_bytes: int = 0
    views: list[dict[str, Any]] = field(default_factory=list)
    joined: dict[str, Any] | None = None
    sent: dict[str, Any] | None = None
    report: dict[str, Any] | None = None

    @property
    def nodes(self) -> list[int]:
        """Who is in its latest view, by node id."""
        return sorted(self.views[-1]["nodes"]) if self.views else []

    def tell(self, *words: object) -> None:
        """Write a line to it; a member that is gone is noticed elsewhere."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(" ".join(quote(str(word), safe=_PLAIN) for word in words) + "\n")
            self.process.stdin.flush()


class Demo:
    """One run.

    Parameters
    ----------
    root : Path
        The tree of files.
    launchers : sequence of Launcher
        Of the members that begin, and at the end that of the fresh one.
    kill : str or None
        Who is killed when half of the bytes are stored.
    wire : str
        ``"auto"``, ``"shm"``, ``"tcp"`` or ``"verbs"``.
    tick : callable
        Called with the demo whenever something happened.
    say : callable
        Called with a sentence for each turn of events.
    deadline_s : float
        After which it fails.
    """

    def __init__(
        self,
        root: Path,
        launchers: Sequence[Launcher],
        kill: str | None,
        wire: str,
        tick: Callable[[Demo], None],
        say: Callable[[str], None],
        deadline_s: float,
    ) -> None:
        self.root = root
        self.count = len(launchers) - 1
        self._launchers = launchers
        self.kill = kill
        self.wire = wire
        self.files = find_files(root)
        self.total_bytes = sum(self.files.values())
        self.members: list[MemberProcess] = []
        self.started = time.monotonic()
        self.seconds = 0.0
        self.kill_to_view_ms: float | None = None
        self.bytes_per_s: float | None = None  # of all together, from the first file to the last of those who began
        self._flow: tuple[float, int] | None = None  # when it began, and what there was
        self._probe: Probe | None = None
        self._tick = tick
        self._say = say
        self._deadline = self.started + deadline_s
        self._killed_at = 0.0
        self._lines: queue.Queue[tuple[MemberProcess, dict[str, Any] | None]] = queue.Queue()
        self._group = f"demo-{os.getpid()}"

    # ---------------------------------------------------------------------------------------- the course of it

    def run(self) -> dict[str, Any]:
        """Carry it out.

        Returns
        -------
        dict
            What `derecho demo --json` prints; ``"equal"`` says whether every replica equals the disk.

        Raises
        ------
        DemoError
            When a member failed or the deadline passed, with what the members had to say.
        """
        if not self.files:
            raise DemoError(f"{self.root} has no files")
        try:
            addresses = free_addresses(self.count + 1)
            names = NAMES[: self.count]
            for i, name in enumerate(names):
                self._start(name, i + 1, addresses[i], addresses[: self.count], list(self.files)[i :: self.count])
            self._until(lambda: all(m.joined for m in self.members), "every member to join")
            self._probe = Probe(addresses[: self.count], self._group, self.wire)
            if self.kill is not None:
                self._until(lambda: self._stored() * 2 >= self.total_bytes, "half of the bytes to be stored")
                self._replace(self.kill, addresses)
            self._until(lambda: all(m.sent for m in self._alive()), "every share to be sent")
            self.seconds = time.monotonic() - self.started
            self._probe.end()
            return self._compare()
        finally:
            self._end()

    def _replace(self, name: str, addresses: list[str]) -> None:
        victim = next(m for m in self.members if m.name == name)
        victim.alive = False
        self._killed_at = time.monotonic()
        victim.process.kill()
        done = "after it had sent its share" if victim.sent else "in the middle of its share"
        self._say(f"kill -9 {name} (node {victim.node}, {LANGUAGES[victim.language]}), {done}")
        survivors = [m.node for m in self._alive()]
        self._until(
            lambda: all(sorted(m.views[-1]["nodes"]) == survivors for m in self._alive()), "a view of the survivors"
        )
        self._say(f"the survivors went on in view {self._alive()[0].views[-1]['id']}")
        fresh = NAMES[self.count]
        contacts = [m.address for m in self._alive()]
        self._start(fresh, self.count + 1, addresses[self.count], contacts, victim.paths)
        self._until(lambda: self.members[-1].joined is not None, f"{fresh} to join")
        joined = self.members[-1].joined
        assert joined is not None
        self._say(
            f"{fresh} (node {self.count + 1}, {LANGUAGES[self.members[-1].language]}) joined, received "
            f"{joined['files']} files ({joined['bytes'] / 1e6:.1f} MB) as state, and takes over {name}'s share"
        )

    def _compare(self) -> dict[str, Any]:
        for member in self._alive():
            member.tell("report")
        self._until(lambda: all(m.report for m in self._alive()), "the members' reports")
        disk = digest_of_tree(self.root, self.files)
        rows = [self._row(m, disk) for m in self.members]
        return {
            "root": str(self.root),
            "wire": self.wire,
            "files": len(self.files),
            "bytes": self.total_bytes,
            "seconds": self.seconds,
            "bytes_per_s": self.bytes_per_s,
            "query_p50_us": self._probe.p50_us() if self._probe else None,
            "disk_sha256": disk,
            "killed": self.kill,
            "kill_to_view_ms": self.kill_to_view_ms,
            "members": rows,
            "equal": all(r["equal"] for r in rows if not r["killed"]),
        }

    def _row(self, member: MemberProcess, disk: str) -> dict[str, Any]:
        report, sent = member.report or {}, member.sent or {}
        seconds = sent.get("seconds") or 0.0
        return {
            "name": member.name,
            "language": LANGUAGES[member.language],
            "node": member.node,
            "killed": not member.alive,
            "views": member.views,
            "files": report.get("files"),
            "bytes": report.get("bytes"),
            "sent_files": sent.get("sent_files"),
            "sent_bytes": sent.get("sent_bytes"),
            "bytes_per_s": sent["sent_bytes"] / seconds if seconds else None,
            "calls": sent.get("calls"),
            "piece_p50_us": _micro(sent.get("p50_s")),
            "piece_p99_us": _micro(sent.get("p99_s")),
            "sha256": report.get("digest"),
            "equal": report.get("digest") == disk,
        }

    # ---------------------------------------------------------------------------------------- members

    def _start(self, name: str, node: int, address: str, contacts: list[str], paths: list[str]) -> None:
        errors = tempfile.TemporaryFile("w+", prefix="derecho-demo-")  # noqa: SIM115 - closed in _end
        launcher = self._launchers[node - 1]
        process = subprocess.Popen(
            launcher.command,
            env=os.environ | launcher.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        member = MemberProcess(name, launcher.language, node, address, paths, process, errors)
        self.members.append(member)
        threading.Thread(target=self._listen, args=(member,), daemon=True).start()
        member.tell("member", node, address, ",".join(contacts), self._group, self.wire, self.count, self.root)
        for path in paths:
            member.tell("path", path)
        member.tell("go")

    def _listen(self, member: MemberProcess) -> None:
        assert member.process.stdout is not None
        for line in member.process.stdout:
            try:
                self._lines.put((member, json.loads(line)))
            except json.JSONDecodeError:  # cut off by kill -9
                break
        self._lines.put((member, None))

    def _until(self, done: Callable[[], bool], what: str) -> None:
        while not done():
            left = self._deadline - time.monotonic()
            if left <= 0:
                raise DemoError(f"waited in vain for {what}\n{self._last_words()}")
            with contextlib.suppress(queue.Empty):
                self._take(*self._lines.get(timeout=min(left, 0.05)))
            self._tick(self)

    def _take(self, member: MemberProcess, line: dict[str, Any] | None) -> None:
        if line is None or line["event"] == "failed":
            if member.alive:
                text = line["text"] if line else f"ended with code {member.process.wait(5)}"
                raise DemoError(f"{member.name} (node {member.node}) {text}\n{self._last_words()}")
            return
        event = line["event"]
        if event == "progress":
            member.stored_bytes = line["stored_bytes"]
            if self._flow is None and member.stored_bytes > 0:
                self._flow = time.monotonic(), member.stored_bytes
        elif event == "view":
            member.views.append({"id": line["id"], "nodes": line["nodes"]})
            if self._killed_at and self.kill_to_view_ms is None:
                self.kill_to_view_ms = (time.monotonic() - self._killed_at) * 1e3
        elif event == "joined":
            member.joined = line
        elif event == "sent":
            member.sent = line
            self._measure_flow()
        elif event == "report":
            member.report = line

    def _measure_flow(self) -> None:
        """When those who began have sent everything: what all replicas got since the first file, per second."""
        if self._flow is None or self.bytes_per_s is not None:
            return
        began, before = self._flow
        seconds = time.monotonic() - began
        if seconds > 0 and all(m.sent for m in self.members[: self.count] if m.alive):
            self.bytes_per_s = max(0, self._stored() - before) / seconds

    def _alive(self) -> list[MemberProcess]:
        return [m for m in self.members if m.alive]

    def _stored(self) -> int:
        return max((m.stored_bytes for m in self._alive()), default=0)

    @property
    def stored_bytes(self) -> int:
        """What the fullest living replica holds."""
        return self._stored()

    @property
    def view(self) -> dict[str, Any] | None:
        """The newest view that any member has told of."""
        views = [m.views[-1] for m in self._alive() if m.views]
        return max(views, key=lambda v: int(v["id"]), default=None)

    def _last_words(self) -> str:
        words = []
        for member in self.members:
            member.errors.seek(0)
            text = member.errors.read().strip()
            if text:
                words.append(f"--- {member.name} wrote:\n{text[-2000:]}")
        return "\n".join(words)

    def _end(self) -> None:
        if self._probe is not None:
            self._probe.end()
        for member in self.members:
            if member.process.poll() is None and member.report is not None:
                member.tell("leave")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    member.process.wait(5)
        for member in self.members:
            if member.process.poll() is None:
                member.process.kill()
            member.process.wait()
            for stream in (member.process.stdin, member.process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()
            member.errors.close()


def _micro(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e6


def free_addresses(count: int) -> list[str]:
    """Return addresses on the loopback that nobody listens at just now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    finally:
        for s in sockets:
            s.close()
