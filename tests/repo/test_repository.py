"""What a stranger may expect of any clone: one version, no traces of the machine it was written on, fresh outputs."""

import importlib.metadata
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

# Written in pieces, so that this file does not hold what it looks for.
TRACES = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "crates" + ".io",
    "npm" + "js.",
    "maven" + "central",
    "repo" + ".maven",
    "deb" + "ian.org",
    "proxy." + "golang.org",
    "/wo" + "rk/",
    "/ro" + "ot/",
    "/home" + "/",
    "/tmp/" + "build-",
    "." + "pyenv",
    "--find" + "-links",
    "--index" + "-url",
]
TEXT = {
    ".c",
    ".cpp",
    ".cs",
    ".h",
    ".hpp",
    ".in",
    ".java",
    ".json",
    ".md",
    ".py",
    ".sh",
    ".toml",
    ".txt",
    ".xml",
    ".yml",
}


def is_text(path: Path) -> bool:
    return path.suffix in TEXT or path.suffix == "" or path.name in ("CMakeLists.txt", "Makefile")


def traces(text: str) -> list[str]:
    return [trace for trace in TRACES if trace in text.lower()]


def test_no_file_names_a_registry_or_a_place_on_one_machine(root: Path, tracked_files: list[Path]) -> None:
    found = []
    for path in filter(is_text, tracked_files):
        found += [f"{path.relative_to(root)}: {trace}" for trace in traces(path.read_text(errors="replace"))]
    assert not found, "\n".join(found)


def test_the_check_for_traces_can_fail() -> None:
    assert traces("cd /WO" + "RK/main && pip install")
    assert not traces("see docs/options.md")


def test_version_is_written_in_one_place(root: Path, tracked_files: list[Path]) -> None:
    version = (root / "VERSION").read_text().strip()
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    copies = []
    for path in tracked_files:
        if path.suffix in (".py", ".toml", ".cmake", ".cpp", ".hpp") or path.name == "CMakeLists.txt":
            assignments = re.findall(rf"(?i)version\w*\s*[=:(]?\s*['\"]?{re.escape(version)}\b", path.read_text())
            copies += [f"{path.relative_to(root)}: {line}" for line in assignments]
    assert not copies


def test_installed_package_has_the_version_of_the_repository(root: Path) -> None:
    assert importlib.metadata.version("libderecho") == (root / "VERSION").read_text().strip()


def test_scripts_are_executable_and_start_with_a_program(root: Path, tracked_files: list[Path]) -> None:
    wrong = []
    for path in tracked_files:
        starts_so = path.read_bytes()[:2] == b"#!"
        if starts_so != os.access(path, os.X_OK):
            wrong.append(str(path.relative_to(root)))
    assert not wrong, f"either executable or starting with #!, but not both: {wrong}"


def test_generated_files_are_fresh(root: Path) -> None:
    done = subprocess.run([sys.executable, "tools/generated.py", "--check"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["LICENSE", "VERSION", "docs/dependencies.md"])
def test_a_stranger_finds(root: Path, name: str) -> None:
    assert (root / name).stat().st_size > 0
