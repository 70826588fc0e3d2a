"""Runs cases in rounds, so that a minute in which the machine is slow touches all of them alike, and takes medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .cases import LANGUAGES, Case
from .processes import BenchError, group_settings, launched_group, native, python_group, spreads

__all__ = ["Effort", "Run", "measure_limits"]

_CASE_DEADLINE_S = 90.0


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Attributes
    ----------
    rounds : int
        How often each case is measured.
    warm_s, window_s : float
        Of each measurement: before it counts, and while it counts.
    limit_s : float
        For each limit that is a bandwidth.
    idle_s : float
        For the idle group.
    crashes : int
        Members killed in one measurement of failover.
    """

    rounds: int
    warm_s: float
    window_s: float
    limit_s: float
    idle_s: float
    crashes: int


FULL = Effort(rounds=3, warm_s=0.5, window_s=0.7, limit_s=0.3, idle_s=3.0, crashes=9)
QUICK = Effort(rounds=2, warm_s=0.5, window_s=0.4, limit_s=0.15, idle_s=1.5, crashes=3)

#: What is measured again right beside a case, because it changes while a virtual machine's cores move about.
_BESIDE = {
    ("latency", "shm"): ("cache_line_ns", "ring_of_3_turn_ns"),
    ("latency", "tcp"): ("tcp_spin_100b_ns",),
    ("throughput", "shm"): ("memcpy_streaming_bytes_per_s",),
    ("throughput", "tcp"): ("tcp_stream_bytes_per_s",),
}


def measure_limits(effort: Effort, only: Sequence[str] = ()) -> dict[str, Any]:
    """Measure the machine, or some of it: names as in the JSON, medians of distributions beside their tails."""
    settings: dict[str, object] = {"seconds": effort.limit_s, "rounds": 20_000 if not only else 6_000}
    if only:
        settings["only"] = ",".join(only)
    found = native("limits", settings, _CASE_DEADLINE_S)
    assert isinstance(found, dict)
    return found


class Run:
    """All measurements of one ``derecho bench``.

    Parameters
    ----------
    cases : sequence of Case
        What to measure.
    effort : Effort
        How long.
    tell : callable
        Called with a case before each measurement of it.
    """

    def __init__(self, cases: Sequence[Case], effort: Effort, tell: Callable[[Case], None]) -> None:
        self._cases = cases
        self._effort = effort
        self._tell = tell
        self._limits: list[dict[str, Any]] = []
        self._samples: dict[Case, list[dict[str, Any]]] = {case: [] for case in cases}
        self._errors: dict[Case, list[str]] = {case: [] for case in cases}

    def measure(self) -> None:
        """Measure everything. What fails is noted, and the rest goes on."""
        for _ in range(self._effort.rounds):
            self._limits.append(measure_limits(self._effort))
            for case in self._cases:
                self._tell(case)
                try:
                    self._samples[case].append(self._measure(case))
                except BenchError as error:
                    self._errors[case].append(str(error))

    @property
    def limits(self) -> dict[str, Any]:
        """Medians over the rounds."""
        merged = median_of(self._limits)
        assert isinstance(merged, dict)
        return merged

    def results(self) -> dict[str, dict[str, Any]]:
        """By the case's key: medians over the rounds, and each round in ``samples``."""
        found = {}
        for case in self._cases:
            samples, errors = self._samples[case], self._errors[case]
            entry: dict[str, Any] = {**asdict(case), "key": case.key, "runs": len(samples), "failed_runs": len(errors)}
            if samples:
                entry.update(median_of(samples), samples=samples)
            if errors:
                entry["error" if not samples else "errors"] = errors[0] if not samples else errors
            found[case.key] = entry
        return found

    # ---------------------------------------------------------------------------------------- one case

    def _measure(self, case: Case) -> dict[str, Any]:
        if case.kind == "idle":
            return _idle(case, self._effort)
        if case.kind == "failover":
            return _failover(case, self._effort)
        beside = measure_limits(self._effort, _BESIDE[case.kind, case.wire])
        sample = _traffic(case, self._members(case))
        sample["limit"] = {name: limit for name in _BESIDE[case.kind, case.wire] if (limit := _one(beside.get(name)))}
        return sample

    def _members(self, case: Case) -> list[dict[str, Any]]:
        effort = self._effort
        if case.api in LANGUAGES:
            return launched_group(case, effort.warm_s, effort.window_s, _CASE_DEADLINE_S)
        if case.api != "c":
            return python_group(case, effort.warm_s, effort.window_s, _CASE_DEADLINE_S)
        settings = group_settings(case, effort.warm_s, effort.window_s, _CASE_DEADLINE_S)
        settings["spread"] = int(spreads(case))
        found = native("run", settings, _CASE_DEADLINE_S + 2)
        assert isinstance(found, list)
        return found


def _traffic(case: Case, members: list[dict[str, Any]]) -> dict[str, Any]:
    """What the group did: the slowest member's rate, the costs of all members together."""
    slowest = min(members, key=lambda m: float(m["delivered_per_s"]))
    rate = float(slowest["delivered_per_s"])
    cores = sum(float(m["cpu_share"]) for m in members)
    sample: dict[str, Any] = {
        "delivered_per_s": rate,
        "bytes_per_s": float(slowest["bytes_per_s"]),
        "cpu_s_per_million": cores / rate * 1e6 if rate else None,
        "cores_used": cores,
        "rss_bytes": max(m["rss_bytes"] for m in members),
        "pss_bytes": max(m["pss_bytes"] for m in members),
        "mapped_bytes": max(m["stats"]["mapped_bytes"] for m in members),
        "allocations": max(m["stats"]["allocations"] for m in members),
        "wakes": sum(m["stats"]["wakes"] for m in members),
        "sleeps": sum(m["stats"]["sleeps"] for m in members),
    }
    if case.kind == "latency":
        sample["latency_ns"] = next((m["latency_ns"] for m in members if "latency_ns" in m), None)
        if sample["latency_ns"] is None:
            raise BenchError("no message was measured")
    return sample


def _idle(case: Case, effort: Effort) -> dict[str, Any]:
    settings = {"members": case.members, "wire": case.wire, "seconds": effort.idle_s}
    members = native("idle", settings, effort.idle_s + _CASE_DEADLINE_S)
    return {
        name: max(m[name] for m in members)
        for name in ("cpu_share", "steps_per_s", "rss_bytes", "pss_bytes", "mapped_bytes")
    }


def _failover(case: Case, effort: Effort) -> dict[str, Any]:
    settings = {"members": case.members, "wire": case.wire, "trials": effort.crashes}
    found = native("failover", settings, _CASE_DEADLINE_S + 2 * effort.crashes)
    return {"failover_ns": found["failover_ns"]}


# -------------------------------------------------------------------------------------------- medians


def _one(limit: Any) -> float | None:
    return float(limit["p50"]) if isinstance(limit, Mapping) else limit


def median_of(samples: Sequence[Any]) -> Any:
    """Return the median of each number in samples of one shape."""
    present = [s for s in samples if s is not None]
    if not present:
        return None
    if isinstance(present[0], Mapping):
        names = dict.fromkeys(name for sample in present for name in sample)
        return {name: median_of([sample.get(name) for sample in present]) for name in names}
    return statistics.median(present)


def stamp() -> str:
    """The time now, as in ISO 8601."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")
