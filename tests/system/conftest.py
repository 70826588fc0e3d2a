"""Members as real processes, for tests of what a user sees: on the terminal, in time, and of what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0  # for what takes well under a second on an idle machine
MEMBER = Path(__file__).with_name("member.py")
OF_MEMBERS = {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONUNBUFFERED": "1"}


class MemberFailed(AssertionError):
    """A member answered with an exception.

    Attributes
    ----------
    kind : str
        The name of its type.
    text : str
        What it said.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


class Member:
    """One process that runs member.py, spoken to in lines of JSON. Its stderr is kept: see `printed`.

    `under` is a command that runs it, such as ``("env", "DERECHO_LOG=info")``: one that becomes what it runs.
    """

    def __init__(self, folder: Path, node: int, *, under: Sequence[str] = (), **options: Any) -> None:
        self.node = node
        self.options = options
        self.address = ""
        self._stderr = folder / f"member-{node}-{time.monotonic_ns()}.stderr"
        self._forgotten = 0
        command = [*under, sys.executable, str(MEMBER)]
        with self._stderr.open("wb") as stderr:
            self.child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=os.environ | OF_MEMBERS
            )
        self._buffer = b""

    def join(self, **options: Any) -> Member:
        """Let it join; `address` is then where the others reach it."""
        self.send("join", node=self.node, **(self.options | options))
        return self.joined()

    def joined(self) -> Member:
        """Take the answer of a join that was sent."""
        self.address = self.answer()
        return self

    def send(self, do: str, **arguments: Any) -> None:
        """Give it a command, without waiting for the answer."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps({"do": do} | arguments).encode() + b"\n")
        self.child.stdin.flush()

    def answer(self, timeout: float = PATIENCE_S) -> Any:
        """Take one answer; `MemberFailed` for an exception over there."""
        answer = json.loads(self.line(timeout))
        if "error" in answer:
            raise MemberFailed(*answer["error"])
        return answer["result"]

    def ask(self, do: str, **arguments: Any) -> Any:
        """Give it a command and take the answer."""
        self.send(do, **arguments)
        return self.answer()

    def line(self, timeout: float = PATIENCE_S) -> bytes:
        """Take one line of its stdout."""
        assert self.child.stdout is not None
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self.child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                assert selector.select(deadline - time.monotonic()), f"node {self.node}: no answer in {timeout:g} s"
                chunk = os.read(self.child.stdout.fileno(), 1 << 16)
                assert chunk, f"node {self.node} ended with code {self.child.wait(10)}: {self.printed()}"
                self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; wait for the end if it ends."""
        self.child.send_signal(how)
        if how == signal.SIGKILL:
            self.child.wait()

    def printed(self) -> str:
        """Return what it has written to stderr."""
        return self._stderr.read_bytes()[self._forgotten :].decode(errors="replace")

    def forget_printed(self) -> None:
        """Let `printed` begin here."""
        self._forgotten = self._stderr.stat().st_size

    def end(self) -> None:
        """Whatever state it is in, it is gone afterwards."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        for stream in (self.child.stdin, self.child.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


StartMember = Callable[..., Member]


@pytest.fixture
def environment() -> dict[str, str]:
    """What a Python process needs to import the derecho under test."""
    return os.environ | OF_MEMBERS


@pytest.fixture
def start(tmp_path: Path) -> Iterator[StartMember]:
    """Start members: ``start(node, **options)`` makes the process, its ``join()`` joins."""
    started: list[Member] = []

    def make(node: int, **options: Any) -> Member:
        started.append(Member(tmp_path, node, **options))
        return started[-1]

    yield make
    for member in started:
        member.end()


@pytest.fixture
def trio(start: StartMember) -> Callable[..., list[Member]]:
    """Three members of one group, each of which sees all."""

    def make(**options: Any) -> list[Member]:
        members = [start(node, **options) for node in (1, 2, 3)]
        members[0].join(found=True)
        for member in members[1:]:
            member.join(contacts=[members[0].address])
        for member in members:
            member.ask("wait_view", nodes=[1, 2, 3])
        return members

    return make
