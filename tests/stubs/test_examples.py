"""The member at the end of each language's page is the file under examples/, and works: three of them are one group."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SERVICE = Path("examples/cache.py")
PAGES = {
    "python": ("docs/python.md", "examples/python/cache_member.py"),
    "java": ("docs/java.md", "examples/java/CacheMember.java"),
    "csharp": ("docs/csharp.md", "examples/csharp/CacheMember.cs"),
    "cpp": ("docs/cpp.md", "examples/cpp/cache_member.cpp"),
    "c": ("docs/c.md", "examples/c/cache_member.c"),
}
SAYS = {
    "python": "every member says {",
    "java": "every member says {",
    "csharp": "every member says [",
    "mono": "every member says [",
    "cpp": " says ",
    "c": "every member has it; there are",
}
ALL_THREE = re.compile(r"view \d+: (\{\d, \d, \d\}|\d \d \d$)")
LINES_MAX = 45
STRICT = ["-Wall", "-Wextra", "-Wno-unused-parameter", "-Wconversion", "-Werror"]

Build = Callable[[str], list[str]]


@pytest.mark.parametrize("language", PAGES)
def test_a_page_ends_in_its_example(root: Path, language: str) -> None:
    page, example = ((root / path).read_text() for path in PAGES[language])
    assert page.endswith(f"\n{example}```\n")
    assert len(example.splitlines()) <= LINES_MAX


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def compiled(compiler: list[str], source: Path, folder: Path, installed: Path) -> list[str]:
    """Build a member in C or C++ over its stub."""
    native = installed / "_native"
    include = [f"-I{installed / 'include'}", f"-I{folder}"]
    link = [f"-L{native}", "-lderecho", f"-Wl,-rpath,{native}", "-pthread"]
    run(*compiler, *STRICT, *include, str(source), "-o", str(folder / "member"), *link)
    return [str(folder / "member")]


@pytest.fixture(scope="session")
def build(root: Path, installed: Path, stubs, tmp_path_factory: pytest.TempPathFactory) -> Build:  # type: ignore[no-untyped-def]
    """Builds an example over its stub; gives the command that starts it."""
    jar, tools = installed / "_native" / "derecho.jar", root / "bindings"
    built: dict[str, list[str]] = {}

    def java(source: Path, folder: Path) -> list[str]:
        build_py = [sys.executable, tools / "java" / "build.py", "--output", folder, "--classpath", jar, "--sources"]
        run(*build_py, source, folder / "Cache.java")
        from derecho import jvm

        launcher = next(jvm.homes()) / "bin" / "java"
        return [str(launcher), "--enable-native-access=ALL-UNNAMED", "-cp", f"{jar}:{folder}", "CacheMember"]

    def csharp(source: Path, folder: Path) -> list[str]:
        build_py = [sys.executable, tools / "csharp" / "build.py", "--output", folder, "--program", "member"]
        run(*build_py, source, folder / "Cache.cs")
        return [str(folder / "member-coreclr")]

    makers = {
        "python": lambda source, folder: [sys.executable, str(source)],
        "java": java,
        "csharp": csharp,
        "cpp": lambda source, folder: compiled(["g++", "-std=c++20"], source, folder, installed),
        "c": lambda source, folder: compiled(["gcc", "-std=c99"], source, folder, installed),
    }

    def member(language: str) -> list[str]:
        if language == "mono":
            return [member("csharp")[0].replace("member-coreclr", "member-mono")]
        if language not in built:
            folder = tmp_path_factory.mktemp(language)
            assert stubs(root / SERVICE, "--lang", language, "--out", folder).returncode == 0
            built[language] = makers[language](root / PAGES[language][1], folder)
        return built[language]

    return member


@pytest.mark.parametrize("language", SAYS)
def test_without_arguments_a_member_says_which_it_wants(build: Build, installed: Path, language: str) -> None:
    environment = os.environ | {"DERECHO_LIBRARY": str(next((installed / "_native").glob("libderecho.so.*")))}
    done = subprocess.run(build(language), env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert re.fullmatch(r"usage: .*NODE HOST:PORT,.*\n", done.stderr)


@pytest.mark.parametrize(
    "languages", [("python", "java", "csharp"), ("cpp", "c", "python"), ("mono", "cpp", "java")], ids="-".join
)
def test_three_members_are_one_group(
    build: Build, installed: Path, ports: list[int], languages: tuple[str, ...]
) -> None:
    addresses = [f"127.0.0.1:{port}" for port in ports]
    commands = [[*build(each), str(i + 1), ",".join(addresses)] for i, each in enumerate(languages)]
    environment = os.environ | {"DERECHO_LIBRARY": str(next((installed / "_native").glob("libderecho.so.*")))}
    processes = [
        subprocess.Popen(
            c, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True
        )
        for c in commands
    ]
    try:
        for language, process in zip(languages, processes, strict=True):
            if language != "c":  # which ends by itself when all three have its entry
                assert process.stdout is not None
                assert any(ALL_THREE.search(line) for line in process.stdout), process.communicate()
        outputs = [process.communicate("hello\n", timeout=90) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    for language, (said, _) in zip(languages, outputs, strict=True):
        assert SAYS[language] in said
