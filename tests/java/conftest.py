"""The Java binding's jar, built once for all tests of this folder, and how to compile against it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from derecho import jvm

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "bindings" / "java"))

import build  # noqa: E402


@pytest.fixture(scope="session")
def java() -> Path:
    """The launcher of a Java that is recent enough."""
    try:
        return next(jvm.homes()) / "bin" / "java"
    except jvm.JavaMissing as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def jar(java: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build.build_jar(tmp_path_factory.mktemp("jar") / "derecho.jar")


@pytest.fixture
def compiled(jar: Path, tmp_path: Path) -> Callable[[Iterable[Path]], Path]:
    """Compiles sources against the jar; gives the folder of classes."""

    def compile_sources(sources: Iterable[Path]) -> Path:
        build.compile_java(sources, tmp_path / "classes", [jar])
        return tmp_path / "classes"

    return compile_sources
