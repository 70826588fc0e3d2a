#!/usr/bin/env python3
"""Break the core on purpose, one way at a time, and see that the simulator notices.

    tests/sim/mutations.py [--seeds N] [NAME...]

Works in a temporary directory; the checkout is left alone. Each mutation (mutations.txt) replaces one piece of text of
the core; a piece that is not found any more is an error, so that the list stays true. Prints one line a mutation: the
scenario and seed that caught it and the promise that was broken, or SURVIVED. The table of README.md is this output.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMPILER = (["ccache"] if shutil.which("ccache") else []) + [os.environ.get("CXX", "g++")]
FLAGS = ["-std=c++20", "-O1", "-w", "-Ilibderecho", "-Iinclude", "-Itests"]


@dataclass
class Mutation:
    name: str
    file: str
    before: str
    after: str


def read_mutations() -> list[Mutation]:
    text = Path(__file__).with_suffix(".txt").read_text()
    mutations = []
    for block in text.split("\n==== ")[1:]:
        head, before, after = re.split(r"\n---- (?:before|after)(?:\n|$)", block.rstrip("\n"))
        name, file = head.split("\n")
        mutations.append(Mutation(name, file, before, after))
    return mutations


def run(command: list[str], cwd: Path, **more) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **more)


def compile_all(work: Path, sources: list[Path]) -> None:
    jobs: list[subprocess.Popen] = []
    for source in sources:
        command = [*COMPILER, *FLAGS, "-c", str(source), "-o", str(object_of(source))]
        jobs.append(subprocess.Popen(command, cwd=work))
        if len(jobs) == 2 and [job.wait() for job in jobs] != [0, 0]:
            sys.exit("the core does not compile")
        jobs = [job for job in jobs if job.poll() is None]
    if any(job.wait() for job in jobs):
        sys.exit("the core does not compile")


def object_of(source: Path) -> Path:
    return Path("objects") / (str(source).replace("/", "_") + ".o")


def link(work: Path, sources: list[Path]) -> bool:
    objects = [str(object_of(source)) for source in sources]
    return run(["g++", "-o", "sim", *objects, "-lgtest", "-lgtest_main", "-lpthread"], work).returncode == 0


def hunt(work: Path, seeds: int) -> str:
    """What the simulator says, after a few seeds of all scenarios and then more."""
    for count in (seeds // 8, seeds):
        environment = dict(os.environ, DERECHO_SIM_SEEDS=str(count), DERECHO_SIM_FIRST="1")
        environment.pop("DERECHO_SIM_TRACE", None)
        command = ["./sim", "--gtest_filter=*simulated_group*", "--gtest_fail_fast"]
        try:
            done = run(command, work, env=environment, timeout=900)
        except subprocess.TimeoutExpired:
            return "caught: it hangs"
        said = done.stdout + done.stderr
        failed = re.search(r"Failed\n(\w+), seed (\d+): ([^:\n]+)", said)
        if failed:
            return f"{failed[1]} {failed[2]}: {failed[3]}"
        died = re.search(r"DERECHO_SIM_FIRST=(\d+).*simulated_group\*/(\w+)", said)
        if died:
            asserted = re.search(r"assertion failed: ([^\n]*) \(", said)
            return f"{died[2]} {died[1]}: {'assertion ' + asserted[1] if asserted else 'fault'}"
        if done.returncode != 0:
            return "caught: exit code " + str(done.returncode)
    return "SURVIVED"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=1400)
    arguments = parser.parse_args()
    chosen = [m for m in read_mutations() if not arguments.names or any(name in m.name for name in arguments.names)]

    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for part in ("libderecho", "include", "tests/sim"):
            shutil.copytree(ROOT / part, work / part)
        (work / "objects").mkdir()
        sources = [
            path.relative_to(work)
            for folder in ("base", "sst", "smc", "view", "group", "rpc")
            for path in sorted((work / "libderecho" / folder).glob("*.cpp"))
            if not path.name.endswith("_test.cpp")
        ]
        sources += [p.relative_to(work) for p in sorted((work / "tests/sim").glob("*.cpp")) if "contract" not in p.name]
        compile_all(work, sources)
        if not link(work, sources):
            sys.exit("the simulator does not link")
        survivors = 0
        for one in chosen:
            path = work / one.file
            whole = path.read_text()
            if whole.count(one.before) != 1:
                sys.exit(f"{one.name}: its text stands {whole.count(one.before)} times in {one.file}")
            path.write_text(whole.replace(one.before, one.after))
            compile_all(work, [Path(one.file)])
            link(work, sources)
            verdict = hunt(work, arguments.seeds)
            survivors += verdict == "SURVIVED"
            print(f"| {one.name} | {verdict} |", flush=True)
            path.write_text(whole)
            compile_all(work, [Path(one.file)])
    sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
