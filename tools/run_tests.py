#!/usr/bin/env python3
"""Runs what must pass, stage by stage, and sums it up: `make test`, `make test-all`.

    make test                         every behaviour once, in the release build: what a change needs
    make test-all                     and what takes longer: RDMA, sanitizers, many seeds, fuzzing, another compiler
    make test ARGS="lint python"      some stages, of either
    make test ARGS=--list             their names

A stage whose files do not exist is absent. What a stage prints goes to build/test-logs/STAGE.log, and to the terminal
when it fails (or always, with --verbose). Stages that only start programs run beside each other. The last line is
"N passed, N failed, N skipped" over all stages.

A command is taken to hang when it has printed nothing for a long while, however long it runs: a slow or loaded machine
is slow, not stuck. (Single tests have limits of their own, in ctest and pytest.)
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

import fuzz

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
LOGS = ROOT / "build" / "test-logs"
STATE = ROOT / "build" / "test-state"  # what nodes remember of their groups: nothing of an earlier run
JOBS = str(os.cpu_count() or 2)
LINES_SHOWN_OF_A_FAILURE = 120
SLOWEST_SHOWN = 10
PYTEST_FOUND_NO_TESTS = 5

# The simulator runs some seeds of each story in `core`; more, and the search for seeds that reach every rare situation,
# in `simulator`, both in the release build. The sanitizers slow it down 5 to 15 times. It has one thread, so there is
# nothing in it for ThreadSanitizer.
CORE_SEEDS, SIMULATOR_SEEDS, ASAN_SEEDS = "500", "3000", "150"
SEARCH = "^simulated_group_coverage"
SIMULATED = "^(sim|Sim|simulated_group_coverage)"
# A child of fork() ends beside threads that are not there, and freed memory stays with AddressSanitizer for a while.
UNSANITIZED = "Fork\\.|StrangersMemory"
FUZZ_SECONDS = 3
QUIET_S = 900.0  # compilers and runners of tests say something for each file and each test
# Folders of tests/ that mostly compile and start programs, one after the other.
BESIDE_EACH_OTHER = {"conformance", "csharp", "docs", "java", "stubs"}


@dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Counts) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclass
class Step:
    """One command of a stage, how it counts, and the seconds without a word after which it is taken to hang."""

    argv: list[str]
    kind: str = "check"  # check: one test; tests: counted from its JUnit file; prepare: counts only when it fails
    env: dict[str, str] = field(default_factory=dict)
    quiet_s: float = QUIET_S


@dataclass
class Stage:
    """Commands that belong together.

    `alone`: others at the same time would be in its way, as when it measures. `longer`: not a part of `make test`.
    """

    name: str
    steps: Callable[[], list[Step]]
    exists: Callable[[], bool] = lambda: True
    alone: bool = True
    longer: bool = False


# ---------------------------------------------------------------------------------------------------- the stages


def lint() -> list[Step]:
    return [
        Step([str(BIN / "ruff"), "check", "."]),
        Step([str(BIN / "ruff"), "format", "--check", "."]),
        Step([str(BIN / "mypy")]),
        Step(["tools/format.sh", "--check"]),
    ]


def ctest(build_dir: str, seeds: str | None = None, *options: str, **env: str) -> Step:
    if seeds is not None:
        env.setdefault("DERECHO_SIM_SEEDS", os.environ.get("DERECHO_SIM_SEEDS", seeds))
    argv = ["ctest", "--test-dir", build_dir, "-j", JOBS, "--output-on-failure", "--no-tests=error", *options]
    return Step(argv, "tests", env)


def core_tests() -> Step:
    """Of the very build that was installed, so that what is tested is what users get."""
    return Step(["cmake", "--build", "build/wheel", "--target", "derecho_tests"], "prepare")


def core() -> list[Step]:
    return [core_tests(), ctest("build/wheel", CORE_SEEDS, "-E", SEARCH)]


def simulator() -> list[Step]:
    return [core_tests(), ctest("build/wheel", SIMULATOR_SEEDS, "-R", SIMULATED)]


def build(preset: str, target: str) -> list[Step]:
    return [
        Step(["cmake", "--preset", preset], "prepare"),
        Step(["cmake", "--build", f"build/{preset}", "--target", target], "prepare"),
    ]


def asan() -> list[Step]:
    ubsan = "print_stacktrace=1"
    return [
        *build("asan", "derecho_tests"),
        ctest("build/asan", ASAN_SEEDS, "-E", f"{SEARCH}|{UNSANITIZED}", UBSAN_OPTIONS=ubsan),
    ]


def tsan() -> list[Step]:
    return [
        *build("tsan", "derecho_tests"),
        ctest("build/tsan", None, "-E", f"{SIMULATED}|{UNSANITIZED}", TSAN_OPTIONS="halt_on_error=1"),
    ]


def fuzzing() -> list[Step]:
    prepared = [Step(argv, "prepare") for argv in fuzz.build_commands()]
    return [*prepared, *(Step(fuzz.command(name, FUZZ_SECONDS, "-seed=1")) for name in fuzz.targets())]


def clang() -> list[Step]:
    configure, compile_ = build("clang", "derecho")
    compile_.kind = "check"
    return [configure, compile_]


def pytest(folder: Path) -> list[Step]:
    run = Step([str(BIN / "pytest"), "-q", str(folder.relative_to(ROOT))], "tests", {"PYTHONUNBUFFERED": "1"})
    if folder.name != "rdma":
        return [run]
    # Its machine is emulated, so what it runs is compiled before.
    demo = "from derecho.demo.launchers import launcher; launcher('cpp')"
    return [core_tests(), Step([sys.executable, "-c", demo], "prepare"), run]


def pytest_stages() -> Iterator[Stage]:
    """One for each folder of tests/ that holds Python tests: the repository's own first, whole systems last."""
    order = {"repo": 0, "python": 2, "system": 8, "rdma": 9}
    folders = {path.parent for path in (ROOT / "tests").glob("*/test_*.py")}
    for folder in sorted(folders, key=lambda folder: (order.get(folder.name, 5), folder.name)):
        alone = folder.name not in BESIDE_EACH_OTHER
        longer = folder.name == "rdma"
        yield Stage(folder.name, lambda folder=folder: pytest(folder), alone=alone, longer=longer)  # type: ignore[misc]


def has_core_tests() -> bool:
    places = ("libderecho/**/*_test.cpp", "tests/fabric/*.cpp", "tests/sim/*.cpp")
    return any(next(ROOT.glob(place), None) for place in places)


def stages() -> list[Stage]:
    first, *rest = pytest_stages()
    return [
        Stage("lint", lint),
        first,
        Stage("core", core, has_core_tests),
        *rest,
        Stage("simulator", simulator, has_core_tests, longer=True),
        Stage("asan", asan, has_core_tests, longer=True),
        Stage("tsan", tsan, has_core_tests, longer=True),
        Stage("fuzz", fuzzing, lambda: bool(fuzz.targets()), longer=True),
        Stage("clang", clang, longer=True),
    ]


# ---------------------------------------------------------------------------------------------------- running them


PROCESSES: set[subprocess.Popen[bytes]] = set()  # that run now, each the leader of its own group


class Quiet:
    """How long something has not changed."""

    def __init__(self, now: float) -> None:
        self.since = now
        self._last: object = None

    def seconds(self, seen: object, now: float) -> float:
        if seen != self._last:
            self._last, self.since = seen, now
        return now - self.since


def run_command(argv: list[str], env: dict[str, str], quiet_s: float, log: Path) -> int | None:
    """Its exit code, or None when it hung. Nothing it started outlives it then."""
    with log.open("ab") as output:
        output.write(f"$ {' '.join(argv)}\n".encode())
        output.flush()
        process = subprocess.Popen(
            argv,
            cwd=ROOT,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "XDG_STATE_HOME": str(STATE), **env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        PROCESSES.add(process)
        try:
            code = wait_while_it_talks(process, quiet_s, log)
            if code is None:
                output.write(f"\ntaken to hang, as it printed nothing for {quiet_s:g} s, and killed\n".encode())
            return code
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            PROCESSES.remove(process)


def wait_while_it_talks(process: subprocess.Popen[bytes], quiet_s: float, log: Path) -> int | None:
    quiet = Quiet(time.monotonic())
    while True:
        try:
            return process.wait(min(1.0, quiet_s))
        except subprocess.TimeoutExpired:
            if quiet.seconds(log.stat().st_size, time.monotonic()) > quiet_s:
                return None


def junit_counts(file: Path) -> Counts:
    counts = Counts()
    for case in ElementTree.parse(file).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            counts.failed += 1
        elif case.find("skipped") is not None:
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts


def run_tests_step(step: Step, log: Path) -> Counts:
    """A runner of many tests: ctest or pytest, both of which write JUnit's XML."""
    junit = log.with_suffix(".xml")
    option = ["--output-junit", str(junit)] if step.argv[0] == "ctest" else [f"--junit-xml={junit}"]
    code = run_command([*step.argv, *option], step.env, step.quiet_s, log)
    counts = junit_counts(junit) if junit.exists() else Counts()
    if code not in (0, PYTEST_FOUND_NO_TESTS) and counts.failed == 0:
        counts.failed = 1  # it broke off before or after the tests themselves
    return counts


def run_stage(stage: Stage, log: Path) -> Counts:
    counts = Counts()
    for step in stage.steps():
        if step.kind == "tests":
            counts.add(run_tests_step(step, log))
            continue
        ok = run_command(step.argv, step.env, step.quiet_s, log) == 0
        if not ok:
            counts.failed += 1
            if step.kind == "prepare":
                break
        elif step.kind == "check":
            counts.passed += 1
    return counts


def show_failure(log: Path) -> None:
    lines = log.read_text(errors="replace").splitlines()
    if len(lines) > LINES_SHOWN_OF_A_FAILURE:
        print(f"   ... the last {LINES_SHOWN_OF_A_FAILURE} of {len(lines)} lines of {log.relative_to(ROOT)}:")
    for line in lines[-LINES_SHOWN_OF_A_FAILURE:]:
        print(f"   {line}")


def timed(stage: Stage) -> tuple[Stage, Counts, float]:
    print(f".. {stage.name}\n", end="", flush=True)  # in one piece: others print as well
    started = time.monotonic()
    log = LOGS / f"{stage.name}.log"
    log.write_bytes(b"")
    log.with_suffix(".xml").unlink(missing_ok=True)
    counts = run_stage(stage, log)
    return stage, counts, time.monotonic() - started


def outcomes(chosen: list[Stage]) -> Iterator[tuple[Stage, Counts, float]]:
    """Run them in their order, as many at once as there are processors of those that may be beside each other."""
    for _, group in itertools.groupby(chosen, lambda stage: stage.name if stage.alone else ""):
        with ThreadPoolExecutor(int(JOBS)) as pool:
            running = [pool.submit(timed, stage) for stage in group]
            try:
                for ended in as_completed(running):
                    yield ended.result()
            except KeyboardInterrupt:
                pool.shutdown(wait=False, cancel_futures=True)
                for process in list(PROCESSES):
                    os.killpg(process.pid, signal.SIGKILL)
                raise


def test_times(stage: Stage) -> Iterator[tuple[float, str]]:
    """Seconds and name of each test that the stage has reported."""
    junit = LOGS / f"{stage.name}.xml"
    for case in ElementTree.parse(junit).iter("testcase") if junit.exists() else ():
        yield float(case.get("time") or 0), f"{stage.name}: {case.get('name')}"


def show_slowest(chosen: list[Stage]) -> None:
    slowest = heapq.nlargest(SLOWEST_SHOWN, itertools.chain.from_iterable(map(test_times, chosen)))
    for seconds, name in slowest:
        print(f"   {seconds:6.1f} s  {name[:100]}")


def run(chosen: list[Stage], verbose: bool) -> Counts:
    total, failed = Counts(), []
    LOGS.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(STATE, ignore_errors=True)
    for stage, counts, seconds in outcomes(chosen):
        print(f"== {stage.name:<11} {counts}, {seconds:.1f} s", flush=True)
        total.add(counts)
        if counts.failed:
            failed.append((stage, counts))
        if counts.failed or verbose:
            show_failure(LOGS / f"{stage.name}.log")
    show_slowest(chosen)
    for stage, counts in failed:
        print(f"FAILED: {stage.name} ({counts.failed}), see build/test-logs/{stage.name}.log")
    return total


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", nargs="*", help="only these")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="all stages")
    which.add_argument("--longer", action="store_true", help="those of --all that are not run otherwise")
    parser.add_argument("--list", action="store_true", help="the names of the stages")
    parser.add_argument("--verbose", action="store_true", help="show what passing stages print, too")
    arguments = parser.parse_args()

    present = {stage.name: stage for stage in stages() if stage.exists()}
    asked = [stage for stage in present.values() if arguments.all or stage.longer == arguments.longer]
    if arguments.list:
        print("\n".join(f"{stage.name:<12}{'test-all' if stage.longer else 'test'}" for stage in present.values()))
        return 0
    unknown = [name for name in arguments.stage if name not in present]
    if unknown:
        parser.error(f"no stage {unknown[0]!r}; there are: {', '.join(present)}")
    chosen = [present[name] for name in arguments.stage] or asked

    started = time.monotonic()
    total = run(chosen, arguments.verbose)
    print(f"== {len(chosen)} stages in {time.monotonic() - started:.0f} s")
    print(total, flush=True)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
