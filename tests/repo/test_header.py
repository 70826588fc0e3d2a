"""include/derecho.h is what every language reads: it compiles alone anywhere, and says everything about each call."""

import re
import subprocess
from pathlib import Path

import pytest

C99 = ["-x", "c", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
CXX20 = ["-x", "c++", "-std=c++20", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
FUNCTION = re.compile(r"DERECHO_API\s+([\w\s*]+?)\b(derecho_\w+)\(([^;]*)\);", re.DOTALL)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def functions(text: str) -> dict[str, tuple[str, str]]:
    """Every function of the header: its name, with its return type and the comment right before it."""
    found = {}
    for match in FUNCTION.finditer(text):
        before = text[: match.start()].rstrip()
        comment = COMMENT.findall(before)[-1] if before.endswith("*/") else ""
        found[match[2]] = (match[1].strip(), comment)
    return found


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("options", [C99, CXX20], ids=["c99", "c++20"])
def test_header_compiles_alone(header: Path, compiler: str, options: list[str], tmp_path: Path) -> None:
    source = tmp_path / "alone.c"
    source.write_text(f'#include "{header}"\n#include "{header}"\nint main(void) {{ return 0; }}\n')
    done = subprocess.run([compiler, *options, source], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("options", [C99, CXX20], ids=["c99", "c++20"])
def test_every_header_that_c_stubs_stand_on_compiles_alone(header: Path, compiler: str, options: list[str]) -> None:
    parts = sorted(header.parent.glob("derecho/stub/*.h"))
    assert {f"derecho/stub/{part.name}" for part in parts} == set(
        re.findall(r'#include "(.*)"', (header.parent / "derecho_stub.h").read_text())
    )
    for part in [header.parent / "derecho_stub.h", *parts]:
        done = subprocess.run([compiler, *options, "-include", part, "/dev/null"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def test_every_function_says_what_it_returns_or_who_may_call_it(header: Path) -> None:
    silent = []
    for name, (result, comment) in functions(header.read_text()).items():
        must = "@return" if result == "derecho_status" and "Threads:" not in comment else "Threads:"
        if not comment.startswith("/**") or must not in comment:
            silent.append(f"{name} (no {must})")
    assert not silent


def test_header_keeps_to_what_every_foreign_function_interface_takes(header: Path) -> None:
    code = COMMENT.sub("", header.read_text())
    for forbidden in (r"\binline\b", r"\.\.\.", r"__int128", r"\blong\b", r"\bunsigned\b", r"\w\s*:\s*\d+\s*;"):
        assert not re.search(forbidden, code), f"the header has {forbidden}"


def test_every_function_has_a_comment_check_that_can_fail() -> None:
    found = functions("/* x */\nDERECHO_API int32_t derecho_a(void);\nDERECHO_API int32_t derecho_b(int *p);")
    assert found == {"derecho_a": ("int32_t", "/* x */"), "derecho_b": ("int32_t", "")}
