"""Shows that arguments survive the trip, that every message has one encoding, and that garbage is refused politely.

Random schemas and values come from hypothesis, which prints the example that failed and how to replay it. The golden
bytes are those of docs/layout.md: the other languages hold themselves against the same ones.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import struct
from array import array
from typing import Annotated, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import derecho
from derecho.codec.decode import make_decoder
from derecho.codec.encode import make_encoder
from derecho.codec.wire import (
    SCALARS,
    ArrayOf,
    Blob,
    Field,
    ListOf,
    MapOf,
    OptionalOf,
    ScalarType,
    StructOf,
    WireType,
)
from derecho.errors import DecodeError, EncodeError


def join(parts: tuple[Any, ...]) -> bytes:
    return b"".join(parts)


# ------------------------------------------------------------------------------- random types and values of them


class Typed(NamedTuple):
    wire: WireType
    values: st.SearchStrategy[Any]


def scalar_values(wire: ScalarType) -> st.SearchStrategy[Any]:
    if wire.name == "bool":
        return st.booleans()
    if wire.name[0] == "f":
        return st.floats(width=32 if wire.size == 4 else 64, allow_nan=False)
    bits = wire.size * 8
    low, high = (0, 2**bits - 1) if wire.name[0] == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(low, high)


SCALAR = st.sampled_from(sorted(SCALARS)).map(lambda n: Typed(SCALARS[n], scalar_values(SCALARS[n])))
BLOB = st.sampled_from(
    [Typed(Blob("str"), st.text(max_size=9)), Typed(Blob("bytes"), st.binary(max_size=9))],
)


@st.composite
def structs(draw: Any, inner: st.SearchStrategy[Typed]) -> Typed:
    members = draw(st.lists(inner, min_size=1, max_size=4))
    names = [f"f{i}" for i in range(len(members))]
    cls = dataclasses.make_dataclass("Some", names)
    wire = StructOf("Some", tuple(Field(n, m.wire) for n, m in zip(names, members, strict=True)), cls)
    return Typed(wire, st.tuples(*(m.values for m in members)).map(lambda v: cls(*v)))


@st.composite
def compounds(draw: Any, inner: st.SearchStrategy[Typed]) -> Typed:
    kind = draw(st.sampled_from(["list", "array", "optional", "map", "struct"]))
    if kind == "struct":
        return draw(structs(inner))
    e = draw(inner)
    if kind == "list":
        return Typed(ListOf(e.wire), st.lists(e.values, max_size=4))
    if kind == "array":
        n = draw(st.sampled_from([1, 2, 3, 17]))
        return Typed(ArrayOf(e.wire, n), st.lists(e.values, min_size=n, max_size=n).map(tuple))
    if kind == "map":
        k = draw(st.one_of(SCALAR, BLOB))
        return Typed(MapOf(k.wire, e.wire), st.dictionaries(k.values, e.values, max_size=4))
    if isinstance(e.wire, OptionalOf):
        return e
    return Typed(OptionalOf(e.wire), st.none() | e.values)


TYPES = st.recursive(st.one_of(SCALAR, BLOB), compounds, max_leaves=6)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(TYPES, min_size=1, max_size=4).flatmap(lambda ts: st.tuples(st.just(ts), *(t.values for t in ts))))
def test_any_value_of_any_type_survives_the_trip(drawn: tuple[Any, ...]) -> None:
    typed, *values = drawn
    fields = tuple(Field(f"p{i}", t.wire) for i, t in enumerate(typed))
    encode = make_encoder("T.m", "m", fields, ", ".join(f.name for f in fields))
    decode = make_decoder("T.m", fields)
    message = join(encode(*values))
    assert decode(memoryview(message)) == tuple(values)
    for cut in range(len(message)):
        with pytest.raises(DecodeError):
            decode(memoryview(message[:cut]))
    with pytest.raises(DecodeError):
        decode(memoryview(message + b"\0"))


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data(), st.lists(TYPES, min_size=1, max_size=3))
def test_a_damaged_message_gives_a_decode_error_or_a_value(data: Any, typed: list[Typed]) -> None:
    fields = tuple(Field(f"p{i}", t.wire) for i, t in enumerate(typed))
    encode = make_encoder("T.m", "m", fields, ", ".join(f.name for f in fields))
    decode = make_decoder("T.m", fields)
    message = bytearray(join(encode(*(data.draw(t.values) for t in typed))))
    for _ in range(20):
        damaged = bytearray(message)
        for _ in range(data.draw(st.integers(1, 3))):
            if damaged:
                damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
        with contextlib.suppress(DecodeError):
            decode(memoryview(damaged))


@settings(max_examples=200, deadline=None)
@given(st.lists(TYPES, min_size=1, max_size=3), st.binary(max_size=200))
def test_garbage_gives_a_decode_error_or_a_value(typed: list[Typed], garbage: bytes) -> None:
    decode = make_decoder("T.m", tuple(Field(f"p{i}", t.wire) for i, t in enumerate(typed)))
    with contextlib.suppress(DecodeError):
        decode(memoryview(garbage))


def test_a_small_message_cannot_claim_much_memory() -> None:
    """Overlapping references would let 64 KB mean gigabytes: the cursor forbids them."""
    nested: WireType = SCALARS["u8"]
    for _ in range(4):
        nested = ListOf(nested)
    decode = make_decoder("T.m", (Field("p", nested),))
    bomb = struct.pack("<II", 8, 1000) + struct.pack("<II", 8, 1000) * 1000
    with pytest.raises(DecodeError, match="does not lie where it must"):
        decode(memoryview(bomb))
    with pytest.raises(DecodeError):
        decode(memoryview(struct.pack("<II", 8, 0xFFFFFFFF)))


@pytest.mark.parametrize("references", [(16, 3, 16, 3), (17, 3, 20, 2), (19, 3, 16, 3), (16, 3, 0, 3)])
def test_a_reference_elsewhere_than_the_cursor_is_refused(references: tuple[int, ...]) -> None:
    message = struct.pack("<IIII", *references) + b"abcdef"
    assert PUT.decode(memoryview(struct.pack("<IIII", 16, 3, 19, 3) + b"abcdef")) == ("abc", b"def")
    with pytest.raises(DecodeError, match="Golden.put: malformed message: (key|value) does not lie where it must"):
        PUT.decode(memoryview(message))


def test_a_map_with_a_key_twice_is_refused() -> None:
    decode = make_decoder("T.m", (Field("p", MapOf(SCALARS["u8"], SCALARS["u8"])),))
    assert decode(memoryview(struct.pack("<II", 8, 2) + bytes([1, 2, 3, 4]))) == ({1: 2, 3: 4},)
    with pytest.raises(DecodeError, match="p has a key twice"):
        decode(memoryview(struct.pack("<II", 8, 2) + bytes([1, 2, 1, 4])))


@pytest.mark.parametrize(("wire", "data"), [(SCALARS["bool"], b"\2"), (OptionalOf(SCALARS["u8"]), b"\2\0")])
def test_a_bool_or_presence_byte_that_is_neither_is_refused(wire: WireType, data: bytes) -> None:
    with pytest.raises(DecodeError, match=r"of 2"):
        make_decoder("T.m", (Field("p", wire),))(memoryview(data))


# ------------------------------------------------------------------------------------------------- golden bytes


@dataclasses.dataclass
class Point:
    x: derecho.int32
    y: derecho.int32
    label: str


@derecho.service
class Golden:
    @derecho.ordered
    def put(self, key: str, value: bytes) -> int: ...

    @derecho.ordered
    def mixed(self, flag: bool, big: derecho.uint64, small: derecho.uint8, half: derecho.float32) -> None: ...

    @derecho.query
    def shapes(
        self,
        points: list[Point],
        scores: dict[str, float],
        origin: Point | None,
        box: tuple[derecho.int16, derecho.int16, derecho.int16],
        flags: list[bool],
    ) -> list[str]: ...

    @derecho.query
    def nothing(self) -> None: ...


PUT, MIXED, SHAPES, NOTHING = derecho.schema(Golden).methods


def test_strings_and_bytes_follow_their_references() -> None:
    assert join(PUT.encode("key", b"value")) == bytes.fromhex("10000000 03000000 13000000 05000000") + b"keyvalue"


def test_numbers_are_naturally_aligned() -> None:
    expected = bytes.fromhex("01 00000000000000 efcdab8967452301 7f 000000 0000c03f")
    assert join(MIXED.encode(True, 0x0123456789ABCDEF, 0x7F, 1.5)) == expected


def test_lists_structs_maps_optionals_and_arrays_lie_as_documented() -> None:
    message = join(
        SHAPES.encode([Point(1, -1, "ab"), Point(2, -2, "")], {"k": 0.5}, None, (1, 2, 3), [True, False]),
    )
    fixed = struct.unpack_from("<IIII20s3h2xII", message)
    assert struct.calcsize("<IIII20s3h2xII") == 52
    assert fixed[0:2] == (52, 2)  # points
    assert struct.unpack_from("<iiII", message, 52) == (1, -1, 84, 2)
    assert struct.unpack_from("<iiII", message, 68) == (2, -2, 86, 0)
    assert message[84:86] == b"ab"
    assert fixed[2:4] == (88, 1)  # scores: aligned to 8 behind 86
    assert struct.unpack_from("<IId", message, 88) == (104, 1, 0.5)
    assert message[104:105] == b"k"
    assert fixed[4] == bytes(20)  # origin: absent, all zero
    assert fixed[5:8] == (1, 2, 3)  # box
    assert fixed[8:10] == (105, 2)  # flags
    assert message[105:] == b"\1\0"
    assert SHAPES.decode(memoryview(message)) == (
        [Point(1, -1, "ab"), Point(2, -2, "")],
        {"k": 0.5},
        None,
        (1, 2, 3),
        [True, False],
    )


def test_nothing_is_no_bytes() -> None:
    assert join(NOTHING.encode()) == b"" == join(NOTHING.encode_result(None))
    assert NOTHING.decode(memoryview(b"")) == ()
    assert NOTHING.decode_result(memoryview(b"")) is None


# ------------------------------------------------------------------------------------------------- values refused


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((1, b""), "Golden.put: key: expected str, got int 1"),
        (("k", "text"), "Golden.put: value: expected bytes .*, got str 'text'"),
        (("\ud800", b""), "Golden.put: key: not valid Unicode"),
        (("k", memoryview(b"abcd")[::2]), "Golden.put: value: expected a contiguous buffer"),
    ],
)
def test_a_wrong_argument_is_named(values: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(EncodeError, match=reason):
        PUT.encode(*values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((1, 0, 0, 0.0), "flag: expected bool, got int 1"),
        ((True, -1, 0, 0.0), "big: expected u64, got int -1"),
        ((True, 0, 256, 0.0), "small: expected u8, got int 256"),
        ((True, 0, 0, 1e300), "half: expected f32"),
        ((True, 0, 0, "x"), "half: expected f32, got str 'x'"),
    ],
)
def test_a_number_that_does_not_fit_is_named(values: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(EncodeError, match=reason):
        MIXED.encode(*values)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (([1], {}, None, (1, 2, 3), []), r"points\[0\]: expected Point, got int 1"),
        (([Point(1, 2, 3)], {}, None, (1, 2, 3), []), r"points\[0\].label: expected str"),  # type: ignore[arg-type]
        (([], {"a": "b"}, None, (1, 2, 3), []), r"scores\['a'\]: expected f64"),
        (([], {1: 1.0}, None, (1, 2, 3), []), "scores key: expected str"),
        (([], {}, Point("", 0, ""), (1, 2, 3), []), "origin.x: expected i32"),  # type: ignore[arg-type]
        (([], {}, None, (1, 2), []), "box: expected 3 elements, got 2"),
        (([], {}, None, (1, 2, 3), [1]), r"flags\[0\]: expected bool"),
        (("abc", {}, None, (1, 2, 3), []), "points: expected list, got str"),
        (([], [], None, (1, 2, 3), []), "scores: expected dict"),
    ],
)
def test_the_path_into_a_wrong_argument_is_named(values: tuple[Any, ...], reason: str) -> None:
    with pytest.raises(EncodeError, match=reason):
        SHAPES.encode(*values)


def test_missing_and_surplus_arguments_are_python_errors_that_name_the_method() -> None:
    with pytest.raises(TypeError, match=r"put\(\) missing 1 required positional argument: 'value'"):
        PUT.encode("key")
    with pytest.raises(TypeError, match=r"put\(\) takes 2 positional arguments but 3 were given"):
        PUT.encode("key", b"", 1)


def test_a_wrong_result_is_named() -> None:
    with pytest.raises(EncodeError, match="Golden.put: result: expected i64, got NoneType"):
        PUT.encode_result(None)
    with pytest.raises(TypeError, match="Golden.nothing: result: expected None, got int"):
        NOTHING.encode_result(1)


# ------------------------------------------------------------------------------------------------- buffers, copies


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview, lambda b: array("B", b), lambda b: array("H", b)])
def test_any_contiguous_buffer_is_bytes(make: Any) -> None:
    assert PUT.decode(memoryview(join(PUT.encode("k", make(b"12345678"))))) == ("k", b"12345678")


def test_numpy_arrays_are_bytes_without_a_copy() -> None:
    numpy = pytest.importorskip("numpy")
    values = numpy.arange(6, dtype="<f8").reshape(2, 3)
    parts = PUT.encode("k", values)
    assert isinstance(parts[2], memoryview)
    assert parts[2].obj is values
    assert PUT.decode(memoryview(join(parts)))[1] == values.tobytes()
    assert PUT.decode(memoryview(join(PUT.encode("k", numpy.zeros((0, 3)))))) == ("k", b"")


def test_a_view_is_decoded_in_place() -> None:
    @derecho.service
    class Sink:
        @derecho.ordered
        def take(self, data: derecho.InPlace, plain: memoryview, copy: bytes) -> None: ...

    method = derecho.schema(Sink).methods[0]
    message = join(method.encode(b"abc", bytearray(b"de"), b"f"))
    data, plain, copy = method.decode(memoryview(message))
    assert isinstance(data, memoryview)
    assert isinstance(plain, memoryview)
    assert isinstance(copy, bytes)
    assert data.obj is message
    assert (bytes(data), bytes(plain), copy) == (b"abc", b"de", b"f")


def test_long_arrays_and_special_floats() -> None:
    @derecho.service
    class Field_:
        @derecho.query
        def at(self, values: Annotated[tuple[float, ...], derecho.Length(1000)], few: tuple[bool, bool]) -> float: ...

    method = derecho.schema(Field_).methods[0]
    values = tuple(float(i) for i in range(1000))
    assert method.decode(memoryview(join(method.encode(values, (True, False))))) == (values, (True, False))
    assert math.isnan(method.decode_result(memoryview(join(method.encode_result(math.nan)))))
    with pytest.raises(EncodeError, match=r"values: expected 1000 elements, got 999"):
        method.encode(values[1:], (True, False))


@dataclasses.dataclass
class Positive:
    n: int

    def __post_init__(self) -> None:
        if self.n <= 0:
            raise ValueError("n must be positive")


def test_a_dataclass_that_refuses_its_values_is_a_decode_error() -> None:
    @derecho.service
    class Counter:
        @derecho.ordered
        def add(self, p: Positive) -> None: ...

    with pytest.raises(DecodeError, match="n must be positive"):
        derecho.schema(Counter).methods[0].decode(memoryview(bytes(8)))
