"""Text and bytes as scripts write them, and as executors show them (README.md)."""

from __future__ import annotations

import re

__all__ = ["escaped", "shown", "to_bytes"]

_SHOWN_BYTES = 32
_SUM_MODULUS = 65521


def escaped(text: str) -> str:
    """Return a text as it stands in a line; `urllib.parse.unquote` reads it."""
    return re.sub(r"[%\t\n\r]", lambda m: f"%{ord(m[0]):02X}", text)


def to_bytes(text: str) -> bytes:
    """Make the bytes of ``text:...``, ``hex:...`` or ``repeat:BYTE:COUNT``."""
    kind, _, argument = text.partition(":")
    if kind == "text":
        return argument.encode()
    if kind == "hex":
        return bytes.fromhex(argument)
    if kind == "repeat":
        byte, _, count = argument.partition(":")
        return bytes([int(byte)]) * int(count)
    raise ValueError(f"{text!r} is no payload")


def shown(data: bytes) -> str:
    """Return the first bytes in hex and the sum of all."""
    return f"{data[:_SHOWN_BYTES].hex()}+{sum(data) % _SUM_MODULUS}"
