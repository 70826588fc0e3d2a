"""The member at the end of each language's page is the file under examples/, and works: three of them are one group."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SERVICE = Path("examples/cache.py")
PAGES = {"cpp": ("docs/cpp.md", "examples/cpp/cache_member.cpp"), "c": ("docs/c.md", "examples/c/cache_member.c")}
SAYS = {"cpp": "this one has 5 bytes", "c": "every member has it; there are"}
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Werror"]

Build = Callable[[str], list[str]]


@pytest.mark.parametrize("language", PAGES)
def test_a_page_ends_in_its_example(root: Path, language: str) -> None:
    page, example = ((root / path).read_text() for path in PAGES[language])
    assert page.endswith(f"\n{example}```\n")
    assert len(example.splitlines()) < 50


@pytest.fixture(scope="session")
def build(root: Path, installed: Path, stubs, tmp_path_factory: pytest.TempPathFactory) -> Build:  # type: ignore[no-untyped-def]
    """Builds an example over its stub; gives the command that starts it."""
    compilers = {"cpp": ["g++", "-std=c++20"], "c": ["gcc", "-std=c99"]}
    built: dict[str, list[str]] = {}

    def member(language: str) -> list[str]:
        if language not in built:
            folder = tmp_path_factory.mktemp(language)
            assert stubs(root / SERVICE, "--lang", language, "--out", folder).returncode == 0
            program, native = folder / "member", installed / "_native"
            command = [*compilers[language], *STRICT, f"-I{installed / 'include'}", f"-I{folder}"]
            command += [str(root / PAGES[language][1]), "-o", str(program)]
            command += [f"-L{native}", "-lderecho", f"-Wl,-rpath,{native}", "-pthread"]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
            assert done.returncode == 0, done.stderr
            built[language] = [str(program)]
        return built[language]

    return member


@pytest.mark.parametrize("languages", [("cpp", "c", "cpp"), ("c", "cpp", "c")], ids="-".join)
def test_three_members_are_one_group(build: Build, ports: list[int], languages: tuple[str, ...]) -> None:
    addresses = [f"127.0.0.1:{port}" for port in ports]
    commands = [[*build(each), str(i + 1), addresses[i], addresses[0]] for i, each in enumerate(languages)]
    processes = [
        subprocess.Popen(c, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        for c in commands
    ]
    try:
        outputs = [process.communicate(timeout=90) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    for language, (said, _) in zip(languages, outputs, strict=True):
        assert SAYS[language] in said
