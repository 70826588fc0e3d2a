"""Generates the encoder of a signature: a function that takes the arguments and returns the message in parts.

The parts are buffers that the native side gathers straight into the ring, so a large bytes argument is copied once. The
generated code trusts nothing but is not chatty: whatever goes wrong is explained afterwards by `check.explain`.
"""

from __future__ import annotations

import inspect
import struct
from array import array
from collections.abc import Callable
from typing import Any

from ..errors import EncodeError
from .check import explain
from .source import INLINE_MAX, Source, struct_format
from .wire import ArrayOf, Blob, Field, ListOf, MapOf, OptionalOf, ScalarType, StructOf, WireType, has_tail

__all__ = ["Parts", "make_encoder"]

Parts = tuple[bytes | bytearray | memoryview, ...]

_PADS = tuple(bytes(n) for n in range(8))


def make_encoder(
    where: str, name: str, fields: tuple[Field, ...], signature: str, defaults: dict[str, Any] | None = None
) -> Callable[..., Parts]:
    """Generate an encoder.

    Parameters
    ----------
    where : str
        ``"Cache.put"``, for errors.
    name : str
        Of the generated function, as it appears in a ``TypeError`` about missing arguments.
    fields : tuple of Field
        What the message consists of.
    signature : str
        Text between the parentheses of ``def``; its parameters are named like the fields.
    defaults : dict, optional
        Values of the names ``_default_<field>`` that `signature` uses.

    Returns
    -------
    callable
        ``encode(*args, **kwargs) -> tuple of buffers``; raises `EncodeError`.
    """
    if not fields:
        source = Source()
        source.open(f"def {name}({signature}):")
        source.put("return ()")
        return source.build(name, where)  # type: ignore[no-any-return]
    source = Source()
    source.names |= defaults or {}
    emit = _Emitter(source)
    fixed = struct_format(fields)
    source.names |= {"_PADS": _PADS, "_fail": _failer(where, fields), "_pack": fixed.pack}
    source.open(f"def {name}({signature}):")
    source.open("try:")
    if any(has_tail(f.type) for f in fields):
        source.put(f"_n = {fixed.size}")
    slots = [slot for f in fields for slot in emit.value(f.type, f.name)]
    parts = "".join(f", {part}" for part in emit.parts)
    source.put(f"return (_pack({', '.join(slots)}){parts},)")
    source.close()
    source.open("except Exception as _error:")
    source.put(f"raise _fail(({', '.join(f.name for f in fields)},), _error) from None")
    return source.build(name, where)  # type: ignore[no-any-return]


def _failer(where: str, fields: tuple[Field, ...]) -> Callable[[tuple[Any, ...], Exception], EncodeError]:
    def fail(values: tuple[Any, ...], error: Exception) -> EncodeError:
        for f, value in zip(fields, values, strict=True):
            reason = explain(f.type, value)
            if reason:
                return EncodeError(f"{where}: {f.name}{reason}")
        return EncodeError(f"{where}: {error}")

    return fail


class _Emitter:
    """Walks a type and emits the code for a value of it. `parts` collects expressions of the tail, in order."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.parts: list[str] = []
        self.sink = ""  # bound append of a list, when inside a loop or a branch

    def value(self, wire: WireType, name: str) -> list[str]:
        """Emit code for the value in local `name`; return the slots of its fixed part."""
        if isinstance(wire, ScalarType):
            if wire.name == "bool":
                self.source.put(f"if {name} is not True and {name} is not False: raise TypeError")
            return [name]
        if isinstance(wire, Blob):
            return self._blob(wire, name)
        if isinstance(wire, ListOf):
            if isinstance(wire.element, ScalarType):
                return self._scalars(wire.element, name)
            return self._elements(wire.element, name, f"_list({name})")
        if isinstance(wire, MapOf):
            return self._elements(wire.pair, name, f"{name}.items()")
        if isinstance(wire, ArrayOf):
            return self._array(wire, name)
        if isinstance(wire, OptionalOf):
            return self._optional(wire, name)
        return self._struct(wire, name)

    def _part(self, expression: str) -> None:
        if self.sink:
            self.source.put(f"{self.sink}({expression})")
        else:
            self.parts.append(expression)

    def _align(self, alignment: int) -> str:
        """Emit padding of the tail up to `alignment`; return the offset's name."""
        offset = self.source.fresh("o")
        if alignment == 1:
            self.source.put(f"{offset} = _n")
            return offset
        pad = self.source.fresh("p")
        self.source.put(f"{offset} = (_n + {alignment - 1}) & -{alignment}")
        self.source.put(f"{pad} = _PADS[{offset} - _n]")
        self._part(pad)
        return offset

    def _blob(self, wire: Blob, name: str) -> list[str]:
        data, length = self.source.fresh("s"), self.source.fresh("l")
        offset = self.source.fresh("o")
        if wire.name == "str":
            self.source.put(f"{data} = {name}.encode()")
        else:
            self.source.names["_flat"] = _flat
            self.source.put(f"{data} = {name} if type({name}) is bytes else _flat({name})")
        self.source.put(f"{length} = len({data}); {offset} = _n; _n += {length}")
        self._part(data)
        return [offset, length]

    def _scalars(self, element: ScalarType, name: str) -> list[str]:
        data, length = self.source.fresh("s"), self.source.fresh("l")
        pack = self.source.constant("pack_list", _list_packer(element))
        self.source.put(f"{data} = {pack}({name}); {length} = len({name})")
        offset = self._align(element.align)
        self.source.put(f"_n = {offset} + len({data})")
        self._part(data)
        return [offset, length]

    def _elements(self, element: WireType, name: str, items: str) -> list[str]:
        """Emit the array of elements, then, behind it, the elements' own tails."""
        source = self.source
        source.names["_list"] = _list
        length = source.fresh("l")
        source.put(f"{length} = len({name})")
        offset = self._align(element.align)
        block = source.fresh("b")
        source.put(f"{block} = bytearray({length} * {element.size}); _n = {offset} + len({block})")
        self._part(block)
        fixed = struct_format((Field("", element),))
        pack_into = source.constant("pack_into", fixed.pack_into)
        at, item = source.fresh("i"), source.fresh("e")
        with _Sink(self, has_tail(element)):
            source.put(f"{at} = 0")
            pair = isinstance(element, StructOf) and element.python is None
            target = f"{item}k, {item}v" if pair else item
            source.open(f"for {target} in {items}:")
            if pair:
                assert isinstance(element, StructOf)
                slots = self.value(element.fields[0].type, f"{item}k") + self.value(element.fields[1].type, f"{item}v")
            else:
                slots = self.value(element, item)
            source.put(f"{pack_into}({block}, {at}, {', '.join(slots)}); {at} += {element.size}")
            source.close()
        return [offset, length]

    def _array(self, wire: ArrayOf, name: str) -> list[str]:
        source = self.source
        source.names["_list"] = _list
        source.put(f"if len(_list({name})) != {wire.count}: raise TypeError")
        if isinstance(wire.element, ScalarType):
            if wire.count > INLINE_MAX:
                return [f"{source.constant('pack_list', _list_packer(wire.element))}({name})"]
            if wire.element.name == "bool":
                source.names["_bools"] = _pack_bools
                source.put(f"_bools({name})")
            return [f"*{name}"]
        block, at, item = source.fresh("b"), source.fresh("i"), source.fresh("e")
        pack_into = source.constant("pack_into", struct_format((Field("", wire.element),)).pack_into)
        source.put(f"{block} = bytearray({wire.size}); {at} = 0")
        with _Sink(self, has_tail(wire.element)):
            source.open(f"for {item} in {name}:")
            slots = self.value(wire.element, item)
            source.put(f"{pack_into}({block}, {at}, {', '.join(slots)}); {at} += {wire.element.size}")
            source.close()
        return [block]

    def _optional(self, wire: OptionalOf, name: str) -> list[str]:
        source = self.source
        named: list[str] = []
        with _Sink(self, has_tail(wire.value)):
            source.open(f"if {name} is not None:")
            slots = self.value(wire.value, name)
            stars = [slot for slot in slots if slot.startswith("*")]
            for slot in slots:
                fresh = source.fresh("v")
                source.put(f"{fresh} = {slot.lstrip('*')}")
                named.append(("*" if slot in stars else "") + fresh)
            source.close()
            source.open("else:")
            zeros = _zeros(wire.value)
            for slot, zero in zip(named, zeros, strict=True):
                source.put(f"{slot.lstrip('*')} = {zero}")
            source.close()
        return [f"{name} is not None", *named]

    def _struct(self, wire: StructOf, name: str) -> list[str]:
        source = self.source
        cls = source.constant("class", wire.python)
        source.put(f"if not isinstance({name}, {cls}): raise TypeError")
        slots: list[str] = []
        for f in wire.fields:
            local = source.fresh("f")
            source.put(f"{local} = {name}.{f.name}")
            slots += self.value(f.type, local)
        return slots


class _Sink:
    """While open, parts go to a list at run time instead of into the final tuple: inside loops and branches."""

    def __init__(self, emitter: _Emitter, needed: bool) -> None:
        self.emitter = emitter
        self.outermost = needed and not emitter.sink

    def __enter__(self) -> None:
        if not self.outermost:
            return
        source = self.emitter.source
        parts, append = source.fresh("q"), source.fresh("a")
        source.put(f"{parts} = []; {append} = {parts}.append")
        self.emitter.parts.append(f"*{parts}")
        self.emitter.sink = append

    def __exit__(self, *_: object) -> None:
        if self.outermost:
            self.emitter.sink = ""


def _zeros(wire: WireType) -> list[str]:
    """Slots of an absent value."""
    if isinstance(wire, ScalarType):
        return ["0"]
    if isinstance(wire, (Blob, ListOf, MapOf)):
        return ["0", "0"]
    if isinstance(wire, ArrayOf):
        slots = isinstance(wire.element, ScalarType) and wire.count <= INLINE_MAX
        return [f"(0,) * {wire.count}"] if slots else ["b''"]
    if isinstance(wire, OptionalOf):
        return ["0", *_zeros(wire.value)]
    return [zero for f in wire.fields for zero in _zeros(f.type)]


def _flat(value: Any) -> bytes | memoryview:
    """View any bytes-like object as contiguous bytes, without a copy."""
    view = memoryview(value)
    if view.nbytes == 0:
        return b""
    return view if view.format == "B" and view.ndim == 1 and view.contiguous else view.cast("B")


def _list(value: Any) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError
    return value


def _pack_bools(value: Any) -> bytes:
    for item in _list(value):
        if item is not True and item is not False:
            raise TypeError
    return bytes(value)


def _list_packer(element: ScalarType) -> Callable[[Any], bytes]:
    if element.name == "bool":
        return _pack_bools
    code = element.code
    if element.name == "f32":  # array("f") turns what is too large into infinity; struct refuses it
        return lambda value: struct.pack(f"<{len(_list(value))}f", *value)
    return lambda value: array(code, _list(value)).tobytes()


def parameters(signature: inspect.Signature) -> str:
    """Return the text of a signature's parameters without `self` and annotations, for a generated ``def``."""
    words: list[str] = []
    kinds = [p.kind for p in signature.parameters.values()][1:]
    star = False
    for i, p in enumerate(list(signature.parameters.values())[1:]):
        if p.kind is p.KEYWORD_ONLY and not star:
            words.append("*")
            star = True
        words.append(p.name + (f"=_default_{p.name}" if p.default is not p.empty else ""))
        if p.kind is p.POSITIONAL_ONLY and (i + 1 == len(kinds) or kinds[i + 1] is not p.POSITIONAL_ONLY):
            words.append("/")
    return ", ".join(words)
