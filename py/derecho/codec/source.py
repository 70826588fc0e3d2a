"""What the two code generators share: lines of source, fresh names, and the struct format of a type."""

from __future__ import annotations

import struct
from typing import Any

from .wire import ArrayOf, Blob, Field, ListOf, MapOf, OptionalOf, ScalarType, StructOf, WireType, struct_layout

__all__ = ["INLINE_MAX", "Source", "struct_format"]

#: Longest array of numbers whose elements are slots of their own; longer ones are one block of bytes.
INLINE_MAX = 16


class Source:
    """Source of one function under construction, and the globals that it will run with."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {}
        self._depth = 0
        self._count = 0

    def put(self, line: str) -> None:
        """Add a line at the current depth."""
        self.lines.append("    " * self._depth + line)

    def open(self, line: str) -> None:
        """Add a line that ends in a colon, and indent what follows."""
        self.put(line)
        self._depth += 1

    def close(self) -> None:
        """End the innermost block."""
        self._depth -= 1

    def fresh(self, prefix: str) -> str:
        """Return a local name that is not in use yet."""
        self._count += 1
        return f"_{prefix}{self._count}"

    def constant(self, prefix: str, value: Any) -> str:
        """Return a global name bound to `value`."""
        name = self.fresh(prefix)
        self.names[name] = value
        return name

    def build(self, name: str, where: str) -> Any:
        """Compile what was added and return its function `name`."""
        text = "\n".join(self.lines)
        exec(compile(text, f"<derecho {where}>", "exec"), self.names)
        return self.names[name]


def struct_format(fields: tuple[Field, ...]) -> struct.Struct:
    """Return the ``struct.Struct`` of a fixed part: explicit padding, little-endian, exactly its size."""
    return struct.Struct("<" + _fields_code(fields))


def _fields_code(fields: tuple[Field, ...]) -> str:
    offsets, size = struct_layout(fields)
    code, position = "", 0
    for f, offset in zip(fields, offsets, strict=True):
        code += "x" * (offset - position) + _code(f.type)
        position = offset + f.type.size
    return code + "x" * (size - position)


def _code(wire: WireType) -> str:
    if isinstance(wire, ScalarType):
        return wire.code
    if isinstance(wire, (Blob, ListOf, MapOf)):
        return "II"
    if isinstance(wire, ArrayOf):
        if isinstance(wire.element, ScalarType) and wire.count <= INLINE_MAX:
            return f"{wire.count}{wire.element.code}"
        return f"{wire.size}s"
    if isinstance(wire, OptionalOf):
        gap = "x" * (wire.value_offset - 1)
        end = "x" * (wire.size - wire.value_offset - wire.value.size)
        return "B" + gap + _code(wire.value) + end
    assert isinstance(wire, StructOf)
    return _fields_code(wire.fields)
