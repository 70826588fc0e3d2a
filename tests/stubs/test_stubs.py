"""`derecho stubs`: the same bytes every time, readable, with the docstrings, and accepted by every language's compiler.

What the stubs *do* is shown by tests/conformance, whose programs are made of them.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from derecho.stubs.model import read_services
from derecho.stubs.names import camel, fold, pascal, snake

LANGUAGES = ["python", "java", "csharp", "c", "cpp"]
EVERYTHING = Path("tests/conformance/everything.py")
AWKWARD = Path("tests/stubs/awkward.py")
CLASHING = Path("tests/stubs/clashing.py")


def written(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("service", [EVERYTHING, AWKWARD], ids=lambda path: path.stem)
def test_the_same_input_gives_the_same_bytes(root: Path, stubs, language: str, service: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for name in ("one", "two"):
        done = stubs(root / service, "--lang", language, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
    assert written(tmp_path / "one") == written(tmp_path / "two") != {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_docstrings_and_the_schema_hash_are_carried_over(root: Path, stubs, language: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert stubs(root / EVERYTHING, "--lang", language, "--out", tmp_path).returncode == 0
    (text,) = written(tmp_path).values()
    for sentence in (
        "Its two numbers differ in width",
        "Return the bytes, and remember them as the last.",
        "any wrong",
    ):
        assert (sentence in text) == (sentence != "any wrong")
    (model,) = read_services(root / EVERYTHING)
    assert f"{model.schema.hash:016x}" in text
    assert max(map(len, text.splitlines())) <= 120


COMPILERS = {
    "c": [["gcc", "-std=c99"], ["clang", "-std=c99"], ["g++", "-x", "c++", "-std=c++20"]],
    "cpp": [["g++", "-x", "c++", "-std=c++20"], ["clang++", "-x", "c++", "-std=c++20"]],
}
STRICT = ["-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-fsyntax-only"]


@pytest.mark.parametrize("service", [EVERYTHING, AWKWARD, CLASHING], ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("language", "compiler"), [(k, c) for k, v in COMPILERS.items() for c in v], ids=lambda value: str(value)
)
def test_a_stub_compiles_without_a_warning(  # type: ignore[no-untyped-def]
    root: Path, installed: Path, stubs, language: str, compiler: list[str], service: Path, tmp_path: Path
) -> None:
    assert stubs(root / service, "--lang", language, "--out", tmp_path).returncode == 0
    source = tmp_path / "source.c"
    source.write_text("".join(f'#include "{header.name}"\n' for header in tmp_path.iterdir()))
    command = [*compiler, *STRICT, f"-I{installed / 'include'}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_python_stub_is_the_same_service(root: Path, stubs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    services = (EVERYTHING, AWKWARD, CLASHING)
    for service in services:
        assert stubs(root / service, "--lang", "python", "--out", tmp_path).returncode == 0
    for original in (model for service in services for model in read_services(root / service)):
        (stub,) = read_services(tmp_path / f"{snake(original.schema.name)}_stub.py")
        assert stub.schema.text == original.schema.text
        assert (stub.doc, stub.method_docs, stub.struct_docs) == (
            original.doc,
            original.method_docs,
            original.struct_docs,
        )


def test_a_cpp_stub_of_another_schema_does_not_compile(root: Path, installed: Path, stubs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    stubs(root / EVERYTHING, "--lang", "cpp", "--out", tmp_path)
    header = tmp_path / "everything.hpp"
    header.write_text(header.read_text().replace('ordered<&Everything::add>("add"', 'ordered<&Everything::add>("sum"'))
    command = ["g++", "-x", "c++", "-std=c++20", "-fsyntax-only", f"-I{installed / 'include'}", str(header)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "the stub was made for other headers" in done.stderr


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("x = (", "SyntaxError"),
        ("import derecho", "defines no class with @derecho.service"),
        (
            "import derecho\n@derecho.service\nclass A:\n @derecho.query\n def f(self, x: complex) -> int: ...",
            "A.f: parameter x: complex is not supported; accepted types: bool, int (64 bits)",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(stubs, source: str, said: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "service.py").write_text(source)
    done = stubs(tmp_path / "service.py", "--lang", "cpp", "--out", tmp_path / "out")
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_an_unknown_language_or_service_is_refused_by_name(root: Path, stubs, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = stubs(root / EVERYTHING, "--lang", "cobol", "--out", tmp_path)
    assert done.returncode == 2 and "'cobol' is none of python, java, csharp, c, cpp" in done.stderr
    done = stubs(root / EVERYTHING, "--lang", "c", "--service", "Nothing", "--out", tmp_path)
    assert done.returncode == 1 and "no service 'Nothing'; there are: Everything" in done.stderr


def test_names_are_bent_as_each_language_is_used_to() -> None:
    assert [snake(n) for n in ("HTTPCache", "getAll", "put_2", "x")] == ["http_cache", "get_all", "put_2", "x"]
    assert [pascal(n) for n in ("get_all", "echo", "HTTPCache")] == ["GetAll", "Echo", "HTTPCache"]
    assert [camel(n) for n in ("get_all", "Echo")] == ["getAll", "echo"]


def test_long_code_is_folded_and_comments_are_not() -> None:
    code = "    call(" + ", ".join(["argument"] * 20) + ");"
    assert all(len(line) <= 120 for line in fold([code]))
    assert " ".join(line.strip() for line in fold([code])) == code.strip()
    assert fold(["// " + "a, " * 60]) == ["// " + "a, " * 60]
