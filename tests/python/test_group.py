"""Shows groups of Python members over the real core: nodes of one process over shared memory and over TCP."""

from __future__ import annotations

import dataclasses
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import derecho
from derecho._native import fast

if TYPE_CHECKING:
    from conftest import Nodes


@dataclasses.dataclass
class Entry:
    who: str
    amounts: list[derecho.int32]


@derecho.service
class Book:
    def __init__(self) -> None:
        self.entries: list[list[object]] = []
        self.items: dict[str, bytes] = {}

    @derecho.ordered
    def put(self, key: str, value: bytes) -> int:
        self.items[key] = value
        return len(self.items)

    @derecho.ordered
    def write(self, entry: Entry) -> derecho.uint32:
        if not entry.amounts:
            raise ValueError(f"{entry.who} wrote nothing")
        self.entries.append([entry.who, list(entry.amounts)])
        return len(self.entries)

    @derecho.ordered
    def clear(self) -> None:
        self.items.clear()

    @derecho.query
    def get(self, key: str) -> bytes | None:
        return self.items.get(key)

    @derecho.query
    def whole(self) -> list[Entry]:
        return [Entry(*e) for e in self.entries]  # type: ignore[arg-type]


def books(nodes: Nodes, count: int) -> list[derecho.Group]:
    return nodes.together(count, lambda: [Book()])


def test_every_member_answers_an_ordered_call(nodes: Nodes) -> None:
    a, b, _ = books(nodes, 3)
    replies = a[Book].put("k", b"v")
    assert replies.all() == {1: 1, 2: 1, 3: 1}
    assert replies.members() == (1, 2, 3)
    assert replies.result() == replies.first() == 1
    assert sorted(node for node, reply in replies if reply.result() == 1) == [1, 2, 3]
    assert b.local(Book).items == {"k": b"v"}
    assert a[Book].clear().all() == {1: None, 2: None, 3: None}


def test_a_query_goes_to_one_member(nodes: Nodes) -> None:
    a, b = books(nodes, 2)
    a[Book].put("k", b"v").all()
    assert b[Book].get("k").result() == b"v"
    assert a[Book].get.at(2, "k").result() == b"v"
    assert a[Book].get.at(2, "none").result() is None
    with pytest.raises(derecho.NotMember, match="9"):
        a[Book].get.at(9, "k")


def test_structures_travel(nodes: Nodes) -> None:
    a, b = books(nodes, 2)
    assert a[Book].write(Entry("ann", [1, -2])).all() == {1: 1, 2: 1}
    assert b[Book].whole.at(1).result() == [Entry("ann", [1, -2])]


def test_calls_of_all_members_come_in_one_order(nodes: Nodes) -> None:
    groups = books(nodes, 3)

    def send(group: derecho.Group) -> None:
        for i in range(300):
            group[Book].write.send(Entry(f"node{group.node}", [i]))
        group[Book].write(Entry(f"node{group.node}", [300])).all()

    threads = [threading.Thread(target=send, args=(g,)) for g in groups for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = groups[0][Book].put("end", b"").all()
    assert set(last) == {1, 2, 3}
    first, *others = (g.local(Book).entries for g in groups)
    assert len(first) == 6 * 301
    assert all(other == first for other in others)


def test_a_failing_handler_is_an_error_at_the_caller_only(nodes: Nodes) -> None:
    a, b = books(nodes, 2)
    replies = b[Book].write(Entry("ann", []))
    with pytest.raises(derecho.RemoteError, match="ValueError: ann wrote nothing") as caught:
        replies.all()
    assert (caught.value.type_name, caught.value.text) == ("ValueError", "ann wrote nothing")
    assert a[Book].put("k", b"v").all() == {1: 1, 2: 1}, "the group goes on"


def test_a_joiner_has_the_state_and_everything_after(nodes: Nodes) -> None:
    a, b = books(nodes, 2)
    a[Book].put("big", bytes(3_000_000 // 4)).all()
    for i in range(200):
        a[Book].put.send(f"k{i}", bytes(1000))
    stop = threading.Event()

    def go_on() -> None:
        i = 0
        while not stop.is_set():
            b[Book].write(Entry("bob", [i])).all()
            i += 1

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        c = nodes.join([Book()])
        assert set(c.local(Book).items) >= {"big", "k0", "k199"}
    finally:
        stop.set()
        writer.join()
    assert set(c[Book].put("end", b"").all()) == {1, 2, 3}
    assert c.local(Book).entries == a.local(Book).entries
    assert c.local(Book).items == a.local(Book).items


def test_views_follow_who_joins_and_leaves(nodes: Nodes) -> None:
    seen: list[str] = []
    a = nodes.join([Book()], on_view=lambda view: seen.append(str(view)))
    b = nodes.join([Book()])
    a.wait_view([1, 2])
    assert a.view.self_rank == 0
    assert b.view.members[1].node == 2
    b.leave()
    assert a.wait_view(exactly=1).nodes == (1,)
    assert seen == ["view 1: {1}", "view 2: {1, 2 joining}", "view 3: {1, 2}", "view 4: {1}"] == [*map(str, a.views)]
    assert b.ended is not None
    assert a[Book].put("k", b"v").all() == {1: 1}


def test_a_number_of_members_is_the_least_unless_it_is_to_be_exact(nodes: Nodes) -> None:
    """A member that waits for two is not left waiting by a third."""
    a, _, _ = books(nodes, 3)
    assert len(a.wait_view(2).nodes) == len(a.wait_view(3).nodes) == len(a.wait_view(exactly=3).nodes) == 3
    for wait, said in (
        (lambda: a.wait_view(4, 0.05), r"no view of 4 or more within 0.05 s; there is .*\{1, 2, 3\}"),
        (lambda: a.wait_view(exactly=2, timeout=0.05), "no view of exactly 2 within"),
        (lambda: a.wait_view([1, 2], 0.05), r"no view of \[1, 2\] within"),
    ):
        with pytest.raises(derecho.Timeout, match=said):
            wait()
    for arguments in ({}, {"nodes": 2, "exactly": 2}):
        with pytest.raises(TypeError, match="or exactly="):
            a.wait_view(**arguments)


def test_a_member_that_stops_is_left_out_of_the_answers(nodes: Nodes) -> None:
    a, b, c = books(nodes, 3)
    c.close()
    answers = a[Book].put("k", b"v").all()
    assert set(answers) <= {1, 2, 3}
    assert set(answers) >= {1, 2}
    assert a.wait_view([1, 2]).nodes == b.wait_view([1, 2]).nodes


def test_threads_call_and_query_at_once(nodes: Nodes) -> None:
    a, _ = books(nodes, 2)
    failed: list[BaseException] = []

    def work(i: int) -> None:
        try:
            for k in range(50):
                assert set(a[Book].put(f"{i}", str(k).encode()).all()) == {1, 2}
                assert a[Book].get(f"{i}").result() == str(k).encode()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_ctrl_c_as_a_poll_returns_loses_nothing_of_what_came(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    (group,) = books(nodes, 1)

    class Interrupted:
        """The module `fast`, with a signal during the next poll that finds something: its handler runs right after."""

        def __getattr__(self, name: str) -> Any:
            return getattr(fast, name)

        def poll(self, *args: Any) -> Any:
            found = fast.poll(*args)
            if found or (args[2:] and args[2]):
                monkeypatch.undo()
                raise KeyboardInterrupt
            return found

    monkeypatch.setattr("derecho._native.group.fast", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        group[Book].put("first", b"").result()
    assert group[Book].put("second", b"").result() == 2
    assert list(group.local(Book).items) == ["first", "second"]


def test_leaving_while_a_slice_of_it_times_out_is_leaving(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two slices the others install the view without it: the next one has nothing left to leave."""
    (group,) = books(nodes, 1)
    native = group._engine.native
    leave = native.leave

    def late(timeout_ms: int) -> None:
        monkeypatch.undo()
        leave(1000)
        raise derecho.Timeout("it took a little longer")

    group._engine.pump.stop()  # which would see that it left
    monkeypatch.setattr(native, "leave", late)
    group.leave()


def test_a_closed_group_says_so(nodes: Nodes) -> None:
    (a,) = books(nodes, 1)
    cache = a[Book]
    a.close()
    a.close()
    calls = (lambda: cache.put("k", b""), lambda: cache.put.send("k", b""), lambda: cache.get("k"))
    for use in (*calls, lambda: a.wait_view(2), a.drive):
        with pytest.raises(derecho.Closed, match="this node closed the group"):
            use()


def test_a_handler_that_waits_is_an_error_not_a_hang(nodes: Nodes) -> None:
    @derecho.service
    class Nosy:
        def __init__(self) -> None:
            self.caught = ""

        @derecho.ordered
        def ask(self) -> str:
            try:
                group[Nosy].tell().result()
            except derecho.InHandler as error:
                return str(error)
            return "it waited"

        @derecho.query
        def tell(self) -> int:
            return 1

    group = nodes.join([Nosy()])
    assert "must not wait (Nosy.tell)" in group[Nosy].ask().result()


def test_one_class_can_serve_under_several_names(nodes: Nodes) -> None:
    group = nodes.join({"red": Book(), "blue": Book()})
    red, blue = group.service(Book, "red"), group.service(Book, "blue")
    red.put("k", b"r").result()
    blue.put("k", b"b").result()
    assert (red.get("k").result(), blue.get("k").result()) == (b"r", b"b")
    with pytest.raises(derecho.InvalidArgument, match="there are: red, blue"):
        group.service(Book, "green")


def test_a_client_queries_and_is_in_no_view(nodes: Nodes) -> None:
    a, _ = books(nodes, 2)
    a[Book].put("k", b"v").all()
    client = nodes.join([Book()], node=9, config={"role": "client"}, listen=None)
    assert client[Book].get.at(1, "k").result() == b"v"
    assert client[Book].get("k").result() == b"v"
    assert 9 not in a.view
    with pytest.raises(derecho.NotMember, match="this node is a client, and clients only query"):
        client[Book].put("k", b"w").result()


def test_a_view_tells_who_has_the_state_by_now(nodes: Nodes) -> None:
    founder, joiner = books(nodes, 2)
    for group in (founder, joiner):
        deadline = time.monotonic() + 10
        while not all(member.has_state for member in group.view.members) and time.monotonic() < deadline:
            group.drive(0.01)
        assert [member.has_state for member in group.view.members] == [True, True]
        assert group.views[-1] == group.view


def test_the_group_is_driven_while_the_application_sleeps(nodes: Nodes) -> None:
    a, b = books(nodes, 2)
    a[Book].put.send("k", b"v")
    deadline = time.monotonic() + 5
    while b.local(Book).items != {"k": b"v"} and time.monotonic() < deadline:
        time.sleep(0.005)
    assert b.local(Book).items == {"k": b"v"}


def test_stats_and_repr_tell_what_happened(nodes: Nodes) -> None:
    (a,) = books(nodes, 1)
    a[Book].put("k", b"v").all()
    assert a.stats()["delivered_messages"] >= 1
    assert repr(a) == "<Group default, node 1, view 1: {1}>"


def test_all_members_are_in_one_group_by_its_id_and_two_groups_have_two(nodes: Nodes) -> None:
    one, two = books(nodes, 2)
    assert one.view.group_id == two.view.group_id
    other = nodes.join([Book()], found=True)
    assert other.view.group_id != one.view.group_id
    assert len(other.view.group_id) == 36
