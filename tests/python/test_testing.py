"""Shows the group in one process that users test their services with, and its pytest fixture."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import derecho
from derecho.testing import Cluster, call_context, cluster

Make = Callable[..., Cluster]


@derecho.service
class Counter:
    def __init__(self, start: int = 0) -> None:
        self.total = start

    @derecho.ordered
    def add(self, by: int) -> int:
        self.total += by
        return self.total

    @derecho.query
    def get(self) -> int:
        return self.total


def totals(members: Cluster) -> list[int]:
    return [counter.total for counter in members.replicas(Counter)]


def test_members_are_there_with_the_with_block_and_gone_after_it() -> None:
    with cluster(3, Counter) as members:
        assert [group.node for group in members] == [1, 2, 3]
        assert members[0][Counter].add(2).all() == {1: 2, 2: 2, 3: 2}
        assert members[2][Counter].get().result() == 2
        groups = list(members)
        assert len(members) == 3
    assert all(isinstance(group.ended, derecho.Closed) for group in groups)


def test_a_settled_cluster_has_applied_all_that_was_sent(derecho_cluster: Make) -> None:
    members = derecho_cluster(3, Counter)
    for _ in range(200):
        for group in members:
            group[Counter].add.send(1)
    members.wait_settled()
    assert totals(members) == [600, 600, 600]


def test_the_others_go_on_without_one_that_was_killed_and_it_comes_back(derecho_cluster: Make) -> None:
    members = derecho_cluster(3, Counter)
    members[0][Counter].add(1).all()
    members.kill(0)
    members[1][Counter].add.send(1)
    members.wait_settled()
    assert totals(members) == [2, 2]
    back = members.restart(0)
    assert back is members[0]
    assert back.node == 1
    members.add()
    members.wait_settled()
    assert totals(members) == [2, 2, 2, 2]


def test_who_is_there_is_not_started_again(derecho_cluster: Make) -> None:
    with pytest.raises(ValueError, match="member 0 is there"):
        derecho_cluster(1, Counter).restart(0)


def test_a_member_that_leaves_is_missed_by_nobody(derecho_cluster: Make) -> None:
    members = derecho_cluster(2, Counter)
    members.leave(0)
    members.wait_settled()
    assert members[1][Counter].add(1).all() == {2: 1}


def test_without_a_majority_waiting_says_so(derecho_cluster: Make) -> None:
    members = derecho_cluster(2, Counter)
    members.kill(0)
    with pytest.raises(derecho.NoMajority):  # and not that this very member left
        for _ in range(1_000_000):
            members[1][Counter].get().result()
    with pytest.raises(derecho.NoMajority):
        members[1][Counter].add(1).result()
    assert members.alive == []
    with pytest.raises(derecho.NoMajority, match=r"no member of the cluster is there.*node 2: half or more"):
        members.wait_settled()
    for come in (lambda: members.restart(0), members.add):  # neither founds another group, an empty one
        with pytest.raises(derecho.NoMajority, match="no member of the cluster is there"):
            come()


def test_services_come_by_class_by_function_and_by_name(derecho_cluster: Make) -> None:
    assert totals(derecho_cluster(2, lambda: Counter(5))) == [5, 5]
    named = derecho_cluster(2, {"a": Counter, "b": Counter}, raw=["log"])
    assert named[0].service(Counter, "b").add(3).all() == {1: 3, 2: 3}
    named[0].raw("log").send(b"x")
    named.wait_settled()
    assert [message.tobytes() for message in named[1].raw("log").poll(10.0)] == [b"x"]
    assert [counter.total for counter in named.replicas(Counter, "b")] == [3, 3]


def test_an_instance_is_refused() -> None:
    with pytest.raises(TypeError, match="each member needs an instance of its own: give the class Counter"):
        cluster(2, Counter())


def test_a_member_that_cannot_settle_is_named(derecho_cluster: Make) -> None:
    started = []

    @derecho.service
    class Slow:
        @derecho.ordered
        def work(self) -> None:
            started.append(time.monotonic())
            time.sleep(0.5)

    members = derecho_cluster(2, Slow)
    members[0][Slow].work.send()
    with pytest.raises(derecho.Timeout, match="Slow: what node 1 has sent"):
        members.wait_settled(0.05)
    members.wait_settled()
    assert len(started) == 2


def test_the_plugin_loads_nothing_that_no_test_asks_for(tmp_path: Path) -> None:
    test = tmp_path / "test_it.py"
    test.write_text("import sys\ndef test_it(request): assert 'derecho' not in sys.modules\n")
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_a_method_that_asks_for_its_context_runs_without_a_group() -> None:
    @derecho.service
    class Lock:
        owner = 0
        since = 0

        @derecho.ordered
        def take(self) -> int:
            self.owner, _, self.since = derecho.context()
            return self.owner

    lock = Lock()
    with call_context(caller=2, version=7, time_ns=9) as outer:
        assert lock.take() == 2
        with call_context(caller=3):
            assert lock.take() == 3
        assert lock.since > 1_000_000_000_000_000_000
        assert derecho.context() == outer == (2, 7, 9)
    with pytest.raises(RuntimeError):
        lock.take()
