"""``derecho bench --ffi``: what a message costs a program alone, in each language, beside its bare foreign call.

Each program is in a group of one, and prints the same figures as bench/ffi.cpp. What a binding costs is its figure less
C's; no more than a few bare foreign calls of its language can be expected of it. Python's program is this module:
``python -m derecho.bench.ffi ADDRESS``.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import derecho

__all__ = ["main", "measure_languages"]

_BATCH = 64
_MESSAGES = _BATCH * 100
_CALLS = 50_000
_TRIALS = 7
_PAYLOAD_BYTES = 100
_DEADLINE_S = 60.0


def measure_languages(rounds: int) -> dict[str, dict[str, float]]:
    """Run every language's program that there is, in rounds; medians by language and figure, nanoseconds."""
    from .processes import BenchError, free_addresses, member_command, native, program

    def settings(address: str) -> dict[str, object]:
        return {"node": 1, "listen": address, "bytes": _PAYLOAD_BYTES}

    def words(address: str) -> list[str]:
        return [f"{key}={value}" for key, value in settings(address).items()]

    languages: dict[str, Callable[[str], Any]] = {
        "C": lambda address: native("ffi", settings(address), _DEADLINE_S),
        "Java": lambda address: program([*member_command("java", "Ffi"), *words(address)], _DEADLINE_S),
        "C# (CoreCLR)": lambda address: program([*member_command("csharp", "Ffi"), *words(address)], _DEADLINE_S),
        "C# (mono)": lambda address: program([*member_command("mono", "Ffi"), *words(address)], _DEADLINE_S),
        "Python": lambda address: program([sys.executable, "-m", "derecho.bench.ffi", address], _DEADLINE_S),
    }
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for language, measure in languages.items():
            try:
                found.setdefault(language, []).append(measure(free_addresses(1)[0]))
            except BenchError:
                if language in ("C", "Python"):  # the others may not be there
                    raise
    return {
        language: {name: statistics.median(s[name] for s in samples) for name in samples[0] if name != "sum"}
        for language, samples in found.items()
        if samples
    }


def _median_ns(count: int, trial: Callable[[], object]) -> float:
    found = []
    for _ in range(_TRIALS):
        begin = time.perf_counter_ns()
        trial()
        found.append((time.perf_counter_ns() - begin) / count)
    return statistics.median(found)


class _Alone:
    def __init__(self, shard: Any) -> None:
        self._shard = shard
        self._payload = bytes([0x5A]) * _PAYLOAD_BYTES
        self._batch = [self._payload] * _BATCH

    def copied(self) -> None:
        """Send a batch, a copy each."""
        send, payload = self._shard.send, self._payload
        for _ in range(_BATCH):
            send(payload)

    def claimed(self) -> None:
        """Fill a batch in place."""
        claim, payload = self._shard.claim, self._payload
        for _ in range(_BATCH):
            with claim(_PAYLOAD_BYTES) as view:
                view[:] = payload

    def many(self) -> None:
        """Hand a batch over in one call."""
        self._shard.try_send_many(self._batch)

    def per_message(self, send_batch: Callable[[], None]) -> float:
        """Nanoseconds to send one and to look at its first byte in place."""

        def trial() -> None:
            for _ in range(_MESSAGES // _BATCH):
                send_batch()
                taken = 0
                while taken < _BATCH:
                    for message in self._shard.poll(0.0):
                        taken += message.data[0] == 0x5A

        return _median_ns(_MESSAGES, trial)


def main() -> None:
    """Measure Python, and print it."""
    from derecho._native._load import lib

    version = lib.derecho_abi_version

    def bare() -> None:
        for _ in range(_CALLS):
            version()

    with derecho.join(raw=["bench"], node=1, listen=sys.argv[1], found=True) as group:
        alone = _Alone(group.raw("bench"))
        figures = {
            "bare_ns": _median_ns(_CALLS, bare),
            "send_ns": alone.per_message(alone.copied),
            "claim_ns": alone.per_message(alone.claimed),
            "many_ns": alone.per_message(alone.many),
        }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
