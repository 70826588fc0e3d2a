"""Groups for tests: several nodes in this process, or real processes that a test may kill."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import derecho

TIMEOUT_S = 20.0


class Nodes:
    """Joins nodes to one group, all in this process, and closes them when the test ends."""

    def __init__(self, wire: str) -> None:
        self.wire = wire
        self.groups: list[derecho.Group] = []

    def join(self, services: Any = (), raw: Any = (), **options: Any) -> derecho.Group:
        """Join one more node; the first founds the group."""
        alive = [g for g in self.groups if g.ended is None]
        options.setdefault("node", len(self.groups) + 1)
        options.setdefault("listen", "127.0.0.1:0")
        if not {"contacts", "initial_members", "found"} & options.keys():
            options |= {"contacts": [alive[0].view.members[0].address]} if alive else {"found": True}
        options.setdefault("timeout", TIMEOUT_S)
        group = derecho.Group.join(services, raw=raw, wire=self.wire, **options)
        self.groups.append(group)
        return group

    def together(self, count: int, make: Callable[[], Any], raw: Any = (), **options: Any) -> list[derecho.Group]:
        """Join `count` nodes, and wait until each sees all."""
        for _ in range(count):
            self.join(make(), raw, **options)
        for group in self.groups:
            group.wait_view(count)
        return self.groups


#: Over RDMA where there is a device: in the machine of tests/rdma.
WIRES = ["shm", "tcp", *(["verbs"] if any(Path("/sys/class/infiniband").glob("*")) else [])]


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    """Each wire's name."""
    return str(request.param)


@pytest.fixture(params=WIRES)
def nodes(request: pytest.FixtureRequest) -> Iterator[Nodes]:
    """Nodes over each wire."""
    found = Nodes(request.param)
    yield found
    for group in found.groups:
        group.close()


class Process:
    """A member that is a process of its own: tests/python/member_process.py, spoken to in lines of JSON."""

    def __init__(self, **task: Any) -> None:
        self.child = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("member_process.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        self.ask(**task)

    def ask(self, **command: Any) -> Any:
        """Send a command, return the answer; an answer with "error" fails the test."""
        self.send(**command)
        return self.answer()

    def send(self, **command: Any) -> None:
        """Send a command without waiting for its answer."""
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps(command) + "\n")
        self.child.stdin.flush()

    def answer(self) -> Any:
        """Read one answer."""
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, f"the member ended with code {self.child.wait(5)}"
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer.get("result")

    def kill(self) -> None:
        """Kill it as `kill -9` does."""
        self.child.kill()
        self.child.wait()


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    """Start members as processes."""
    started: list[Process] = []

    def start(**task: Any) -> Process:
        started.append(Process(**task))
        return started[-1]

    yield start
    for member in started:
        member.kill()
        for stream in (member.child.stdin, member.child.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
