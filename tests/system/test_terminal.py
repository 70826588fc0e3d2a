"""What a user at a terminal does and sees: Ctrl-C, exits without leaving, slow members, wrong options."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import derecho

if TYPE_CHECKING:
    from conftest import Member, StartMember

Trio = Callable[..., list["Member"]]

SCRIPT = """
import signal, time
import derecho

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if the tests were started with nohup

@derecho.service
class Cache:
    @derecho.ordered
    def put(self, n: int) -> int:
        return n

    @derecho.ordered
    def interrupted(self) -> None:
        signal.raise_signal(signal.SIGINT)
        time.sleep(600)

with derecho.join([Cache()], node=9, listen="127.0.0.1:0", found=True, timeout=60) as group:
    log = group[Cache]
    print("in", flush=True)
    {wait}
print("left", flush=True)
"""

WAITS = {
    "for a view": "group.wait_view(5, timeout=600)",
    "asleep": "time.sleep(600)",
    "calling": "while True: log.put(1).result()",
    "sending": "while True: log.put.send(1)",
    "in a call": "log.interrupted().result()",
    "in a call that wants no answer": "log.interrupted.send(); group.wait_view(5, timeout=600)",
}


@pytest.mark.parametrize("wait", WAITS.values(), ids=WAITS.keys())
def test_ctrl_c_ends_a_member_at_once_with_one_traceback(wait: str, environment: dict[str, str]) -> None:
    script = SCRIPT.format(wait=wait)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "in\n"
            if "interrupted" not in wait:
                child.send_signal(signal.SIGINT)
            started = time.monotonic()
            out, err = child.communicate(timeout=30)
            assert time.monotonic() - started < 10
        finally:
            child.kill()
    assert child.returncode == -signal.SIGINT
    assert out == ""
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert err.count("Traceback") == 1, err


@pytest.mark.parametrize("wire", ["shm", "tcp"])
def test_members_that_exit_without_leaving_are_removed_and_print_nothing(
    trio: Trio, environment: dict[str, str], wire: str
) -> None:
    members = trio(wire=wire)
    script = (
        "import derecho, sys; sys.path.insert(0, sys.argv[2]); from member import Ledger\n"
        "group = derecho.join([Ledger()], node=9, listen='127.0.0.1:0', contacts=[sys.argv[1]], timeout=60,"
        f" wire={wire!r})\n"
        "replies = [group[Ledger].add(str(i)) for i in range(100)]\n"
    )
    arguments = [members[0].address, str(Path(__file__).parent)]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        timeout=120,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    for member in members:
        assert sorted(member.ask("wait_view", nodes=[1, 2, 3])) == [1, 2, 3]
        assert member.ask("add", entry="x") == [1, 2, 3]
        assert member.printed() == ""


def test_a_slow_member_slows_the_group_down_but_is_not_removed(trio: Trio) -> None:
    members = trio(config={"ring_bytes": 65536, "suspect_ms": 1000})
    members[1].ask("pause", seconds=0.001)
    members[0].ask("add_many", prefix="x" * 1000, count=600)  # 9 rings full
    for member in members:
        assert member.ask("view") == [1, 2, 3]
    assert members[0].ask("entries") == members[1].ask("entries") == members[2].ask("entries")


def test_a_full_ring_is_an_error_within_the_deadline_and_goes_away(start: StartMember) -> None:
    options: dict[str, Any] = {"timeout": 30.0, "config": {"ring_bytes": 65536}, "listen": "127.0.0.1:0"}
    options["found"] = True
    with derecho.join(raw=["log"], node=1, **options) as group:
        log = group.raw("log")
        claims = 0
        with pytest.raises(derecho.RingFull) as caught, group.raw("log").claim(16000):
            for _ in range(100):  # claimed within a claim: nothing can be delivered meanwhile
                log.send(bytes(16000), timeout=0.2)
                claims += 1
        assert claims < 5
        assert "no room within 0.2 s" in str(caught.value)
        assert "ring_bytes" in str(caught.value)
        log.send(b"there is room again")


@pytest.mark.parametrize(
    ("options", "kind", "text"),
    [
        ({"contacts": ["127.0.0.1:0"]}, derecho.InvalidArgument, "option contacts: .*port from 1 to 65535"),
        ({"config": "/tmp"}, derecho.InvalidArgument, "/tmp is a directory"),
        ({"group": "a\0b"}, derecho.InvalidArgument, "NUL character"),
        ({"raw": "log"}, TypeError, r"raw is a list of names: \['log'\], not 'log'"),
        ({"timeout": None}, TypeError, "timeout is a number of seconds, not None"),
        ({"timeout": "5"}, TypeError, "timeout is a number of seconds, not '5'"),
        ({"timeout": -1}, derecho.InvalidArgument, "timeout: -1 is not"),
        ({"timeout": float("inf")}, derecho.InvalidArgument, "timeout: inf is not"),
        ({"config": {"suspect_ms": 50}}, derecho.InvalidArgument, "less than twice heartbeat_ms"),
        ({"listen": "8.8.8.8:7000"}, derecho.InvalidArgument, "use an address of this host"),
    ],
)
def test_a_wrong_argument_of_join_is_named(options: dict[str, Any], kind: type[Exception], text: str) -> None:
    arguments: dict[str, Any] = {"raw": ["log"], "node": 1, "listen": "127.0.0.1:0", "timeout": 5.0} | options
    arguments.setdefault("found", "contacts" not in options)
    started = time.monotonic()
    with pytest.raises(kind, match=text):
        derecho.join(**arguments)
    assert time.monotonic() - started < 4, "before anything is waited for"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("[derech]\nnode = 1\n", r"node\.toml:1: unknown table \[derech\]"),
        ("[derecho]\nnode = 1\ncolour = 3\n", r"node\.toml:3: unknown option .colour.; there are: node, group"),
        ("[derecho]\nring_bytes = 5\n", r"node\.toml:2: option ring_bytes: .5. is not"),
        ("node = 1\nlisten = 127.0.0.1:0\n", r"node\.toml:2: "),
        ("\x00\x01\x02", r"node\.toml:1: "),
    ],
)
def test_a_wrong_line_of_a_file_is_named(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "node.toml"
    path.write_text(content)
    with pytest.raises(derecho.InvalidArgument, match=text):
        derecho.join(raw=["log"], listen="127.0.0.1:0", config=path)


def test_a_joiner_is_told_that_its_contact_is_in_no_group_any_more(trio: Trio, start: StartMember) -> None:
    members = trio()
    members[1].kill()
    members[2].kill()
    assert members[0].ask("wait_end")[0] == "NoMajority"
    with pytest.raises(AssertionError, match="in no group, or no more: " + members[0].address):
        start(4).join(contacts=[members[0].address], timeout=1.0)
