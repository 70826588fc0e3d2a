"""examples/cache_cpp, called through its generated shim for C#, on mono and on CoreCLR."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from derecho import clr

Run = Callable[..., str]
SHIM = Path("examples/cache_cpp/CacheDll.cs")
SAID = """\
1
value
True
2
5, 0
True
False
17 Cache.put: member 1 failed: invalid_argument: a key has at least one byte
1
5 the handle was closed
5 the handle was closed
"""


def compiled(shim: Path, root: Path, folder: Path, run: Run) -> Path:
    """The shim, and a program that uses it, compiled without libderecho's assembly."""
    if shutil.which("mcs") is None:
        pytest.skip("there is no mcs")
    program = folder / "UseCache.dll"
    run("mcs", "-warnaserror", "-nologo", f"-out:{program}", "-target:exe", shim, root / "tests/stubs/UseCache.cs")
    return program


def command(runtime: str, program: Path, library: Path, ports: list[int]) -> list[str]:
    try:
        start = clr.command(runtime, program)
    except clr.ClrMissing as missing:
        pytest.skip(str(missing))
    return [*start, str(library), *(f"127.0.0.1:{port}" for port in ports[:2])]


@pytest.fixture(scope="module")
def program(root: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(root / SHIM, root, tmp_path_factory.mktemp("csharp"), run)


@pytest.mark.parametrize("runtime", clr.RUNTIMES)
def test_csharp_calls_it_through_the_shim(
    runtime: str, program: Path, library: Path, ports: list[int], run: Run
) -> None:
    assert run(*command(runtime, program, library, ports)) == SAID


@pytest.mark.parametrize("runtime", clr.RUNTIMES)
def test_the_shim_refuses_a_library_of_another_schema(
    runtime: str, root: Path, library: Path, ports: list[int], run: Run, tmp_path: Path
) -> None:
    shim = tmp_path / "CacheDll.cs"
    shim.write_text((root / SHIM).read_text().replace("SchemaHash = 0x", "SchemaHash = 1 ^ 0x"))
    words = command(runtime, compiled(shim, root, tmp_path, run), library, ports)
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "was built from another Cache" in done.stderr


def test_the_shim_of_any_service_compiles(root: Path, stubs: Any, run: Run, tmp_path: Path) -> None:
    if shutil.which("mcs") is None:
        pytest.skip("there is no mcs")
    for service in ("tests/stubs/awkward.py", "tests/conformance/everything.py"):
        assert stubs(root / service, "--lang", "csharp", "--dll", "--out", tmp_path).returncode == 0
    shims = sorted(tmp_path.glob("*.cs"))
    run("mcs", "-warnaserror", "-nologo", "-target:library", f"-out:{tmp_path / 'shims.dll'}", *shims)
    assert max(len(line) for shim in shims for line in shim.read_text().splitlines()) <= 120
