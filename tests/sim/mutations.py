#!/usr/bin/env python3
"""Break the core on purpose, one way at a time, and see that the simulator notices.

    tests/sim/mutations.py [--seeds N] [NAME...]

Works in a temporary directory; the checkout is left alone. Each mutation replaces one piece of text of the core; a piece
that is not found any more is an error, so that the list stays true. Prints one line a mutation: the scenario and seed
that caught it and the promise that was broken, or SURVIVED. The table of README.md is this output.
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
FLAGS = ["-std=c++20", "-O1", "-w", "-Ilibderecho", "-Iinclude", "-Itests"]


@dataclass
class Mutation:
    name: str
    file: str
    before: str
    after: str


SHARD = "libderecho/group/shard_epoch.cpp"
EPOCH = "libderecho/group/epoch.cpp"
CHANGE = "libderecho/view/view_change.cpp"
GROUP = "libderecho/group/group.cpp"
WRITER = "libderecho/smc/ring_writer.cpp"

MUTATIONS: list[Mutation] = []  # filled below


def mutation(name: str, file: str, before: str, after: str) -> None:
    MUTATIONS.append(Mutation(name, file, before, after))


mutation(
    "deliver what this member has, stable or not",
    SHARD,
    "for (size_t m = 0; m < senders_; ++m) least = std::min(least, load(counters(m) + column));\n        if (least > cursors_",
    "if (least > cursors_",
)
mutation(
    "acknowledge what others have received",
    SHARD,
    "const uint64_t sent = load(row + columns_.sent / 8);",
    "uint64_t sent = load(row + columns_.sent / 8);\n"
    "        if (table_.arrived(s))\n"
    "            for (size_t m = 0; m < senders_; ++m)\n"
    "                sent = std::max(sent, load(counters(m) + columns_.received / 8 + s));",
)
mutation(
    "trim at the greatest received instead of the least",
    SHARD,
    "trims.push_back(least(table_, survivors, column));",
    "trims.push_back(greatest(table_, survivors, column));",
)
mutation(
    "trim computed by the leader from its own counters",
    SHARD,
    "trims.push_back(least(table_, survivors, column));",
    "trims.push_back(*(counters(self_) + column / 8));",
)
mutation("trim read before all rows are here", GROUP, "!current().shard_rows_arrived(change.alive())", "false")
mutation("counters move on after the wedge", SHARD, "if (wedged_) return false;", "")
mutation("accept from a leader given up on", CHANGE, "const size_t leader = lowest(alive());\n    const uint64_t ballot", "const size_t leader = 0;\n    const uint64_t ballot")
mutation("accept a lower ballot after a higher one", CHANGE, " || *table_.own_word(columns_.accepted) >= ballot) return;", ") return;")
mutation("new leader proposes its own, whatever was accepted", CHANGE, "if (highest == 0) return Want::proposal;", "return Want::proposal;")
mutation("new leader waits for nobody's promise", CHANGE, "const RankSet ready = promised & at_least", "const RankSet ready = at_least")
mutation("new leader adopts the lowest accepted proposal", CHANGE, "adopt(lowest(equal_to(table_, alive(), columns_.accepted, highest)), highest - 1);", "adopt(lowest(at_least(table_, alive(), columns_.accepted, 1)), table_.value(lowest(at_least(table_, alive(), columns_.accepted, 1)), columns_.accepted) - 1);")
mutation("leader decides alone", CHANGE, "if (!proposed_ || accepted != alive() || !enough(accepted)) return Want::nothing;", "if (!proposed_) return Want::nothing;")
mutation("leader proposes before all have wedged", CHANGE, "promised & at_least(table_, alive(), columns_.wedged, 1);", "promised;")
mutation("no majority needed", CHANGE, "return !options_.require_majority || 2 * count(ranks) > view_.members.size();", "return count(ranks) > 0;")
mutation("a half is a majority", CHANGE, "2 * count(ranks) > view_.members.size()", "2 * count(ranks) >= view_.members.size()")
mutation("suspicions are not shared", CHANGE, "for_each(theirs & ~suspected_,\n             [&](size_t r) { suspect(r, \"node \" + std::to_string(raw(view_.members[rank].node)) + \" suspects it\"); });", "")
mutation("a suspect's word on the decision is ignored", CHANGE, "for (RankSet left = first_ranks(table_.size()); left != 0;", "for (RankSet left = alive(); left != 0;")
mutation("no heartbeats", CHANGE, "table_.push_quietly(columns_.heartbeat, sizeof(uint64_t));", "")
mutation("heartbeats are not watched", CHANGE, "} else if (now - pulse.seen > options_.suspect_after) {", "} else if (false) {")
mutation("space released when taken, not when the application lets go", SHARD, "uint64_t now = cursors_[s].released.position;", "uint64_t now = cursors_[s].at;")
mutation("space reused when this member released it", SHARD, "for (size_t m = 0; m < senders_; ++m) least = std::min(least, load(counters(m) + column));\n    writer", "least = load(counters(self_) + column);\n    writer")
mutation("counter pushed before the data", SHARD, "    push_published(before, sent);\n    publish(table_.own_word(columns_.sent_rounds)", "    table_.push_counters(0, columns_.counter_bytes);\n    publish(table_.own_word(columns_.sent_rounds)")
mutation("what lies beyond the trim is not sent again", GROUP, "current().shard(k).start(*senders_[k], before[k],", "current().shard(k).start(*senders_[k], {senders_[k]->published_bytes(), before[k].ticket},")
mutation("everything is sent again", GROUP, "current().shard(k).start(*senders_[k], before[k],", "current().shard(k).start(*senders_[k], {0, before[k].ticket},")
mutation("a joiner delivers before it has its state", EPOCH, "if (!wanted_[turn_]) taken +=", "taken +=")
mutation("a joiner delivers what its next state contains", EPOCH, "if (wanted_[k]) shards_[k]->skip();", "")
mutation("nobody is asked for the state", EPOCH, "if (is_donor) requests_.push_back({view_.members[r].node, k});", "")
mutation("lives of a node are not told apart", GROUP, "return std::ranges::find(up_, std::pair{member.node, member.incarnation}) != up_.end();", "return std::ranges::any_of(up_, [&](const auto& up) { return up.first == member.node; });")
mutation("a claim carried over keeps no timestamp", WRITER, "move_to(std::span<std::byte> ring, uint64_t position, uint64_t timestamp_ns) {", "move_to(std::span<std::byte> ring, uint64_t position, uint64_t timestamp_ns) {\n    timestamp_ns = 0;")



def run(command: list[str], cwd: Path, **more) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **more)


def compile_all(work: Path, sources: list[Path]) -> None:
    jobs: list[subprocess.Popen] = []
    for source in sources:
        command = ["nice", *COMPILER, *FLAGS, "-c", str(source), "-o", str(object_of(source))]
        jobs.append(subprocess.Popen(command, cwd=work))
        if len(jobs) == 2 and [job.wait() for job in jobs] != [0, 0]:
            sys.exit("the core does not compile")
        jobs = [job for job in jobs if job.poll() is None]
    if any(job.wait() for job in jobs):
        sys.exit("the core does not compile")


COMPILER = (["ccache"] if shutil.which("ccache") else []) + [os.environ.get("CXX", "g++")]


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
        command = ["nice", "./sim", "--gtest_filter=*simulated_group*", "--gtest_fail_fast"]
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
    chosen = [m for m in MUTATIONS if not arguments.names or any(name in m.name for name in arguments.names)]

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
