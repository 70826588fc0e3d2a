#!/usr/bin/env python3
"""Looks for inputs that break what is parsed from a peer or a file, for as long as it is let: `make fuzz`.

    make fuzz                                   every target of tests/fuzz, a minute each
    make fuzz ARGS="views --seconds 3600"       one, for an hour
    make fuzz ARGS="views --replay FILE"        a crash again, with its stack

What was learnt is kept in build/fuzz/corpus and built upon by the next run; inputs that break something go to
build/fuzz/crashes. `make test` runs each target for a few seconds, from nothing and with a fixed seed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "fuzz"
SOURCES = ROOT / "tests" / "fuzz"
# Of one input: more means that a peer can stall or starve a node.
BOUNDS = ["-timeout=5", "-rss_limit_mb=1024"]


def targets() -> list[str]:
    return sorted(path.stem for path in SOURCES.glob("*.cpp"))


def build_commands() -> list[list[str]]:
    return [["cmake", "--preset", "fuzz"], ["cmake", "--build", str(BUILD), "--target", "derecho_fuzz"]]


def command(target: str, seconds: int, *more: str) -> list[str]:
    crashes = BUILD / "crashes"
    crashes.mkdir(parents=True, exist_ok=True)
    dictionary = SOURCES / f"{target}.dict"
    known = [f"-dict={dictionary}"] if dictionary.exists() else []
    bounds = [*BOUNDS, f"-max_total_time={seconds}", f"-artifact_prefix={crashes}/{target}-"]
    return [str(BUILD / f"fuzz_{target}"), *bounds, *known, *more]


def run(target: str, seconds: int) -> bool:
    corpus = BUILD / "corpus" / target
    corpus.mkdir(parents=True, exist_ok=True)
    print(f"== {target}", flush=True)
    return subprocess.run(command(target, seconds, "-print_final_stats=1", str(corpus)), check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="*", help="only these: " + ", ".join(targets()))
    parser.add_argument("--seconds", type=int, default=60, help="for each target (60)")
    parser.add_argument("--replay", metavar="FILE", help="run one target with this input only")
    arguments = parser.parse_args()
    chosen = arguments.target or targets()
    unknown = [name for name in chosen if name not in targets()]
    if unknown:
        parser.error(f"no target {unknown[0]!r}; there are: {', '.join(targets())}")
    if arguments.replay and len(arguments.target) != 1:
        parser.error("--replay needs one target")

    for argv in build_commands():
        subprocess.run(argv, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    if arguments.replay:
        return subprocess.run(command(chosen[0], 0, arguments.replay), check=False).returncode
    failed = [name for name in chosen if not run(name, arguments.seconds)]
    if failed:
        print(f"FAILED: {', '.join(failed)}; the inputs are in {BUILD / 'crashes'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
