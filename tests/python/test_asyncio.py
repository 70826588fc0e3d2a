"""Shows groups in asyncio: what has `result` also awaits, the loop never blocks, messages are an async iterator."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

import derecho

if TYPE_CHECKING:
    from conftest import Nodes


gate = threading.Event()
WAIT = 1000


@derecho.service
class Counter:
    def __init__(self) -> None:
        self.total = 0

    @derecho.ordered
    def add(self, by: int) -> int:
        if by == 0:
            raise ValueError("by must not be 0")
        if by == WAIT:
            gate.wait(60)
        self.total += by
        return self.total

    @derecho.query
    def get(self) -> int:
        return self.total


OPTIONS: dict[str, Any] = {"node": 1, "listen": "127.0.0.1:0"}


def test_join_call_query_and_leave_by_await() -> None:
    async def main() -> None:
        async with await derecho.Group.join_async([Counter()], found=True, **OPTIONS) as group:
            counter = group[Counter]
            assert await counter.add(2) == 2
            assert await counter.add(3).everyone == {1: 5}
            assert await counter.add(1).ordered == (1,)
            assert await counter.get() == 6
            assert [(n, r.result()) async for n, r in counter.add(4)] == [(1, 10)]
            with pytest.raises(derecho.RemoteError, match="by must not be 0"):
                await counter.add(0)
        assert group.ended is not None

    asyncio.run(main())


def test_many_tasks_await_at_once_while_others_run(nodes: Nodes) -> None:
    groups = nodes.together(2, lambda: [Counter()])

    async def main() -> tuple[list[int], float]:
        longest = 0.0
        stop = asyncio.Event()

        async def heartbeat() -> float:
            worst = 0.0
            while not stop.is_set():
                started = time.perf_counter()
                await asyncio.sleep(0.001)
                worst = max(worst, time.perf_counter() - started)
            return worst

        beating = asyncio.create_task(heartbeat())
        answers = await asyncio.gather(*(_awaited(groups[i % 2][Counter].add(1)) for i in range(200)))
        await asyncio.sleep(0.05)
        stop.set()
        longest = await beating
        return answers, longest

    answers, longest = asyncio.run(main())
    assert sorted(answers) == list(range(1, 201))
    assert longest < 2.0, "the loop was never blocked for long, even on a busy machine"
    assert [g.local(Counter).total for g in groups] == [200, 200] or groups[1][Counter].add(0).members()


async def _awaited(replies: derecho.Replies[int]) -> int:
    return await replies


def test_messages_are_an_async_iterator_that_ends_with_the_group(nodes: Nodes) -> None:
    a, b = nodes.together(2, list, raw=["log"])

    async def main() -> list[bytes]:
        found: list[bytes] = []

        async def consume() -> None:
            async for message in b.raw("log"):
                found.append(message.tobytes())

        consuming = asyncio.create_task(consume())
        for i in range(100):
            a.raw("log").send(str(i).encode())
            if i % 10 == 0:
                await asyncio.sleep(0.002)
        while len(found) < 100:
            await asyncio.sleep(0.005)
        b.close()
        await asyncio.wait_for(consuming, 5.0)
        return found

    assert asyncio.run(main()) == [str(i).encode() for i in range(100)]


def test_a_cancelled_wait_leaves_the_group_usable(nodes: Nodes) -> None:
    (group,) = nodes.together(1, lambda: [Counter()], raw=["log"])

    async def main() -> int:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(anext(aiter(group.raw("log"))), 0.05)
        return await group[Counter].add(1)

    assert asyncio.run(main()) == 1
    assert group[Counter].add(1).result() == 2, "and threads drive it again afterwards"


def test_one_group_serves_one_loop_after_another(nodes: Nodes) -> None:
    (group,) = nodes.together(1, lambda: [Counter()])

    async def add() -> int:
        return await group[Counter].add(1)

    assert [asyncio.run(add()) for _ in range(3)] == [1, 2, 3]


def test_tasks_take_what_await_takes(nodes: Nodes) -> None:
    (group,) = nodes.together(1, lambda: [Counter()])

    async def main() -> list[Any]:
        counter = group[Counter]
        task = asyncio.create_task(counter.add(1))
        grouped = [asyncio.create_task(counter.add(1)), asyncio.create_task(counter.get())]
        await asyncio.gather(*grouped)
        if sys.version_info >= (3, 11):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(counter.get())
        done, _ = await asyncio.wait([asyncio.ensure_future(counter.add(1))])
        gathered = await asyncio.gather(counter.add(1), counter.add(1).everyone)
        timed = await asyncio.wait_for(counter.add(1), 5)
        failing = asyncio.create_task(counter.add(0))
        with pytest.raises(derecho.RemoteError):
            await failing
        cancelled = asyncio.create_task(Never(group._engine, "never"))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        return [await task, grouped[0].result(), done.pop().result(), *gathered, timed]

    assert asyncio.run(main()) == [1, 2, 3, 4, {1: 5}, 6]


class Never(derecho.Future[int]):
    pass


def blocked(nodes: Nodes, count: int) -> derecho.Group:
    """A group whose handlers wait, on threads of their own, so that the rings fill."""
    gate.clear()
    groups = nodes.together(count, lambda: [Counter()], raw=["log"], config={"ring_bytes": 65536}, handlers="thread")
    groups[0][Counter].add.send(WAIT)
    return groups[0]


def test_the_loop_goes_on_while_calls_wait_for_room(nodes: Nodes) -> None:
    """Its calls are put off, in order, and sent as room comes."""
    group = blocked(nodes, 2)

    async def main() -> tuple[list[int], float]:
        longest, stop = 0.0, False

        async def heartbeat() -> None:
            nonlocal longest
            while not stop:
                started = time.perf_counter()
                await asyncio.sleep(0.001)
                longest = max(longest, time.perf_counter() - started)

        beating = asyncio.create_task(heartbeat())
        calls = [group[Counter].add(1) for _ in range(5000)]
        sends = [asyncio.create_task(group.raw("log").send_async(bytes(1000))) for _ in range(200)]
        queries = [group[Counter].get.at(2) for _ in range(10)]
        await asyncio.sleep(0.2)
        assert group._engine.unsent.waiting
        gate.set()
        answers = [await call for call in calls]
        await asyncio.gather(*sends, *queries)
        stop = True
        await beating
        return answers, longest

    answers, longest = asyncio.run(main())
    assert answers == list(range(WAIT + 1, WAIT + 5001))
    assert longest < 5.0, "it was never blocked for the time-out, which is 20 s"


def test_a_call_of_a_loop_that_finds_no_room_in_time_fails(nodes: Nodes) -> None:
    group = blocked(nodes, 1)
    group._engine.timeout = 0.2

    async def main() -> None:
        calls = [group[Counter].add(1) for _ in range(5000)]
        with pytest.raises((derecho.RingFull, derecho.Timeout), match=r"within 0\.2 s"):
            await calls[-1]
        gate.set()
        group._engine.timeout = 20.0
        await group[Counter].add(1)

    asyncio.run(main())


def test_handlers_run_where_it_was_chosen(nodes: Nodes) -> None:
    where: list[int] = []

    def note(_: object) -> None:
        where.append(threading.get_ident())

    def join(handlers: str) -> derecho.Group:
        group = nodes.join([Counter()], ["log"], handlers=handlers, on_message={"log": note})
        return group

    on_thread = join("thread")
    for _ in range(3):
        on_thread.raw("log").send(b"x")
        on_thread[Counter].add(1).result()
    assert len(set(where)) == 1
    assert threading.get_ident() not in where

    async def loop_of(group: derecho.Group) -> None:
        group.raw("log").send(b"x")
        await group[Counter].add(1)

    asyncio.run(loop_of(on_thread))
    assert len(set(where)) == 1, "an event loop does not run them either"
    with pytest.raises(derecho.InvalidArgument, match="is for join_async"):
        join("loop")

    async def main() -> None:
        contact = on_thread.view.members[0].address
        group = await derecho.Group.join_async(
            [Counter()],
            raw=["log"],
            node=7,
            listen="127.0.0.1:0",
            contacts=[contact],
            wire=nodes.wire,
            handlers="loop",
            on_message=note,
        )
        where.clear()
        await loop_of(group)
        group.raw("log").send(b"x")
        await asyncio.sleep(0.05)
        await asyncio.to_thread(lambda: group[Counter].add(1).result())
        assert set(where) >= {threading.get_ident()}
        await asyncio.to_thread(group.leave)

    asyncio.run(main())


def test_a_lock_that_handlers_take_may_be_held_by_who_waits_if_they_have_a_thread(nodes: Nodes) -> None:
    lock = threading.Lock()

    def locked(_: object) -> None:
        with lock:
            got.append(1)

    got: list[int] = []
    group = nodes.join([Counter()], ["log"], handlers="thread", on_message=locked)
    with lock:
        group.raw("log").send(b"x")
        with pytest.raises(derecho.Timeout):
            group[Counter].add(1).result(0.2)
    assert group[Counter].add(1).result() == 2
    assert got == [1]


def test_a_cancelled_join_gives_up_at_once() -> None:
    async def main() -> float:
        joining = asyncio.create_task(
            derecho.Group.join_async([Counter()], contacts=["127.0.0.1:9"], timeout=600, **(OPTIONS | {"node": 5}))
        )
        await asyncio.sleep(0.1)
        started = time.monotonic()
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        return time.monotonic() - started

    assert asyncio.run(main()) < 30
