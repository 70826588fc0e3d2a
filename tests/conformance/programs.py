"""Builds, starts and talks to the programs of all languages; whatever is waited for has a deadline that names it."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from languages import ROOT, Program, installed
from words import from_word, to_word

__all__ = ["BuildError", "Member", "MemberError", "build", "environment", "run"]

_BUILD_S = 300.0
_SCRIPT_S = 60.0
_LINE_S = 30.0
_END_S = 10.0


def environment() -> dict[str, str]:
    """What programs need to find the library, or the package, under test.

    Nodes remember nothing of their groups: a script founds one after the other at the same addresses.
    """
    path = os.pathsep.join(p for p in sys.path if p)
    library = str(next((installed() / "_native").glob("libderecho.so.*")))
    return os.environ | {"PYTHONPATH": path, "DERECHO_LIBRARY": library, "XDG_STATE_HOME": "/dev/null"}


class BuildError(Exception):
    """A program could not be built; what its compiler said."""


def build(program: Program, out: Path) -> list[str]:
    """Build a program into a folder; return the command that starts it."""

    def fill(argv: Sequence[str]) -> list[str]:
        return [a.format(root=ROOT, installed=installed(), out=out) for a in argv]

    for argv in program.build:
        command = fill(argv)
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_S, env=environment())
        if done.returncode != 0:
            raise BuildError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return fill(program.argv)


def run(command: list[str], script: Path, **more: Any) -> tuple[list[str], str]:
    """Run an executor; return the lines of its standard output, and its standard error."""
    more = {"env": environment()} | more
    child = subprocess.Popen([*command, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    try:
        output, error = child.communicate(timeout=_SCRIPT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        output, _ = child.communicate()
        lines = script.read_text(encoding="utf-8").split("\n")
        raise AssertionError(f"no end after {_SCRIPT_S:g} s, at: {lines[output.count(chr(10))]}") from None
    assert child.returncode == 0, f"ended with {child.returncode} after {output.count(chr(10))} steps: {error}"
    return output.split("\n")[:-1], error


class MemberError(Exception):
    """A member answered ``error``; its parts are the exception's arguments."""


class Member:
    """A member program, spoken to in lines; killed at the end of a ``with``."""

    def __init__(self, name: str, command: list[str], stderr: Path) -> None:
        self.name = name
        self._stderr = stderr
        with stderr.open("wb") as file:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, env=environment()
            )
        self._unread = b""
        self._asked: list[str] = []

    def __enter__(self) -> Member:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        for stream in (self._child.stdin, self._child.stdout):
            assert stream is not None
            stream.close()

    def send(self, *words: object) -> None:
        """Give it a line, without waiting for the answer."""
        assert self._child.stdin is not None
        line = " ".join([str(words[0]), *map(to_word, words[1:])])
        self._asked.append(line[:200])
        self._child.stdin.write(line.encode() + b"\n")
        self._child.stdin.flush()

    def answer(self, timeout_s: float = _LINE_S) -> list[str]:
        """Take an answer: what follows ``ok``, or ``["skip"]``.

        Raises
        ------
        MemberError
            With what follows ``error``.
        """
        asked = self._asked.pop(0)
        word, *parts = self._line(asked, timeout_s).split(" ")
        values = [from_word(part) for part in parts]
        if word == "error":
            raise MemberError(*values)
        assert word in ("ok", "skip"), f"{self.name}: {asked}: neither ok, skip nor error: {word}"
        return values if word == "ok" else [word]

    def ask(self, *words: object, timeout_s: float = _LINE_S) -> list[str]:
        """Give it a line, and take the answer."""
        self.send(*words)
        return self.answer(timeout_s)

    def end(self) -> None:
        """Close its standard input; it must end by itself, with 0."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        try:
            code = self._child.wait(_END_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs {_END_S:g} s after its standard input ended") from None
        assert code == 0, f"{self.name} ended with {code}: {self._printed()}"

    def pause(self) -> None:
        """Stop it in its tracks; it is still when this returns."""
        self._child.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self._child.pid, os.WSTOPPED)

    def kill(self) -> None:
        """Kill it as `kill -9` does."""
        self._child.kill()
        self._child.wait()

    def _line(self, asked: str, timeout_s: float) -> str:
        assert self._child.stdout is not None
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._child.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                left = deadline - time.monotonic()
                assert selector.select(max(left, 0)), f"{self.name}: {asked}: no answer in {timeout_s:g} s"
                chunk = os.read(self._child.stdout.fileno(), 1 << 16)
                assert chunk, f"{self.name}: {asked}: ended with {self._child.wait(_END_S)}: {self._printed()}"
                self._unread += chunk
        line, self._unread = self._unread.split(b"\n", 1)
        return line.decode()

    def _printed(self) -> str:
        return self._stderr.read_text(errors="replace")[-4000:]
