"""Shows groups in asyncio: what has `result` also awaits, the loop never blocks, messages are an async iterator."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

import derecho

if TYPE_CHECKING:
    from conftest import Nodes


@derecho.service
class Counter:
    def __init__(self) -> None:
        self.total = 0

    @derecho.ordered
    def add(self, by: int) -> int:
        if by == 0:
            raise ValueError("by must not be 0")
        self.total += by
        return self.total

    @derecho.query
    def get(self) -> int:
        return self.total


OPTIONS: dict[str, Any] = {"node": 1, "listen": "127.0.0.1:0"}


def test_join_call_query_and_leave_by_await() -> None:
    async def main() -> None:
        async with await derecho.Group.join_async([Counter()], **OPTIONS) as group:
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
