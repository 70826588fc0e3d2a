"""`make test` takes a command for hung by its silence, not by the clock: a slow machine fails nothing."""

from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def run_tests(root: Path) -> ModuleType:
    sys.path.insert(0, str(root / "tools"))
    spec = importlib.util.spec_from_file_location("run_tests", root / "tools" / "run_tests.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["run_tests"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    sys.path.pop(0)
    return module


def test_silence_begins_anew_with_every_word(run_tests: ModuleType) -> None:
    quiet = run_tests.Quiet(now=0)
    said = [quiet.seconds(bytes_so_far, now) for now, bytes_so_far in enumerate([10, 10, 10, 20, 20, 30])]
    assert said == [0, 1, 2, 0, 1, 0]


def test_what_says_nothing_is_killed_and_what_it_started_too(run_tests: ModuleType, tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = ["sh", "-c", "sleep 1000 & echo $! ; wait"]
    assert run_tests.run_command(command, {}, 0.5, log) is None
    text = log.read_text()
    assert "taken to hang, as it printed nothing for 0.5 s, and killed" in text
    started = text.splitlines()[1]
    deadline = time.monotonic() + 60
    while is_alive(started) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(started)


def is_alive(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("code", [0, 3])
def test_what_ends_by_itself_gives_its_code(run_tests: ModuleType, code: int, tmp_path: Path) -> None:
    assert run_tests.run_command(["sh", "-c", f"exit {code}"], {}, 60, tmp_path / "log") == code


def test_what_takes_longer_is_apart_and_the_slowest_tests_are_shown(
    run_tests: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = run_tests.stages()
    longer = {stage.name for stage in stages if stage.longer}
    assert longer == {"rdma", "simulator", "asan", "tsan", "fuzz", "clang"}
    assert {"lint", "core", "python", "system"} <= {stage.name for stage in stages} - longer
    monkeypatch.setattr(run_tests, "LOGS", tmp_path)
    for name, seconds in {"core": (3, 0.5), "python": (20,)}.items():
        cases = "".join(f'<testcase name="of {s} s" time="{s}"/>' for s in seconds)
        (tmp_path / f"{name}.xml").write_text(f"<testsuite>{cases}</testsuite>")
    run_tests.show_slowest(stages)
    assert capsys.readouterr().out.splitlines() == [
        "     20.0 s  python: of 20 s",
        "      3.0 s  core: of 3 s",
        "      0.5 s  core: of 0.5 s",
    ]
