"""Child processes that measure: each prints one JSON text; none outlives its deadline, or this process."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

from .. import clr, jvm
from .._native import LIBRARY
from .cases import LARGE_BYTES, Case

__all__ = [
    "BenchError",
    "free_addresses",
    "group_settings",
    "launched_group",
    "member_command",
    "native",
    "program",
    "python_group",
    "spreads",
]

_REACTOR = "derecho"  # a member has a thread of that name
_COMPILE_S = 2.0  # until the programs of a virtual machine are as fast as they get


class BenchError(Exception):
    """A case could not be measured; the text says why."""


def _worker() -> Path:
    import derecho._native

    found = Path(derecho._native.__file__).with_name("derecho-bench")
    if not found.exists():
        raise BenchError(f"{found} is missing: in a clone, `pip install . -C cmake.define.DERECHO_BENCH=ON` builds it")
    return found


class _Children:
    """Some processes, all gone when the block is left: what they start themselves dies with them."""

    def __init__(self) -> None:
        self._started: list[tuple[subprocess.Popen[bytes], IO[bytes], IO[bytes]]] = []
        self._to_move: dict[int, int] = {}  # processors of those that have not joined yet

    def __enter__(self) -> _Children:
        return self

    def __exit__(self, *_: object) -> None:
        for process, out, err in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            out.close()
            err.close()

    def start(self, argv: Sequence[str], processor: int | None = None) -> None:
        """Start one; it moves to `processor` once it is a member, and knows how many processors there are."""
        out = tempfile.TemporaryFile()  # noqa: SIM115 - closed on leaving the block
        err = tempfile.TemporaryFile()  # noqa: SIM115
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self._started.append((process, out, err))
        if processor is not None:
            self._to_move[process.pid] = processor

    def _move_members(self) -> None:
        for pid, processor in list(self._to_move.items()):
            with contextlib.suppress(OSError):  # it, or a thread of it, has ended
                threads = [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]
                names = [Path(f"/proc/{pid}/task/{thread}/comm").read_text() for thread in threads]
                if f"{_REACTOR}\n" not in names:
                    continue
                for thread in threads:
                    os.sched_setaffinity(thread, {processor})
                del self._to_move[pid]

    def results(self, deadline_s: float) -> list[Any]:
        """Wait for all of them; what they printed."""
        end = time.monotonic() + deadline_s
        waiting = list(self._started)
        while waiting:
            if time.monotonic() > end:
                raise BenchError(f"not done after {deadline_s:g} s{self._complaints()}")
            self._move_members()
            for child in list(waiting):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    code = child[0].wait(0.005)
                    waiting.remove(child)
                    if code != 0:
                        raise BenchError(f"a member ended with code {code}{self._complaints()}")
        return [self._printed(out) for _, out, _ in self._started]

    def _printed(self, out: IO[bytes]) -> Any:
        out.seek(0)
        text = out.read()
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            raise BenchError(f"a member printed no JSON but {text[:200]!r}") from None

    def _complaints(self) -> str:
        texts = []
        for _, _, err in self._started:
            err.seek(0)
            texts.append(err.read().decode("utf-8", "replace").strip()[-500:])
        found = "; ".join(text for text in texts if text)
        return f": {found}" if found else ""


def native(subcommand: str, settings: Mapping[str, object], deadline_s: float) -> Any:
    """Run ``derecho-bench SUBCOMMAND key=value ...``; return what it printed.

    Raises
    ------
    BenchError
        When it failed or did not end within `deadline_s` seconds.
    """
    with _Children() as children:
        children.start([str(_worker()), subcommand, *(f"{key}={value}" for key, value in settings.items())])
        return children.results(deadline_s)[0]


def program(argv: Sequence[str], deadline_s: float) -> Any:
    """Run a program that prints one JSON text; return that."""
    with _Children() as children:
        children.start(argv)
        return children.results(deadline_s)[0]


def python_group(case: Case, warm_s: float, window_s: float, deadline_s: float) -> list[dict[str, Any]]:
    """Run a group of Python members; return what each measured."""
    addresses = free_addresses(case.members)
    with _Children() as children:
        for node in range(case.members):
            task = {
                **asdict(case),
                "node": node,
                "listen": addresses[node],
                "initial_members": addresses[:1],
                "warm_s": warm_s,
                "window_s": window_s,
                "deadline_s": deadline_s,
                "parent": os.getpid(),
            }
            argv = [sys.executable, "-m", "derecho.bench.member", json.dumps(task)]
            children.start(argv, _processor_of(node, case))
        return children.results(deadline_s + 2)


def spreads(case: Case) -> bool:
    """Whether each member stays on a processor: as long as there are any on one of its own, then on the last one.

    Two members that answer each other, which the kernel at times leaves on one processor, would measure its scheduler.
    So would languages that are compared in copying: three members on two cores deliver a fourth less where a receiver
    lands beside the sender.
    """
    if case.kind == "latency":
        return case.members <= len(os.sched_getaffinity(0))
    return case.payload_bytes >= LARGE_BYTES


def _processor_of(node: int, case: Case) -> int | None:
    processors = sorted(os.sched_getaffinity(0))
    return processors[min(node, len(processors) - 1)] if spreads(case) else None


def group_settings(case: Case, warm_s: float, window_s: float, deadline_s: float) -> dict[str, object]:
    """What native members, and those in other languages, are told of a case."""
    return {
        "wire": case.wire,
        "members": case.members,
        "senders": case.senders,
        "bytes": case.payload_bytes,
        "mode": case.kind,
        "warm": warm_s,
        "seconds": window_s,
        "read": int(case.read),
        "timeout": deadline_s,
    }


def launched_group(case: Case, warm_s: float, window_s: float, deadline_s: float) -> list[dict[str, Any]]:
    """Run a group whose members are programs in another language; return what each measured."""
    command = member_command(case.api)
    addresses = free_addresses(case.members)
    settings = group_settings(case, warm_s + _COMPILE_S, window_s, deadline_s)
    with _Children() as children:
        for node, listen in enumerate(addresses):
            own = {"node": node, "listen": listen, "contact": addresses[0]}
            argv = [*command, *(f"{key}={value}" for key, value in (settings | own).items())]
            children.start(argv, _processor_of(node, case))
        return children.results(deadline_s + 2)


def member_command(language: str, program: str = "BenchMember") -> list[str]:
    """What starts a program in another language, by default a member of a measured group; settings are to be added.

    Raises
    ------
    BenchError
        When the program or its runtime is not there.
    """
    try:
        return _LAUNCHED[language](program)
    except FileNotFoundError as error:
        raise BenchError(str(error)) from None


def _java(program: str) -> list[str]:
    return [*jvm.command("-Xmx64m", "-XX:+UseSerialGC", classpath=[_built("derecho-bench.jar")]), program]


def _clr(runtime: str, program: str) -> list[str]:
    first = {"Ffi": ["ffi"]}.get(program, [])  # one assembly is both
    return [*clr.command(runtime, _built("DerechoBench.dll")), *first]


_LAUNCHED: dict[str, Callable[[str], list[str]]] = {
    "java": _java,
    "csharp": partial(_clr, "coreclr"),
    "mono": partial(_clr, "mono"),
}


def _built(name: str) -> Path:
    program = LIBRARY.with_name(name)
    if not program.exists():
        raise FileNotFoundError(f"{program} is missing")
    return program


def free_addresses(count: int) -> list[str]:
    """Return addresses on the loopback interface that nobody listens at just now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
