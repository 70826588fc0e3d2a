"""The Java binding's own tests, in JUnit (bindings/java/src/test): with whatever Java there is, a class at a time."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import build
import pytest

from derecho._native import LIBRARY

TESTS = Path(__file__).resolve().parent.parent.parent / "bindings" / "java" / "src" / "test" / "java"
CLASSES = sorted(path.stem for path in TESTS.rglob("*Test.java"))
CONSOLE = ("org.junit.platform", "junit-platform-console-standalone", "1.11.4")


@pytest.fixture(scope="session")
def junit(jar: Path, java: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs test classes: they and JUnit on the class path."""
    console = build.fetched(CONSOLE)
    classes = tmp_path_factory.mktemp("classes")
    build.compile_java(sorted(TESTS.rglob("*.java")), classes, [jar, console])
    path = os.pathsep.join(map(str, (jar, classes, console)))
    return [str(java), "--enable-native-access=ALL-UNNAMED", "-cp", path, "org.junit.platform.console.ConsoleLauncher"]


@pytest.mark.parametrize("name", CLASSES)
def test_junit(junit: list[str], name: str) -> None:
    command = [*junit, "execute", "--disable-banner", "--details=tree", f"--select-class=org.libderecho.{name}"]
    environment = os.environ | {"DERECHO_LIBRARY": str(LIBRARY)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"(\d+) tests successful", done.stdout)
    assert found is not None and int(found[1]) > 0, done.stdout
