"""The library's version and its log."""

from __future__ import annotations

from ._load import check, lib, text

__all__ = ["log_to", "version"]


def version() -> str:
    """Return the version of the library, such as ``"0.1.0"``."""
    return text(lib.derecho_version())


def log_to(fd: int, level: int) -> None:
    """Write the library's log lines to a file descriptor; it prints nothing otherwise.

    Parameters
    ----------
    fd : int
        Open for writing.
    level : int
        0 nothing, 1 warnings, 2 views and connections, 3 everything.

    Raises
    ------
    InvalidArgument
        For another level.
    """
    check(lib.derecho_log_to(fd, level))
