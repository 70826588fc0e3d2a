"""Words of the member program's lines (README.md)."""

from __future__ import annotations

from urllib.parse import quote, unquote

from everything import Everything, Values

import derecho

__all__ = ["from_hex", "from_word", "to_hex", "to_word"]

#: Printable, and without a meaning of its own in a line.
_PLAIN = "!\"#$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_ECHO = derecho.schema(Everything).by_name["echo"]


def to_word(value: object) -> str:
    """Write anything as one word."""
    text = str(value)
    return {"": "-", "-": "%2D"}.get(text, quote(text, safe=_PLAIN))


def from_word(word: str) -> str:
    """Read a word."""
    return "" if word == "-" else unquote(word)


def to_hex(values: Values) -> str:
    """The message whose fields are those of `values`; one with a single field, `values`, has the same bytes."""
    return b"".join(_ECHO.encode(values)).hex()


def from_hex(text: str) -> Values:
    """The other way round."""
    (values,) = _ECHO.decode(memoryview(bytes.fromhex(text)))
    return values  # type: ignore[no-any-return]
