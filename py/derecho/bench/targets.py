"""What libderecho has to reach, each against the limit, or against C, measured in the same run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .cases import LARGE_BYTES

__all__ = ["TARGETS", "Target", "judge"]

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Target:
    """One promise.

    Attributes
    ----------
    key : str
        Its name in the JSON.
    text : str
        What is promised.
    case : str
        The key of the case that shows it.
    figure : str
        Which of that case's figures, by its path.
    bound : float
        What it is compared with: as it is, or times the limit.
    limit : str or None
        The limit, by its name in ``limits``.
    beside : str or None
        In place of a limit: the case whose figure it is compared with, such as C's.
    at_least : bool
        Whether more is better.
    unit : str
        ``"ns"``, ``"/s"``, ``"B/s"``, ``"B"`` or ``"share"``.
    """

    key: str
    text: str
    case: str
    figure: str
    bound: float
    unit: str
    limit: str | None = None
    at_least: bool = False
    beside: str | None = None


_TARGETS_OF_C = (
    Target(
        "latency_shm_2",
        "shm, 2 members, 100 B one at a time: p50",
        "latency.shm.2.100.c",
        "latency_ns.p50",
        4,
        "ns",
        "cache_line_ns",
    ),
    Target("latency_shm_3", "shm, 3 members on 2 cores: p50", "latency.shm.3.100.c", "latency_ns.p50", 6000, "ns"),
    Target(
        "rate_shm_one",
        "shm, 3 members, 100 B, one sender",
        "throughput.shm.3.one.100.c",
        "delivered_per_s",
        20e6,
        "/s",
        at_least=True,
    ),
    Target(
        "rate_shm_all",
        "shm, 3 members, 100 B, all sending",
        "throughput.shm.3.all.100.c",
        "delivered_per_s",
        30e6,
        "/s",
        at_least=True,
    ),
    Target(
        "rate_python",
        "shm, 3 members, 100 B, Python memoryviews",
        "throughput.shm.3.one.100.python",
        "delivered_per_s",
        500e3,
        "/s",
        at_least=True,
    ),
    Target(
        "rate_service",
        "shm, 3 members, 100 B, Python handlers",
        "throughput.shm.3.one.100.service",
        "delivered_per_s",
        200e3,
        "/s",
        at_least=True,
    ),
    Target(
        "bandwidth_shm",
        "shm, 3 members, 10 KB",
        "throughput.shm.3.one.10240.c",
        "bytes_per_s",
        1,
        "B/s",
        "memcpy_streaming_bytes_per_s",
        at_least=True,
    ),
    Target(
        "bandwidth_shm_read",
        "shm, 3 members, 10 KB, every byte read",
        "throughput.shm.3.one.10240.c.read",
        "bytes_per_s",
        0.5,
        "B/s",
        "memcpy_streaming_bytes_per_s",
        at_least=True,
    ),
    Target(
        "latency_tcp_2",
        "tcp, 2 members, 100 B one at a time: p50",
        "latency.tcp.2.100.c",
        "latency_ns.p50",
        2.5,
        "ns",
        "tcp_spin_100b_ns",
    ),
    Target(
        "rate_tcp_one",
        "tcp, 3 members, 100 B, one sender",
        "throughput.tcp.3.one.100.c",
        "delivered_per_s",
        4e6,
        "/s",
        at_least=True,
    ),
    Target(
        "bandwidth_tcp",
        "tcp, 3 members, 10 KB",
        "throughput.tcp.3.one.10240.c",
        "bytes_per_s",
        0.4,
        "B/s",
        "tcp_stream_bytes_per_s",
        at_least=True,
    ),
    Target("idle_shm", "idle group of 3, shm: of a core per node", "idle.shm.3", "cpu_share", 0.01, "share"),
    Target("idle_tcp", "idle group of 3, tcp: of a core per node", "idle.tcp.3", "cpu_share", 0.01, "share"),
    Target("memory", "memory of a node of 3 by default, all mapped", "idle.shm.3", "mapped_bytes", 64 << 20, "B"),
    Target("failover_shm", "shm, 3 members: crash to new view, p50", "failover.shm.3", "failover_ns.p50", 20e6, "ns"),
    Target("failover_tcp", "tcp, 3 members: crash to new view, p50", "failover.tcp.3", "failover_ns.p50", 20e6, "ns"),
    Target(
        "allocations", "allocations in a second of 100 B messages", "throughput.shm.3.one.100.c", "allocations", 0, ""
    ),
)

_NAMES = {"java": "Java", "csharp": "C# (CoreCLR)", "mono": "C# (mono)", "python": "Python"}


def _beside_c(
    language: str, least_rate: float | None, least_bandwidth: float | None, most_latency: float
) -> Iterator[Target]:
    name = _NAMES[language]
    for payload, text, least in ((100, "100 B", least_rate), (LARGE_BYTES, "1 MB", least_bandwidth)):
        if least is not None:
            case = f"throughput.shm.3.one.{payload}."
            yield Target(
                f"rate_{language}_{payload}",
                f"shm, 3 members, {text}, {name} beside C",
                case + language,
                "delivered_per_s",
                least,
                "/s",
                at_least=True,
                beside=case + "c",
            )
    yield Target(
        f"latency_{language}",
        f"shm, 2 members, 100 B one at a time, {name} beside C: p50",
        f"latency.shm.2.100.{language}",
        "latency_ns.p50",
        most_latency,
        "ns",
        beside="latency.shm.2.100.c",
    )


TARGETS = (
    *_TARGETS_OF_C,
    *_beside_c("java", 0.5, 0.9, 1.3),
    *_beside_c("csharp", 0.5, 0.9, 1.3),
    *_beside_c("mono", None, 0.9, 2),
    *_beside_c("python", None, 0.9, 4),
)


def judge(results: Mapping[str, Result], limits: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one entry for each target whose case was measured.

    Where the run noted the limit right beside the case, that is what counts: the machine changes from minute to minute.
    """
    verdicts = []
    for target in TARGETS:
        result = results.get(target.case)
        if result is None or "error" in result:
            continue
        if target.beside is None:
            value, limit = _at(result, target.figure), _limit_of(result, target, limits)
        else:
            other = results.get(target.beside)
            if other is None or "error" in other:
                continue
            value, limit = (_alike if target.unit == "ns" else _medians)(result, other, target.figure)
        if limit is None and target.limit:
            continue
        bound = target.bound * (1 if limit is None else limit)
        verdicts.append(
            {
                "key": target.key,
                "text": target.text,
                "case": target.case,
                "value": value,
                "unit": target.unit,
                "bound": bound,
                "at_least": target.at_least,
                "limit": target.beside or target.limit,
                "limit_value": limit,
                "ratio": None if limit is None else value / limit,
                "ratio_bound": None if limit is None else target.bound,
                "met": value >= bound if target.at_least else value <= bound,
            }
        )
    return verdicts


def _medians(result: Result, other: Result, figure: str) -> tuple[float, float]:
    return _at(result, figure), _at(other, figure)


def _alike(result: Result, other: Result, figure: str) -> tuple[float, float]:
    """Return both latencies of two rounds, one of each case, that met the machine in the most similar state.

    A virtual machine's cores are near each other in one minute and far in the next, so medians over the rounds of each
    case may be of different machines. Every round is paired with the other case's round in which the limits measured
    beside were the nearest; the pair with the median ratio is returned.
    """

    def pair(mine: Result) -> tuple[float, float]:
        return _at(mine, figure), _at(min(_rounds(other), key=lambda theirs: _difference(mine, theirs)), figure)

    pairs = sorted((pair(mine) for mine in _rounds(result)), key=lambda p: p[0] / p[1])
    return pairs[(len(pairs) - 1) // 2]


def _rounds(result: Result) -> list[Result]:
    return result.get("samples") or [result]


def _difference(a: Result, b: Result) -> float:
    ours, theirs = a.get("limit", {}), b.get("limit", {})
    return sum(abs(math.log(ours[name] / theirs[name])) for name in ours.keys() & theirs.keys())


def _limit_of(result: Result, target: Target, limits: Mapping[str, Any]) -> float | None:
    if target.limit is None:
        return None
    return result.get("limit", {}).get(target.limit, _number(limits.get(target.limit))) or None


def _at(result: Result, path: str) -> float:
    found: Any = result
    for name in path.split("."):
        found = found[name]
    return float(found)


def _number(limit: Any) -> float | None:
    """A limit as one figure: of a distribution its median."""
    return float(limit["p50"]) if isinstance(limit, Mapping) else limit
