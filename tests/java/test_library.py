"""How Java finds the library: beside the jar, or in a jar on the class path, as the jar with the classifier has it."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import zipfile
from pathlib import Path

import build

from derecho._native import LIBRARY

VERSION = (Path(__file__).resolve().parents[2] / "VERSION").read_text().strip()
PROGRAM = """
public class Version {
    public static void main(String[] arguments) {
        System.out.println(org.libderecho.Derecho.version());
    }
}
"""


def version(java: Path, folder: Path, *classpath: Path) -> str:
    """What the program prints that has nothing but a class path."""
    environment = {k: v for k, v in os.environ.items() if k not in ("DERECHO_LIBRARY", "LD_LIBRARY_PATH")}
    path = os.pathsep.join(map(str, (folder, *classpath)))
    command = [str(java), "--enable-native-access=ALL-UNNAMED", f"-Djava.io.tmpdir={folder}", "-cp", path, "Version"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    return done.stdout + done.stderr


def test_the_library_travels_in_a_jar_and_leaves_nothing_behind(jar: Path, java: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "derecho.jar"
    alone.parent.mkdir()
    shutil.copy(jar, alone)
    (tmp_path / "Version.java").write_text(PROGRAM)
    classes = tmp_path / "classes"
    build.compile_java([tmp_path / "Version.java"], classes, [alone])
    without = version(java, classes, alone)
    machine = {"x86_64": "x86_64", "aarch64": "aarch64"}[platform.machine()]
    inside = f"org/libderecho/native/linux-{machine}/{LIBRARY.name}"
    assert "UnsatisfiedLinkError" in without and f"the class path's /{inside}" in without
    native = tmp_path / "derecho-natives.jar"
    with zipfile.ZipFile(native, "w") as archive:
        archive.write(LIBRARY, inside)
    before = sorted(classes.iterdir())
    assert version(java, classes, alone, native).strip() == VERSION
    assert sorted(classes.iterdir()) == before
    shutil.copy(LIBRARY, alone.parent)
    assert version(java, classes, alone).strip() == VERSION
