"""The raw ring as the package uses it: `derecho._native`, where handles have owners and statuses are exceptions."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from ring import Event, Failed

from derecho import DerechoError
from derecho._native import (
    Claim,
    Config,
    Memory,
    Message,
    NativeGroup,
    NativeMemory,
    begin_operation,
    fast,
    log_to,
    version,
)
from derecho._native._load import ffi, lib, text

__all__ = ["CffiRing"]

R = TypeVar("R")
Payload = bytes | memoryview
_AGAIN = 1


class _Group:
    """A group, and what a poll took more than was wanted."""

    def __init__(self, native: NativeGroup) -> None:
        self.native = native
        self.surplus: list[Message] = []


def _failing(function: Callable[..., R]) -> Callable[..., R]:
    """Make a `DerechoError` a `Failed`."""

    @functools.wraps(function)
    def run(*args: Any) -> R:
        try:
            return function(*args)
        except DerechoError as error:
            raise Failed(error.status, str(error)) from error

    return run


def _taken(taken: bool) -> None:
    if not taken:
        raise Failed(_AGAIN, text(lib.derecho_last_error()))


class CffiRing:
    """One method a function of derecho.h."""

    def __getattribute__(self, name: str) -> Any:
        return _failing(super().__getattribute__(name))

    def status_name(self, status: int) -> str:
        return text(lib.derecho_status_name(status))

    def last_error(self) -> str:
        return text(lib.derecho_last_error())

    def abi_version(self) -> int:
        return int(lib.derecho_abi_version())

    def abi_hash(self) -> int:
        return int(lib.derecho_abi_hash())

    def version(self) -> str:
        return version()

    # ---------------------------------------------------------------------------------------- configuration

    def config_create(self) -> Config:
        return Config()

    def config_set(self, config: Config, key: str, value: str) -> None:
        config.set(key, value)

    def config_get(self, config: Config, key: str) -> str:
        return config.get(key)

    def config_load(self, config: Config, path: str) -> None:
        config.load(path)

    def config_add_service(self, config: Config, name: str, schema_hash: int) -> None:
        config.add_service(name, schema_hash)

    def config_close(self, config: Config) -> None:
        config.close()

    # ---------------------------------------------------------------------------------------- group

    def group_join(self, config: Config, timeout_ms: int) -> _Group:
        return _Group(NativeGroup(config, timeout_ms))

    def group_leave(self, group: _Group, timeout_ms: int) -> None:
        group.native.leave(timeout_ms)

    def group_close(self, group: _Group) -> None:
        group.native.close()

    def group_fd(self, group: _Group) -> None:
        group.native.fd()

    def group_view(self, group: _Group) -> tuple[int, int, list[tuple[int, bool, bool]]]:
        view, rank, members, _ = group.native.view()
        return view, rank, [(node, has_state, votes) for node, _, has_state, votes in members]

    def group_stats(self, group: _Group) -> dict[str, int]:
        return group.native.stats()

    def group_holdup(self, group: _Group, node: int) -> tuple[int, int]:
        return group.native.holdup(node)[:2]

    def group_reply(self, group: _Group, node: int, call: int, status: int, data: Payload) -> None:
        _taken(group.native.reply(node, call, status, (data,)))

    def group_state(self, group: _Group, node: int, request: int, data: Payload, last: int) -> None:
        _taken(group.native.state(node, request, memoryview(data), bool(last)))

    def group_state_size(self, group: _Group, node: int, request: int, total: int) -> None:
        group.native.state_size(node, request, total)

    def group_state_fail(self, group: _Group, node: int, request: int, text: Payload) -> None:
        _taken(group.native.state_fail(node, request, bytes(text)))

    def poll(self, group: _Group, capacity: int, timeout_ns: int) -> tuple[list[Event], list[Message]]:
        """What was taken stays held as long as its messages do: the list of them is the lease."""
        if not group.surplus:
            runs: list[Any] = []
            group.native.poll(timeout_ns, runs)
            group.surplus = [m for _, _, run in runs for m in run]
        taken, group.surplus = group.surplus[:capacity], group.surplus[capacity:]
        return [_event(message) for message in taken], taken

    def release(self, group: _Group, lease: list[Message]) -> None:
        lease.clear()

    def wake(self, group: _Group) -> None:
        group.native.wake()

    # ---------------------------------------------------------------------------------------- shard, claim

    def shard_open(self, group: _Group, service: str) -> int:
        return group.native.shard(service)

    def shard_send(self, shard: int, data: Payload) -> int:
        return fast.send(shard, data)

    def shard_send_many(self, shard: int, messages: list[Payload]) -> tuple[int, int]:
        return fast.send_many(shard, messages, 0), -1  # it gives no ticket

    def shard_call(self, shard: int, method: int, flags: int, args: Payload, wanted: bool) -> int:
        call = fast.call(shard, method, flags, (args,), {}, None)
        assert isinstance(call, int), "only calls in several parts may come back as claims"
        return call

    def shard_query(self, shard: int, node: int, method: int, args: Payload) -> int:
        return fast.query(shard, node, method, (args,), {}, None)

    def shard_claim(self, shard: int, method: int, flags: int, size_bytes: int) -> Claim:
        return fast.claim(shard, method, flags, size_bytes)

    def claim_size(self, claim: Claim) -> int:
        return claim.size

    def claim_address(self, claim: Claim) -> int:
        return _address(memoryview(claim))

    def claim_fill(self, claim: Claim, data: Payload) -> None:
        memoryview(claim)[: len(data)] = data

    def claim_commit(self, claim: Claim, used_bytes: int) -> int:
        return claim.commit(used_bytes)

    def claim_abort(self, claim: Claim) -> None:
        claim.abort()

    # ---------------------------------------------------------------------------------------- buffer, log

    def buffer_create(self, size_bytes: int) -> Memory:
        return Memory(size_bytes)

    def buffer_data(self, buffer: Memory) -> tuple[int, int]:
        view = buffer.view()
        return _address(view), view.nbytes

    def buffer_view(self, buffer: Memory) -> memoryview:
        return buffer.view().cast("B")

    def buffer_release(self, buffer: Memory) -> None:
        buffer.close()

    # ---------------------------------------------------------------------------------------- memory

    def memory_register(self, group: _Group, buffer: Memory, access: int) -> NativeMemory:
        return NativeMemory(group.native, self.buffer_view(buffer), access)

    def memory_register_dmabuf(self, group: _Group, fd: int, offset: int, nbytes: int, access: int) -> NativeMemory:
        return NativeMemory(group.native, (fd, offset, nbytes), access)

    def memory_key_for(self, memory: NativeMemory, node: int) -> bytes:
        return memory.key_for(node)

    def memory_read(self, group: _Group, node: int, key: bytes, offset: int, pieces: Any) -> int:
        return begin_operation(group.native, False, node, key, offset, pieces)

    def memory_write(self, group: _Group, node: int, key: bytes, offset: int, pieces: Any) -> int:
        return begin_operation(group.native, True, node, key, offset, pieces)

    def memory_deregister(self, memory: NativeMemory, timeout_ms: int) -> None:
        memory.deregister(timeout_ms)

    def log_to(self, fd: int, level: int) -> None:
        log_to(fd, level)


def _address(view: memoryview) -> int:
    return int(ffi.cast("uintptr_t", ffi.from_buffer(view))) if view.nbytes else 0


def _event(message: Message) -> Event:
    return Event(
        message.kind,
        message.sender,
        message.version,
        message.id,
        message.method,
        message.shard,
        message.status,
        message.flags,
        message.tobytes(),
        _address(message.data),
    )
