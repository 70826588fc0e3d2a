"""Shows that what holds for other wires holds for RDMA as well: the contract of the fabric, and whole groups."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CORE_TESTS = ROOT / "build" / "wheel" / "derecho_tests"
WIRES = ["verbs"]  # the others need no guest


def run(*argv: str | Path, timeout_s: float = 600, **environment: str) -> str:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"} | environment
    done = subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=timeout_s, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def on_both_processors(*runs: Callable[[], str]) -> list[str]:
    """Do at once what has nothing to do with each other; return what each printed. An emulated processor is slow."""
    with ThreadPoolExecutor(len(runs)) as pool:
        return [done.result() for done in [pool.submit(each) for each in runs]]


@pytest.mark.parametrize("wire", WIRES)
def test_a_wire_keeps_the_contract_of_the_fabric(wire: str) -> None:
    assert CORE_TESTS.exists(), "cmake --build build/wheel --target derecho_tests"
    tests = [CORE_TESTS, f"--gtest_filter=Wires/*/{wire}"]
    halves = [partial(run, *tests, GTEST_TOTAL_SHARDS="2", GTEST_SHARD_INDEX=index) for index in "01"]
    for printed in on_both_processors(*halves):
        assert "[  PASSED  ]" in printed
        assert " 0 tests" not in printed, "no test bears the wire's name"


def pytest_passes(*argv: str) -> str:
    return run(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *argv)


@pytest.mark.parametrize("wire", WIRES)
def test_members_are_killed_while_others_join(wire: str) -> None:
    deaths = "tests/system/test_deaths.py"
    pytest_passes(
        f"{deaths}::test_a_joiner_gets_the_state_although_its_donor_is_killed[{wire}]",
        f"{deaths}::test_a_joiner_may_be_killed_at_any_stage_of_joining[{wire}]",
    )


def test_memory_is_read_and_written_from_python_and_so_is_that_of_devices() -> None:
    # Without those that wait long for what does not come.
    own = ("tests/python/test_memory.py", "-k", "verbs and not in_vain and not closed_group")
    devices = ("tests/python/test_device_memory.py", "-k", "verbs and not cuda")
    on_both_processors(partial(pytest_passes, *own), partial(pytest_passes, *devices))


@pytest.mark.parametrize("wire", WIRES)
def test_the_demo_replicates_a_tree_between_languages(wire: str) -> None:
    printed = run("derecho", "demo", "--wire", wire, "--kill", "bob", "--input", "libderecho", "--json")
    result = json.loads(printed)  # and it ended with 0: every replica equals the disk
    assert (result["wire"], result["killed"]) == (wire, "bob")
    assert {member["language"] for member in result["members"]} == {"Python", "Java", "C#", "C++"}
