"""One Python member of a measured group: ``python -m derecho.bench.member TASK``, TASK being JSON.

It does what bench/member.cpp does over the C ABI, and prints the same figures. Members start and stop together by
ordered messages of the group itself: the first byte says what a message is.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from typing import Any, Protocol

import derecho

__all__ = ["main"]

_READY, _DATA, _STOP, _DONE = range(1, 5)
_PR_SET_PDEATHSIG = 1
_SLACK_S = 0.1  # after the window, for members whose own began later
_WAIT_S = 0.01
_BATCH = 64  # messages sent between two looks at what was delivered
_BURST_BYTES = 256 << 10  # and no more bytes than these, a part of the second-level cache
_CLAIM_FROM = 4096  # payloads of this size are written in place; a copy of fewer bytes costs less than a claim


class Tally:
    """What was delivered to this member so far."""

    def __init__(self) -> None:
        self.delivered = 0
        self.own = 0
        self.ready = 0
        self.done = 0
        self.stopped = False

    def control(self, tag: int) -> None:
        """Count a message that is not data."""
        if tag == _READY:
            self.ready += 1
        elif tag == _STOP:
            self.stopped = True
        elif tag == _DONE:
            self.done += 1


def _look_again_soon() -> None:
    """Room comes when the others have released something, which is no event."""
    os.sched_yield()


class Traffic(Protocol):
    """How a member sends and takes messages."""

    def control(self, tag: int) -> None: ...
    def send_one(self) -> None: ...
    def send_and_take(self) -> None: ...  # as much as there is room for; without waiting
    def take(self, timeout_s: float) -> None: ...


class RawTraffic:
    """Plain messages, looked at in place as memoryviews."""

    def __init__(self, group: derecho.Group, payload_bytes: int, tally: Tally) -> None:
        self._shard = group.raw("bench")
        self._tally = tally
        self._payload: Any = bytes([_DATA]) * payload_bytes
        if payload_bytes >= _CLAIM_FROM:  # from the beginning of a page, as in the other languages
            page_aligned = derecho.buffer(payload_bytes).view
            page_aligned[:] = self._payload
            self._payload = page_aligned
        self._batch = [self._payload] * max(1, min(_BATCH, _BURST_BYTES // payload_bytes))
        self._claims = payload_bytes >= _CLAIM_FROM

    def control(self, tag: int) -> None:
        """Send a control message, taking what is delivered meanwhile: full rings empty no other way."""
        while True:
            try:
                self._shard.try_send(bytes([tag]))
                return
            except (derecho.RingFull, derecho.ViewChanging):
                self.take(_WAIT_S)

    def send_one(self) -> None:
        """Send one message."""
        if self._claims:
            with self._shard.claim(len(self._payload)) as room:
                room[:] = self._payload
        else:
            self._shard.send(self._payload)

    def send_and_take(self) -> None:
        """Send a batch, or as much of it as there is room for, and look at what was delivered."""
        if not self._claims:
            full = self._shard.try_send_many(self._batch) < len(self._batch)
        else:
            full = False
            try:
                for payload in self._batch:
                    with self._shard.try_claim(len(payload)) as room:
                        room[:] = payload
            except (derecho.RingFull, derecho.ViewChanging):
                full = True
        messages = self._shard.poll()
        if messages:
            self._look_at(messages)
        elif full:
            _look_again_soon()

    def take(self, timeout_s: float) -> None:
        """Look at each delivered message."""
        self._look_at(self._shard.poll(timeout_s))

    def _look_at(self, messages: list[derecho.Message]) -> None:
        tally, delivered = self._tally, 0
        for message in messages:
            data = message.data
            if data[0] == _DATA:
                delivered += 1
                if message.own:
                    tally.own += 1
            else:
                tally.control(data[0])
        tally.delivered += delivered


@derecho.service
class Counter:
    """The replicated service of the benchmark: counts."""

    def __init__(self) -> None:
        self.tally = Tally()
        self.node = -1

    @derecho.ordered
    def put(self, sender: derecho.uint32, data: bytes) -> None:
        """Take one message."""
        tally = self.tally
        tally.delivered += 1
        if sender == self.node:
            tally.own += 1

    @derecho.ordered
    def control(self, tag: derecho.uint8) -> None:
        """Take a control message."""
        self.tally.control(tag)

    def __derecho_save__(self) -> bytes:
        """Nothing is for joiners: the members of a benchmark join before it begins."""
        return b""

    def __derecho_load__(self, data: bytes) -> None:
        """Keep what this member has."""


class ServiceTraffic:
    """Ordered calls without answers, handled by the service's method at each member."""

    def __init__(self, group: derecho.Group, payload_bytes: int, node: int, tally: Tally) -> None:
        self._group = group
        self._tally = tally
        self._proxy: Any = group[Counter]
        self._payload = b"x" * payload_bytes
        self._node = node

    def control(self, tag: int) -> None:
        """Send a control message."""
        self._proxy.control.send(tag)

    def send_one(self) -> None:
        """Send one call."""
        self._proxy.put.send(self._node, self._payload)

    def send_and_take(self) -> None:
        """Send a batch of calls, or as much of it as there is room for, and run the handlers of what was delivered."""
        put, node, payload = self._proxy.put.try_send, self._node, self._payload
        full, before = False, self._tally.delivered
        try:
            for _ in range(_BATCH):
                put(node, payload)
        except (derecho.RingFull, derecho.ViewChanging):
            full = True
        self._group.drive(0.0)
        if full and self._tally.delivered == before:
            _look_again_soon()

    def take(self, timeout_s: float) -> None:
        """Run the handlers of what was delivered."""
        self._group.drive(timeout_s)


class Member:
    """Comes in, measures, goes."""

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self._deadline_ns = time.monotonic_ns() + int(task["deadline_s"] * 1e9)
        self._latencies: list[int] = []
        self._memory: tuple[int, int] = (0, 0)

    def run(self) -> dict[str, Any]:
        """Do all of it; return the figures."""
        task = self._task
        counter = Counter()
        counter.node = task["node"]
        raw = task["api"] == "python"
        with derecho.join(
            [] if raw else [counter],
            raw=["bench"] if raw else [],
            node=task["node"],
            listen=task["listen"],
            initial_members=task["initial_members"],
            wire=task["wire"],
            timeout=task["deadline_s"],
        ) as group:
            self._group = group
            self._tally = Tally() if raw else counter.tally
            self._traffic: Traffic
            if raw:
                self._traffic = RawTraffic(group, task["payload_bytes"], self._tally)
            else:
                self._traffic = ServiceTraffic(group, task["payload_bytes"], task["node"], self._tally)
            self._start_together()
            return self._measure()

    def _start_together(self) -> None:
        members = self._task["members"]
        self._group.wait_view(members)
        self._traffic.control(_READY)
        while self._tally.ready < members:
            self._traffic.take(_WAIT_S)
            self._check_deadline(time.monotonic_ns())

    def _measure(self) -> dict[str, Any]:
        task, tally, traffic = self._task, self._tally, self._traffic
        self._rank = self._group.view.nodes.index(task["node"])
        sender = self._rank < task["senders"]
        turn = self._send_one_and_wait if task["kind"] == "latency" else traffic.send_and_take
        self._begin_ns = time.monotonic_ns() + int(task["warm_s"] * 1e9)
        self._end_ns = self._begin_ns + int(task["window_s"] * 1e9)
        self._readings: list[dict[str, float]] = []
        self._stop_sent = self._done_sent = False
        self._due_ns = self._begin_ns
        while tally.done < task["members"]:
            if sender and not tally.stopped:
                turn()
            else:
                traffic.take(_WAIT_S)
            if tally.stopped or time.monotonic_ns() >= self._due_ns:
                self._do_what_is_due(time.monotonic_ns())
        if len(self._readings) < 2:
            raise RuntimeError("the others stopped before this member had measured")
        return self._result(sender, *self._readings)

    def _do_what_is_due(self, now: int) -> None:
        stop_ns = self._end_ns + int(_SLACK_S * 1e9)
        if len(self._readings) == 0 and now >= self._begin_ns:
            self._readings.append(self._reading())
        elif len(self._readings) == 1 and now >= self._end_ns:
            self._readings.append(self._reading())
            self._memory = _memory()
        if self._rank == 0 and not self._stop_sent and now >= stop_ns:
            self._stop_sent = True
            self._traffic.control(_STOP)
        if self._tally.stopped and not self._done_sent:
            self._done_sent = True
            self._traffic.control(_DONE)
        self._check_deadline(now)
        later = [at for at in (self._begin_ns, self._end_ns, stop_ns) if at > now]
        self._due_ns = min(later, default=self._deadline_ns)

    def _send_one_and_wait(self) -> None:
        tally = self._tally
        due = tally.own + 1
        begin = time.monotonic_ns()
        self._traffic.send_one()
        while tally.own < due and not tally.stopped:
            self._traffic.take(_WAIT_S)
        now = time.monotonic_ns()
        if begin >= self._begin_ns and now <= self._end_ns:
            self._latencies.append(now - begin)

    def _check_deadline(self, now: int) -> None:
        if now > self._deadline_ns:
            raise RuntimeError(f"gave up: {self._tally.ready} ready, {self._tally.done} done")

    def _reading(self) -> dict[str, float]:
        stats = self._group.stats()
        return {"at": time.monotonic(), "delivered": self._tally.delivered, "cpu_s": time.process_time(), **stats}

    def _result(self, sender: bool, begin: dict[str, float], end: dict[str, float]) -> dict[str, Any]:
        seconds = end["at"] - begin["at"]
        delivered = end["delivered"] - begin["delivered"]
        cpu_s = end["cpu_s"] - begin["cpu_s"]
        counted = ("steps", "pushes", "wakes", "sleeps", "null_messages", "allocations")
        result = {
            "rank": self._rank,
            "sender": sender,
            "window_s": seconds,
            "delivered": delivered,
            "delivered_per_s": delivered / seconds,
            "bytes_per_s": delivered / seconds * self._task["payload_bytes"],
            "cpu_s": cpu_s,
            "cpu_share": cpu_s / seconds,
            "rss_bytes": self._memory[0],
            "pss_bytes": self._memory[1],
            "stats": {**{name: end[name] - begin[name] for name in counted}, "mapped_bytes": end["memory_bytes"]},
        }
        if self._latencies:
            result["latency_ns"] = _summary(self._latencies)
        return result


def _summary(times: list[int]) -> dict[str, float]:
    times = sorted(times)

    def quantile(share: float) -> int:
        return times[min(int(share * len(times)), len(times) - 1)]

    return {
        "count": len(times),
        "mean": sum(times) / len(times),
        "p50": quantile(0.5),
        "p90": quantile(0.9),
        "p99": quantile(0.99),
        "p999": quantile(0.999),
        "max": times[-1],
    }


def _memory() -> tuple[int, int]:
    """Resident and proportional set size, bytes."""
    found = {"Rss:": 0, "Pss:": 0}
    with open("/proc/self/smaps_rollup") as file:
        for line in file:
            name, _, rest = line.partition(" ")
            if name in found:
                found[name] = int(rest.split()[0]) * 1024
    return found["Rss:"], found["Pss:"]


def main() -> None:
    """Measure what the task says, and print it."""
    task = json.loads(sys.argv[1])
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != task["parent"]:
        sys.exit("the process that started this one is gone")
    print(json.dumps(Member(task).run()))


if __name__ == "__main__":
    main()
