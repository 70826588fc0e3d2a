"""Java's types for those of the wire, and the statements that write and read values of them.

`Encoder` and `Decoder` of the Java binding do the work; what is written here only walks the fields in order, knowing at
compile time where each one lies.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ..codec.wire import ArrayOf, Blob, ListOf, MapOf, OptionalOf, ScalarType, StructOf, WireType, struct_layout
from .java_text import block

__all__ = ["JavaTypes", "Numbers", "Reader", "Writer", "plus"]

_PLAIN = {"i8": "byte", "u8": "int", "i16": "short", "u16": "int", "i32": "int", "u32": "long", "i64": "long"}
_PLAIN |= {"u64": "long", "f32": "float", "f64": "double", "bool": "boolean"}
_BOXED = {"byte": "Byte", "short": "Short", "int": "Integer", "long": "Long", "float": "Float", "double": "Double"}
_BOXED |= {"boolean": "Boolean"}
_RANGED = {"u8", "u16", "u32"}  # of a wider type in Java: checked when written


@dataclass(frozen=True)
class JavaTypes:
    """The types of one service.

    Attributes
    ----------
    structs : dict of str to str
        The record's name for each struct's.
    """

    structs: dict[str, str]

    def plain(self, wire: WireType) -> str:
        """The type of a variable."""
        if isinstance(wire, ScalarType):
            return _PLAIN[wire.name]
        if isinstance(wire, Blob):
            return "String" if wire.name == "str" else "MemorySegment" if wire.in_place else "byte[]"
        if isinstance(wire, (ListOf, ArrayOf)):
            if isinstance(wire.element, ScalarType):
                return f"{_PLAIN[wire.element.name]}[]"
            return f"List<{self.boxed(wire.element)}>"
        if isinstance(wire, MapOf):
            return f"Map<{self.key(wire.key)}, {self.boxed(wire.value)}>"
        if isinstance(wire, OptionalOf):
            return self.boxed(wire.value)
        return self.structs[wire.name]

    def boxed(self, wire: WireType) -> str:
        """The type as an argument of a generic one."""
        plain = self.plain(wire)
        return _BOXED.get(plain, plain)

    def key(self, wire: WireType) -> str:
        """The type of a map's keys: bytes need one that is compared by content."""
        return "ByteBuffer" if _is_bytes(wire) else self.boxed(wire)

    def has_array(self, wire: WireType) -> bool:
        """Whether a value holds arrays, or segments, which Java compares by identity."""
        if isinstance(wire, MapOf):
            return self.has_array(wire.value)
        if isinstance(wire, (ListOf, ArrayOf)):
            return isinstance(wire.element, ScalarType) or self.has_array(wire.element)
        return self.has_array(wire.value) if isinstance(wire, OptionalOf) else _is_bytes(wire)


def _is_bytes(wire: WireType) -> bool:
    return isinstance(wire, Blob) and wire.name == "bytes"


def plus(at: str, offset: int) -> str:
    """The position `offset` bytes behind another: ``"8"`` or ``"at + 8"``."""
    match = re.fullmatch(r"(?:(\w+) \+ )?(\d+)", at)
    base, known = (match[1], int(match[2])) if match else (at, 0)
    if base is None:
        return str(known + offset)
    return f"{base} + {known + offset}" if known + offset else base


@dataclass
class Numbers:
    """Of locals: the variables of one loop have the same one, and no others of the function."""

    last: int = 0

    def next(self) -> int:
        self.last += 1
        return self.last


def _numbers(wire: ScalarType, at: str, values: str, path: str) -> str:
    name = f', "{path}"' if wire.name in _RANGED else ""
    return f"out.{wire.name}s({at}, {values}{name});"


@dataclass
class Writer:
    """Writes statements that write values; they use the local `out`, an `Encoder`."""

    types: JavaTypes
    names: Numbers = field(default_factory=Numbers)

    def lines(self, wire: WireType, at: str, value: str, path: str) -> list[str]:
        """Write the variable `value`, whose fixed part lies at `at`; errors call it `path`."""
        if isinstance(wire, ScalarType):
            name = f', "{path}"' if wire.name in _RANGED else ""
            return [f"out.{wire.name}({at}, {value}{name});"]
        if isinstance(wire, Blob):
            return [f'out.{wire.name}({at}, {value}, "{path}");']
        if isinstance(wire, StructOf):
            return [f'out.given({value}, "{path}").write(out, {at});']
        if isinstance(wire, OptionalOf):
            inner = self.lines(wire.value, plus(at, wire.value_offset), value, path)
            return block(f"if (out.present({at}, {value}))", inner)
        if isinstance(wire, MapOf):
            return self._map(wire, at, value, path)
        if isinstance(wire, ArrayOf):
            return self._array(wire, at, value, path)
        return self._list(wire, at, value, path)

    def _list(self, wire: ListOf, at: str, value: str, path: str) -> list[str]:
        element = wire.element
        if isinstance(element, ScalarType):
            first = f'out.numbers({at}, out.given({value}, "{path}").length, {element.size})'
            return [_numbers(element, first, value, path)]
        n = self.names.next()
        count = f'out.given({value}, "{path}").size()'
        first = f"long at{n} = out.list({at}, {count}, {element.size}, {element.align});"
        return [first, *self._loop(element, n, value, path)]

    def _array(self, wire: ArrayOf, at: str, value: str, path: str) -> list[str]:
        scalar = isinstance(wire.element, ScalarType)
        length = "length" if scalar else "size()"
        check = f'out.exactly(out.given({value}, "{path}").{length}, {wire.count}, "{path}");'
        if isinstance(wire.element, ScalarType):
            return [check, _numbers(wire.element, at, value, path)]
        n = self.names.next()
        return [check, f"long at{n} = {at};", *self._loop(wire.element, n, value, path)]

    def _loop(self, element: WireType, n: int, values: str, path: str) -> list[str]:
        body = [*self.lines(element, f"at{n}", f"item{n}", f"{path}[]"), f"at{n} += {element.size};"]
        return block(f"for ({self.types.boxed(element)} item{n} : {values})", body)

    def _map(self, wire: MapOf, at: str, value: str, path: str) -> list[str]:
        n, pair = self.names.next(), wire.pair
        offset = struct_layout(pair.fields)[0][1]
        entry = f"Map.Entry<{self.types.key(wire.key)}, {self.types.boxed(wire.value)}>"
        count = f'out.given({value}, "{path}").size()'
        body = [
            f"{self.types.key(wire.key)} key{n} = item{n}.getKey();",
            f"{self.types.boxed(wire.value)} value{n} = item{n}.getValue();",
            *self.lines(wire.key, f"at{n}", f"key{n}", f"{path}'s key"),
            *self.lines(wire.value, plus(f"at{n}", offset), f"value{n}", f"{path}'s value"),
            f"at{n} += {pair.size};",
        ]
        return [
            f"long at{n} = out.list({at}, {count}, {pair.size}, {pair.align});",
            *block(f"for ({entry} item{n} : {value}.entrySet())", body),
        ]


@dataclass
class Reader:
    """Writes statements that read values; they use the local `in`, a `Decoder`."""

    types: JavaTypes
    names: Numbers = field(default_factory=Numbers)

    def local(self, wire: WireType, name: str, at: str, path: str) -> list[str]:
        """Declare the variable `name` with the value whose fixed part lies at `at`."""
        lines, value = self._value(wire, at, path)
        return [*lines, f"{self.types.plain(wire)} {name} = {value};"]

    def _value(self, wire: WireType, at: str, path: str) -> tuple[list[str], str]:
        """Statements, and an expression to be evaluated right behind them."""
        if isinstance(wire, ScalarType):
            return [], f'in.bool({at}, "{path}")' if wire.name == "bool" else f"in.{wire.name}({at})"
        if isinstance(wire, Blob):
            return [], f'in.{"view" if wire.in_place else wire.name}({at}, "{path}")'
        if isinstance(wire, StructOf):
            return [], f"{self.types.structs[wire.name]}.read(in, {at})"
        if isinstance(wire, OptionalOf):
            return self._optional(wire, at, path)
        if isinstance(wire, MapOf):
            return self._map(wire, at, path)
        if isinstance(wire.element, ScalarType):
            return [], self._scalars(wire, wire.element, at, path)
        return self._list(wire, wire.element, at, path)

    @staticmethod
    def _scalars(wire: ListOf | ArrayOf, element: ScalarType, at: str, path: str) -> str:
        name = f', "{path}"' if element.name == "bool" else ""
        if isinstance(wire, ArrayOf):
            return f"in.{element.name}s({at}, {wire.count}{name})"
        return f'in.{element.name}s(in.numbers({at}, {element.size}, "{path}"), in.count(){name})'

    def _optional(self, wire: OptionalOf, at: str, path: str) -> tuple[list[str], str]:
        n = self.names.next()
        lines, value = self._value(wire.value, plus(at, wire.value_offset), path)
        head = f"{self.types.boxed(wire.value)} value{n} = null;"
        return [head, *block(f'if (in.present({at}, "{path}"))', [*lines, f"value{n} = {value};"])], f"value{n}"

    def _list(self, wire: ListOf | ArrayOf, element: WireType, at: str, path: str) -> tuple[list[str], str]:
        n = self.names.next()
        lines, value = self._value(element, f"at{n}", f"{path}[]")
        count, head = self._elements(n, wire, element, at, path)
        head.append(f"List<{self.types.boxed(element)}> list{n} = new ArrayList<>({count});")
        return [*head, *self._loop(n, count, element.size, [*lines, f"list{n}.add({value});"])], f"list{n}"

    def _map(self, wire: MapOf, at: str, path: str) -> tuple[list[str], str]:
        n, pair = self.names.next(), wire.pair
        key = self.types.key(wire.key)
        key_lines, key_value = self._value(wire.key, f"at{n}", f"{path}'s key")
        if _is_bytes(wire.key):
            key_value = f'in.key(at{n}, "{path}\'s key")'
        offset = struct_layout(pair.fields)[0][1]
        lines, value = self._value(wire.value, plus(f"at{n}", offset), f"{path}'s value")
        count, head = self._elements(n, ListOf(pair), pair, at, path)
        head.append(f"Map<{key}, {self.types.boxed(wire.value)}> map{n} = new LinkedHashMap<>();")
        body = [*key_lines, f"{key} key{n} = {key_value};", *lines, f"map{n}.put(key{n}, {value});"]
        tail = f'in.distinct(map{n}.size(), {count}, "{path}");'
        return [*head, *self._loop(n, count, pair.size, body), tail], f"map{n}"

    @staticmethod
    def _elements(n: int, wire: ListOf | ArrayOf, element: WireType, at: str, path: str) -> tuple[str, list[str]]:
        """How many elements there are, and the statements that find the first."""
        if isinstance(wire, ArrayOf):
            return str(wire.count), [f"long at{n} = {at};"]
        first = f'long at{n} = in.list({at}, {element.size}, {element.align}, "{path}");'
        return f"count{n}", [first, f"int count{n} = in.count();"]

    @staticmethod
    def _loop(n: int, count: str, size: int, body: list[str]) -> list[str]:
        return block(f"for (int index{n} = 0; index{n} < {count}; index{n}++, at{n} += {size})", body)
