"""Members that are killed, frozen or restarted: who can goes on, who cannot is told why, nothing is left behind."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Member, StartMember

MB = 1_000_000
#: RDMA only where there is a device, such as in the machine of tests/rdma.
WIRES = ["shm", "tcp", *(["verbs"] if any(Path("/sys/class/infiniband").glob("*")) else [])]
Trio = Callable[..., list["Member"]]


def test_the_last_of_three_stops_and_says_why(trio: Trio) -> None:
    members = trio()
    members[0].kill()
    members[1].kill()
    kind, text = members[2].ask("wait_end")
    assert kind == "NoMajority"
    assert re.search("only 1 of [23] members of view", text)  # 2, if they were quick enough to go on without the first
    assert "start" in text, "it says what to do"
    with pytest.raises(Exception, match="NoMajority: .*only 1 of [23]"):
        members[2].ask("add", entry="too late")
    members[2].ask("close")
    assert re.fullmatch(r"this node is out of its group: half or more .*\n", members[2].printed())


def test_a_frozen_member_learns_that_it_was_ejected_and_may_come_back(trio: Trio) -> None:
    first, frozen, third = trio()
    frozen.kill(signal.SIGSTOP)
    assert first.ask("wait_view", nodes=[1, 3]) == [1, 3]
    assert first.ask("add", entry="meanwhile") == [1, 3]
    frozen.kill(signal.SIGCONT)
    kind, text = frozen.ask("wait_end")
    assert kind == "Ejected"
    assert "join again" in text
    with pytest.raises(Exception, match="Ejected"):
        frozen.ask("add", entry="from the past")
    frozen.ask("close")
    frozen.join(contacts=[third.address])
    assert sorted(frozen.ask("wait_view", nodes=[1, 2, 3])) == [1, 2, 3]
    assert frozen.ask("entries") == ["meanwhile"]
    assert frozen.ask("add", entry="back") == [1, 2, 3]
    assert re.fullmatch(r"this node is out of its group: the others removed this node .*\n", frozen.printed())


@pytest.mark.parametrize("wire", WIRES)
def test_a_pause_loses_nobody_of_one_less_than_suspect_ms_nor_of_all_however_long(trio: Trio, wire: str) -> None:
    members = trio(wire=wire, config={"suspect_ms": 3000})
    for paused, seconds in ([members[1]], 1.0), (members, 4.0):
        for member in members:
            member.send("flood", seconds=0.5)
        for member in paused:
            member.kill(signal.SIGSTOP)
        time.sleep(seconds)
        for member in paused:
            member.kill(signal.SIGCONT)
        for member in members:
            member.answer()
    for member in members:
        assert member.ask("add", entry=f"by {member.node}") == [1, 2, 3]
        assert member.printed() == ""


def test_a_new_life_of_a_frozen_member_takes_its_place(trio: Trio, start: StartMember) -> None:
    first, frozen, _ = trio()
    frozen.kill(signal.SIGSTOP)
    first.ask("wait_view", nodes=[1, 3])
    fresh = start(2).join(contacts=[first.address])
    frozen.kill(signal.SIGCONT)
    assert frozen.ask("wait_end")[0] == "Ejected"
    assert fresh.ask("add", entry="x") == [1, 2, 3]


def test_all_killed_and_started_again_with_the_same_addresses(trio: Trio, start: StartMember) -> None:
    members = trio()
    members[0].ask("add", entry="lost with the last of them")
    for member in members:
        member.kill()
    contacts = [member.address for member in members]
    again = [start(member.node, listen=member.address, initial_members=contacts) for member in members]
    for member in again:
        member.send("join", node=member.node, listen=member.options["listen"], initial_members=contacts)
    for member in again:
        member.joined()
    for member in again:
        assert sorted(member.ask("wait_view", nodes=[1, 2, 3])) == [1, 2, 3]
    assert again[2].ask("add", entry="x") == [1, 2, 3]
    assert [member.ask("entries") for member in again] == [["x"]] * 3


@pytest.mark.parametrize("wire", WIRES)
def test_a_joiner_gets_the_state_although_its_donor_is_killed(trio: Trio, start: StartMember, wire: str) -> None:
    donor, second, _third = trio(wire=wire)
    donor.ask("load", nbytes=100 * MB)
    joiner = start(4, wire=wire)
    joiner.send("join", node=4, contacts=[second.address], wire=wire)
    second.ask("wait_view", nodes=4)  # the transfer has just begun
    donor.kill()
    joiner.joined()
    assert joiner.ask("ballast") == 100 * MB
    assert sorted(joiner.ask("wait_view", nodes=[2, 3, 4])) == [2, 3, 4]


@pytest.mark.parametrize("wire", WIRES)
def test_a_joiner_may_be_killed_at_any_stage_of_joining(trio: Trio, start: StartMember, wire: str) -> None:
    members = trio(wire=wire)
    delays_ms = [*(stage * 2.0 for stage in range(11)), 40.0, 100.0]
    nursery = start(0)
    became = nursery.ask("kill_joiners", first_node=10, delays_ms=delays_ms, contacts=[members[0].address], wire=wire)
    assert became >= 1
    for member in members:
        assert sorted(member.ask("wait_view", nodes=[1, 2, 3])) == [1, 2, 3]
        assert member.ask("add", entry=f"by {member.node}") == [1, 2, 3]
        assert not member.ask("ended")
        assert member.printed() == ""


def test_nothing_of_the_killed_is_left_behind(trio: Trio) -> None:
    shared_memory_before = set(os.listdir("/dev/shm"))
    members = trio()
    before = members[0].ask("footprint")
    names = [name for member in members[1:] for name in unix_sockets_of(member.child.pid)]
    assert names, "members on one host have unix sockets"
    members[1].kill()
    assert members[0].ask("wait_view", nodes=[1, 3]) == [1, 3]
    members[0].ask("add", entry="the old view is buried")
    after = members[0].ask("footprint")
    assert after["descriptors"] < before["descriptors"], "what belonged to the dead one is closed"
    assert after["mappings"] <= before["mappings"]
    for member in members:
        member.kill()
    left = Path("/proc/net/unix").read_text()
    assert not [name for name in names if name in left]
    assert not {name for name in set(os.listdir("/dev/shm")) - shared_memory_before if "derecho" in name}


def unix_sockets_of(pid: int) -> list[str]:
    """Return the names of the abstract unix sockets that a process listens at."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(descriptor)
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    return [line[7] for line in lines if len(line) > 7 and line[6] in inodes and "derecho" in line[7]]


def test_many_joins_and_leaves_leave_nothing_behind(trio: Trio, start: StartMember) -> None:
    members = trio()
    guest = start(4)

    def come_and_go(times: int, how: str) -> None:
        for i in range(times):
            guest.join(contacts=[members[i % 3].address])
            assert guest.ask("add", entry="x") == [1, 2, 3, 4]
            guest.ask(how)
            for member in members:
                member.ask("wait_view", nodes=[1, 2, 3])

    come_and_go(4, "leave")
    come_and_go(4, "close")
    before = [member.ask("footprint") for member in (*members, guest)]
    come_and_go(12, "leave")
    come_and_go(12, "close")
    for was, member in zip(before, (*members, guest), strict=True):
        now = member.ask("footprint")
        settled = time.monotonic() + 10.0  # the last connections may still be closing
        while now["descriptors"] > was["descriptors"] + 1 and time.monotonic() < settled:
            time.sleep(0.05)
            now = member.ask("footprint")
        assert now["descriptors"] <= was["descriptors"] + 1, (was, now)
        assert now["threads"] == was["threads"], (was, now)
        assert now["mappings"] <= was["mappings"] + 8, (was, now)
        assert now["kilobytes"] <= was["kilobytes"] + 6_000, (was, now)
        assert member.printed() == ""
