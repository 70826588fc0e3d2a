"""The types that a signature may use, as they lie in a message (docs/layout.md).

A type knows its size, its alignment and its canonical text; it knows nothing of Python's code generation. The layout
is that of a C struct on a 64-bit little-endian machine, so every language can overlay it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

__all__ = [
    "ArrayOf",
    "Blob",
    "Field",
    "ListOf",
    "MapOf",
    "OptionalOf",
    "ScalarType",
    "StructOf",
    "WireType",
    "align_up",
    "has_tail",
    "struct_layout",
]

#: A reference to a variable part: two u32, its offset from the start of the message and its length.
REFERENCE_BYTES = 8
REFERENCE_ALIGN = 4


def align_up(position: int, alignment: int) -> int:
    """Return the first position at or after `position` that is a multiple of `alignment` (a power of two)."""
    return (position + alignment - 1) & -alignment


@dataclass(frozen=True)
class ScalarType:
    """A number or bool of fixed width; its alignment is its size."""

    name: str  # i8 .. u64, f32, f64, bool
    size: int
    code: str  # of module struct

    @property
    def align(self) -> int:
        return self.size

    @property
    def text(self) -> str:
        return self.name


@dataclass(frozen=True)
class Blob:
    """``str`` (UTF-8) or ``bytes``: a reference to bytes in the tail."""

    name: str  # str, bytes
    in_place: bool = False  # how Python hands it over; not part of the wire's type

    size = REFERENCE_BYTES
    align = REFERENCE_ALIGN

    @property
    def text(self) -> str:
        return self.name


@dataclass(frozen=True)
class ListOf:
    """A reference to a C array of elements in the tail; the length counts elements."""

    element: WireType

    size = REFERENCE_BYTES
    align = REFERENCE_ALIGN

    @property
    def text(self) -> str:
        return f"list<{self.element.text}>"


@dataclass(frozen=True)
class MapOf:
    """As a list of structs ``{key, value}``, in the order of insertion, each key once."""

    key: WireType
    value: WireType

    size = REFERENCE_BYTES
    align = REFERENCE_ALIGN

    @property
    def text(self) -> str:
        return f"map<{self.key.text},{self.value.text}>"

    @property
    def pair(self) -> StructOf:
        """The struct that an entry is."""
        return StructOf("pair", (Field("key", self.key), Field("value", self.value)), None)


@dataclass(frozen=True)
class ArrayOf:
    """A fixed number of elements, inline."""

    element: WireType
    count: int

    @property
    def size(self) -> int:
        return self.element.size * self.count

    @property
    def align(self) -> int:
        return self.element.align

    @property
    def text(self) -> str:
        return f"array<{self.element.text},{self.count}>"


@dataclass(frozen=True)
class OptionalOf:
    """A presence byte, then the value at its alignment, inline; all zero when absent."""

    value: WireType

    @property
    def size(self) -> int:
        return align_up(self.value_offset + self.value.size, self.align)

    @property
    def align(self) -> int:
        return self.value.align

    @property
    def value_offset(self) -> int:
        return self.value.align  # after one byte, at the value's alignment

    @property
    def text(self) -> str:
        return f"optional<{self.value.text}>"


@dataclass(frozen=True)
class Field:
    """A named field of a struct."""

    name: str
    type: WireType


@dataclass(frozen=True)
class StructOf:
    """A dataclass, inline."""

    name: str
    fields: tuple[Field, ...]
    python: Any = field(compare=False)

    @property
    def size(self) -> int:
        return struct_layout(self.fields)[1]

    @property
    def align(self) -> int:
        return max(f.type.align for f in self.fields)

    @property
    def text(self) -> str:
        return f"{self.name}{{{','.join(f'{f.name}:{f.type.text}' for f in self.fields)}}}"


WireType: TypeAlias = "ScalarType | Blob | ListOf | MapOf | ArrayOf | OptionalOf | StructOf"


def struct_layout(fields: tuple[Field, ...]) -> tuple[list[int], int]:
    """Place fields as C does.

    Returns
    -------
    offsets : list of int
        Of each field, bytes from the struct's start.
    size : int
        Of the whole, rounded up to its alignment; 0 without fields.
    """
    offsets: list[int] = []
    position, alignment = 0, 1
    for f in fields:
        position = align_up(position, f.type.align)
        offsets.append(position)
        position += f.type.size
        alignment = max(alignment, f.type.align)
    return offsets, align_up(position, alignment)


def has_tail(wire: WireType) -> bool:
    """Whether values of this type have parts in the tail."""
    if isinstance(wire, (Blob, ListOf, MapOf)):
        return True
    if isinstance(wire, ArrayOf):
        return has_tail(wire.element)
    if isinstance(wire, OptionalOf):
        return has_tail(wire.value)
    if isinstance(wire, StructOf):
        return any(has_tail(f.type) for f in wire.fields)
    return False


_CODES = {"i8": "b", "u8": "B", "i16": "h", "u16": "H", "i32": "i", "u32": "I", "i64": "q", "u64": "Q"}
SCALARS = {name: ScalarType(name, int(name[1:]) // 8, code) for name, code in _CODES.items()}
SCALARS |= {
    "f32": ScalarType("f32", 4, "f"),
    "f64": ScalarType("f64", 8, "d"),
    "bool": ScalarType("bool", 1, "B"),
}
