"""Shows the machine as a command: what comes out of it, and what it says when there is no outcome."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

VM = [sys.executable, str(Path(__file__).with_name("vm.py"))]


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*VM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def outcome(machine: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = machine.communicate(timeout=200)
    return machine.returncode, out, err


def test_status_output_and_files_come_out_of_two_machines_at_once(tmp_path: Path) -> None:
    def command(word: str, status: int) -> list[str]:
        return ["sh", "-c", f"echo {word} $RDMA_VM; uname -r; echo '{word} too' > $RDMA_VM_OUT/file; exit {status}"]

    one = start("-o", tmp_path / "one", *command("one", 7))
    two = start("-o", tmp_path / "two, with a comma", *command("two", 0))
    for machine, word, status, folder in ((one, "one", 7, "one"), (two, "two", 0, "two, with a comma")):
        code, out, err = outcome(machine)
        assert (code, err) == (status, "")
        greeting, release = out.splitlines()
        assert greeting == f"{word} 1"
        assert release != os.uname().release, "a kernel of its own"
        assert (tmp_path / folder / "file").read_text() == f"{word} too\n"


def test_what_it_prints_is_seen_at_once_and_its_clock_is_right_and_nothing_outlives_its_time() -> None:
    with start("-t", "20", "sh", "-c", "date +%s; exec sleep 1000") as machine:
        assert machine.stdout is not None
        there = int(machine.stdout.readline())
        assert machine.poll() is None, "the line came while it ran"
        assert abs(there - time.time()) < 3
        code, _, err = outcome(machine)
    assert code == 124
    assert "time-out: waited 20 s for sh -c 'date +%s; exec sleep 1000'" in err


def test_a_time_out_before_the_command_began_says_so() -> None:
    code, out, err = outcome(start("-t", "0.5", "echo", "never"))
    assert (code, out) == (124, "")
    assert "time-out: waited 0.5 s for the machine to boot" in err


def test_a_kernel_that_panics_leaves_its_last_words() -> None:
    code, _, err = outcome(start("sh", "-c", "echo c > /proc/sysrq-trigger"))
    assert code == 125
    assert "the machine died" in err
    assert "Kernel panic" in err


def test_missing_packages_are_named_as_a_command_to_run(tmp_path: Path) -> None:
    query = tmp_path / "dpkg-query"
    query.write_text("#!/bin/sh\necho kmod installed\necho cpio config-files\n")
    query.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([*VM, "true"], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125
    (line,) = done.stderr.splitlines()
    assert "apt-get install --no-install-recommends qemu-system-x86 " in line
    assert " cpio" in line
    assert " kmod" not in line
