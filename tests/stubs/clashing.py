"""Services that are named like what generated code is named, or with what no language has in its names."""

from dataclasses import dataclass

import derecho


@dataclass
class State:
    """
    Says "so"
    """

    State: int
    errno: bool


@dataclass
class Point:
    state: State
    x: float


@dataclass
class volatile:
    int_: int
    int: int


@dataclass
class volatile_:
    x: volatile


@derecho.service(name="odd-service.2", state=State)
class Odd:
    """
    Says \"\"\"
    """

    @derecho.ordered
    def put(self, node: int, call_out: str, arguments: bytes, context: int, handling: bool, result_out: int) -> int:
        """
        Says "so"
        """
        return 0

    @derecho.ordered
    def put_result_of(self, shard: str, handle: bytes, open: int, calls: int, dll: str, State: State) -> None:
        r"""A backslash \ and three \"\"\"."""

    @derecho.query
    def point(self, node: int, key: bytes, key_bytes: int, key_present: int, len: list[int], bytes: str) -> Point:
        raise NotImplementedError

    @derecho.query
    def restrict(self, restrict: int, errno: int, result: str, event: bytes, self_: int) -> list[Point]:
        return []

    @derecho.query
    def state(self, found: int | None, found_present: bool) -> None: ...

    @derecho.query
    def service(self, value: float) -> dict[str, State]:
        return {}

    @derecho.ordered
    def context(self) -> None: ...

    @derecho.ordered
    def derecho_service(self) -> None: ...


@derecho.service(name="register")
class Register:
    @derecho.ordered
    def register(self, register: int) -> State:
        raise NotImplementedError

    @derecho.ordered
    def both(self, int_: volatile_, int: volatile, int__: list[str]) -> volatile_:
        raise NotImplementedError


@derecho.service(name="Point")
class Points:
    @derecho.ordered
    def Point(self, Point: Point, other: Point) -> Point:
        raise NotImplementedError

    @derecho.query
    def handlers(self) -> None: ...
