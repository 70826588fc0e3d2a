"""Says, after an encoder failed, what is wrong with a value. Slow and thorough: never on the good path."""

from __future__ import annotations

import struct
from typing import Any

from .wire import ArrayOf, Blob, ListOf, MapOf, OptionalOf, ScalarType, StructOf, WireType

__all__ = ["explain"]


def explain(wire: WireType, value: Any) -> str:
    """Return ``""`` for a good value, else the path into it and the reason: ``"[3].x: expected i32, got str"``."""
    if isinstance(wire, ScalarType):
        return _scalar(wire, value)
    if isinstance(wire, Blob):
        return _blob(wire, value)
    if isinstance(wire, OptionalOf):
        return "" if value is None else explain(wire.value, value)
    if isinstance(wire, StructOf):
        return _struct(wire, value)
    if isinstance(wire, MapOf):
        return _map(wire, value)
    return _sequence(wire, value)


def _expected(text: str, value: Any) -> str:
    shown = repr(value)
    return f": expected {text}, got {type(value).__name__} {shown if len(shown) <= 60 else shown[:57] + '...'}"


def _scalar(wire: ScalarType, value: Any) -> str:
    if wire.name == "bool":
        return "" if value is True or value is False else _expected("bool", value)
    try:
        struct.pack("<" + wire.code, value)
    except (struct.error, TypeError, OverflowError, ValueError):
        return _expected(wire.text, value)
    return ""


def _blob(wire: Blob, value: Any) -> str:
    if wire.name == "str":
        if not isinstance(value, str):
            return _expected("str", value)
        try:
            value.encode()
        except UnicodeEncodeError as error:
            return f": not valid Unicode text: {error}"
        return ""
    try:
        view = memoryview(value)
    except TypeError:
        return _expected("bytes (or another contiguous buffer)", value)
    return "" if view.c_contiguous else _expected("a contiguous buffer", value)


def _struct(wire: StructOf, value: Any) -> str:
    if not isinstance(value, wire.python):
        return _expected(wire.name, value)
    for f in wire.fields:
        if not hasattr(value, f.name):
            return f".{f.name}: is not set"
        reason = explain(f.type, getattr(value, f.name))
        if reason:
            return f".{f.name}{reason}"
    return ""


def _map(wire: MapOf, value: Any) -> str:
    if not isinstance(value, dict):
        return _expected("dict", value)
    for key, item in value.items():
        reason = explain(wire.key, key)
        if reason:
            return f" key{reason}"
        reason = explain(wire.value, item)
        if reason:
            return f"[{key!r}]{reason}"
    return ""


def _sequence(wire: ListOf | ArrayOf, value: Any) -> str:
    if not isinstance(value, (list, tuple)):
        return _expected("list" if isinstance(wire, ListOf) else f"tuple of {wire.count}", value)
    if isinstance(wire, ArrayOf) and len(value) != wire.count:
        return f": expected {wire.count} elements, got {len(value)}"
    for i, item in enumerate(value):
        reason = explain(wire.element, item)
        if reason:
            return f"[{i}]{reason}"
    return ""
