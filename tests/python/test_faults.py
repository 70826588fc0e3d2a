"""Shows that what goes wrong on the way in, or by dying, is told clearly and in time, and leaves the others working."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import derecho

if TYPE_CHECKING:
    from conftest import Nodes, Process


@derecho.service
class Store:
    @derecho.query
    def get(self) -> int:
        return 1


@derecho.service(name="Store")
class OtherStore:
    @derecho.query
    def get(self) -> str:
        return ""


def join(**options: Any) -> derecho.Group:
    merged: dict[str, Any] = {"node": 1, "listen": "127.0.0.1:0", "timeout": 5.0} | options
    merged.setdefault("found", not merged.get("contacts"))
    return derecho.Group.join([Store()], **merged)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"node": None}, "option node is missing"),
        ({"listen": None}, "option listen is missing"),
        ({"listen": "nowhere"}, "option listen: .nowhere. is not host:port"),
        ({"wire": "pigeon"}, r"option wire: .pigeon. is none of auto\|shm\|tcp"),
        ({"config": {"colour": "red"}}, "unknown option .colour.; there are: node, group"),
        ({"config": {"ring_bytes": 5}}, "option ring_bytes: .5. is not a whole number from"),
        ({"raw": ["Store"]}, "there is a service .Store. already"),
    ],
)
def test_a_wrong_option_is_named_with_what_is_accepted(options: dict[str, Any], text: str) -> None:
    with pytest.raises(derecho.InvalidArgument, match=text):
        join(**options)


def test_a_group_without_services_is_refused() -> None:
    with pytest.raises(derecho.InvalidArgument, match="no service was added"):
        derecho.join(node=1, listen="127.0.0.1:0", found=True)


def test_a_class_instead_of_an_instance_is_refused() -> None:
    with pytest.raises(TypeError, match=r"services are instances: Store\(\), not Store"):
        derecho.join([Store], node=1)


def test_options_come_from_a_toml_file(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('node = 3\nlisten = "127.0.0.1:0"\ngroup = "filed"\nfound = true\n')
    with derecho.Group.join([Store()], config=str(path), timeout=5.0) as group:
        assert (group.node, group.name) == (3, "filed")
    path.write_text("node = \n")
    with pytest.raises(derecho.InvalidArgument, match=r"node\.toml"):
        derecho.Group.join([Store()], config=str(path))


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(derecho.AddressInUse, match=address):
            join(listen=address)


def test_a_contact_that_does_not_answer_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises((derecho.Unreachable, derecho.Timeout), match=address):
        join(node=2, contacts=[address], timeout=1.0)


def test_another_schema_is_refused_by_name(nodes: Nodes) -> None:
    nodes.join([Store()])
    with pytest.raises(derecho.Incompatible, match="Store"):
        nodes.join([OtherStore()], timeout=5.0)


def test_a_node_id_in_use_is_refused(nodes: Nodes) -> None:
    nodes.join([Store()])
    with pytest.raises(derecho.DuplicateNode, match="1"):
        nodes.join([Store()], node=1, timeout=5.0)


# ------------------------------------------------------------------------------------------------- kill -9


@pytest.mark.parametrize("wire", ["shm", "tcp"])
def test_a_process_killed_midway_is_removed_and_the_others_agree(process: Callable[..., Process], wire: str) -> None:
    members = start_three(process, wire)
    for i, member in enumerate(members):
        member.send(do="add_many", prefix=f"{i + 1}-", count=3000)
    members[1].kill()
    survivors = [members[0], members[2]]
    for member in survivors:
        assert set(member.answer()) == {"1", "3"}
    for member in survivors:
        assert member.ask(do="wait_view", nodes=[1, 3]) == [1, 3]
        member.ask(do="add_many", prefix="end", count=1)
    first, second = (member.ask(do="entries") for member in survivors)
    assert first == second
    for prefix in ("1-", "3-"):
        assert [e for e in first if e.startswith(prefix)] == [f"{prefix}{i}" for i in range(3000)]
    theirs = [e for e in first if e.startswith("2-")]
    assert theirs == [f"2-{i}" for i in range(len(theirs))], "a prefix of what the dead one sent, in order"


def test_the_founder_may_die_and_a_fresh_member_joins_through_another(process: Callable[..., Process]) -> None:
    members = start_three(process, "shm")
    members[0].ask(do="add_many", prefix="a", count=100)
    members[0].kill()
    assert members[1].ask(do="wait_view", nodes=[2, 3]) == [2, 3]
    contact = members[1].ask(do="address")
    fresh = process(do="join", node=4, contacts=[contact], wire="shm")
    assert fresh.ask(do="wait_view", nodes=[2, 3, 4]) == [2, 3, 4]
    assert fresh.ask(do="entries") == [f"a{i}" for i in range(100)]


@pytest.mark.parametrize("how", ["pass", "sys.exit(3)", "raise KeyboardInterrupt"])
def test_a_process_ends_in_time_without_closing_its_group(how: str) -> None:
    script = (
        "import derecho, sys\n"
        "group = derecho.Group.join(raw=['log'], node=1, listen='127.0.0.1:0', found=True)\n"
        "log = group.raw('log'); log.send(b'x'); kept = log.poll(5.0)[0].data\n" + how
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, timeout=20, check=False, stderr=subprocess.DEVNULL
    )
    assert done.returncode == {"pass": 0, "sys.exit(3)": 3}.get(how, -signal.SIGINT)


def start_three(process: Callable[..., Process], wire: str) -> list[Process]:
    first = process(do="join", node=1, found=True, wire=wire)
    contact = first.ask(do="address")
    members = [first, *(process(do="join", node=n, contacts=[contact], wire=wire) for n in (2, 3))]
    for member in members:
        member.ask(do="wait_view", nodes=3)
    return members
