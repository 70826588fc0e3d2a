"""Annotations for signatures of services: fixed-width numbers, views in place, arrays of fixed length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, TypeAlias

__all__ = [
    "InPlace",
    "Length",
    "float32",
    "float64",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
]


@dataclass(frozen=True)
class Scalar:
    """Marks an annotation with the wire's name of a number, such as ``"u32"``."""

    name: str


@dataclass(frozen=True)
class Length:
    """Fixes the number of elements: ``Annotated[tuple[float, ...], Length(1000)]``.

    Parameters
    ----------
    count : int
        At least 1.
    """

    count: int


class InPlaceMark:
    """Marks an annotation as bytes that a handler receives as a memoryview into the ring."""


int8 = Annotated[int, Scalar("i8")]
int16 = Annotated[int, Scalar("i16")]
int32 = Annotated[int, Scalar("i32")]
int64 = Annotated[int, Scalar("i64")]
uint8 = Annotated[int, Scalar("u8")]
uint16 = Annotated[int, Scalar("u16")]
uint32 = Annotated[int, Scalar("u32")]
uint64 = Annotated[int, Scalar("u64")]
float32 = Annotated[float, Scalar("f32")]
float64 = Annotated[float, Scalar("f64")]

#: Bytes that the handler receives in place, as a read-only memoryview; callers pass any bytes-like object.
InPlace: TypeAlias = Annotated[bytes | bytearray | memoryview, InPlaceMark]
