"""What there is to measure: every case has a key that stays the same from release to release."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

__all__ = [
    "APIS",
    "LANGUAGES",
    "LARGE_BYTES",
    "PAYLOADS",
    "WIRES",
    "Case",
    "all_cases",
    "chosen",
    "language_cases",
    "quick_cases",
]

WIRES = ("shm", "tcp")
MEMBERS = (2, 3)
PAYLOADS = (10, 100, 1024, 10_240, 102_400)

#: How the members use libderecho: the C ABI; Python, plain messages as memoryviews; Python, handlers of a service.
APIS = ("c", "python", "service")

#: Other languages, whose members are programs of their own over the raw ring, and measured only when asked for.
LANGUAGES = ("java", "csharp", "mono")

#: Of a message that tells whether a language copies payloads more often than C.
LARGE_BYTES = 1 << 20


@dataclass(frozen=True)
class Case:
    """One thing to measure.

    Attributes
    ----------
    kind : str
        ``"throughput"``, ``"latency"``, ``"idle"`` or ``"failover"``.
    wire : str
        ``"shm"`` or ``"tcp"``.
    members : int
        Processes on this machine.
    senders : int
        How many of them send.
    payload_bytes : int
        Of each message; 0 where there are none.
    api : str
        One of `APIS` or `LANGUAGES`.
    read : bool
        Every receiver reads every byte; otherwise it looks at the first.
    """

    kind: str
    wire: str
    members: int
    senders: int = 0
    payload_bytes: int = 0
    api: str = "c"
    read: bool = False

    @property
    def key(self) -> str:
        """Its name, such as ``throughput.shm.3.one.100.c``."""
        parts = [self.kind, self.wire, str(self.members)]
        if self.kind == "throughput":
            parts.append("one" if self.senders == 1 else "all")
        if self.payload_bytes:
            parts += [str(self.payload_bytes), self.api]
        if self.read:
            parts.append("read")
        return ".".join(parts)


def _group_cases() -> Iterator[Case]:
    for wire in WIRES:
        yield Case("idle", wire, 3)
        yield Case("failover", wire, 3)


def all_cases() -> list[Case]:
    """Return every case, the cheap overview first."""
    cases = list(_group_cases())
    for wire in WIRES:
        for members in MEMBERS:
            for api in APIS:
                for payload in PAYLOADS:
                    if api != "service" or payload <= 10_240:
                        cases.append(Case("latency", wire, members, 1, payload, api))
                    for senders in (1, members):
                        if api != "service" or payload <= 10_240:
                            cases.append(Case("throughput", wire, members, senders, payload, api))
            for payload in (10_240, 102_400):
                cases.append(Case("throughput", wire, members, 1, payload, "c", read=True))
    return cases


def quick_cases() -> list[Case]:
    """Return the cases that issue 2 sets targets for, and a few beside them."""
    cases = list(_group_cases())
    for wire in WIRES:
        cases += [Case("latency", wire, members, 1, 100) for members in MEMBERS]
        cases += [Case("throughput", wire, 3, senders, 100) for senders in (1, 3)]
        cases.append(Case("throughput", wire, 3, 1, 10_240))
    cases += [
        Case("throughput", "shm", 3, 1, 10_240, read=True),
        Case("throughput", "shm", 3, 1, 100, "python"),
        Case("throughput", "shm", 3, 1, 100, "service"),
        Case("latency", "shm", 2, 1, 100, "python"),
    ]
    return cases


def language_cases(languages: Iterable[str]) -> list[Case]:
    """Return what each of these languages is compared with C in."""
    cases = []
    for api in ("c", *languages, "python"):
        cases += [Case("throughput", "shm", 3, 1, payload, api) for payload in (100, LARGE_BYTES)]
        cases.append(Case("latency", "shm", 2, 1, 100, api))
    return cases


def chosen(cases: Iterable[Case], only: str | None, wires: Iterable[str], members: Iterable[int]) -> list[Case]:
    """Return those of these wires and group sizes whose key fits `only`: a glob, a regular expression or a part."""
    wires, members = set(wires), set(members)
    return [c for c in cases if c.wire in wires and c.members in members and _fits(c.key, only)]


def _fits(key: str, only: str | None) -> bool:
    if not only or only in key or fnmatch.fnmatch(key, only):
        return True
    try:
        return re.search(only, key) is not None
    except re.error:
        return False
