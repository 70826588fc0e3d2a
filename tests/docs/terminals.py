"""Terminals beside each other, as a reader would have them: one folder, one environment, a network of their own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import TracebackType

__all__ = ["Terminals"]

_APART = ["unshare", "--map-root-user", "--net", "--fork", "--kill-child", "--"]
_END_S = 20.0


class Terminal:
    """One command, and what it has printed so far."""

    def __init__(self, command: str, process: subprocess.Popen[bytes]) -> None:
        self.command = command
        self.process = process
        self.printed = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        while piece := os.read(self.process.stdout.fileno(), 65536):
            self.printed += piece

    @property
    def text(self) -> str:
        return self.printed.decode(errors="replace")

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def wait(self, patience_s: float) -> int:
        """For its end, which the end of its input may be."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        code = self.process.wait(patience_s)
        self._reader.join(_END_S)
        return code

    def kill(self) -> None:
        """kill -9, of the command and all that it started."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Terminals:
    """All of one test. Environment variables that a command exports are there for the later ones."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment | {"XDG_STATE_HOME": str(folder.parent / "state")}  # nobody else's
        self.environment["PYTHONUNBUFFERED"] = "1"  # as on a terminal
        self.started: list[Terminal] = []
        self._enter: list[str] = []
        self._holder: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Terminals:
        """Make the network: a process holds it, the others enter it."""
        holder = subprocess.Popen(
            [*_APART, "sh", "-c", "ip link set lo up && echo ready && exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert holder.stdout is not None
        if holder.stdout.readline() == b"ready\n":
            inside = _child_of(holder.pid)
            self._holder = holder
            self._enter = [
                "nsenter",
                f"--user=/proc/{inside}/ns/user",
                f"--net=/proc/{inside}/ns/net",
                "--preserve-credentials",
            ]
        else:  # not allowed here: the addresses are those of the machine
            holder.kill()
            holder.wait()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for terminal in self.started:
            terminal.kill()
        if self._holder is not None:
            assert self._holder.stdin is not None
            self._holder.stdin.close()
            self._holder.wait()

    def start(self, command: str) -> Terminal:
        """Type a command into a terminal of its own."""
        terminal = Terminal(command, self._spawn(["bash", "-c", command]))
        self.started.append(terminal)
        return terminal

    def run(self, command: str, patience_s: float) -> tuple[int, str]:
        """Type a command, and wait for its end; its exit code, and what it printed."""
        exported = self.folder.parent / "environment"
        terminal = Terminal(
            command, self._spawn(["bash", "-c", f"{command}\ncode=$?; env -0 > {exported}; exit $code"])
        )
        try:
            code = terminal.wait(patience_s)
        finally:
            terminal.kill()
        if exported.exists():
            pairs = [pair.partition(b"=") for pair in exported.read_bytes().split(b"\0") if pair]
            self.environment = {os.fsdecode(key): os.fsdecode(value) for key, _, value in pairs}
        return code, terminal.text

    def go_through(self, lines: list[str], patience_s: float) -> None:
        """Type what begins with `> ` into the first terminal, wait for all else."""
        for line in lines:
            if line.startswith("> "):
                self.started[0].type(line[2:])
            else:
                self.wait_for(line, patience_s)

    def wait_for(self, line: str, patience_s: float) -> None:
        """Wait until a terminal shows a line like this one: numbers may be others."""
        wanted = _without_numbers(line)
        deadline = time.monotonic() + patience_s
        while not any(wanted in map(_without_numbers, t.text.splitlines()) for t in self.started):
            assert time.monotonic() < deadline, f"no terminal shows {line!r}:\n{self}"
            assert any(t.process.poll() is None for t in self.started) or self._settled(wanted), str(self)
            time.sleep(0.05)

    def wait(self, patience_s: float) -> None:
        """Wait for the end of all, with 0; what stays is killed. Whatever is started then begins anew."""
        for terminal in self.started:
            try:
                assert terminal.wait(patience_s) == 0, f"{terminal.command} failed:\n{self}"
            except subprocess.TimeoutExpired:
                terminal.kill()
        self.started.clear()

    def _settled(self, wanted: str) -> bool:
        time.sleep(1)  # what was printed last is still being read
        return any(wanted in map(_without_numbers, t.text.splitlines()) for t in self.started)

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._enter, *command],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __str__(self) -> str:
        return "\n".join(f"$ {t.command}\n{t.text}" for t in self.started)


def _child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while not (found := children.read_text().split()):
        time.sleep(0.01)
    return int(found[0])


def _without_numbers(line: str) -> str:
    return re.sub(r"\d+", "0", line.strip())
