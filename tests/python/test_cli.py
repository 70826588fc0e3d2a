"""The command `derecho` itself: its version, and where things are, or why they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import derecho
import derecho._native
from derecho import jvm
from derecho.cli import main


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, words)
    return done.exit_code, done.output


def test_version_is_an_option_and_a_command() -> None:
    assert run("--version") == (0, f"derecho {derecho.version()}\n")
    assert run("version") == (0, f"{derecho.version()}\n")


@pytest.mark.parametrize("command", ["cmake-dir", "pkgconfig-dir", "jar"])
def test_what_is_printed_is_there(command: str) -> None:
    code, said = run(command)
    assert code == 0 and Path(said.strip()).exists()


def test_a_missing_binding_is_told_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(derecho._native, "LIBRARY", tmp_path / "libderecho.so.1")
    monkeypatch.setattr(jvm, "JAR", tmp_path / "derecho.jar")
    code, said = run("info")
    assert code == 0
    assert "derecho.jar  (missing)" in said and "no derecho.jar: it was built without a JDK 22 or later" in said
    assert "Derecho.dll  (missing)" in said and "no Derecho.dll: it was built without a C# compiler" in said
    assert "pip install --force-reinstall ." in said
    code, said = run("jar")
    assert code == 1 and "no derecho.jar" in said
