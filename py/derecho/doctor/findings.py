"""What a check says: one fact, how much it matters, why, and the commands that change it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Severity", "must_change", "size_text"]

Severity = Literal["must", "should", "fine"]


@dataclass(frozen=True)
class Finding:
    """One verdict.

    Attributes
    ----------
    check : str
        What was looked at, such as ``"memlock"``.
    severity : {"must", "should", "fine"}
        ``must``: something will not work; ``should``: it works slower, or less safely, than it could.
    what : str
        How it is.
    why : str
        What it matters for; empty where it is fine.
    commands : tuple of str
        What changes it, most of it to be run as root; empty where no command does.
    about : str
        The configuration that was looked at, or ``"all configurations"``; empty for this machine.
    """

    check: str
    severity: Severity
    what: str
    why: str = ""
    commands: tuple[str, ...] = ()
    about: str = ""


def must_change(findings: Iterable[Finding]) -> bool:
    """Whether any of them is a ``must``."""
    return any(finding.severity == "must" for finding in findings)


def size_text(size_bytes: int | None) -> str:
    """``"4 MB"``, in powers of 1024; None is unlimited."""
    if size_bytes is None:
        return "unlimited"
    value = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024 or unit == "GB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if value >= 10 or value == int(value) else f"{value:.1f} {unit}"
