"""A service whose names are Java's own, and whose types nest in every way that the others' do not."""

from dataclasses import dataclass
from typing import Annotated

import derecho


@dataclass
class List:
    """Named like something that generated code uses; a */ in a comment, a <tag>, an @annotation."""

    out: int
    at: derecho.uint8
    new: str
    hash_code: bool
    encode: float


@dataclass
class Caller:
    lists: list[List]
    nested: List | None


@derecho.service(name="awkward-service.2", state=dict[str, list[Caller]])
class Awkward:
    @derecho.ordered
    def put(self, out: int, method: str, result: bytes, calls: bool, node: derecho.uint16, at1: float) -> None: ...

    @derecho.ordered
    def put_send(self, new: derecho.int8, int_: derecho.int16) -> bool: ...

    @derecho.query
    def get(self) -> derecho.InPlace: ...

    @derecho.query
    def get_at(self, default: int) -> None: ...

    @derecho.query
    def hash_code(self) -> derecho.float32: ...

    @derecho.ordered
    def new(self, data: derecho.InPlace, maybe: derecho.InPlace | None) -> list[bytes]: ...

    @derecho.query
    def deep(
        self,
        arrays: tuple[tuple[derecho.int16, derecho.int16], tuple[derecho.int16, derecho.int16]],
        maybe_arrays: list[tuple[bool, bool] | None],
        maps: list[dict[bytes, dict[bool, dict[derecho.int16, list[derecho.uint8]]]]],
        maybe_map: dict[derecho.uint64, bytes | None] | None,
        long_one: Annotated[tuple[List, ...], derecho.Length(300)],
        maybe_struct: Caller | None,
    ) -> dict[derecho.int8, tuple[Caller, Caller]] | None: ...

    def __derecho_save__(self) -> dict[str, list[Caller]]:
        return {}

    def __derecho_load__(self, state: dict[str, list[Caller]]) -> None: ...
