"""How a group begins, and how a node comes back to it: docs/founding.md, with real processes, kills and pauses."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Member, StartMember

Three = Callable[..., "list[Member]"]


def free_addresses(count: int) -> list[str]:
    """Addresses that stay the same over restarts, as of services that are configured once."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]


@pytest.fixture
def three(start: StartMember, tmp_path: Path) -> Three:
    """Three members that were started at once with the same initial members, in the order that each has of its own."""

    def make(own_first: bool = False) -> list[Member]:
        addresses = free_addresses(3)
        members = []
        for node, listen in enumerate(addresses, 1):
            initial = sorted(addresses, key=lambda address, own=listen: address != own) if own_first else addresses
            options = {"listen": listen, "initial_members": initial, "config": {"data_dir": str(tmp_path / str(node))}}
            members.append(start(node, **options))
        for member in members:
            member.send("join", node=member.node, **member.options)
        for member in members:
            member.joined()
        for member in members:
            member.ask("wait_view", nodes=[1, 2, 3])
        return members

    return make


def again(start: StartMember, member: Member, **options: object) -> Member:
    """The same command once more."""
    fresh = start(member.node, **(member.options | options))
    fresh.send("join", node=fresh.node, **fresh.options)
    return fresh


@pytest.mark.parametrize("own_first", [False, True], ids=["one order", "each itself first"])
def test_initial_members_that_start_at_once_are_one_group(three: Three, own_first: bool) -> None:
    members = three(own_first)
    assert len({member.ask("group_id") for member in members}) == 1


@pytest.mark.parametrize("victim", [0, 2])
def test_a_member_that_is_killed_and_started_again_comes_back_to_its_group(
    three: Three, start: StartMember, victim: int
) -> None:
    members = three()
    group = members[1].ask("group_id")
    assert members[1].ask("add", entry="kept") == [1, 2, 3]
    members[victim].kill()
    back = again(start, members[victim])
    back.joined()
    assert back.ask("group_id") == group
    assert back.ask("entries") == ["kept"]


def test_a_node_that_comes_back_while_the_others_are_stopped_founds_nothing(three: Three, start: StartMember) -> None:
    first, *others = three()
    group = first.ask("group_id")
    for member in others:
        member.kill(signal.SIGSTOP)
    first.kill()
    back = again(start, first, timeout=60.0)
    time.sleep(2.5)  # longer than suspect_ms, and than connect_timeout_ms
    for member in others:
        member.kill(signal.SIGCONT)
    back.joined()
    assert back.ask("group_id") == group
    assert {member.ask("group_id") for member in others} == {group}


def test_a_node_alone_waits_for_its_group_and_says_for_whom(three: Three, start: StartMember, tmp_path: Path) -> None:
    members = three()
    group = members[0].ask("group_id")
    for member in (members[1], members[0], members[2]):  # it has not seen the others go
        member.kill()
    with pytest.raises(AssertionError) as caught:
        again(start, members[1], timeout=1.5).joined()
    for part in (f"group {group}", f"node 1 at {members[0].address}", f"remove {tmp_path}/2/default/2.group"):
        assert part in str(caught.value)
    with pytest.raises(AssertionError, match="option found would make a second group"):
        again(start, start(2, listen=members[1].address, found=True, config=members[1].options["config"])).joined()


def test_all_that_were_killed_found_a_new_group_together(three: Three, start: StartMember) -> None:
    members = three()
    group = members[0].ask("group_id")
    for member in members:
        member.kill()
    fresh = [again(start, member) for member in members]
    for member in fresh:
        member.joined()
    for member in fresh:
        member.ask("wait_view", nodes=[1, 2, 3])
    (new,) = {member.ask("group_id") for member in fresh}
    assert new != group


def test_a_group_that_all_have_left_is_over(three: Three, start: StartMember) -> None:
    members = three()
    for member in members:
        member.ask("leave")
    fresh = [again(start, member) for member in members]
    for member in fresh:
        member.joined()


def test_a_founder_that_leaves_at_once_keeps_nobody_waiting(start: StartMember, tmp_path: Path) -> None:
    addresses = free_addresses(3)
    members = [
        start(node, listen=listen, initial_members=addresses, config={"data_dir": str(tmp_path / str(node))})
        for node, listen in enumerate(addresses, 1)
    ]
    for member in members:
        member.send("join", node=member.node, **member.options)
    members[0].send("leave")  # it has founded, most often, and the others have not come in
    for member in members:
        member.joined()
    for member in members[1:]:
        assert sorted(member.ask("wait_view", nodes=[2, 3])) == [2, 3]


def test_one_whose_contacts_are_in_two_groups_is_told_before_or_after_it_was_let_into_one(start: StartMember) -> None:
    first, second = start(1).join(found=True), start(2).join(found=True)
    joiner = start(3, under=("env", "DERECHO_LOG=warn"))
    try:
        joiner.join(contacts=[first.address, second.address])
    except AssertionError as refused:
        assert "there are two groups" in str(refused)
        return
    deadline = time.monotonic() + 30
    while "there are two groups" not in joiner.printed():
        assert time.monotonic() < deadline, joiner.printed()
        time.sleep(0.1)


def test_members_look_for_the_nodes_of_their_options_and_find_another_group(start: StartMember) -> None:
    one, two = free_addresses(2)
    log = ("env", "DERECHO_LOG=warn")
    first = start(1, listen=one, under=log)
    first.send("join", node=1, listen=one, contacts=[two], found=True, timeout=60.0)
    first.joined()  # nobody is there yet
    second = start(2, listen=two, under=log).join(found=True)
    deadline = time.monotonic() + 30
    while "there are two groups" not in first.printed() or "there are two groups" not in second.printed():
        assert time.monotonic() < deadline, f"{first.printed()}\n{second.printed()}"
        time.sleep(0.1)
