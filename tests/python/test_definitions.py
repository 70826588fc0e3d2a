"""What is wrong with a service is said when it is defined, in a sentence that names the method.

What is right can be tested without a group, looked up with help(), and is understood by type checkers.
"""

from __future__ import annotations

import functools
import io
import pydoc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

import derecho

Decorate = Callable[[Any], Any]
both = pytest.mark.parametrize("decorate", [derecho.ordered, derecho.query], ids=["ordered", "query"])


def define(**members: Any) -> type:
    return derecho.service(type("Cache", (), members))


@both
def test_a_handler_returns_when_it_has_run(decorate: Decorate) -> None:
    async def coroutine(self: Any) -> int:
        return 1

    def generator(self: Any) -> Iterator[int]:
        yield 1

    async def asynchronous(self: Any) -> AsyncIterator[int]:
        yield 1

    for function, word in ((coroutine, "async def"), (generator, "yield"), (asynchronous, "async def")):
        with pytest.raises(TypeError, match=rf"Cache\.put: .*{word}"):
            define(put=decorate(function))


@both
def test_a_method_takes_self(decorate: Decorate) -> None:
    def put(key: str) -> int: ...
    def nothing() -> int: ...
    def named(*, self: Any) -> int: ...

    for wrap in (staticmethod, classmethod, property, functools.cached_property):
        with pytest.raises(TypeError, match=rf"Cache\.put: .*self, not a {wrap.__name__}"):
            define(put=wrap(decorate(lambda self: 1)))
    for wrap in (staticmethod, classmethod, property):
        with pytest.raises(TypeError, match=f"{wrap.__name__}"):
            decorate(wrap(lambda self: 1))
    for function in (put, nothing, named):
        with pytest.raises(TypeError, match=r"Cache\.put: the first parameter must be self"):
            define(put=decorate(function))


def test_a_method_is_ordered_or_a_query() -> None:
    def put(self: Any) -> None: ...

    with pytest.raises(TypeError, match=r"put: has @derecho\.ordered already"):
        derecho.query(derecho.ordered(put))


@both
def test_a_decorator_without_its_method_is_told_how_it_is_written(decorate: Any) -> None:
    with pytest.raises(TypeError, match="without parentheses"):
        decorate()
    for nonsense in (3, "put", int, len):
        with pytest.raises(TypeError, match="above a function in a class"):
            decorate(nonsense)


def test_service_is_for_classes() -> None:
    for decorate in (derecho.service, derecho.service(name="other")):
        with pytest.raises(TypeError, match=r"above a class, not above <function"):
            decorate(lambda self: 1)  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("annotation", "default", "reason"),
    [
        (int, "one", "expected i64, got str 'one'"),
        (int, None, "expected i64, got NoneType"),
        (derecho.uint8, 256, "expected u8, got int 256"),
        (list[int], [1, "2"], r"\[1\]: expected i64, got str"),
        (str, "\ud800", "not valid Unicode"),
    ],
)
def test_a_default_has_the_type_of_its_parameter(annotation: Any, default: Any, reason: str) -> None:
    def put(self: Any, value: Any = default) -> None: ...

    put.__annotations__["value"] = annotation
    with pytest.raises(TypeError, match=rf"Cache\.put: the default of parameter value.*{reason}"):
        define(put=derecho.ordered(put))


@derecho.service
class Cache:
    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}

    @derecho.ordered
    def put(self, key: str, value: bytes = b"") -> int:
        """Set a value; return how many there are."""
        self.items[key] = value
        return len(self.items)

    @derecho.query
    def get(self, key: str) -> bytes | None:
        return self.items.get(key)


def test_a_class_is_tested_without_a_group() -> None:
    cache = Cache()
    assert cache.put("k", b"v") == 1
    assert cache.get("k") == b"v"


def test_help_shows_the_docstring_and_the_signature(nodes: Any) -> None:
    with nodes.join([Cache()]) as group:
        cache = group[Cache]
        assert repr(cache.put) == "<ordered Cache.put(key: str, value: bytes = b'') -> Replies[int]>"
        assert repr(cache.get) == "<query Cache.get(key: str) -> Reply[bytes | None]>"
        shown = io.StringIO()
        with redirect_stdout(shown):
            pydoc.help(cache.put)
        assert "Set a value; return how many there are." in shown.getvalue()
        assert "put(key: str, value: bytes" in shown.getvalue()


TYPED = """\
from test_definitions import Cache
import derecho

cache = Cache()
count: int = cache.put("k", b"v")
cache.get("k").join([])  # error

def use(group: derecho.Group) -> int:
    calls: derecho.Caller[Cache] = group[Cache]
    calls.put("k", b"v").all()
    calls.put.send("k", 1)  # error
    calls.put("k", b"v").bit_length()  # error
    return calls.put("k", b"v").result()
"""


def test_type_checkers_see_an_instance_as_it_is_and_calls_as_futures(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(TYPED)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--cache-dir",
        str(tmp_path),
        "program.py",
    ]
    (tmp_path / "test_definitions.py").write_text(Path(__file__).read_text())
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    found = {int(line.split(":")[1]) for line in done.stdout.splitlines() if line.startswith("program.py:")}
    expected = {i for i, line in enumerate(TYPED.splitlines(), 1) if line.endswith("# error")}
    assert found == expected, done.stdout + done.stderr
