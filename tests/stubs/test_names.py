"""Whatever a service, a method, a parameter or a field is called, its stubs compile, in every language, together with a
program that uses the binding under its own names; or `derecho stubs` refuses the name, and says which and why.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from derecho import jvm
from derecho.stubs import csharp_text, java_text

KEYWORDS = Path("tests/stubs/keywords.py")
SERVICE = """
import derecho

@derecho.service(name={name!r})
class A:
    @derecho.ordered
    def {method}(self) -> int: ...
"""
Run = Callable[..., str]


def test_the_binding_s_own_names_are_all_known(root: Path) -> None:
    """A class that is added to a binding must not be hidden by a service of its name."""
    java = root / "bindings" / "java" / "src" / "main" / "java" / "org" / "libderecho"
    classes = {
        p.stem
        for p in java.glob("*.java")
        if re.search(r"^public .*\b(class|record|enum|interface) ", p.read_text(), re.M)
    }
    assert classes <= java_text.words(java_text.OF_BINDING)
    kinds = r"public (?:\w+ )*(?:class|struct|enum|interface) (\w+)"
    sources = (root / "bindings" / "csharp" / "Derecho").glob("*.cs")
    outer = {name for p in sources for name in re.findall(rf"^    {kinds}", p.read_text(), re.MULTILINE)}
    assert outer <= csharp_text.OF_BINDING


def test_in_java(root: Path, installed: Path, stubs: Any, run: Run, tmp_path: Path) -> None:
    try:
        next(jvm.homes())
    except jvm.JavaMissing as missing:
        pytest.skip(str(missing))
    for more in ([], ["--dll"]):
        done = stubs(root / KEYWORDS, "--lang", "java", *more, "--out", tmp_path)
        assert done.returncode == 0, done.stderr
    user = tmp_path / "User.java"
    user.write_text(
        "import org.libderecho.*;\nclass User { Config a; Group b; Status c; Service d; Replies<Long> e; }\n"
    )
    build = root / "bindings" / "java" / "build.py"
    jar = installed / "_native" / "derecho.jar"
    run(sys.executable, build, "--output", tmp_path / "out", "--classpath", jar, "--sources", *tmp_path.glob("*.java"))


def test_in_csharp(root: Path, installed: Path, stubs: Any, run: Run, tmp_path: Path) -> None:
    if shutil.which("mcs") is None:
        pytest.skip("there is no mcs")
    for more in ([], ["--dll"]):
        done = stubs(root / KEYWORDS, "--lang", "csharp", *more, "--out", tmp_path)
        assert done.returncode == 0, done.stderr
    user = tmp_path / "User.cs"
    user.write_text("using Derecho;\nclass User { Config a; Group b; Status c; Service d; Replies<long> e; }\n")
    reference = f"-r:{installed / '_native' / 'Derecho.dll'}"
    flags = [
        "-nologo",
        "-langversion:7.2",
        "-nowarn:169",
        "-warnaserror",
        "-target:library",
        f"-out:{tmp_path / 'all.dll'}",
    ]
    run("mcs", *flags, reference, *tmp_path.glob("*.cs"))


@pytest.mark.parametrize(
    ("language", "compiler"), [("c", ["gcc", "-std=c99"]), ("cpp", ["g++", "-xc++", "-std=c++20"])]
)
def test_in_c_and_cpp(
    root: Path, installed: Path, stubs: Any, run: Run, language: str, compiler: list[str], tmp_path: Path
) -> None:
    done = stubs(root / KEYWORDS, "--lang", language, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    source = tmp_path / "source.c"
    source.write_text("".join(f'#include "{header.name}"\n' for header in tmp_path.glob("*.h*")))
    run(*compiler, "-Wall", "-Werror", "-fsyntax-only", f"-I{installed / 'include'}", f"-I{tmp_path}", source)


def test_in_python(root: Path, stubs: Any, run: Run, tmp_path: Path) -> None:
    for more in ([], ["--dll"]):
        done = stubs(root / KEYWORDS, "--lang", "python", *more, "--out", tmp_path)
        assert done.returncode == 0, done.stderr
    run(sys.executable, "-c", "import sys, runpy; [runpy.run_path(p) for p in sys.argv[1:]]", *tmp_path.glob("*.py"))


@pytest.mark.parametrize("name", ["Test", "Install"])
def test_a_dll_may_be_called_what_cmake_calls_its_own_targets(
    installed: Path, stubs: Any, run: Run, name: str, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text(SERVICE.format(name=name, method="put"))
    assert stubs(tmp_path / "a.py", "--lang", "cpp", "--dll", "--out", tmp_path).returncode == 0
    run("cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-Dderecho_DIR={installed / 'lib' / 'cmake' / 'derecho'}")


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("Derecho", ["--lang", "c"], "service Derecho: in C, what begins with derecho_ is the library's; rename"),
        ("DerechoGroup", ["--lang", "cpp", "--dll"], "service DerechoGroup: in C, what begins with derecho_"),
        ("derecho", ["--lang", "python"], "A.derecho: in Python a method of this name hides the package; rename"),
        ("C", ["--lang", "cpp", "--dll"], "service C: libc.so is a library of the system's; rename"),
        ("Shop", ["--lang", "java", "--package", "a.switch"], "--package a.switch: 'switch' is no name of a package"),
        ("Shop", ["--lang", "java", "--package", "a..b"], "--package a..b: '' is no name of a package"),
        ("Shop", ["--lang", "csharp", "--package", "lock"], "--package lock: 'lock' is no name of a namespace"),
        ("Shop", ["--lang", "csharp", "--package", "My.Shop"], "--package My.Shop: in C# a namespace has not the name"),
    ],
)
def test_a_name_that_cannot_be_is_refused_by_name(
    stubs: Any, name: str, words: list[str], said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.py").write_text(SERVICE.format(name=name, method="derecho" if name == "derecho" else "put"))
    done = stubs(tmp_path / "a.py", *words, "--out", tmp_path / "out")
    assert done.returncode == 1 and said in done.stderr
    assert not (tmp_path / "out").exists()


def test_services_whose_files_would_be_one_are_refused(stubs: Any, tmp_path: Path) -> None:
    both = [SERVICE.format(name=name, method="put").replace("class A", f"class {name}") for name in ("Cache", "cache")]
    (tmp_path / "a.py").write_text("\n\n".join(both))
    done = stubs(tmp_path / "a.py", "--lang", "java", "--out", tmp_path / "out")
    assert (
        done.returncode == 1
        and "another service of this file has Cache.java already; write one by --service" in done.stderr
    )


def test_a_package_is_a_folder_in_java_and_a_namespace_in_csharp(stubs: Any, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(SERVICE.format(name="Cache", method="put"))
    assert stubs(tmp_path / "a.py", "--lang", "java,csharp", "--package", "my.shop", "--out", tmp_path).returncode == 0
    assert "\npackage my.shop;\n" in (tmp_path / "my" / "shop" / "Cache.java").read_text()
    assert "\nnamespace my.shop\n" in (tmp_path / "Cache.cs").read_text()
    assert stubs(tmp_path / "a.py", "--lang", "java,csharp", "--out", tmp_path).returncode == 0
    assert not re.search("^(package|namespace)", (tmp_path / "Cache.java").read_text(), re.MULTILINE)
    assert not re.search("^namespace", (tmp_path / "Cache.cs").read_text(), re.MULTILINE)
