"""Every executor does what each script says, and answers to the byte what the C executor answers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import stand_in
from languages import EXECUTORS, Program
from programs import environment, run
from script import Answer, Compiled, Script, ScriptError, functions, load

HERE = Path(__file__).resolve().parent
SCRIPTS = sorted((HERE / "scripts").glob("*.json"))
REFERENCE = "c"

#: A step by its index in the script, and the line that it gave.
Transcript = dict[int, str]
Command = Callable[[Program], list[str]]


class Runner:
    """Runs scripts, each at most once with an executor."""

    def __init__(self, command: Command, folders: pytest.TempPathFactory) -> None:
        self._command = command
        self._folders = folders
        self._seen: dict[tuple[str, str], Transcript] = {}
        self._stand_ins: dict[str, str] = {}

    def transcript(self, script: Script, executor: str) -> Transcript:
        """Run a script, hold what comes against what it expects; return the lines without what differs between runs."""
        key = script.name, executor
        if key not in self._seen:
            self._seen[key] = self._run(script, executor)
        return self._seen[key]

    def _run(self, script: Script, executor: str) -> Transcript:
        compiled = script.compile(executor, self._folders.mktemp("script"))
        command = self._command(EXECUTORS[executor])
        if compiled.devices:
            lines, stderr = self._run_with_devices(command, compiled)
        else:
            lines, stderr = run(command, compiled.path)
        assert len(lines) == len(compiled.steps), lines
        complaints = [s.complaint(Answer.read(line)) for s, line in zip(compiled.steps, lines, strict=True)]
        assert not any(complaints), "\n".join(filter(None, complaints))
        for part in compiled.stderr:
            assert part in stderr
        return dict(zip(script.indices(executor), map(compiled.neutral, lines), strict=True))

    def _run_with_devices(self, command: list[str], compiled: Compiled) -> tuple[list[str], str]:
        self._stand_ins = self._stand_ins or stand_in.build(self._folders.mktemp("devices"))
        try:
            return run(command, compiled.path, env=environment() | self._stand_ins, pass_fds=compiled.devices)
        finally:
            for fd in compiled.devices:
                os.close(fd)


@pytest.fixture(scope="session")
def runner(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    return Runner(command, tmp_path_factory)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_comes_out_as_it_says_and_as_with_c(path: Path, executor: str, runner: Runner) -> None:
    script = load(path)
    found = runner.transcript(script, executor)
    reference = runner.transcript(script, REFERENCE)
    for index, line in found.items():
        step = script.steps[index]
        assert comparable(line) == comparable(reference[index]), f"{step.place}: {step.line()}"


def comparable(line: str) -> str:
    """A line without the detail of CLOSED: a binding may know it before the library does."""
    return "CLOSED" if line.startswith("CLOSED\t") else line


def test_every_function_of_the_header_is_in_a_script() -> None:
    done = {step.do for path in SCRIPTS for step in load(path).steps}
    done |= {"join_cancel"}  # is for another thread; each language's own tests give up a join
    # Need two that do not fit, in all pairs of languages: test_members.py.
    done |= {"config_describe_service", "group_trouble"}
    assert set(functions()) <= done, f"no script has a step {', '.join(sorted(set(functions()) - done))}"


def test_every_status_that_one_process_can_provoke_is_in_a_script() -> None:
    expected = {step.is_ for path in SCRIPTS for step in load(path).steps}
    assert expected >= {
        *("OK", "AGAIN", "TIMEOUT", "INVALID", "BAD_HANDLE", "CLOSED", "TOO_LARGE", "NOT_MEMBER", "WEDGED", "EJECTED"),
        *("NO_MAJORITY", "UNREACHABLE", "INCOMPATIBLE", "DUPLICATE", "ADDRESS_IN_USE", "STATE_LOST"),
    }


CREATE = {"do": "config_create", "config_out": "c"}


@pytest.mark.parametrize(
    ("steps", "because"),
    [
        ([CREATE, {"do": "config_crate"}], "wrong.json, step 2: unknown function config_crate"),
        ([CREATE, {"do": "config_close", "config": "c", "now": 1}], "step 2: config_close has no parameter now"),
        ([CREATE, {"do": "config_close"}], "step 2: config_close needs config"),
        ([{"do": "config_close", "config": "c"}], "step 1: config_close: no step before sets c"),
        ([{"do": "wake", "group": "null"}, {"do": "poll", "group": "g"}], "step 2: poll: no step before sets g"),
        ([{"do": "poll", "group": "null", "lease_out": "$n"}], "no step before sets n"),
        ([{"do": "shard_send", "shard": "null", "data": "buffer:b:1"}], "no step before sets b"),
        ([CREATE | {"only": ["c"]}, {"do": "config_close", "config": "c"}], "step 2: config_close: no step before"),
        ([{"join": "a", "node": 1, "wait": 1}], "step 1: join has no wait"),
        ([{"do": "poll", "group": "null", "events": ["MESSAGE;nod=1"]}], "step 1: an event has no nod"),
    ],
)
def test_a_wrong_script_is_refused_with_file_and_step(steps: list[Any], because: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(json.dumps({"title": "wrong", "steps": steps}))
    with pytest.raises(ScriptError) as error:
        load(path)
    assert because in str(error.value)


@pytest.mark.parametrize(
    ("expected", "line"),
    [
        ({}, "INVALID\terror=size_bytes is 0"),
        ({"is": "INVALID"}, "CLOSED\terror=closed"),
        ({"is": "INVALID", "error": "is 1"}, "INVALID\terror=size_bytes is 0"),
        ({"gives": {"size_bytes": "1"}}, "OK\tsize_bytes=2"),
        ({"gives": {}}, "OK\tsize_bytes=2"),
        ({"gives": {"size_bytes": "1"}}, "OK\tsize_bytes=1\taligned=BAD"),
    ],
)
def test_an_answer_that_is_not_the_expected_one_is_complained_about(
    expected: dict[str, Any], line: str, tmp_path: Path
) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"title": "one", "steps": [{"do": "buffer_data", "buffer": "null"} | expected]}))
    (step,) = load(path).steps
    assert "one.json, step 1: buffer_data" in step.complaint(Answer.read(line))
