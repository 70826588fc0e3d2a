"""Shows what a signature may be, what is said about one that may not, and that the schema's hash means what it says."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

import derecho
from derecho.codec.annotations import ACCEPTED


@dataclasses.dataclass
class Point:
    x: int
    y: int


@dataclasses.dataclass
class Bad:
    z: complex


@dataclasses.dataclass
class Endless:
    again: list[Endless]


@derecho.service
class Cache:
    @derecho.ordered
    def put(self, key: str, value: bytes) -> int: ...

    @derecho.query
    def get(self, key: str) -> bytes | None: ...

    def helper(self) -> object: ...


def test_the_canonical_text_has_a_line_for_each_method_in_order() -> None:
    assert derecho.schema(Cache).text == (
        "service Cache\nordered put(key:str,value:bytes)->i64\nquery get(key:str)->optional<bytes>\n"
    )


def test_the_hash_is_pinned() -> None:
    """Other languages compute the same one; a change of it is a change of the wire."""
    import hashlib

    text = derecho.schema(Cache).text
    assert derecho.schema(Cache).hash == int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    assert f"{derecho.schema(Cache).hash:016x}" == "57e971a22b988e36"


@pytest.mark.parametrize("change", ["name", "order", "type", "kind"])
def test_the_hash_changes_with_everything_peers_must_agree_on(change: str) -> None:
    def build(changed: bool) -> Any:
        def put(self: Any, key: str, value: bytes) -> int: ...

        def get(self: Any, key: str) -> int: ...

        if changed and change == "type":
            get.__annotations__["key"] = bytes
        kinds = [derecho.ordered, derecho.query]
        if changed and change == "kind":
            kinds.reverse()
        members = [("put", kinds[0](put)), ("get", kinds[1](get))]  # type: ignore[operator]
        if changed and change == "name":
            members[0] = ("store", members[0][1])
        if changed and change == "order":
            members.reverse()
        return derecho.schema(derecho.service(type("Cache", (), dict(members)))).hash

    assert build(False) == build(False)
    assert build(False) != build(True)


def test_methods_of_bases_come_first_and_ids_are_their_order() -> None:
    @derecho.service
    class More(Cache):
        @derecho.query
        def size(self) -> derecho.uint32: ...

    assert [(m.id, m.name) for m in derecho.schema(More).methods] == [(0, "put"), (1, "get"), (2, "size")]
    assert derecho.schema(More()).name == "More"


def test_the_json_is_canonical_and_has_the_layout() -> None:
    text = derecho.schema(Cache).to_json()
    whole = json.loads(text)
    assert text == json.dumps(whole, sort_keys=True, separators=(",", ":"))
    assert whole["methods"][0]["arguments"] == {
        "align": 4,
        "size": 16,
        "fields": [{"name": "key", "offset": 0, "type": "str"}, {"name": "value", "offset": 8, "type": "bytes"}],
    }
    assert whole["methods"][1]["result"]["fields"][0]["type"] == {"kind": "optional", "value": "bytes"}


def test_a_service_can_have_a_name_of_its_own() -> None:
    @derecho.service(name="kv")
    class Anything:
        @derecho.query
        def get(self) -> None: ...

    assert derecho.schema(Anything).name == "kv"


def one(**annotations: Any) -> Any:
    """A class with one method `m(p)` that has these annotations."""

    def m(self: Any, p: Any) -> Any: ...

    m.__annotations__ = annotations
    return type("S", (), {"m": derecho.ordered(m)})


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (complex, "complex is not supported"),
        (set[int], r"set\[int\] is not supported"),
        (list, "list is not supported"),
        (Any, "Any is not supported"),
        (int | str, "choice of types"),
        (tuple[int, ...], "has no fixed length"),
        (tuple[int, str], "mixes types"),
        (dict[Point, int], "Point cannot be a key"),
        (dict[float, int], "float cannot be a key: use an integer"),
        (dict[derecho.float32, int], "cannot be a key: use an integer"),
        (Bad, "dataclass Bad, field z: complex is not supported"),
        (Endless, "nested deeper than 16"),
        (list[complex], "complex is not supported"),
    ],
)
def test_an_unsupported_type_names_method_parameter_and_accepted_types(annotation: Any, reason: str) -> None:
    with pytest.raises(TypeError, match=rf"S\.m: parameter p: .*{reason}") as caught:
        derecho.service(one(p=annotation, **{"return": None}))
    assert ACCEPTED in str(caught.value)
    with pytest.raises(TypeError, match=rf"S\.m: the result: .*{reason}"):
        derecho.service(one(p=int, **{"return": annotation}))


def test_a_missing_annotation_is_named() -> None:
    with pytest.raises(TypeError, match=r"S\.m: parameter p has no annotation; accepted types: bool, int"):
        derecho.service(one(**{"return": None}))
    with pytest.raises(TypeError, match=r"S\.m: the result has no annotation"):
        derecho.service(one(p=int))


def test_open_ended_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match=r"Open\.m: parameter \*args"):

        @derecho.service
        class Open:
            @derecho.ordered
            def m(self, *args: int) -> None: ...


def test_a_class_without_methods_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Empty has no method with @derecho\.ordered or @derecho\.query"):

        @derecho.service
        class Empty:
            pass


def test_an_override_must_be_decorated_too() -> None:
    with pytest.raises(TypeError, match=r"Sub\.put: overrides a service method, but is not decorated"):

        @derecho.service
        class Sub(Cache):
            def put(self, key: str, value: bytes) -> int: ...  # type: ignore[override]


def test_two_dataclasses_of_one_name_are_refused() -> None:
    def point() -> Any:
        return dataclasses.make_dataclass("Point", [("only", int)])

    with pytest.raises(TypeError, match="two different dataclasses are named Point"):
        derecho.service(one(p=Point, **{"return": point()}))


def test_an_undecorated_class_has_no_schema() -> None:
    with pytest.raises(TypeError, match="Point is not decorated with @derecho.service"):
        derecho.schema(Point)


def test_local_classes_and_names_are_found() -> None:
    @dataclasses.dataclass
    class Inner:
        n: int

    @derecho.service
    class Local:
        @derecho.query
        def m(self, p: list[Inner]) -> Inner | None: ...

    assert derecho.schema(Local).text == "service Local\nquery m(p:list<Inner{n:i64}>)->optional<Inner{n:i64}>\n"


def test_an_instance_of_a_service_is_a_plain_object() -> None:
    @derecho.service
    class Counter:
        def __init__(self) -> None:
            self.n = 0

        @derecho.ordered
        def add(self, by: int) -> int:
            self.n += by
            return self.n

    assert Counter().add(3) == 3


@derecho.service(state=dict[str, Point])
class Places:
    def __init__(self) -> None:
        self.places: dict[str, Point] = {}

    @derecho.query
    def find(self, name: str) -> Point | None: ...

    def __derecho_save__(self) -> dict[str, Point]:
        return self.places

    def __derecho_load__(self, state: dict[str, Point]) -> None:
        self.places = state


def test_a_declared_state_is_part_of_the_schema_and_travels_as_its_type() -> None:
    from derecho.state import load, save

    assert derecho.schema(Places).text.endswith("\nstate map<str,Point{x:i64,y:i64}>\n")
    assert json.loads(derecho.schema(Places).to_json())["state"]["fields"][0]["name"] == "state"
    here, there = Places(), Places()
    here.places = {"Ithaca": Point(42, -76)}
    data = save(here).whole()
    assert data[:8] == bytes(
        [8, 0, 0, 0, 1, 0, 0, 0]
    )  # a message with one field: one entry, right behind the reference
    load(there, data)
    assert there.places == here.places


def test_a_declared_state_that_is_not_of_its_type_is_refused() -> None:
    from derecho.state import check_service, load, save

    wrong = Places()
    wrong.places = {"Ithaca": 7}  # type: ignore[dict-item]
    with pytest.raises(derecho.StateError, match="Places.__derecho_save__ failed: EncodeError: Places: state"):
        save(wrong)
    with pytest.raises(derecho.StateError, match="the state of Places cannot be loaded: DecodeError"):
        load(Places(), b"too short")

    @derecho.service(state=int)
    class NoHooks:
        @derecho.query
        def get(self) -> int: ...

    with pytest.raises(TypeError, match="declares the type of its state: define __derecho_save__"):
        check_service(NoHooks())


def test_a_state_of_an_unsupported_type_is_refused() -> None:
    with pytest.raises(TypeError, match="Odd: the state: .*complex.* is not supported"):

        @derecho.service(state=complex)
        class Odd:
            @derecho.query
            def get(self) -> int: ...
