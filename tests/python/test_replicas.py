"""Replicas that differ are found: by the answers to one call, and by digests of answers or states.

Three members; the replica of node 3 becomes another one in a way that the issue of such bugs has seen: a query changes
the state, a handler fails at one member only.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

import derecho

if TYPE_CHECKING:
    from conftest import Nodes

TIMEOUT_S = 20.0


@derecho.service
class Counter:
    """A sum, a query that changes it, and a call that fails at some nodes."""

    node: derecho.Local[int]
    lock: derecho.Local[Any]

    def __init__(self, node: int = 0) -> None:
        self.node = node
        self.lock = threading.Lock()
        self.sum = 0

    @derecho.ordered
    def add(self, amount: int) -> int:
        self.sum += amount
        return self.sum

    @derecho.ordered
    def check(self, failing: list[int]) -> str:
        if self.node in failing:
            raise ValueError(f"not at node {self.node}")
        return "fine"

    @derecho.query
    def peek(self) -> int:
        self.sum += 1  # what a query must not do
        return self.sum


@pytest.fixture
def three(nodes: Nodes) -> Callable[..., list[derecho.Group]]:
    """Three members, with options."""

    def start(count: int = 3, **options: Any) -> list[derecho.Group]:
        for node in range(1, count + 1):
            nodes.join([Counter(node)], config=options)
        for group in nodes.groups:
            group.wait_view(count)
        return nodes.groups

    return start


class Told:
    """What `on_difference` was told, at each member."""

    def __init__(self, groups: list[derecho.Group]) -> None:
        self.groups = groups
        self.differences: list[list[derecho.Difference]] = [[] for _ in groups]
        for group, found in zip(groups, self.differences, strict=True):
            group.on_difference(found.append)

    def everywhere(self) -> list[derecho.Difference]:
        """Wait until each was told once; return what."""
        for group, found in zip(self.groups, self.differences, strict=True):
            assert group._engine.wait(lambda found=found: found, TIMEOUT_S, "a difference")  # type: ignore[misc]
        assert all(len(found) == 1 for found in self.differences)
        return [found[0] for found in self.differences]


# ------------------------------------------------------------------------------------------------- one call


def test_all_says_who_answered_otherwise_after_a_query_changed_the_state(three: Any) -> None:
    a, _, _ = three()
    assert a[Counter].peek.at(3).result() == 1
    replies = a[Counter].add(5)
    with pytest.raises(derecho.ReplicasDiffer) as caught:
        replies.all()
    assert caught.value.answers == {1: 5, 2: 5, 3: 6}
    assert str(caught.value) == "Counter.add: replicas differ: node 3 answered 6, nodes 1, 2 answered 5"
    assert replies.result() in (5, 6), "one answer is as good as another"
    assert {node: reply.result() for node, reply in replies.replies().items()} == caught.value.answers


def test_all_says_at_which_member_alone_a_handler_failed(three: Any) -> None:
    a, _, _ = three()
    said = "node 2 failed with ValueError: not at node 2, nodes 1, 3 answered 'fine'"
    with pytest.raises(derecho.ReplicasDiffer, match=said) as caught:
        a[Counter].check([2]).all()
    assert caught.value.answers[1] == caught.value.answers[3] == "fine"
    assert isinstance(caught.value.answers[2], derecho.RemoteError)
    with pytest.raises(derecho.ReplicasDiffer, match="node 1 answered 'fine', nodes 2, 3 failed with ValueError"):
        a[Counter].check([2, 3]).all()


def test_what_fails_at_all_members_is_no_difference_whatever_the_texts(three: Any) -> None:
    a, _, _ = three()
    with pytest.raises(derecho.RemoteError, match="not at node 1"):
        a[Counter].check([1, 2, 3]).all()


def test_of_two_that_differ_both_are_named(three: Any) -> None:
    a, _ = three(2)
    a[Counter].peek.at(2).result()
    with pytest.raises(derecho.ReplicasDiffer, match="node 1 answered 5, node 2 answered 6"):
        a[Counter].add(5).all()


# ------------------------------------------------------------------------------------------------- digests


@pytest.mark.parametrize("digest", ["answers", "state"])
def test_a_digest_names_the_replica_that_differs_at_every_member(three: Any, digest: str) -> None:
    groups = three(digest=digest, digest_every=4)
    told = Told(groups)
    a = groups[0]
    a[Counter].peek.at(3).result()
    for _ in range(8):
        a[Counter].add(1).result()
    for difference in told.everywhere():
        assert (difference.service, difference.node) == ("Counter", 3)
        assert "the replica of node 3" in difference.text
        assert "differs from that of nodes 1, 2" in difference.text
    assert [group.stats()["differences"] for group in groups] == [1, 1, 1]


def test_a_digest_of_states_looks_at_calls_that_nobody_wants_answers_to(three: Any) -> None:
    groups = three(digest="state", digest_every=4)
    told = Told(groups)
    groups[0][Counter].peek.at(3).result()
    for _ in range(4):
        groups[0][Counter].add.send(1)
    assert {difference.node for difference in told.everywhere()} == {3}


def test_a_state_that_cannot_be_saved_is_reported_once_and_not_asked_for_again(
    three: Any, caplog: pytest.LogCaptureFixture
) -> None:
    a, b, c = three(digest="state", digest_every=2)
    b.local(Counter).sum = object()  # type: ignore[assignment]
    for _ in range(12):
        a[Counter].check([]).all()
    said = "the state of Counter at node 2 is not compared with that of others, for it cannot be saved: "
    assert b._engine.wait(b.troubles, TIMEOUT_S, "a trouble")
    assert [trouble.startswith(said) for trouble in b.troubles()] == [True]
    assert len([record for record in caplog.records if "cannot be saved" in record.message]) == 1
    assert a.troubles() == c.troubles() == []


def test_a_failure_at_one_replica_alone_is_in_the_digest_of_answers(three: Any) -> None:
    groups = three(digest="answers", digest_every=2)
    told = Told(groups)
    for _ in range(2):
        groups[0][Counter].check([2])
    assert {difference.node for difference in told.everywhere()} == {2}


def test_the_end_of_a_view_ends_an_interval(three: Any, nodes: Nodes) -> None:
    groups = list(three(digest="answers", digest_every=1_000_000))
    told = Told(groups)
    groups[0][Counter].check([2])
    groups[0][Counter].add(0).result()
    nodes.join([Counter(4)], config={"digest": "answers", "digest_every": 1_000_000})
    assert {difference.node for difference in told.everywhere()} == {2}


def test_two_that_differ_are_told_so_and_nobody_is_right(three: Any) -> None:
    groups = three(2, digest="answers", digest_every=2, digest_policy="eject")
    told = Told(groups)
    groups[0][Counter].peek.at(2).result()
    for _ in range(2):
        groups[0][Counter].add(1).result()
    for difference in told.everywhere():
        assert difference.node is None
        assert "none of them are a majority" in difference.text
    assert groups[0][Counter].add(0).members() == (1, 2), "nobody is removed"


@pytest.mark.parametrize("digest", ["answers", "state"])
def test_the_policy_eject_removes_the_replica_that_differs(three: Any, digest: str) -> None:
    a, b, c = three(digest=digest, digest_every=4, digest_policy="eject")
    a[Counter].peek.at(3).result()
    for _ in range(8):
        a[Counter].add(1).result()
    assert a.wait_view([1, 2]).nodes == (1, 2)
    assert c._engine.wait(lambda: c.ended is not None, TIMEOUT_S, "the end")
    assert isinstance(c.ended, derecho.Ejected)
    assert "the replica of node 3 (this one) differs from that of nodes 1, 2" in str(c.ended)
    assert a[Counter].add(0).all() == b[Counter].add(0).all() == {1: 8, 2: 8}


def test_the_policy_stop_ends_every_member_with_the_reason(three: Any) -> None:
    groups = three(digest="answers", digest_every=2, digest_policy="stop")
    groups[0][Counter].peek.at(3).result()
    for _ in range(2):
        groups[0][Counter].add(1).result()
    for group in groups:
        assert group._engine.wait(lambda group=group: group.ended is not None, TIMEOUT_S, "the end")
        assert isinstance(group.ended, derecho.ReplicasDiffer), group.ended
        assert "differs from that of nodes 1, 2" in str(group.ended)


@pytest.mark.parametrize("digest", ["answers", "state"])
def test_replicas_that_are_alike_are_compared_and_never_named(nodes: Nodes, digest: str) -> None:
    config = {"digest": digest, "digest_every": 3, "digest_policy": "stop"}
    for node in range(1, 4):  # joiners come in the middle of intervals
        nodes.join([Counter(node)], config=config)
        for group in nodes.groups:
            for n in range(5):
                group[Counter].add(n)
            group[Counter].add.send(1)
            with pytest.raises(derecho.RemoteError):
                group[Counter].check([1, 2, 3]).all()
    assert len(set(nodes.groups[0][Counter].add(0).all().values())) == 1
    for group in nodes.groups:
        assert group.ended is None
        assert group.stats()["digests"] > 0
        assert group.stats()["differences"] == 0


def test_members_that_would_make_digests_differently_do_not_join(three: Any) -> None:
    three(1, digest="answers")
    for options, text in [
        ({}, "option digest differs: "),
        ({"digest": "answers", "digest_every": 5}, "option digest_every differs: "),
        ({"digest": "answers", "digest_policy": "eject"}, "option digest_policy differs: "),
    ]:
        with pytest.raises(derecho.Incompatible, match=text):
            three(1, **options)


# ------------------------------------------------------------------------------------------------- state


def test_attributes_that_the_state_lacks_stay_what_init_made_them(nodes: Nodes) -> None:
    @derecho.service(name="Versions")
    class Old:
        def __init__(self) -> None:
            self.values = [1, 2]

        @derecho.ordered
        def count(self) -> int:
            return len(self.values)

    @derecho.service(name="Versions")
    class New(Old):
        def __init__(self) -> None:
            super().__init__()
            self.values = []
            self.limit = 7  # added since

    nodes.join([Old()])
    new = New()
    group = nodes.join([new])
    assert (new.values, new.limit) == ([1, 2], 7)
    assert group._host(New, None) is not None


def test_local_attributes_are_neither_saved_nor_overwritten(nodes: Nodes) -> None:
    first, second = Counter(1), Counter(2)
    nodes.join([first])[Counter].add(5).all()
    lock = second.lock
    nodes.join([second])
    assert (second.sum, second.node, second.lock) == (5, 2, lock)
