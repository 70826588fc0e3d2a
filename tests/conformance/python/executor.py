"""Executor of conformance scripts (README.md) in Python: ``executor.py ctypes|cffi SCRIPT``.

The two rings, `ring_ctypes` and `ring_cffi`, have the same methods: one a function of derecho.h, which raises `Failed`.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from payloads import escaped, shown, to_bytes
from ring import KINDS, Event, Failed

Given = dict[str, Any]

_FLAGS = {"REPLY": 1, "MESSAGE": 0x80000000}
_ACCESS = {"READ": 1, "WRITE": 2}
_EVENT_FLAGS = {1: "REPLY", 2: "FIRST", 4: "LAST", 8: "OWN"}
_EVENTS_MAX = 256
_HANDLES = ("config", "group", "shard", "buffer", "memory")
_TEXTS = ("key", "value", "path", "name")
_PLAIN = {
    "config_set": ("config", "key", "value"),
    "config_load": ("config", "path"),
    "config_add_service": ("config", "name", "schema_hash"),
    "config_close": ("config",),
    "group_leave": ("group", "timeout_ms"),
    "group_close": ("group",),
    "group_fd": ("group",),
    "wake": ("group",),
    "buffer_retain": ("buffer",),
    "buffer_release": ("buffer",),
    "log_to": ("fd", "level"),
    "memory_deregister": ("memory", "timeout_ms"),
}
_STATS = ("delivered_messages", "delivered_bytes", "sent_messages", "views")
_CAUSES = ("NONE", "NOT_POLLING", "NOT_RELEASING", "NO_STATE", "NOT_ACKNOWLEDGING")
_PAGE_BYTES = 4096


class Executor:
    """Runs the steps of one script, with a ring."""

    def __init__(self, ring: Any) -> None:
        self.ring = ring
        self.inputs: dict[str, str] = {}
        self.table: dict[str, Any] = {"null": 0, "garbage": 1}
        self.ids: dict[str, int] = {}  # of events, calls, tickets
        self.names: dict[int, str] = {}  # of calls and tickets
        self.versions: dict[tuple[int, int], int] = {}  # the last of each shard

    def run(self, line: str) -> str:
        """Do the step of a line; return the line that it gives."""
        function, *fields = line.split("\t")
        self.inputs = {name: unquote(value) for name, _, value in (f.partition("=") for f in fields)}
        try:
            given = getattr(self, f"do_{function}", lambda: self._plain(function))()
        except Failed as failed:
            return f"{self._short(failed.status)}\terror={escaped(failed.detail)}"
        return "\t".join(["OK", *(f"{name}={escaped(str(value))}" for name, value in (given or {}).items())])

    # ---------------------------------------------------------------------------------------- inputs

    def number(self, name: str, fallback: int | None = None) -> int:
        if fallback is not None and name not in self.inputs:
            return fallback
        value = self.inputs[name]
        return self.ids[value[1:]] if value.startswith("$") else int(value)

    def input(self, name: str) -> Any:
        if name in _HANDLES:
            return self.named(name)
        return self.inputs[name] if name in _TEXTS else self.number(name)

    def named(self, name: str) -> Any:
        return self.table[self.inputs[name]]

    def payload(self, text: str) -> Any:
        kind, _, argument = text.partition(":")
        if kind == "null":
            return int(argument)  # a size without bytes
        if kind != "buffer":
            return to_bytes(text)
        name, _, count = argument.partition(":")
        return self.ring.buffer_view(self.table[name])[: int(count)]

    def data(self, name: str = "data") -> Any:
        return self.payload(self.inputs[name])

    def flags(self) -> int:
        return sum(_FLAGS[name] for name in self.inputs["flags"].split("|") if name)

    def status(self) -> int:
        value = self.inputs["status"]
        known = {self._short(status): status for status in range(21)}
        return known[value] if value in known else int(value)

    def _short(self, status: int) -> str:
        return self.ring.status_name(status).removeprefix("DERECHO_")  # type: ignore[no-any-return]

    def keep_sent(self, output: str, number: int) -> None:
        name = self.inputs.get(output)
        if name is not None:
            self.ids[name] = number
            self.names[number] = name

    # ---------------------------------------------------------------------------------------- no status, configuration

    def _plain(self, function: str) -> None:
        """A step whose inputs are a handle, texts or numbers, and which gives nothing."""
        getattr(self.ring, function)(*(self.input(name) for name in _PLAIN[function]))

    def do_status_name(self) -> Given:
        return {"result": self.ring.status_name(self.status())}

    def do_last_error(self) -> Given:
        return {"result": self.ring.last_error()}

    def do_abi_version(self) -> Given:
        return {"result": self.ring.abi_version()}

    def do_abi_hash(self) -> Given:
        return {"result": self.ring.abi_hash()}

    def do_version(self) -> Given:
        return {"result": self.ring.version()}

    def do_config_create(self) -> None:
        self.table[self.inputs["config_out"]] = self.ring.config_create()

    def do_config_get(self) -> Given:
        return {"value": self.ring.config_get(self.named("config"), self.inputs["key"])}

    # ---------------------------------------------------------------------------------------- group

    def do_group_join(self) -> None:
        group = self.ring.group_join(self.named("config"), self.number("timeout_ms"))
        self.table[self.inputs["group_out"]] = group

    def do_group_view(self) -> Given:
        size = (self.number("struct_bytes"),) if "struct_bytes" in self.inputs else ()
        view, rank, members = self.ring.group_view(self.named("group"), *size)
        states = ",".join(
            f"{node}:{'VOTES' if votes else 'HAS_STATE' if has_state else ''}" for node, has_state, votes in members
        )
        return {"id": view, "self_rank": rank, "members": states}

    def do_group_stats(self) -> Given:
        size = (self.number("struct_bytes"),) if "struct_bytes" in self.inputs else ()
        stats = self.ring.group_stats(self.named("group"), *size)
        return {name: stats[name] for name in _STATS}

    def do_group_holdup(self) -> Given:
        node, cause = self.ring.group_holdup(self.named("group"), self.number("node"))
        return {"cause": _CAUSES[cause]} | ({"node": node} if cause else {})

    def do_group_reply(self) -> None:
        to = self.number("node"), self.number("call")
        self.ring.group_reply(self.named("group"), *to, self.status(), self.data())

    def do_group_state(self) -> None:
        to = self.number("node"), self.number("request")
        self.ring.group_state(self.named("group"), *to, self.data(), self.number("last"))

    def do_group_state_size(self) -> None:
        to = self.number("node"), self.number("request")
        self.ring.group_state_size(self.named("group"), *to, self.number("total_bytes"))

    def do_group_state_fail(self) -> None:
        to = self.number("node"), self.number("request")
        self.ring.group_state_fail(self.named("group"), *to, self.data("text"))

    # ---------------------------------------------------------------------------------------- shard, claim

    def do_shard_open(self) -> None:
        self.table[self.inputs["shard_out"]] = self.ring.shard_open(self.named("group"), self.inputs["service"])

    def do_shard_send(self) -> None:
        self.keep_sent("ticket_out", self.ring.shard_send(self.named("shard"), self.data()))

    def do_shard_send_many(self) -> Given:
        messages = [self.payload(text) for text in self.inputs["messages"].split(",") if text]
        sent, ticket = self.ring.shard_send_many(self.named("shard"), messages)
        self.keep_sent("ticket_out", ticket)
        return {"sent": sent}

    def do_shard_call(self) -> None:
        wanted = "call_out" in self.inputs
        call = self.ring.shard_call(self.named("shard"), self.number("method"), self.flags(), self.data("args"), wanted)
        self.keep_sent("call_out", call)

    def do_shard_query(self) -> None:
        to = self.number("node"), self.number("method")
        self.keep_sent("call_out", self.ring.shard_query(self.named("shard"), *to, self.data("args")))

    def do_shard_claim(self) -> Given:
        size = self.number("size_bytes")
        claim = self.ring.shard_claim(self.named("shard"), self.number("method"), self.flags(), size)
        self.table[self.inputs["claim_out"]] = claim
        return {"size_bytes": self.ring.claim_size(claim)} | _alignment(self.ring.claim_address(claim), 8)

    def do_claim_fill(self) -> None:
        self.ring.claim_fill(self.named("claim"), self.data())

    def do_claim_commit(self) -> None:
        claim = self.named("claim")
        self.keep_sent("claim", self.ring.claim_commit(claim, self.number("used_bytes"), *self._other_shard()))

    def do_claim_abort(self) -> None:
        self.ring.claim_abort(self.named("claim"), *self._other_shard())

    def _other_shard(self) -> tuple[Any, ...]:
        """What is given instead of the claim's own shard."""
        return (self.named("shard"),) if "shard" in self.inputs else ()

    # ---------------------------------------------------------------------------------------- events

    def do_poll(self) -> Given:
        group, timeout_ns, wanted = self.named("group"), self.number("timeout_ms", 0) * 10**6, self.number("until", 1)
        if "wake_after_ms" in self.inputs:
            return self._poll_woken(group, timeout_ns)
        skipped = self.inputs.get("skip", "").split("|")
        names = [name for name in self.inputs.get("ids", "").split(",") if name]
        counted: list[str] = []
        began = time.monotonic_ns()
        waited = 0
        while True:
            capacity = min(_EVENTS_MAX, wanted - len(counted))
            for event in self._poll_once(group, capacity, timeout_ns - waited):
                if KINDS[event.kind] in skipped:
                    continue
                if len(counted) < len(names):
                    self.ids[names[len(counted)]] = event.id
                counted.append(self._show(group, event))
            waited = time.monotonic_ns() - began
            if len(counted) >= wanted or waited >= timeout_ns:
                return {f"e{i}": text for i, text in enumerate(counted)}

    def _poll_once(self, group: Any, capacity: int, timeout_ns: int) -> list[Event]:
        events, lease = self.ring.poll(group, capacity, timeout_ns)
        if "lease_out" in self.inputs:
            self.table.setdefault(self.inputs["lease_out"], []).append(lease)
        else:
            self.ring.release(group, lease)
        return events  # type: ignore[no-any-return]

    def _poll_woken(self, group: Any, timeout_ns: int) -> Given:
        waker = threading.Timer(self.number("wake_after_ms") / 1000, lambda: self.ring.wake(group))
        waker.start()
        began = time.monotonic_ns()
        events = self._poll_once(group, 1, timeout_ns)
        early = not events and time.monotonic_ns() - began < timeout_ns
        waker.join()
        return {"woken": "yes" if early else "no"}

    def _show(self, group: Any, event: Event) -> str:
        kind = KINDS[event.kind]
        flags = "|".join(name for bit, name in _EVENT_FLAGS.items() if event.flags & bit)
        text = f"{kind};node={event.node};method={event.method};shard={event.shard}"
        text += f";status={self._short(event.status)};flags={flags};size={len(event.data)};data={shown(event.data)}"
        if kind in ("CALL", "QUERY", "ORDERED", "REPLY", "MEMORY") or (kind == "MESSAGE" and "OWN" in flags):
            text += f";id={self.names.get(event.id, '?')}"
        if kind in ("MESSAGE", "CALL"):
            shard = id(group), event.shard
            text += "" if event.version > self.versions.get(shard, 0) else ";version=BAD"
            self.versions[shard] = event.version
        if event.data and event.address % (4 if kind == "ORDERED" else 8):
            text += ";aligned=BAD"
        return text

    def do_release(self) -> None:
        group = self.named("group")
        for lease in self.named("lease"):
            self.ring.release(group, lease)

    # ---------------------------------------------------------------------------------------- buffer

    def do_buffer_create(self) -> None:
        self.table[self.inputs["buffer_out"]] = self.ring.buffer_create(self.number("size_bytes"))

    def do_buffer_data(self) -> Given:
        address, size = self.ring.buffer_data(self.named("buffer"))
        return {"size_bytes": size} | _alignment(address, _PAGE_BYTES)

    def do_buffer_fill(self) -> None:
        data, offset = self.data(), self.number("offset")
        self.ring.buffer_view(self.named("buffer"))[offset : offset + len(data)] = data

    def do_buffer_read(self) -> Given:
        offset = self.number("offset")
        view = self.ring.buffer_view(self.named("buffer"))
        return {"data": shown(bytes(view[offset : offset + self.number("size_bytes")]))}

    # ---------------------------------------------------------------------------------------- memory

    def do_memory_register(self) -> None:
        access = sum(_ACCESS[name] for name in self.inputs["access"].split("|") if name)
        memory = self.ring.memory_register(self.named("group"), self.named("buffer"), access)
        self.table[self.inputs["memory_out"]] = memory

    def do_memory_register_dmabuf(self) -> None:
        access = sum(_ACCESS[name] for name in self.inputs["access"].split("|") if name)
        place = self.number("fd"), self.number("offset"), self.number("size_bytes")
        self.table[self.inputs["memory_out"]] = self.ring.memory_register_dmabuf(self.named("group"), *place, access)

    def do_memory_key_for(self) -> None:
        self.table[self.inputs["key_out"]] = self.ring.memory_key_for(self.named("memory"), self.number("node"))

    def do_memory_read(self) -> None:
        self._transfer(self.ring.memory_read)

    def do_memory_write(self) -> None:
        self._transfer(self.ring.memory_write)

    def _transfer(self, begin: Any) -> None:
        parts = [text.split(":") for text in self.inputs["pieces"].split(",") if text]
        pieces = [(self.table[name], int(offset), int(size)) for name, offset, size in parts]
        node, offset = self.number("node"), self.number("offset")
        self.keep_sent("operation_out", begin(self.named("group"), node, self.named("key"), offset, pieces))


def _alignment(address: int, multiple: int) -> Given:
    return {"aligned": "BAD"} if address % multiple else {}


def main() -> None:
    """Run the script that the command line names."""
    if sys.argv[1] == "ctypes":
        from ring_ctypes import CtypesRing as Ring
    else:
        from ring_cffi import CffiRing as Ring  # type: ignore[assignment]
    executor = Executor(Ring())
    for line in Path(sys.argv[2]).read_text(encoding="utf-8").split("\n")[:-1]:
        print(executor.run(line), flush=True)


if __name__ == "__main__":
    main()
