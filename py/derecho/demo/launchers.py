"""What starts a member of the demo in each language: in C and C++ it is built once, in the user's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .. import clr, jvm
from .._native import LIBRARY, version
from ..stubs import c as c_stubs
from ..stubs import cpp as cpp_stubs
from ..stubs.model import StubModel, stub_model
from .store import FileStore

__all__ = ["LANGUAGES", "Launcher", "Missing", "launcher"]

#: How each is called on the command line, and by people.
LANGUAGES = {"py": "Python", "java": "Java", "cs": "C#", "cpp": "C++", "c": "C"}

_BUILD_S = 300
_SOURCES = Path(__file__).parent / "members"
_PACKAGE = Path(__file__).parent.parent


class Missing(Exception):
    """What a language lacks here, as the end of a sentence."""


@dataclass(frozen=True)
class Launcher:
    """Starts members in one language.

    Attributes
    ----------
    language : str
        A key of `LANGUAGES`.
    command : list of str
        The process.
    environment : dict of str to str
        To be added to the environment.
    """

    language: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


def launcher(language: str) -> Launcher:
    """Build a language's member if it has not been built yet.

    Raises
    ------
    Missing
        When there is no compiler or runtime for it, or it cannot be built.
    """
    return {"py": _python, "java": _java, "cs": _csharp, "cpp": _cpp, "c": _c}[language]()


def _python() -> Launcher:
    return Launcher("py", [sys.executable, "-m", "derecho.demo.member"])


def _java() -> Launcher:
    jar = jvm.JAR.with_name("derecho-demo.jar")
    if not jar.exists():
        raise Missing(f"{jar} is not there")
    try:
        # It lives for seconds: no time for the second compiler, nor for a collector with threads of its own.
        command = jvm.command("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", classpath=[jar])
    except FileNotFoundError as error:
        raise Missing(str(error)) from None
    return Launcher("java", [*command, "DemoMember"])


def _csharp() -> Launcher:
    program = clr.ASSEMBLY.with_name("DerechoDemo.dll")
    if not program.exists():
        raise Missing(f"{program} is not there")
    reasons = []
    for runtime in ("coreclr", "mono"):
        try:
            return Launcher("cs", clr.command(runtime, program))
        except clr.ClrMissing as error:
            reasons.append(str(error))
    raise Missing("; ".join(reasons))


def _cpp() -> Launcher:
    compiler = _find("c++", "g++", "clang++")
    return Launcher("cpp", [str(_native(compiler, "-std=c++20", "cpp/member.cpp", cpp_stubs.emit))])


def _c() -> Launcher:
    compiler = _find("cc", "gcc", "clang")
    return Launcher("c", [str(_native(compiler, "-std=c11", "c/member.c", c_stubs.emit))])


def _native(compiler: str, standard: str, source: str, emit: Callable[[StubModel], dict[str, str]]) -> Path:
    """Compile a program over its stubs and libderecho.so."""

    def build(folder: Path) -> None:
        for name, content in emit(stub_model(FileStore, "store.py")).items():
            (folder / name).write_text(content, encoding="utf-8")
        libraries = ["-L", str(LIBRARY.parent), "-lderecho", f"-Wl,-rpath,{LIBRARY.parent}", "-pthread"]
        includes = ["-I", str(_PACKAGE / "include"), "-I", str(folder)]
        _run([compiler, standard, "-O2", *includes, str(_SOURCES / source), "-o", str(folder / "member"), *libraries])

    return _built(Path(source).suffix[1:], [_SOURCES / source, *_headers(), LIBRARY], build) / "member"


def _headers() -> list[Path]:
    return sorted((_PACKAGE / "include").rglob("*.h*"))


def _find(*names: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    raise Missing(f"there is no {names[0]}")


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_S)
    except subprocess.TimeoutExpired:
        raise Missing(f"its member could not be built: {command[0]} took more than {_BUILD_S} s") from None
    if done.returncode != 0:
        raise Missing(f"its member could not be built:\n{(done.stderr or done.stdout)[-2000:]}")


def _built(name: str, sources: list[Path], build: Callable[[Path], None]) -> Path:
    """Return the folder with what `build` made of these sources, now or at an earlier time."""
    whole = hashlib.sha256(version().encode())
    for source in sources:
        whole.update(str(source).encode())
        whole.update(source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "libderecho"
    folder = cache / f"demo-{name}-{whole.hexdigest()[:16]}"
    if not folder.exists():
        making = cache / f"{folder.name}.{os.getpid()}"
        making.mkdir(parents=True)
        try:
            build(making)
            making.rename(folder)
        except OSError:
            if not folder.exists():  # another process was first
                raise
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder
