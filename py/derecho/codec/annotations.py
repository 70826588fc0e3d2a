"""From the annotations of a signature to the wire's types, or an error that says what would be accepted."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from ..types import InPlaceMark, Length, Scalar
from .wire import SCALARS, ArrayOf, Blob, Field, ListOf, MapOf, OptionalOf, ScalarType, StructOf, WireType

__all__ = ["ACCEPTED", "Unsupported", "wire_type"]

ACCEPTED = (
    "bool, int (64 bits), derecho.int8 .. derecho.uint64, float (64 bits), derecho.float32, str, bytes, "
    "derecho.InPlace or memoryview (bytes in place), tuple[T, T, ...] and Annotated[tuple[T, ...], derecho.Length(n)], "
    "list[T], dict[K, V] (K an integer, bool, str or bytes), dataclasses of these, T | None"
)

_PLAIN: dict[Any, WireType] = {
    bool: SCALARS["bool"],
    int: SCALARS["i64"],
    float: SCALARS["f64"],
    str: Blob("str"),
    bytes: Blob("bytes"),
    memoryview: Blob("bytes", in_place=True),
}
_DEPTH_MAX = 16
_COUNT_MAX = 1 << 20


class Unsupported(Exception):
    """Internal: why an annotation is refused; the caller adds which method and parameter."""


def wire_type(annotation: Any, scope: Mapping[str, Any], depth: int = 0) -> WireType:
    """Find the wire's type of a resolved annotation.

    Parameters
    ----------
    annotation : type
        As ``typing.get_type_hints(..., include_extras=True)`` gives it.
    scope : mapping
        Names that dataclasses' own annotations may use besides their module's.

    Raises
    ------
    Unsupported
        With the reason.
    """
    if depth > _DEPTH_MAX:
        raise Unsupported(f"nested deeper than {_DEPTH_MAX}, or without end")
    if annotation in _PLAIN if isinstance(annotation, type) else False:
        return _PLAIN[annotation]
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _annotated(annotation, scope, depth)
    if origin is typing.Union or origin is types.UnionType:
        return _optional(annotation, scope, depth)
    if origin is tuple:
        return _tuple(annotation, scope, depth)
    arguments = typing.get_args(annotation)
    if origin is list:
        return ListOf(wire_type(arguments[0], scope, depth + 1))
    if origin is dict:
        return _map(arguments, scope, depth)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _dataclass(annotation, scope, depth)
    raise Unsupported(f"{_name(annotation)} is not supported")


def _annotated(annotation: Any, scope: Mapping[str, Any], depth: int) -> WireType:
    base, *marks = typing.get_args(annotation)
    for mark in marks:
        if isinstance(mark, Scalar):
            return SCALARS[mark.name]
        if mark is InPlaceMark:
            return Blob("bytes", in_place=True)
        if isinstance(mark, Length):
            arguments = typing.get_args(base)
            if typing.get_origin(base) is not tuple or len(arguments) != 2 or arguments[1] is not Ellipsis:
                raise Unsupported(f"derecho.Length needs tuple[T, ...], not {_name(base)}")
            return _array(wire_type(arguments[0], scope, depth + 1), mark.count)
    return wire_type(base, scope, depth)


def _array(element: WireType, count: int) -> WireType:
    if not isinstance(count, int) or not 1 <= count <= _COUNT_MAX:
        raise Unsupported(f"an array has 1 to {_COUNT_MAX} elements, not {count!r}")
    return ArrayOf(element, count)


def _tuple(annotation: Any, scope: Mapping[str, Any], depth: int) -> WireType:
    arguments = typing.get_args(annotation)
    if not arguments or Ellipsis in arguments:
        raise Unsupported(f"{_name(annotation)} has no fixed length: use list[T], or add derecho.Length(n)")
    elements = [wire_type(a, scope, depth + 1) for a in arguments]
    if any(e != elements[0] for e in elements):
        raise Unsupported(f"{_name(annotation)} mixes types: use a dataclass")
    return _array(elements[0], len(elements))


def _optional(annotation: Any, scope: Mapping[str, Any], depth: int) -> WireType:
    arguments = [a for a in typing.get_args(annotation) if a is not type(None)]
    if len(arguments) == len(typing.get_args(annotation)):
        raise Unsupported(f"{_name(annotation)} is a choice of types; only T | None is one")
    if len(arguments) > 1:  # InPlace | None keeps its mark, and is one argument
        raise Unsupported(f"{_name(annotation)} is a choice of types; only T | None is one")
    value = wire_type(arguments[0], scope, depth + 1)
    if isinstance(value, OptionalOf):
        raise Unsupported(f"{_name(annotation)} is optional twice")
    return OptionalOf(value)


def _map(arguments: tuple[Any, ...], scope: Mapping[str, Any], depth: int) -> WireType:
    key = wire_type(arguments[0], scope, depth + 1)
    if not isinstance(key, (ScalarType, Blob)) or (isinstance(key, Blob) and key.in_place):
        raise Unsupported(f"{_name(arguments[0])} cannot be a key")
    if key in (SCALARS["f32"], SCALARS["f64"]):  # languages disagree on whether NaN, and 0.0 and -0.0, are equal
        raise Unsupported(f"{_name(arguments[0])} cannot be a key: use an integer, bool, str or bytes")
    return MapOf(key, wire_type(arguments[1], scope, depth + 1))


def _dataclass(annotation: Any, scope: Mapping[str, Any], depth: int) -> WireType:
    try:
        hints = typing.get_type_hints(annotation, localns=dict(scope), include_extras=True)
    except NameError as error:
        raise Unsupported(f"dataclass {annotation.__name__}: {error}") from error
    fields = []
    for f in dataclasses.fields(annotation):
        if not f.init:
            raise Unsupported(f"dataclass {annotation.__name__}: field {f.name} is not a parameter of __init__")
        try:
            fields.append(Field(f.name, wire_type(hints[f.name], scope, depth + 1)))
        except Unsupported as error:
            raise Unsupported(f"dataclass {annotation.__name__}, field {f.name}: {error}") from None
    if not fields:
        raise Unsupported(f"dataclass {annotation.__name__} has no fields")
    return StructOf(annotation.__name__, tuple(fields), annotation)


def _name(annotation: Any) -> str:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")
