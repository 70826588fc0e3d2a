"""A member that lacks memory or descriptors ends itself, with that reason: it does not take its peers for lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Member, StartMember

WIRES = ["shm", "tcp"]
QUICK = {"ring_bytes": 1 << 20, "suspect_ms": 1000}


def under(limit: str) -> tuple[str, ...]:
    """What runs a member with a limit of the shell's."""
    return ("sh", "-c", f'ulimit -S {limit} && exec "$@"', "sh")


def three(start: StartMember, wire: str, **last: object) -> list[Member]:
    """Members 1, 2 and 3, of which the last is special."""
    members = [start(1, wire=wire, config=QUICK), start(2, wire=wire, config=QUICK)]
    members.append(start(3, wire=wire, config=QUICK, **last))
    members[0].join(found=True)
    for member in members[1:]:
        member.join(contacts=[members[0].address])
    for member in members:
        member.ask("wait_view", nodes=[1, 2, 3])
    return members


def joins_though_one_lacks(start: StartMember, wire: str, members: list[Member]) -> str:
    """Let member 4 join while member 3 lacks what it needs; return what member 3 says."""
    fourth = start(4, wire=wire, config=QUICK).join(contacts=[members[0].address])
    kind, text = members[2].ask("wait_end")
    assert kind == "NoMemory", text
    members[2].end()
    for member in (members[0], members[1], fourth):
        assert sorted(member.ask("wait_view", nodes=[1, 2, 4])) == [1, 2, 4]
    assert members[0].ask("add", entry="x") == [1, 2, 4]
    return text


@pytest.mark.parametrize("wire", WIRES)
def test_a_member_without_descriptors_ends_itself_when_somebody_joins(start: StartMember, wire: str) -> None:
    members = three(start, wire, under=under("-n 100"))
    members[2].ask("hoard_descriptors")
    text = joins_though_one_lacks(start, wire, members)
    assert "this node cannot go on, the others do" in text
    assert "descriptors" in text or "Too many open files" in text


@pytest.mark.parametrize("wire", WIRES)
def test_a_member_without_memory_ends_itself_when_somebody_joins(start: StartMember, wire: str) -> None:
    members = three(start, wire)
    members[2].ask("freeze_memory")
    assert "this node cannot go on, the others do" in joins_though_one_lacks(start, wire, members)


def test_a_joiner_that_may_make_no_files_is_told_and_the_founder_goes_on(start: StartMember) -> None:
    founder = start(1, wire="shm", config=QUICK).join(found=True)
    with pytest.raises(AssertionError, match=r"NoMemory: .*ulimit -f"):
        start(2, wire="shm", config=QUICK, under=under("-f 100")).join(contacts=[founder.address])
    assert founder.ask("add", entry="x") == [1]
    assert founder.ask("view") == [1]


@pytest.mark.parametrize("wire", WIRES)
def test_a_founder_without_descriptors_turns_joiners_away_and_goes_on(start: StartMember, wire: str) -> None:
    founder = start(1, wire=wire, config=QUICK, under=under("-n 100")).join(found=True)
    founder.ask("hoard_descriptors")
    with pytest.raises(AssertionError, match="Unreachable|Timeout"):
        start(2, wire=wire, config=QUICK).join(contacts=[founder.address], timeout=3.0)
    assert founder.ask("add", entry="x") == [1]
