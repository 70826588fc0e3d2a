"""A member whose application stands still: whoever waits for it is told so, by name. Real processes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Member

Trio = Callable[..., list["Member"]]

QUICK = {"ring_bytes": 65536, "heartbeat_ms": 20, "suspect_ms": 800}


def test_a_call_that_is_not_answered_names_the_member_that_is_busy_with_it(trio: Trio) -> None:
    members = trio(config=QUICK)
    members[2].ask("pause", seconds=4.0)  # in the handler, from now on
    why = re.escape(f"node 3 at {members[2].address} holds others up: its application has ")
    why += "(not polled|released none of the messages)"
    with pytest.raises(AssertionError, match=f"Timeout: .*members 3 did not answer .*{why}"):
        members[0].ask("add", entry="x", timeout=2.0)


def test_a_full_ring_names_the_member_that_takes_nothing_and_it_stays_a_member(
    trio: Trio,
) -> None:
    members = trio(config=QUICK)
    members[2].ask("pause", seconds=6.0)
    why = re.escape(f"node 3 at {members[2].address} holds others up: its application has ")
    why += "(not polled|released none of the messages)"
    with pytest.raises(AssertionError, match=f"RingFull: .*no room within 2 s: {why}"):
        members[0].ask("fill", entry="x" * 1000, timeout=2.0)
    assert members[1].ask("holdup") in ([3, "not polling"], [3, "not releasing"])
    assert members[1].ask("view") == [1, 2, 3]


def test_option_slow_member_ms_removes_it_and_it_learns_why(trio: Trio) -> None:
    members = trio(config=QUICK | {"slow_member_ms": 1000})
    members[2].ask("pause", seconds=4.0, times=1)
    members[0].send("fill", entry="x" * 1000, timeout=60.0, count=200)
    assert sorted(members[1].ask("wait_view", nodes=[1, 2])) == [1, 2]
    assert members[0].answer() == 200
    kind, text = members[2].ask("wait_end")
    assert kind == "Ejected"
    assert "this node's own application has " in text
