"""Values of `everything.Values`: chosen ones, and a strategy that makes any."""

from __future__ import annotations

import math
from typing import Any

from everything import Everything, Point, Shape, Values
from hypothesis import strategies as st

import derecho
from derecho.codec.wire import ArrayOf, Blob, ListOf, MapOf, OptionalOf, ScalarType, StructOf, WireType

__all__ = ["EXAMPLES", "any_values"]

_ELEMENTS_MAX = 3


def any_values() -> st.SearchStrategy[Values]:
    """Any `Values`, with maps in any order and no NaN but the canonical one."""
    return _any(derecho.schema(Everything).by_name["echo"].fields[0].type)


def _any(wire: WireType) -> st.SearchStrategy[Any]:
    if isinstance(wire, ScalarType):
        return _any_scalar(wire.name)
    if isinstance(wire, Blob):
        return st.text(max_size=8) if wire.name == "str" else st.binary(max_size=8)
    if isinstance(wire, ListOf):
        return st.lists(_any(wire.element), max_size=_ELEMENTS_MAX)
    if isinstance(wire, MapOf):
        return st.dictionaries(_any(wire.key), _any(wire.value), max_size=_ELEMENTS_MAX)
    if isinstance(wire, ArrayOf):
        return st.tuples(*[_any(wire.element)] * wire.count)
    if isinstance(wire, OptionalOf):
        return st.none() | _any(wire.value)
    assert isinstance(wire, StructOf)
    return st.builds(wire.python, **{f.name: _any(f.type) for f in wire.fields})


def _any_scalar(name: str) -> st.SearchStrategy[Any]:
    if name == "bool":
        return st.booleans()
    bits = int(name[1:])
    if name[0] == "f":
        return st.floats(width=bits, allow_nan=False) | st.just(math.nan)  # type: ignore[arg-type]
    lowest = -(1 << bits - 1) if name[0] == "i" else 0
    return st.integers(lowest, lowest + (1 << bits) - 1)


def _shape(text: str, number: float) -> Shape:
    return Shape(text, [Point(number, number)] * 2, Point(-number, number), (-(2**31), -1, 0, 2**31 - 1))


def _filled(text: str, raw: bytes, number: float, count: int) -> Values:
    """Everything there is, `count` of what there may be many of."""
    return Values(
        flag=True,
        i8=-(2**7), u8=2**8 - 1, i16=-(2**15), u16=2**16 - 1,
        i32=-(2**31), u32=2**32 - 1, i64=-(2**63), u64=2**64 - 1,
        f32=number, f64=number,
        text=text, raw=raw,
        maybe_number=2**16 - 1, maybe_text=text, maybe_list=[text, "", text],
        numbers=[2**32 - 1] * count, flags=[True, False] * count, texts=[text, ""] * 3,
        nested=[[], [2**63 - 1] * count, [-1]], maybes=[None, -(2**15), None, 2**15 - 1],
        shape=_shape(text, number), shapes=[_shape("", -number), _shape(text, number)],
        counts={"": 0, "a": -1, text: 2**63 - 1}, by_number={0: [], 1: [b"", raw], 2**16 - 1: [raw]},
        by_bytes={b"": Point(0.0, 0.0), b"\x00\xff": Point(number, -number), b"\xff": Point(1.0, 2.0)},
        triple=(text, "", text), samples=(number,) * 20, corners=(Point(1.0, number), Point(number, 1.0)),
    )  # fmt: skip


def _empty() -> Values:
    nowhere, nothing = Point(0.0, 0.0), Shape("", [], None, (0, 0, 0, 0))
    return Values(
        False, 0, 0, 0, 0, 0, 0, 0, 0, 0.0, 0.0, "", b"", None, None, None, [], [], [], [], [], nothing, [], {}, {}, {},
        ("", "", ""), (0.0,) * 20, (nowhere, nowhere),
    )  # fmt: skip


EXAMPLES = {
    "empty": _empty(),
    "extremes": _filled("text", b"\x00\x01\xfe\xff", 3.0000000298023224e38, 1),
    "foreign": _filled("Ärger, 中文, עברית, \U0001d11e\U0010ffff, \0 \r\n\t\x7f e\u0301", bytes(range(256)), -0.0, 1),
    "not a number": _filled("nan", b"nan", math.nan, 1),
    "infinite": _filled("inf", b"inf", math.inf, 1),
    "large": _filled("ä" * 5_000, b"\xff" * 20_000, 0.5, 5_000),
}
