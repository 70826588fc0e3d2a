"""Shows what a method may ask about the call that it handles, wherever it runs; all languages: tests/conformance."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

import derecho

if TYPE_CHECKING:
    from conftest import Nodes

pytestmark = pytest.mark.parametrize("nodes", ["shm"], indirect=True)


@derecho.service
class Lock:
    """Held by one node for at most a second."""

    def __init__(self) -> None:
        self.owner: int | None = None
        self.until_ns = 0

    @derecho.ordered
    def acquire(self) -> bool:
        call = derecho.context()
        if self.owner not in (None, call.caller) and call.time_ns < self.until_ns:
            return False
        self.owner, self.until_ns = call.caller, call.time_ns + 1_000_000_000
        return True


@derecho.service
class Seen:
    """Notes the contexts of its calls."""

    def __init__(self, ask: Any = None) -> None:
        self._ask = ask

    @derecho.ordered
    def see(self) -> list[int]:
        before = derecho.context()
        if self._ask is not None:
            self._ask()
        assert derecho.context() == before
        return list(before)

    @derecho.query
    def look(self) -> list[int]:
        return list(derecho.context())

    def __derecho_save__(self) -> bytes:
        return b""

    def __derecho_load__(self, data: bytes) -> None: ...


def test_a_lock_knows_who_takes_it_and_when(nodes: Nodes) -> None:
    a, b = nodes.together(2, lambda: [Lock()])
    assert a[Lock].acquire().all() == {1: True, 2: True}
    assert b[Lock].acquire().all() == {1: False, 2: False}
    assert a[Lock].acquire().all() == {1: True, 2: True}


@pytest.mark.parametrize("handlers", ["anywhere", "thread"])
def test_the_context_is_that_of_the_call_on_whichever_thread(nodes: Nodes, handlers: str) -> None:
    a, b = nodes.together(2, lambda: [Seen()], handlers=handlers)
    for group in (a, b):
        caller, version, time_ns = group[Seen].see().result()
        assert caller == group.node
        assert {tuple(seen) for seen in group[Seen].see().all().values()} != {(caller, version, time_ns)}
        assert group[Seen].look.at(1).result()[0] == group.node


def test_the_context_is_that_of_the_call_on_a_loop(nodes: Nodes) -> None:
    async def main() -> None:
        group = await derecho.Group.join_async([Seen()], node=1, listen="127.0.0.1:0", found=True, handlers="loop")
        async with group:
            seen = await group[Seen].see()
            assert seen[0] == 1
            assert await group[Seen].look() == seen
            with pytest.raises(RuntimeError, match="there is no call here"):
                derecho.context()

    asyncio.run(main())


def test_a_method_that_waits_for_another_group_keeps_its_own_context(nodes: Nodes) -> None:
    (inner,) = nodes.together(1, lambda: [Seen()])
    options = {"node": 7, "listen": "127.0.0.1:0", "found": True, "group": "outer"}
    with derecho.join([Seen(lambda: inner[Seen].see().result())], **options) as outer:  # type: ignore[arg-type]
        assert outer[Seen].see().result()[0] == 7


def test_there_is_no_context_on_a_thread_of_the_methods_own(nodes: Nodes) -> None:
    errors: list[BaseException] = []

    def ask() -> None:
        def run() -> None:
            try:
                derecho.context()
            except RuntimeError as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()

    (group,) = nodes.together(1, lambda: [Seen(ask)])
    group[Seen].see().result()
    assert "derecho.context() is for a method of a service" in str(errors[0])


def test_a_client_is_the_caller_of_its_queries(nodes: Nodes) -> None:
    (a,) = nodes.together(1, lambda: [Seen()])
    client = nodes.join([Seen()], node=9, config={"role": "client"})
    assert client[Seen].look().result() == [9, 0, 0]
    seen = a[Seen].see().result()
    assert client[Seen].look().result() == [9, *seen[1:]]
