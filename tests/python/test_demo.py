"""Shows `derecho demo` as a user runs it, on a small tree: its verdict, its options, what it leaves behind."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from derecho.demo import launchers, supervisor
from derecho.demo.files import digest, digest_of_tree, find_files
from derecho.demo.store import FileStore

COMMAND = [sys.executable, "-m", "derecho.cli", "demo"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 files: empty, small, one with a strange name, one larger than a message may be."""
    root = tmp_path_factory.mktemp("tree")
    seeded = random.Random(7)
    for i in range(400):
        path = root / f"d{i % 7}" / f"file{i}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(seeded.randbytes(seeded.choice([0, 1, 100, 5000, 60_000])))
    (root / "übergroß").write_bytes(seeded.randbytes(3_000_000))
    return root


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *options], env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False
    )


@pytest.mark.parametrize(
    "options",
    [
        ["--wire", "tcp", "--kill", "bob"],
        ["--kill", "ann", "--members", "3", "--fresh", "py"],
        ["--kill", "none", "--members", "2"],
        ["--kill", "bob", "--members", "py,cpp,c"],
    ],
    ids=" ".join,
)
def test_every_replica_equals_the_disk(tree: Path, options: list[str]) -> None:
    every_replica_equals_the_disk(tree, options)


@pytest.mark.parametrize("language", ["java", "cs"])
def test_members_in_managed_languages_are_equal_too(tree: Path, language: str) -> None:
    try:
        launchers.launcher(language)
    except launchers.Missing as reason:
        pytest.skip(str(reason))
    options = ["--members", f"{language},{language},py", "--fresh", language, "--kill", "bob", "--wire", "tcp"]
    result = every_replica_equals_the_disk(tree, options)
    name = launchers.LANGUAGES[language]
    assert [m["language"] for m in result["members"]] == [name, name, "Python", name]


def every_replica_equals_the_disk(tree: Path, options: list[str]) -> Any:
    done = demo("--input", str(tree), "--json", *options)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    disk = digest_of_tree(tree, find_files(tree))
    assert result["equal"] is True
    assert result["files"] == 401
    alive = [m for m in result["members"] if not m["killed"]]
    assert [m["sha256"] for m in alive] == [disk] * (2 if "none" in options else 3)
    assert [m["files"] for m in alive] == [401] * len(alive)
    killed = [m["name"] for m in result["members"] if m["killed"]]
    assert killed == [name for name in ("ann", "bob") if name in options]
    if killed:
        fresh = result["members"][-1]
        assert fresh["views"][-1]["nodes"][-1] == fresh["node"] == 4
    return result


def test_the_table_shows_digests_views_and_the_verdict(tree: Path) -> None:
    done = demo("--input", str(tree), "--members", "py,cpp,c", "--kill", "bob", "--fresh", "py")
    assert done.returncode == 0, done.stderr
    for words in (
        "kill -9 bob (node 2, C++)",
        "dan (node 4, Python) joined",
        "ann (1) Python",
        "disk",
        "Every replica equals the disk",
        "saw views",
        "piece p50",
        "Meanwhile a lone query, from another process, took",
        "Together they replicated",
    ):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--kill", "zoe"], "there is no 'zoe'; the members are ann, bob, cleo"),
        (["--members", "2", "--kill", "ann"], "Use three, or --kill none"),
        (["--members", "py,cobol,c"], "'cobol' is none of py, java, cs, cpp, c"),
        (["--fresh", "cobol"], "'cobol' is none of py, java, cs, cpp, c"),
        (["--input", "/nowhere"], "does not exist"),
    ],
)
def test_a_wrong_option_is_explained(options: list[str], text: str) -> None:
    done = demo(*options)
    assert done.returncode == 2
    assert text in done.stderr


def test_a_lone_call_is_measured_beside_the_flow(tree: Path) -> None:
    """What a piece takes is mostly the queue before it: a lone call, meanwhile, is not in that queue."""
    done = demo("--input", str(tree), "--json", "--members", "3", "--fresh", "py")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert 0 < result["query_p50_us"] < 5_000_000
    assert result["bytes_per_s"] > 0
    assert "call_p50_us" not in result["members"][0] and result["members"][0]["piece_p50_us"] > 0


def test_an_empty_tree_is_a_failure_that_says_so(tmp_path: Path) -> None:
    done = demo("--input", str(tmp_path))
    assert done.returncode == 1
    assert "has no files" in done.stderr


def test_a_replica_that_differs_is_a_failure(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "digest_of_tree", lambda root, paths: "something else")
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    said: list[str] = []
    python = launchers.launcher("py")
    result = supervisor.Demo(tree, [python, python], None, "shm", lambda _: None, said.append, 60.0).run()
    assert result["equal"] is False


def test_a_compiler_that_hangs_is_a_language_that_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\nexec sleep 60\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(launchers, "_BUILD_S", 0.2)
    with pytest.raises(launchers.Missing, match=r"could not be built: \S+/cc took more than 0.2 s"):
        launchers.launcher("c")


def test_no_member_outlives_a_killed_supervisor(tree: Path) -> None:
    run = subprocess.Popen(
        [*COMMAND, "--members", "py,cpp,c", "--input", str(tree)], env=ENVIRONMENT, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 20
    while len(children := children_of(run.pid)) < 3 and time.monotonic() < deadline and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert len(children) == 3
    while any(map(is_alive, children)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_alive, children))


def children_of(parent: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ------------------------------------------------------------------------------------------------- parts of it


def test_the_digest_depends_on_paths_contents_and_their_borders() -> None:
    trees: list[list[tuple[str, bytes]]] = [
        [("a", b"b")],
        [("ab", b"")],
        [("a", b""), ("b", b"")],
        [("a", b"c")],
        [],
    ]
    assert len({digest(t) for t in trees}) == len(trees)


def test_a_file_in_pieces_is_complete_with_the_last_and_may_start_afresh() -> None:
    store: Any = FileStore()
    assert [store.put("f", 0, 3, b"a"), store.put("f", 1, 3, b"b")] == [False, False]
    assert store.put("f", 0, 2, b"x") is False
    assert store.put("f", 1, 2, b"y") is True
    assert store.get("f") == b"xy"
    assert store.stored_bytes == 2
    with pytest.raises(ValueError, match="piece 2 came, 0 was due"):
        store.partial["g"] = []
        store.put("g", 2, 3, b"")
