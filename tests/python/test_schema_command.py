"""`derecho schema`: what members compare, and the methods by which two files differ."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import derecho

FILE = """
import derecho


@derecho.service(state=dict[str, bytes])
class Cache:
    @derecho.ordered
    def put(self, key: str, value: bytes) -> int: ...

    @derecho.query
    def get(self, key: str) -> bytes | None: ...
"""


def run(*files: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "derecho.cli", "schema", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    (tmp_path / "ours.py").write_text(FILE)
    return tmp_path / "ours.py"


def test_it_prints_a_line_a_method_and_the_hash_that_members_compare(ours: Path) -> None:
    code, said = run(ours)
    assert code == 0
    head, *lines = said.splitlines()
    assert head.startswith("Cache 0x")
    assert [line.strip() for line in lines if line] == [
        "ordered put(key:str,value:bytes)->i64",
        "query get(key:str)->optional<bytes>",
        "state map<str,bytes>",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("key: str, value: bytes", "key: str, data: bytes", "Cache: put differs:"),
        ("    def get", "    def look", "Cache: get is not in"),
        ("class Cache", "class Other", "service Cache: not in"),
        ("dict[str, bytes]", "dict[str, str]", "Cache: the state differs:"),
    ],
)
def test_it_names_what_differs(ours: Path, tmp_path: Path, old: str, new: str, said: str) -> None:
    theirs = tmp_path / "theirs.py"
    theirs.write_text(FILE.replace(old, new))
    code, printed = run(ours, theirs)
    assert code == 1 and said in printed
    assert run(ours, ours) == (0, "they agree\n")


def test_members_that_differ_are_told_of_it(nodes) -> None:  # type: ignore[no-untyped-def]
    @derecho.service(name="Cache")
    class One:
        @derecho.ordered
        def put(self, key: str) -> int: ...

    @derecho.service(name="Cache")
    class Two:
        @derecho.ordered
        def put(self, key: bytes) -> int: ...

    nodes.join([One()])
    with pytest.raises(
        derecho.Incompatible, match=r"the schema of service 'Cache' differs: .*put is ordered put\(key:bytes"
    ):
        nodes.join([Two()])
