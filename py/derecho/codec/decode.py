"""Generates the decoder of a signature. What it reads comes from a peer and is untrusted.

Every message has exactly one encoding (docs/layout.md), so the decoder follows a cursor through the tail and compares:
no byte is read twice, no small message can ask for much memory, and nothing but `DecodeError` comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import DecodeError
from .source import INLINE_MAX, Source, struct_format
from .wire import ArrayOf, Blob, Field, ListOf, MapOf, OptionalOf, ScalarType, StructOf, WireType

__all__ = ["make_decoder"]


def make_decoder(where: str, fields: tuple[Field, ...], single: bool = False) -> Callable[[Any], Any]:
    """Generate a decoder.

    Parameters
    ----------
    where : str
        ``"Cache.put"``, for errors.
    fields : tuple of Field
        What the message consists of.
    single : bool
        Return the only field's value instead of a tuple.

    Returns
    -------
    callable
        ``decode(message)``: `message` is a contiguous memoryview of bytes (format ``"B"``); raises `DecodeError`.
    """
    source = Source()
    fixed = struct_format(fields)
    source.names |= {"_unpack": fixed.unpack_from, "_bad": _bad(where), "_Error": DecodeError}
    source.open("def decode(_m):")
    source.open("try:")
    source.put("_end = len(_m)")
    source.put(f"if _end < {fixed.size}: _bad('', f'needs {fixed.size} bytes, has {{_end}}')")
    emit = _Emitter(source)
    plans = [emit.plan(f.type, f.name) for f in fields]
    slots = [slot for plan in plans for slot in plan.slots]
    if slots:
        source.put(f"{', '.join(slots)}, = _unpack(_m)")
    source.put(f"_n = {fixed.size}")
    values = [plan.finish() for plan in plans]
    source.put("if _n != _end: _bad('', f'has {_end - _n} bytes too many')")
    source.put(f"return {values[0]}" if single else f"return ({''.join(v + ', ' for v in values)})")
    source.close()
    source.put("except _Error: raise")
    source.put("except Exception as _error: _bad('', str(_error) or type(_error).__name__)")
    return source.build("decode", where)  # type: ignore[no-any-return]


def _bad(where: str) -> Callable[[str, str], None]:
    def bad(path: str, reason: str) -> None:
        raise DecodeError(f"{where}: malformed message: {path + ' ' if path else ''}{reason}")

    return bad


class _Plan:
    """The slots that a value's fixed part unpacks to, and what makes the value of them, in order of the tail."""

    def __init__(self, slots: list[str], finish: Callable[[], str]) -> None:
        self.slots = slots
        self.finish = finish


class _Emitter:
    def __init__(self, source: Source) -> None:
        self.source = source

    def plan(self, wire: WireType, path: str) -> _Plan:
        if isinstance(wire, ScalarType):
            return self._scalar(wire, path)
        if isinstance(wire, (Blob, ListOf, MapOf)):
            offset, length = self.source.fresh("o"), self.source.fresh("l")
            return _Plan([offset, length], lambda: self._reference(wire, path, offset, length))
        if isinstance(wire, ArrayOf):
            return self._array(wire, path)
        if isinstance(wire, OptionalOf):
            return self._optional(wire, path)
        return self._struct(wire, path)

    def _scalar(self, wire: ScalarType, path: str) -> _Plan:
        slot = self.source.fresh("v")

        def finish() -> str:
            if wire.name != "bool":
                return slot
            self.source.put(f"if {slot} > 1: _bad({path!r}, f'is a bool of {{{slot}}}')")
            return f"{slot} == 1"

        return _Plan([slot], finish)

    def _reference(self, wire: Blob | ListOf | MapOf, path: str, offset: str, length: str) -> str:
        source = self.source
        size, alignment = _extent(wire)
        end, value = source.fresh("x"), source.fresh("v")
        if alignment > 1:
            source.put(f"_n = (_n + {alignment - 1}) & -{alignment}")
        source.put(f"{end} = _n + {length}" + (f" * {size}" if size > 1 else ""))
        source.put(f"if {offset} != _n or {end} > _end: _bad({path!r}, 'does not lie where it must')")
        data = f"_m[{offset}:{end}]"
        source.put(f"_n = {end}")
        if isinstance(wire, Blob):
            if wire.name == "str":
                source.put(f"{value} = str({data}, 'utf-8')")
            else:
                source.put(f"{value} = {data}" if wire.in_place else f"{value} = bytes({data})")
        elif isinstance(wire, MapOf):
            self._elements(wire.pair, path, data, value, mapping=True)
            source.put(f"if len({value}) != {length}: _bad({path!r}, 'has a key twice')")
        elif isinstance(wire.element, ScalarType):
            self._scalars(wire.element, path, data, value)
        else:
            self._elements(wire.element, path, data, value)
        return value

    def _scalars(self, element: ScalarType, path: str, data: str, value: str) -> None:
        if element.name == "bool":
            self.source.put(f"{value} = bytes({data})")
            self.source.put(f"if {value}.translate(None, b'\\0\\1'): _bad({path!r}, 'has a bool that is neither')")
            self.source.put(f"{value} = [_b == 1 for _b in {value}]")
        else:  # the machine is little-endian: the native formats are the wire's
            self.source.put(f"{value} = {data}.cast({element.code!r}).tolist()")

    def _elements(self, element: WireType, path: str, data: str, value: str, mapping: bool = False) -> None:
        source = self.source
        unpack = source.constant("iter", struct_format((Field("", element),)).iter_unpack)
        source.put(f"{value} = {'{}' if mapping else '[]'}")
        if mapping:
            assert isinstance(element, StructOf)
            plans = [self.plan(f.type, f"{path}'s {f.name}") for f in element.fields]
        else:
            plans = [self.plan(element, f"{path}[]")]
        slots = [slot for plan in plans for slot in plan.slots]
        source.open(f"for {', '.join(slots)}, in {unpack}({data}):")
        items = [plan.finish() for plan in plans]
        source.put(f"{value}[{items[0]}] = {items[1]}" if mapping else f"{value}.append({items[0]})")
        source.close()

    def _array(self, wire: ArrayOf, path: str) -> _Plan:
        source = self.source
        if isinstance(wire.element, ScalarType) and wire.count <= INLINE_MAX:
            plans = [self._scalar(wire.element, path) for _ in range(wire.count)]
            slots = [slot for plan in plans for slot in plan.slots]
            return _Plan(slots, lambda: f"({''.join(p.finish() + ', ' for p in plans)})")
        block = source.fresh("b")

        def finish() -> str:
            value = source.fresh("v")
            if isinstance(wire.element, ScalarType):
                self._scalars(wire.element, path, f"memoryview({block})", value)
            else:
                self._elements(wire.element, path, block, value)
            return f"tuple({value})"

        return _Plan([block], finish)

    def _optional(self, wire: OptionalOf, path: str) -> _Plan:
        source = self.source
        present, value = source.fresh("h"), source.fresh("v")
        inner = self.plan(wire.value, path)

        def finish() -> str:
            source.put(f"if {present} > 1: _bad({path!r}, f'has a presence byte of {{{present}}}')")
            source.put(f"{value} = None")
            source.open(f"if {present}:")
            result = inner.finish()
            source.put(f"{value} = {result}")
            source.close()
            return value

        return _Plan([present, *inner.slots], finish)

    def _struct(self, wire: StructOf, path: str) -> _Plan:
        source = self.source
        plans = [self.plan(f.type, f"{path}.{f.name}") for f in wire.fields]
        cls = source.constant("class", wire.python)

        def finish() -> str:
            values = [plan.finish() for plan in plans]
            words = ", ".join(f"{f.name}={v}" for f, v in zip(wire.fields, values, strict=True))
            value = source.fresh("v")
            source.put(f"{value} = {cls}({words})")
            return value

        return _Plan([slot for plan in plans for slot in plan.slots], finish)


def _extent(wire: Blob | ListOf | MapOf) -> tuple[int, int]:
    """Bytes an element takes in the tail, and its alignment."""
    if isinstance(wire, Blob):
        return 1, 1
    element = wire.pair if isinstance(wire, MapOf) else wire.element
    return element.size, element.align
