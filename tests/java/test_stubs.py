"""Shows that the Java stubs compile for every type and awkward name, and that the documented example works."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import derecho
from derecho.stubs.java import emit
from derecho.stubs.model import read_services

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / "examples" / "java" / "CacheMember.java"
LIBRARY = Path(derecho.__file__).parent / "_native" / "libderecho.so"

Compile = Callable[[Iterable[Path]], Path]


def write_stubs(service: Path, folder: Path, package: str = "") -> list[Path]:
    paths = []
    for model in read_services(service):
        for name, text in emit(model, package).items():
            path = folder / name
            path.write_text(text)
            paths.append(path)
    return paths


@pytest.mark.parametrize("service", ["tests/conformance/everything.py", "tests/java/awkward.py", "examples/cache.py"])
def test_stubs_compile_and_are_readable(service: str, tmp_path: Path, compiled: Compile) -> None:
    stubs = write_stubs(ROOT / service, tmp_path, "some.where")
    text = stubs[0].read_text()
    assert text == write_stubs(ROOT / service, tmp_path, "some.where")[0].read_text()
    assert max(map(len, text.splitlines())) <= 120
    classes = compiled(stubs)
    assert (classes / "some" / "where" / f"{stubs[0].stem}.class").exists()


def test_the_page_ends_in_the_example() -> None:
    assert (ROOT / "docs" / "java.md").read_text().endswith(f"```java\n{EXAMPLE.read_text()}```\n")
    assert len(EXAMPLE.read_text().splitlines()) <= 40


PYTHON_MEMBER = """
import sys
sys.path.insert(0, sys.argv[1])
import derecho, cache
with derecho.join([cache.Cache()], node=3, listen="127.0.0.1:0", contacts=[sys.argv[2]], timeout=60) as group:
    group.wait_view(3, timeout=60)
    print(group[cache.Cache].put("from 3", b"hello").all())
"""


def test_two_members_in_java_and_one_in_python_form_a_group(
    tmp_path: Path, compiled: Compile, jar: Path, java: Path
) -> None:
    classes = compiled([*write_stubs(ROOT / "examples" / "cache.py", tmp_path), EXAMPLE])
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        contact = f"127.0.0.1:{found.getsockname()[1]}"
    program = [str(java), "--enable-native-access=ALL-UNNAMED", f"-Dderecho.library={LIBRARY}"]
    program += ["-cp", f"{jar}:{classes}", "CacheMember"]
    commands = [
        [*program, "1", contact, contact],
        [*program, "2", "127.0.0.1:0", contact],
        [sys.executable, "-c", PYTHON_MEMBER, str(ROOT / "examples"), contact],
    ]
    members = [subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) for c in commands]
    said = [member.communicate(timeout=100)[0] for member in members]
    assert [member.returncode for member in members] == [0, 0, 0], said
    assert "every member says {" in said[0]
    assert "this one has 5 bytes" in said[1]
    assert "3: " in said[2]
