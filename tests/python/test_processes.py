"""Shows that a process is one member: what children of a member may do (nothing with its group), and how members end.

The member under test is a program in a process of its own; node 1 is in this one, and would suspect it only after a
minute.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import derecho

ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "PYTHONUNBUFFERED": "1"}
PATIENCE_S = 30.0
CONFIG = {"suspect_ms": 60000}


@derecho.service
class Counter:
    def __init__(self) -> None:
        self.total = 0

    @derecho.ordered
    def add(self, by: int) -> int:
        self.total += by
        return self.total

    @derecho.query
    def get(self) -> int:
        return self.total


# The service again: programs have no module to import it from. Ctrl-C works even where SIGINT is ignored (nohup).
HEAD = """
import asyncio, contextlib, gc, json, multiprocessing, os, signal, subprocess, sys, threading, time
import derecho
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))

@derecho.service
class Counter:
    def __init__(self) -> None:
        self.total = 0
    @derecho.ordered
    def add(self, by: int) -> int:
        self.total += by
        return self.total
    @derecho.query
    def get(self) -> int:
        return self.total

def join(**options):
    settings = dict(raw=["log"], node=2, listen="127.0.0.1:0", contacts=[sys.argv[1]], wire=sys.argv[2], timeout=30,
                    config={"suspect_ms": 60000})
    return derecho.join([Counter()], **(settings | options))

def say(*words):
    print(json.dumps(words), flush=True)
"""


class Program:
    """A member that runs a program."""

    def __init__(self, text: str, contact: str, wire: str) -> None:
        self.child = subprocess.Popen(
            [sys.executable, "-c", HEAD + text, contact, wire],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT,
            text=True,
        )

    def said(self) -> Any:
        """Take one line that it said."""
        assert self.child.stdout is not None
        line = self.child.stdout.readline()
        assert line, self.child.communicate(timeout=PATIENCE_S)[1]
        return json.loads(line)

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its code and what it wrote to stderr."""
        _, stderr = self.child.communicate(timeout=PATIENCE_S)
        return self.child.returncode, stderr


Start = Callable[[str], Program]


@contextmanager
def node_1(wire: str) -> Iterator[derecho.Group]:
    with derecho.join(
        [Counter()], raw=["log"], node=1, listen="127.0.0.1:0", found=True, wire=wire, timeout=PATIENCE_S, config=CONFIG
    ) as group:
        yield group


@pytest.fixture
def group(wire: str) -> Iterator[derecho.Group]:
    with node_1(wire) as group:
        yield group


@pytest.fixture
def start(group: derecho.Group, wire: str) -> Iterator[Start]:
    started: list[Program] = []

    def program(text: str) -> Program:
        started.append(Program(text, group.view.members[0].address, wire))
        return started[-1]

    yield program
    for one in started:
        one.child.kill()
        one.child.communicate()


# --------------------------------------------------------------------------------------------------- children

TRY_ALL = """
def try_all(group, log, held):
    "Say what every use of the group comes to in this process."
    def outcome(use):
        try:
            return repr(use())
        except derecho.Closed as error:
            return "refused" if f"fork of process {parent}" in str(error) else str(error)
        except BaseException as error:
            return repr(error)
    say({
        "call": outcome(lambda: group[Counter].add(1000)),
        "send": outcome(lambda: group[Counter].add.send(1000)),
        "query": outcome(lambda: group[Counter].get()),
        "raw": outcome(lambda: log.send(b"child")),
        "poll": outcome(lambda: log.poll(1.0)),
        "claim": outcome(lambda: log.claim(8)),
        "pending": outcome(lambda: pending.result()),
        "drive": outcome(lambda: group.drive()),
        "wait_view": outcome(lambda: group.wait_view(99)),
        "stats": outcome(lambda: group.stats()),
        "leave": outcome(lambda: group.leave()),
        "held": bytes(held.data).decode(),
        "end": type(group.ended).__name__,
    })
    group.close()

parent = os.getpid()
"""

CHILDREN = {
    "os.fork that exits": """
        pid = os.fork()
        if pid == 0:
            try_all(group, log, held)
            sys.exit(0)
        code = os.waitpid(pid, 0)[1]
    """,
    "os.fork that raises in the block": """
        pid = os.fork()
        if pid == 0:
            try_all(group, log, held)
            sys.stderr = open(os.devnull, "w")
            raise ValueError("in a child")
        code = os.waitpid(pid, 0)[1] - 256
    """,
    "os.fork that drops all": """
        pid = os.fork()
        if pid == 0:
            try_all(group, log, held)
            del held, log, pending, group
            gc.collect()
            os._exit(0)
        code = os.waitpid(pid, 0)[1]
    """,
    "multiprocessing": """
        child = multiprocessing.get_context("fork").Process(target=try_all, args=(group, log, held))
        child.start()
        child.join()
        code = child.exitcode
    """,
    "a fork of a fork": """
        pid = os.fork()
        if pid == 0:
            grandchild = os.fork()
            if grandchild == 0:
                try_all(group, log, held)
                sys.exit(0)
            sys.exit(os.waitpid(grandchild, 0)[1])
        code = os.waitpid(pid, 0)[1]
    """,
}


@pytest.mark.parametrize("child", CHILDREN.values(), ids=CHILDREN.keys())
def test_a_child_is_refused_and_its_end_touches_nothing(group: derecho.Group, start: Start, child: str) -> None:
    member = start(
        TRY_ALL
        + f"""
with join() as group:
        log = group.raw("log")
        log.send(b"held")
        (held,) = log.poll(30)
        pending = group[Counter].add(1)
        {child}
        pending.result()
        say(code, group[Counter].add(1).all(), list(group.view.nodes), None if group.ended is None else "ended")
"""
    )
    (tried,) = member.said()
    assert tried == dict.fromkeys(tried, "refused") | {"held": "held", "end": "Closed"}
    assert member.said() == [0, {"1": 2, "2": 2}, [1, 2], None]
    assert member.end() == (0, "")
    group.wait_view([1])


def test_children_end_while_the_parent_is_busy_in_the_group(start: Start) -> None:
    """Whatever locks the parent's other threads have at the moment of the fork."""
    member = start("""
with join() as group:
    stop = threading.Event()
    def call():
        while not stop.is_set():
            group[Counter].add(1).result()
    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    codes = set()
    for _ in range(20):
        pid = os.fork()
        if pid == 0:
            try:
                group[Counter].add(1).result()
            except derecho.Closed:
                sys.exit(7)
        codes.add(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    stop.set()
    for thread in threads:
        thread.join()
    say(sorted(codes), list(group.view.nodes))
""")
    assert member.said() == [[7], [1, 2]]
    assert member.end()[0] == 0


def test_a_child_may_join_as_a_node_of_its_own(start: Start) -> None:
    member = start("""
with join() as group:
    if (pid := os.fork()) == 0:
        with join(node=3) as own:
            own[Counter].add(5).all()
            say(list(own.view.nodes))
        os._exit(0)
    code = os.waitpid(pid, 0)[1]
    say(code, group[Counter].add(1).all())
""")
    assert member.said() == [[1, 2, 3]]
    assert member.said() == [0, {"1": 6, "2": 6}]
    assert member.end() == (0, "")


CHILDREN_THAT_LIVE_ON = {
    "os.fork": "os.fork() or time.sleep(600)",
    "subprocess": "subprocess.Popen(['sleep', '600'], close_fds=False)",
    "subprocess, with preexec_fn": "subprocess.Popen(['sleep', '600'], close_fds=False, preexec_fn=lambda: None)",
}


@pytest.mark.parametrize("child", CHILDREN_THAT_LIVE_ON.values(), ids=CHILDREN_THAT_LIVE_ON.keys())
def test_a_crash_is_noticed_at_once_while_a_child_lives_on(
    group: derecho.Group, start: Start, wire: str, child: str
) -> None:
    member = start(f"""
os.setpgid(0, 0)
group = join()
{child}
say("in")
time.sleep(600)
""")
    try:
        assert member.said() == ["in"]
        contacts = [group.view.members[0].address]
        options: dict[str, Any] = {"wire": wire, "timeout": PATIENCE_S, "config": CONFIG, "raw": ["log"]}
        with derecho.join([Counter()], node=3, listen="127.0.0.1:0", contacts=contacts, **options):
            address = group.wait_view([1, 2, 3]).members[1].address
            member.child.kill()
            group.wait_view([1, 3], PATIENCE_S)  # suspicion alone would take a minute
            with derecho.join([Counter()], node=4, listen=address, contacts=contacts, **options):
                pass  # the port is free, too
    finally:
        os.killpg(member.child.pid, signal.SIGKILL)


# --------------------------------------------------------------------------------------------------- ends


ENDS = {
    "ctrl-c": ("say('in'); time.sleep(600)", signal.SIGINT, -signal.SIGINT),
    "sigterm": ("say('in'); time.sleep(600)", signal.SIGTERM, 3),
    "an exception": ("say('in'); raise ValueError('in the block')", None, 1),
    "sys.exit": ("say('in'); sys.exit(4)", None, 4),
    "ctrl-c while calling": (
        "say('in')\n    while True: group[Counter].add(1).result()",
        signal.SIGINT,
        -signal.SIGINT,
    ),
}


@pytest.mark.parametrize(("block", "number", "code"), ENDS.values(), ids=ENDS.keys())
def test_whatever_ends_the_block_the_member_leaves(
    group: derecho.Group, start: Start, block: str, number: int | None, code: int
) -> None:
    """Had it crashed, the other one of two would have lost its majority."""
    member = start(f"with join() as group:\n    {block}\n")
    assert member.said() == ["in"]
    group.wait_view([1, 2])
    if number is not None:
        member.child.send_signal(number)
    assert member.end()[0] == code
    assert group.wait_view([1], PATIENCE_S).nodes == (1,)
    assert group[Counter].add(1).result() > 0


@pytest.mark.parametrize("how", ["pass", "sys.exit(3)", "raise ValueError"])
def test_a_program_that_ends_without_a_block_leaves(group: derecho.Group, start: Start, how: str) -> None:
    member = start(f"group = join(); say('in'); {how}\n")
    assert member.said() == ["in"]
    assert member.end()[0] == {"pass": 0, "sys.exit(3)": 3}.get(how, 1)
    assert group.wait_view([1], PATIENCE_S).nodes == (1,)


def test_a_group_that_nobody_refers_to_leaves_and_its_address_is_free(group: derecho.Group, wire: str) -> None:
    options: dict[str, Any] = {"raw": ["log"], "wire": wire, "timeout": PATIENCE_S, "config": CONFIG}
    second = derecho.join(
        [Counter()], node=2, listen="127.0.0.1:0", contacts=[group.view.members[0].address], **options
    )
    address = group.wait_view([1, 2]).members[1].address
    log = second.raw("log")
    cache = second[Counter]
    del second
    assert cache.add(1).all() == {1: 1, 2: 1}, "what is in use of it keeps it open"
    del cache
    log.send(b"x")
    del log
    group.wait_view([1])
    with derecho.join(
        [Counter()], node=2, listen=address, contacts=[group.view.members[0].address], **options
    ) as again:
        assert again[Counter].add(1).all() == {1: 2, 2: 2}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_ctrl_c_ends_a_join_at_once(start: Start, asynchronous: bool) -> None:
    join = "asyncio.run(derecho.Group.join_async(**options))" if asynchronous else "derecho.join(**options)"
    member = start(f"""
options = dict(raw=["log"], node=5, listen="127.0.0.1:0", contacts=["127.0.0.1:9"], timeout=600)
say("joining")
try:
    {join}
except KeyboardInterrupt:
    say("interrupted")
""")
    assert member.said() == ["joining"]
    time.sleep(0.3)
    member.child.send_signal(signal.SIGINT)
    assert member.said() == ["interrupted"]
    assert member.end() == (0, "")


def test_ctrl_c_ends_the_wait_for_a_state_that_does_not_come_and_the_others_go_on(
    group: derecho.Group, start: Start
) -> None:
    member = start("""
Counter.__derecho_load__ = lambda self, data: time.sleep(600)
Counter.__derecho_save__ = lambda self: b""
try:
    say("joining")
    join(timeout=600)
except KeyboardInterrupt:
    say("interrupted")
""")
    assert member.said() == ["joining"]
    deadline = time.monotonic() + PATIENCE_S
    while str(group.view) != "view 2: {1, 2 joining}":
        assert time.monotonic() < deadline
        group.drive(0.01)
    time.sleep(0.2)
    member.child.send_signal(signal.SIGINT)
    assert member.said() == ["interrupted"]
    assert member.end()[0] == 0
    group.wait_view([1], PATIENCE_S)
