"""Runs the tests of guest/ in the machine: all that were chosen in one boot, each reported here by its name.

A pytest inside runs them and writes its reports, a line each, to the directory that both share; the pytest outside
takes the lines of a test for having run it. So choosing tests, skips, captured output and durations are as everywhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
GUEST = HERE / "guest"
INSIDE = "RDMA_VM" in os.environ
REPORTS = "reports.jsonl"
SECONDS = 1400  # of all tests together: the tests' own time-outs are shorter and say more
LINES_SHOWN = 40

sys.path.insert(0, str(HERE))

import vm  # noqa: E402


class GuestRun:
    """One boot of the machine, and the reports that come out of it."""

    def __init__(self, items: list[str], config: pytest.Config) -> None:
        self._config = config
        self._shared = tempfile.TemporaryDirectory(prefix="rdma-tests-")
        self.folder = Path(self._shared.name)
        self._ahead: dict[str, list[pytest.TestReport]] = {}
        command = [sys.executable, str(HERE / "vm.py"), "-t", str(SECONDS), "-o", str(self.folder)]
        command += [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *items]
        with (self.folder / "printed").open("wb") as printed:
            self._machine = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=printed, stderr=subprocess.STDOUT
            )
        (self.folder / REPORTS).touch()
        self._lines = (self.folder / REPORTS).open()

    def reports_of(self, item: str) -> list[pytest.TestReport]:
        """Wait for what was said of a test: setup, call and teardown, as far as they came."""
        while True:
            over = self._machine.poll() is not None
            self._read()
            found = self._ahead.get(item, [])
            if over or (found and found[-1].when == "teardown"):
                return found
            time.sleep(0.05)

    def _read(self) -> None:
        while line := self._lines.readline():
            while not line.endswith("\n"):  # the machine is still writing it
                time.sleep(0.01)
                line += self._lines.readline()
            data = json.loads(line)
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=data)
            if isinstance(report.longrepr, list):  # a skip's file, line and reason: JSON has no tuples
                report.longrepr = tuple(report.longrepr)
            self._ahead.setdefault(report.nodeid, []).append(report)

    def last_words(self) -> str:
        lines = (self.folder / "printed").read_text(errors="replace").splitlines()
        return "\n".join([f"the machine ended with {self._machine.wait()} before it:", *lines[-LINES_SHOWN:]])

    def close(self) -> None:
        self._machine.terminate()  # qemu ends with it
        self._machine.wait()
        self._lines.close()
        self._shared.cleanup()


RUN = pytest.StashKey[GuestRun]()


def in_guest(item: pytest.Item) -> bool:
    return GUEST in item.path.parents


# ------------------------------------------------------------------------------------------------------------ outside


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if INSIDE:
        return
    for item in items:
        if in_guest(item):
            item.add_marker(pytest.mark.timeout(0))  # it has one inside
    try:
        vm.check_host()
    except vm.CannotRun as reason:
        for item in items:
            if HERE in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=str(reason)))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> bool | None:
    if INSIDE or not in_guest(item) or item.get_closest_marker("skip"):
        return None  # as any test
    stash = item.session.stash
    if RUN not in stash:
        stash[RUN] = GuestRun([each.nodeid for each in item.session.items if in_guest(each)], item.config)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = stash[RUN].reports_of(item.nodeid)
    if not reports or reports[-1].when != "teardown":
        words = stash[RUN].last_words()
        reports.append(pytest.TestReport(item.nodeid, item.location, {}, "failed", words, "call"))
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_sessionfinish(session: pytest.Session) -> None:
    if RUN in session.stash:
        session.stash[RUN].close()


# ------------------------------------------------------------------------------------------------------------- inside


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if not INSIDE or Reporter.config is None:
        return
    data = Reporter.config.hook.pytest_report_to_serializable(config=Reporter.config, report=report)
    with Path(os.environ["RDMA_VM_OUT"], REPORTS).open("a") as lines:
        lines.write(json.dumps(data) + "\n")


class Reporter:
    """The configuration, which a report's hook is not given."""

    config: pytest.Config | None = None


def pytest_sessionstart(session: pytest.Session) -> None:
    Reporter.config = session.config
