"""The raw ring through `derecho.ctypes_api`: handles are plain numbers, so that any misuse of the C ABI can be said."""

from __future__ import annotations

import ctypes
from ctypes import byref, c_size_t, c_uint64, c_void_p
from dataclasses import dataclass
from typing import Any

from ring import Event, Failed

from derecho import ctypes_api as api

__all__ = ["CtypesRing"]

_Bytes = api.derecho_bytes
#: What a claim's functions are given to count on: a size without bytes stands for NULL.
Payload = bytes | memoryview | int


def _check(status: int) -> None:
    if status != api.DERECHO_OK:
        raise Failed(status, api.derecho_last_error().decode())


def _number(pointer: Any) -> int:
    return ctypes.cast(pointer, c_void_p).value or 0


def _handle(kind: Any, number: int) -> Any:
    return ctypes.cast(c_void_p(number), ctypes.POINTER(kind))


def _pointer(data: Payload) -> tuple[Any, int]:
    """Address and size of a payload; whoever holds the first keeps the bytes."""
    if isinstance(data, int):
        return None, data
    return ctypes.cast(ctypes.create_string_buffer(bytes(data), len(data)), c_void_p), len(data)


@dataclass
class _Claim:
    shard: int
    claim: Any


class CtypesRing:
    """One method a function of derecho.h."""

    def status_name(self, status: int) -> str:
        return str(api.derecho_status_name(status).decode())

    def last_error(self) -> str:
        return str(api.derecho_last_error().decode())

    def abi_version(self) -> int:
        return int(api.derecho_abi_version())

    def abi_hash(self) -> int:
        return int(api.derecho_abi_hash())

    def version(self) -> str:
        return str(api.derecho_version().decode())

    # ---------------------------------------------------------------------------------------- configuration

    def config_create(self) -> int:
        return self._created(api.derecho_config, lambda out: api.derecho_config_create(out))

    def config_set(self, config: int, key: str, value: str) -> None:
        _check(api.derecho_config_set(self._config(config), key.encode(), value.encode()))

    def config_get(self, config: int, key: str) -> str:
        value = ctypes.POINTER(ctypes.c_char)()
        _check(api.derecho_config_get(self._config(config), key.encode(), byref(value)))
        return ctypes.string_at(value).decode()

    def config_load(self, config: int, path: str) -> None:
        _check(api.derecho_config_load(self._config(config), path.encode()))

    def config_add_service(self, config: int, name: str, schema_hash: int) -> None:
        _check(api.derecho_config_add_service(self._config(config), name.encode(), schema_hash))

    def config_close(self, config: int) -> None:
        _check(api.derecho_config_close(self._config(config)))

    @staticmethod
    def _config(number: int) -> Any:
        return _handle(api.derecho_config, number)

    @staticmethod
    def _created(kind: Any, create: Any) -> int:
        out = ctypes.POINTER(kind)()
        _check(create(byref(out)))
        return _number(out)

    # ---------------------------------------------------------------------------------------- group

    def group_join(self, config: int, timeout_ms: int) -> int:
        return self._created(
            api.derecho_group, lambda out: api.derecho_group_join(self._config(config), timeout_ms, out)
        )

    def group_leave(self, group: int, timeout_ms: int) -> None:
        _check(api.derecho_group_leave(self._group(group), timeout_ms))

    def group_close(self, group: int) -> None:
        _check(api.derecho_group_close(self._group(group)))

    def group_fd(self, group: int) -> None:
        _check(api.derecho_group_fd(self._group(group), byref(ctypes.c_int())))

    def group_view(self, group: int, struct_bytes: int | None = None) -> tuple[int, int, list[tuple[int, bool, bool]]]:
        view = api.derecho_view()
        view.struct_bytes = ctypes.sizeof(view) if struct_bytes is None else struct_bytes
        _check(api.derecho_group_view(self._group(group), byref(view)))
        members = view.members[: view.member_count]
        state, votes = api.DERECHO_MEMBER_HAS_STATE, api.DERECHO_MEMBER_VOTES
        return view.id, view.self_rank, [(m.node, bool(m.flags & state), bool(m.flags & votes)) for m in members]

    def group_stats(self, group: int, struct_bytes: int | None = None) -> dict[str, int]:
        stats = api.derecho_stats()
        stats.struct_bytes = ctypes.sizeof(stats) if struct_bytes is None else struct_bytes
        _check(api.derecho_group_stats(self._group(group), byref(stats)))
        return {name: getattr(stats, name) for name in stats.__slots__}

    def group_holdup(self, group: int, node: int) -> tuple[int, int]:
        holdup = api.derecho_holdup()
        holdup.struct_bytes = ctypes.sizeof(holdup)
        _check(api.derecho_group_holdup(self._group(group), node, byref(holdup)))
        return holdup.node, holdup.cause

    def group_reply(self, group: int, node: int, call: int, status: int, data: Payload) -> None:
        _check(api.derecho_group_reply(self._group(group), node, call, status, *_pointer(data)))

    def group_state(self, group: int, node: int, request: int, data: Payload, last: int) -> None:
        _check(api.derecho_group_state(self._group(group), node, request, *_pointer(data), last))

    def group_state_size(self, group: int, node: int, request: int, total: int) -> None:
        _check(api.derecho_group_state_size(self._group(group), node, request, total))

    def group_state_fail(self, group: int, node: int, request: int, text: Payload) -> None:
        _check(api.derecho_group_state_fail(self._group(group), node, request, *_pointer(text)))

    def poll(self, group: int, capacity: int, timeout_ns: int) -> tuple[list[Event], int]:
        events = (api.derecho_event * max(capacity, 1))()
        count, lease = c_size_t(), c_uint64()
        _check(api.derecho_poll(self._group(group), events, capacity, timeout_ns, byref(count), byref(lease)))
        return [_event(event) for event in events[: count.value]], lease.value

    def release(self, group: int, lease: int) -> None:
        _check(api.derecho_release(self._group(group), lease))

    def wake(self, group: int) -> None:
        _check(api.derecho_wake(self._group(group)))

    @staticmethod
    def _group(number: int) -> Any:
        return _handle(api.derecho_group, number)

    # ---------------------------------------------------------------------------------------- shard, claim

    def shard_open(self, group: int, service: str) -> int:
        return self._created(
            api.derecho_shard, lambda out: api.derecho_shard_open(self._group(group), service.encode(), out)
        )

    def shard_send(self, shard: int, data: Payload) -> int:
        ticket = c_uint64()
        _check(api.derecho_shard_send(self._shard(shard), *_pointer(data), byref(ticket)))
        return ticket.value

    def shard_send_many(self, shard: int, messages: list[Payload]) -> tuple[int, int]:
        parts = [_pointer(data) for data in messages]
        array = (_Bytes * max(len(parts), 1))(*(_Bytes(data, size) for data, size in parts))
        sent, ticket = c_size_t(), c_uint64()
        _check(api.derecho_shard_send_many(self._shard(shard), array, len(parts), byref(sent), byref(ticket)))
        return sent.value, ticket.value

    def shard_call(self, shard: int, method: int, flags: int, args: Payload, wanted: bool) -> int:
        call = c_uint64()
        out = byref(call) if wanted else None
        _check(api.derecho_shard_call(self._shard(shard), method, flags, *_pointer(args), out))
        return call.value

    def shard_query(self, shard: int, node: int, method: int, args: Payload) -> int:
        call = c_uint64()
        _check(api.derecho_shard_query(self._shard(shard), node, method, *_pointer(args), byref(call)))
        return call.value

    def shard_claim(self, shard: int, method: int, flags: int, size_bytes: int) -> _Claim:
        claim = api.derecho_claim()
        _check(api.derecho_shard_claim(self._shard(shard), method, flags, size_bytes, byref(claim)))
        return _Claim(shard, claim)

    def claim_size(self, claim: _Claim) -> int:
        return int(claim.claim.size_bytes)

    def claim_address(self, claim: _Claim) -> int:
        return int(claim.claim.data)

    def claim_fill(self, claim: _Claim, data: bytes) -> None:
        ctypes.memmove(claim.claim.data, bytes(data), len(data))

    def claim_commit(self, claim: _Claim, used_bytes: int, shard: int | None = None) -> int:
        handle = self._shard(claim.shard if shard is None else shard)
        _check(api.derecho_claim_commit(handle, byref(claim.claim), used_bytes))
        return int(claim.claim.id)

    def claim_abort(self, claim: _Claim, shard: int | None = None) -> None:
        _check(api.derecho_claim_abort(self._shard(claim.shard if shard is None else shard), byref(claim.claim)))

    @staticmethod
    def _shard(number: int) -> Any:
        return _handle(api.derecho_shard, number)

    # ---------------------------------------------------------------------------------------- buffer, log

    def buffer_create(self, size_bytes: int) -> int:
        return self._created(api.derecho_buffer, lambda out: api.derecho_buffer_create(size_bytes, out))

    def buffer_data(self, buffer: int) -> tuple[int, int]:
        data, size = c_void_p(), c_uint64()
        _check(api.derecho_buffer_data(self._buffer(buffer), byref(data), byref(size)))
        return data.value or 0, size.value

    def buffer_view(self, buffer: int) -> memoryview:
        address, size = self.buffer_data(buffer)
        return memoryview((ctypes.c_char * size).from_address(address)).cast("B")

    def buffer_retain(self, buffer: int) -> None:
        _check(api.derecho_buffer_retain(self._buffer(buffer)))

    def buffer_release(self, buffer: int) -> None:
        _check(api.derecho_buffer_release(self._buffer(buffer)))

    # ---------------------------------------------------------------------------------------- memory

    def memory_register(self, group: int, buffer: int, access: int) -> int:
        address, size = self.buffer_data(buffer)
        return self._created(
            api.derecho_memory,
            lambda out: api.derecho_memory_register(self._group(group), address, size, access, out),
        )

    def memory_register_dmabuf(self, group: int, *place_and_access: int) -> int:
        return self._created(
            api.derecho_memory,
            lambda out: api.derecho_memory_register_dmabuf(self._group(group), *place_and_access, out),
        )

    def memory_key_for(self, memory: int, node: int) -> Any:
        key = api.derecho_memory_key()
        _check(api.derecho_memory_key_for(self._memory(memory), node, byref(key)))
        return key

    def memory_read(self, *given: Any) -> int:
        return self._transfer(api.derecho_memory_read, *given)

    def memory_write(self, *given: Any) -> int:
        return self._transfer(api.derecho_memory_write, *given)

    def _transfer(self, begin: Any, group: int, node: int, key: Any, offset: int, pieces: Any) -> int:
        parts = [api.derecho_piece(self._memory(memory), first, size) for memory, first, size in pieces]
        array = (api.derecho_piece * max(len(parts), 1))(*parts)
        operation = c_uint64()
        raw = byref(key) if key else None
        _check(begin(self._group(group), node, raw, offset, array, len(parts), byref(operation)))
        return operation.value

    def memory_deregister(self, memory: int, timeout_ms: int) -> None:
        _check(api.derecho_memory_deregister(self._memory(memory), timeout_ms))

    @staticmethod
    def _memory(number: int) -> Any:
        return _handle(api.derecho_memory, number)

    def log_to(self, fd: int, level: int) -> None:
        _check(api.derecho_log_to(fd, level))

    @staticmethod
    def _buffer(number: int) -> Any:
        return _handle(api.derecho_buffer, number)


def _event(event: Any) -> Event:
    data = ctypes.string_at(event.data, event.size_bytes) if event.size_bytes else b""
    return Event(
        event.kind,
        event.node,
        event.version,
        event.id,
        event.method,
        event.shard,
        event.status,
        event.flags,
        data,
        event.data or 0,
    )
