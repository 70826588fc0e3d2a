"""examples/cache_cpp, called through its generated shim for Java: by plain Java, and by Python through JPype."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from derecho import jvm

Run = Callable[..., str]
SAID = """\
1
value
null
2
[5, 0]
true
false
17 Cache.put: member 1 failed: invalid_argument: a key has at least one byte
1
5 the handle was closed
5 the handle was closed
"""

JPYPE = """
    import sys, jpype
    import derecho.jvm as jvm
    _, classes, library, *listen = sys.argv
    home = next(jvm.homes())
    jpype.startJVM(str(home / "lib/server/libjvm.so"), "--enable-native-access=ALL-UNNAMED", classpath=[classes])
    CacheDll = jpype.JClass("CacheDll")
    members = [CacheDll(f"node={i + 1};listen={listen[i]};initial_members={listen[0]}", library) for i in range(2)]
    one, two = members
    one.waitMembers(2, jpype.java.time.Duration.ofSeconds(10))
    assert one.put("k", jpype.JArray(jpype.JByte)(b"value")).all() == 1
    assert bytes(two.get(2, "k").result()) == b"value" and two.get(1, "absent").result() is None
    assert list(two.sizes(1).result()) == [5] and two.drop("k").all()
    try:
        one.put("", jpype.JArray(jpype.JByte)(b"")).all()
    except CacheDll.Failure as failure:
        assert failure.status() == 17 and "a key has at least one byte" in str(failure)
    one.leave()
    two.abandon()
    try:
        two.drop("k")
    except CacheDll.Failure as failure:
        print("status", failure.status())
"""


@pytest.fixture(scope="module")
def classes(root: Path, run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, and a program that uses it, compiled without libderecho's jar."""
    out = tmp_path_factory.mktemp("classes")
    sources = [root / "examples" / "cache_cpp" / "CacheDll.java", root / "tests" / "stubs" / "UseCache.java"]
    try:
        next(jvm.homes())
    except jvm.JavaMissing as missing:
        pytest.skip(str(missing))
    run(sys.executable, root / "bindings" / "java" / "build.py", "--output", out, "--sources", *sources)
    return out


def java() -> str:
    return str(next(jvm.homes()) / "bin" / "java")


def addresses(ports: list[int]) -> list[str]:
    return [f"127.0.0.1:{port}" for port in ports[:2]]


@pytest.mark.parametrize("service", ["tests/conformance/everything.py", "tests/stubs/awkward.py"])
def test_shims_of_every_type_and_awkward_name_compile(
    service: str, classes: Path, root: Path, stubs: Any, run: Run, tmp_path: Path
) -> None:
    assert stubs(root / service, "--lang", "java", "--dll", "--out", tmp_path).returncode == 0
    (shim,) = tmp_path.iterdir()
    assert max(map(len, shim.read_text().splitlines())) <= 120
    run(sys.executable, root / "bindings" / "java" / "build.py", "--output", tmp_path / "out", "--sources", shim)


def test_java_calls_it_through_the_shim(classes: Path, library: Path, ports: list[int], run: Run) -> None:
    native = "--enable-native-access=ALL-UNNAMED"
    assert run(java(), native, "-cp", classes, "UseCache", library, *addresses(ports)) == SAID


def test_python_calls_it_through_jpype(classes: Path, library: Path, ports: list[int], run: Run) -> None:
    pytest.importorskip("jpype")
    said = run(sys.executable, "-c", textwrap.dedent(JPYPE), classes, library, *addresses(ports))
    assert said == "status 5\n"


def test_the_shim_refuses_a_library_of_another_schema(
    classes: Path, root: Path, library: Path, ports: list[int], run: Run, tmp_path: Path
) -> None:
    shim = (root / "examples" / "cache_cpp" / "CacheDll.java").read_text()
    (tmp_path / "CacheDll.java").write_text(shim.replace("SCHEMA_HASH = 0x", "SCHEMA_HASH = 0x1L ^ 0x"))
    build = root / "bindings" / "java" / "build.py"
    run(sys.executable, build, "--output", tmp_path, "--sources", tmp_path / "CacheDll.java")
    command = [java(), "-cp", f"{tmp_path}:{classes}", "UseCache", str(library), *addresses(ports)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "was built from another Cache" in done.stderr
