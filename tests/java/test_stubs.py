"""Shows that the Java stubs compile for every type and awkward name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from derecho.stubs.java import emit
from derecho.stubs.model import read_services

ROOT = Path(__file__).resolve().parent.parent.parent

Compile = Callable[[Iterable[Path]], Path]


def write_stubs(service: Path, folder: Path, package: str = "") -> list[Path]:
    paths = []
    for model in read_services(service):
        for name, text in emit(model, package).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
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
