"""A service whose names and types are awkward in C#: what its stubs must cope with."""

from dataclasses import dataclass
from typing import Annotated

import derecho


@dataclass
class Encoder:
    """Named like a class of the binding; its field like itself, and like a keyword."""

    encoder: int
    event: str


@dataclass
class Deep:
    """Lists, arrays and maps in each other."""

    grid: tuple[tuple[derecho.int16, derecho.int16], tuple[derecho.int16, derecho.int16]]
    maps: list[dict[str, dict[int, list[Encoder]]]]
    many: Annotated[tuple[bool, ...], derecho.Length(3)]
    maybe: list[bytes] | None
    maybe_map: dict[bool, derecho.float32] | None
    decoder: bool
    at: str


@derecho.service
class Odd:
    """Has <angle> & ampersand in its docs.

    And a second paragraph, with a line that is rather long, so that it is broken when it is a comment in C# code.
    """

    def __init__(self) -> None:
        self.kept = b""

    @derecho.ordered
    def odd(self, class_: int, lock: str) -> int:
        return class_

    @derecho.ordered
    def measure(self, part: derecho.InPlace, other: derecho.InPlace | None) -> int:
        return len(part)

    @derecho.ordered
    def send(self, decoder: Deep, arguments: Encoder) -> Deep:
        return decoder

    @derecho.query
    def equals(self, result: bool) -> derecho.InPlace:
        return memoryview(b"")

    @derecho.ordered
    def get_type(self) -> None:
        pass

    @derecho.ordered
    def maybe(self, answer: int | None, place: str | None) -> int | None:
        return answer
