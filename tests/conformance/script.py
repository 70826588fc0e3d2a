"""Scripts of the raw ring: read, checked against derecho.h, and compiled to lines for executors (README.md)."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import stand_in
from abi_hash import abi_hash
from abi_model import HEADER, read_abi
from payloads import escaped, shown, to_bytes
from shorthand import expand

__all__ = ["Answer", "Compiled", "Script", "ScriptError", "Step", "free_ports", "functions", "load"]

ROOT = Path(__file__).resolve().parent.parent.parent

#: What a step says about itself; everything else is an input.
_EXPECTATIONS = {"do", "is", "error", "gives", "events", "only"}
_HANDLES = ("config", "group", "shard", "claim", "buffer", "lease", "memory")
_OUTPUTS = (
    *("config_out", "group_out", "shard_out", "claim_out", "buffer_out", "lease_out", "call_out", "ticket_out"),
    *("memory_out", "key_out", "operation_out"),
)
#: Handles that are none, for executors in languages that can have them.
_NO_NAMES = ("null", "garbage")

#: Where a step's inputs are not the function's parameters: those it has not, and those it has besides.
_DIFFERENT: dict[str, tuple[set[str], set[str]]] = {
    "config_get": ({"value_out"}, set()),
    "group_fd": ({"fd_out"}, set()),
    "group_view": ({"view_out"}, {"struct_bytes"}),
    "group_stats": ({"stats_out"}, {"struct_bytes"}),
    "group_holdup": ({"holdup_out"}, set()),
    "group_reply": ({"size_bytes"}, set()),
    "group_state": ({"size_bytes"}, set()),
    "group_state_fail": ({"size_bytes"}, set()),
    "shard_send": ({"size_bytes"}, set()),
    "shard_send_many": ({"count", "sent_out"}, set()),
    "shard_call": ({"size_bytes"}, set()),
    "shard_query": ({"size_bytes"}, set()),
    "buffer_data": ({"data_out", "size_bytes_out"}, set()),
    "memory_register": ({"data", "size_bytes"}, {"buffer"}),
    "memory_read": ({"count"}, set()),
    "memory_write": ({"count"}, set()),
    "poll": (
        {"events", "capacity", "timeout_ns", "count_out"},
        {"timeout_ms", "until", "skip", "ids", "wake_after_ms"},
    ),
}
_NOT_OF_THE_HEADER = {
    "claim_fill": {"claim", "data"},
    "buffer_fill": {"buffer", "offset", "data"},
    "buffer_read": {"buffer", "offset", "size_bytes"},
}
_OPTIONAL = {
    "claim_commit": {"shard"},
    "claim_abort": {"shard"},
    "group_view": {"struct_bytes"},
    "group_stats": {"struct_bytes"},
    "shard_send": {"ticket_out"},
    "shard_send_many": {"ticket_out"},
    "shard_call": {"call_out"},
    "poll": {"lease_out", "timeout_ms", "until", "skip", "ids", "wake_after_ms"},
}


class ScriptError(Exception):
    """A script says something that no executor could do; names file and step."""


@cache
def functions() -> dict[str, set[str]]:
    """Every function of derecho.h, without prefix, and what a step of it may be given."""
    found = {}
    for function in read_abi().functions:
        name = function.name.removeprefix("derecho_")
        without, besides = _DIFFERENT.get(name, (set(), set()))
        parameters = {p.name for p in function.parameters}
        assert without <= parameters, f"{name} has no longer the parameters {without - parameters}"
        found[name] = parameters - without | besides
    return found


@dataclass(frozen=True)
class Answer:
    """A line of an executor."""

    status: str
    fields: dict[str, str]

    @classmethod
    def read(cls, line: str) -> Answer:
        """Read a line, without its end."""
        status, *fields = line.split("\t")
        return cls(status, {name: unquote(value) for name, _, value in (f.partition("=") for f in fields)})


@dataclass(frozen=True)
class Step:
    """One step: its inputs, and what is expected of it.

    Attributes
    ----------
    place : str
        File and number, for errors.
    only : tuple of str or None
        The executors that have it; None for all.
    """

    place: str
    do: str
    inputs: dict[str, str]
    is_: str
    error: str
    gives: dict[str, str] | None
    only: tuple[str, ...] | None

    def line(self) -> str:
        """The step as executors read it."""
        return "\t".join([self.do, *(f"{name}={escaped(value)}" for name, value in self.inputs.items())])

    def filled(self, fill: Callable[[str], str]) -> Step:
        """The step with its placeholders filled in."""
        inputs = {name: fill(value) for name, value in self.inputs.items()}
        gives = None if self.gives is None else {name: fill(value) for name, value in self.gives.items()}
        return Step(self.place, self.do, inputs, self.is_, fill(self.error), gives, self.only)

    def complaint(self, answer: Answer) -> str:
        """What is wrong with an executor's answer; empty if nothing is."""
        detail = answer.fields.get("error", "")
        if answer.status != self.is_:
            return f"{self.place}: {self.line()}: expected {self.is_}, got {answer.status} {detail}"
        if self.error not in detail:
            return f"{self.place}: {self.line()}: expected an error with {self.error!r}, got {detail!r}"
        if self.gives is not None and not _same(self.gives, answer.fields):
            return f"{self.place}: {self.line()}: expected\n  {self.gives}, got\n  {answer.fields}"
        return ""


@dataclass(frozen=True)
class Compiled:
    """A script for one executor: a file of lines, and the steps in it, filled in."""

    path: Path
    steps: tuple[Step, ...]
    stderr: tuple[str, ...]
    fills: dict[str, str] = field(repr=False)
    devices: tuple[int, ...] = ()

    def neutral(self, line: str) -> str:
        """Put placeholders for what differs between two runs."""
        for name, value in self.fills.items():
            if name.startswith("port"):
                line = line.replace(f":{value}", f":{{{name}}}")
        for name in ("group", "temp"):
            line = line.replace(self.fills[name], f"{{{name}}}")
        return re.sub(r"(=DIFFERENCE;[^\t]*;size=)\d+;data=[^\t;]*", r"\1*;data=*", line)  # it tells a version


@dataclass(frozen=True)
class Script:
    """A script as its file has it.

    Attributes
    ----------
    files : dict of str to str
        Files that it needs in ``{temp}``: name to content.
    stderr : tuple of str
        Parts that must be in what executors write to standard error.
    device_bytes : int
        Of the devices' memory whose descriptors are ``{device}`` and, if it cannot be mapped, ``{unmapped}``; 0: none.
    """

    name: str
    title: str
    steps: tuple[Step, ...]
    files: dict[str, str]
    stderr: tuple[str, ...]
    device_bytes: int

    def indices(self, executor: str) -> list[int]:
        """Which of the steps an executor has."""
        return [i for i, s in enumerate(self.steps) if s.only is None or executor in s.only]

    def steps_of(self, executor: str) -> tuple[Step, ...]:
        """The steps that an executor has."""
        return tuple(self.steps[i] for i in self.indices(executor))

    def compile(self, executor: str, folder: Path) -> Compiled:
        """Write the lines and the files for an executor into an empty folder."""
        text = json.dumps([self.files, [s.inputs for s in self.steps]])
        fills = _fills(self.name, folder, set(re.findall(r"\{port\d+\}", text)))
        devices: tuple[int, ...] = ()
        if self.device_bytes:
            devices = tuple(stand_in.memory(self.device_bytes, mapped, inherited=True) for mapped in (True, False))
            fills["device"], fills["unmapped"] = map(str, devices)

        def fill(value: str) -> str:
            return re.sub(r"\{(\w+)\}", lambda m: fills[m[1]], value)

        for name, content in self.files.items():
            (folder / name).write_text(fill(content), encoding="utf-8")
        steps = tuple(s.filled(fill) for s in self.steps_of(executor))
        path = folder / f"{self.name}.script"
        path.write_text("".join(f"{s.line()}\n" for s in steps), encoding="utf-8")
        return Compiled(path, steps, tuple(fill(part) for part in self.stderr), fills, devices)


def load(path: Path) -> Script:
    """Read and check a script.

    Raises
    ------
    ScriptError
        Naming file and step: an unknown function or input, a missing input, a name that was not set before.
    """
    whole = json.loads(path.read_text(encoding="utf-8"))
    unknown = set(whole) - {"title", "steps", "files", "stderr", "device_bytes"}
    if unknown:
        raise ScriptError(f"{path.name}: unknown {', '.join(sorted(unknown))}")
    steps = tuple(s for i, raw in enumerate(whole["steps"]) for s in _read_steps(f"{path.name}, step {i + 1}", raw))
    files, stderr = whole.get("files", {}), tuple(whole.get("stderr", ()))
    script = Script(path.stem, whole["title"], steps, files, stderr, whole.get("device_bytes", 0))
    for executor in {"any", *(name for s in steps for name in s.only or ())}:
        _check_names(script.steps_of(executor))
    return script


def _read_steps(place: str, raw: dict[str, Any]) -> list[Step]:
    """The steps that a step of the file stands for."""
    try:
        steps = expand(raw)
    except ValueError as error:
        raise ScriptError(f"{place}: {error}") from None
    return [_read_step(place, step) for step in steps]


def _read_step(place: str, raw: dict[str, Any]) -> Step:
    inputs = {name: str(value) for name, value in raw.items() if name not in _EXPECTATIONS}
    _check_inputs(place, raw["do"], set(inputs))
    gives = raw.get("gives")
    if "events" in raw:
        gives = {f"e{i}": _event(place, text) for i, text in enumerate(raw["events"])}
    only = tuple(raw["only"]) if "only" in raw else None
    return Step(place, raw["do"], inputs, raw.get("is", "OK"), raw.get("error", ""), gives, only)


def _check_inputs(place: str, function: str, inputs: set[str]) -> None:
    accepted = functions().get(function) or _NOT_OF_THE_HEADER.get(function)
    if accepted is None and function not in functions():
        raise ScriptError(f"{place}: unknown function {function}")
    accepted = accepted or set()
    for name in sorted(inputs - accepted):
        raise ScriptError(f"{place}: {function} has no parameter {name}; it has {', '.join(sorted(accepted))}")
    for name in sorted(accepted - inputs - _OPTIONAL.get(function, set())):
        raise ScriptError(f"{place}: {function} needs {name}")


def _check_names(steps: tuple[Step, ...]) -> None:
    known = set(_NO_NAMES)
    for step in steps:
        used = {value for name, value in step.inputs.items() if name in _HANDLES}
        if step.do.startswith("memory_"):
            used |= {value for name, value in step.inputs.items() if name == "key"}
        used |= {value[1:] for value in step.inputs.values() if value.startswith("$")}
        payloads = ",".join(step.inputs.get(name, "") for name in ("data", "args", "messages"))
        used |= set(re.findall(r"(?:^|,)buffer:([^:,]+):", payloads))
        used |= set(re.findall(r"(?:^|,)([^:,]+):", step.inputs.get("pieces", "")))
        for name in sorted(used - known):
            raise ScriptError(f"{step.place}: {step.do}: no step before sets {name}")
        known |= {value for name, value in step.inputs.items() if name in _OUTPUTS}
        known |= set(filter(None, step.inputs.get("ids", "").split(",")))


def _event(place: str, text: str) -> str:
    """An expected event in the form in which executors give it: what was left out is filled in."""
    kind, *parts = text.split(";")
    found = {"node": "0", "method": "0", "shard": "0", "status": "OK", "flags": "", "data": "hex:"}
    for part in parts:
        name, _, value = part.partition("=")
        if name not in {*found, "id"}:
            raise ScriptError(f"{place}: an event has no {name}")
        found[name] = value
    data = found.pop("data")
    end = f";id={found.pop('id')}" if "id" in found else ""
    size, text = ("*", "*") if data == "*" else (len(to_bytes(data)), shown(to_bytes(data)))
    return f"{kind};{';'.join(f'{n}={v}' for n, v in found.items())};size={size};data={text}{end}"


def _same(expected: dict[str, str], given: dict[str, str]) -> bool:
    """Whether fields are as expected: ``=*`` is anything."""
    if expected.keys() != given.keys():
        return False
    patterns = {name: re.escape(value).replace(r"=\*", "=.*") for name, value in expected.items()}
    return all(re.fullmatch(patterns[name], value, re.DOTALL) for name, value in given.items())


def _fills(name: str, folder: Path, ports: set[str]) -> dict[str, str]:
    fills = {"group": f"{name}-{folder.name}"[-63:], "temp": str(folder)}
    fills["version"] = (ROOT / "VERSION").read_text(encoding="utf-8").strip()
    fills["abi_version"] = next(str(c.value) for c in read_abi().constants if c.name == "DERECHO_ABI_VERSION")
    fills["abi_hash"] = str(abi_hash(HEADER.read_text(encoding="utf-8")))
    placeholders = sorted(p.strip("{}") for p in ports)
    return fills | dict(zip(placeholders, free_ports(len(placeholders)), strict=True))


def free_ports(count: int) -> list[str]:
    """Return ports of the loopback interface that nobody listens at, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports
