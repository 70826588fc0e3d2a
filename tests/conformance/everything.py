"""A service with every accepted type: what all bindings' stubs are made from when they are tested together."""

from dataclasses import dataclass
from typing import Annotated

import derecho


@dataclass
class Point:
    """A place.

    Its two numbers differ in width, so that there is padding.
    """

    x: float
    y: derecho.float32


@dataclass
class Shape:
    """Text, a list of structs, an optional struct, an array."""

    name: str
    points: list[Point]
    center: Point | None
    box: tuple[derecho.int32, derecho.int32, derecho.int32, derecho.int32]


@dataclass
class Values:
    """One field for every type of the wire."""

    flag: bool
    i8: derecho.int8
    u8: derecho.uint8
    i16: derecho.int16
    u16: derecho.uint16
    i32: derecho.int32
    u32: derecho.uint32
    i64: int
    u64: derecho.uint64
    f32: derecho.float32
    f64: float
    text: str
    raw: bytes
    maybe_number: derecho.uint16 | None
    maybe_text: str | None
    maybe_list: list[str] | None
    numbers: list[derecho.uint32]
    flags: list[bool]
    texts: list[str]
    nested: list[list[int]]
    maybes: list[derecho.int16 | None]
    shape: Shape
    shapes: list[Shape]
    counts: dict[str, int]
    by_number: dict[derecho.uint16, list[bytes]]
    by_bytes: dict[bytes, Point]
    triple: tuple[str, str, str]
    samples: Annotated[tuple[derecho.float32, ...], derecho.Length(20)]
    corners: tuple[Point, Point]


@dataclass
class Totals:
    """The state: what a joiner is handed."""

    sum: int
    calls: derecho.uint64
    last: bytes


@derecho.service(state=Totals)
class Everything:
    """Gives back what it is given.

    Written once in Python; every language implements it.
    """

    def __init__(self) -> None:
        self.totals = Totals(0, 0, b"")

    @derecho.ordered
    def echo(self, values: Values) -> Values:
        """Return the argument."""
        return values

    @derecho.query
    def echo_here(self, values: Values) -> Values:
        """Return the argument, from one member."""
        return values

    @derecho.ordered
    def echo_bytes(self, value: bytes) -> bytes:
        """Return the bytes, and remember them as the last."""
        self.totals.last = value
        self.totals.calls += 1
        return value

    @derecho.ordered
    def mix(self, a: derecho.int8, b: str, c: float, d: bool, e: list[derecho.int32]) -> str:
        """Return the arguments as text: ``a|b|c|d|sum(e)``.

        The float is written with exactly two decimals, the bool as ``true`` or ``false``.
        """
        return f"{a}|{b}|{c:.2f}|{str(d).lower()}|{sum(e)}"

    @derecho.ordered
    def add(self, amount: int) -> int:
        """Add to the sum; return the new sum."""
        self.totals.sum += amount
        self.totals.calls += 1
        return self.totals.sum

    @derecho.query
    def total(self) -> int:
        """Return the sum."""
        return self.totals.sum

    @derecho.ordered
    def fail(self, kind: str, text: str) -> None:
        """Raise what `kind` says ("argument", "state"), with `text`; anything else does nothing."""
        self.fail_here(kind, text)

    @derecho.query
    def fail_here(self, kind: str, text: str) -> None:
        """As `fail`, at one member."""
        if kind == "argument":
            raise ValueError(text)
        if kind == "state":
            raise RuntimeError(text)

    @derecho.ordered
    def moment(self) -> str:
        """Return the context of the call: ``caller:version:time``."""
        return self.moment_here()

    @derecho.query
    def moment_here(self) -> str:
        """As `moment`, from one member."""
        return ":".join(map(str, derecho.context()))

    def __derecho_save__(self) -> Totals:
        return self.totals

    def __derecho_load__(self, state: Totals) -> None:
        self.totals = state
