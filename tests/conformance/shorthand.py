"""What scripts say in a line: a node joins, a member joins and has the state, steps are repeated."""

from __future__ import annotations

import json
import os
from typing import Any

__all__ = ["expand"]

Raw = dict[str, Any]

_KEYS = {
    "join": ("node", "options", "services", "timeout_ms", "is", "error"),
    "repeat": ("steps",),
    "member": ("node", "options", "services", "of"),
}
#: What is tried over RDMA is tried in the machine of tests/rdma.
WIRE = {"wire": os.environ["CONFORMANCE_WIRE"]} if "CONFORMANCE_WIRE" in os.environ else {}
_JOIN_MS = 10_000
_WAIT_MS = 10_000


def expand(raw: Raw) -> list[Raw]:
    """Return the steps that a step of a file stands for.

    ``{"repeat": 3, "steps": [...]}`` is the steps three times, with ``{i}`` from 0.

    ``{"join": "b", "node": 2, "options": {...}, "services": {"raw": 0}, "timeout_ms": ...}`` joins node 2 as group
    ``b`` with the options, a configuration ``b.config`` and, for each service, shard ``b.raw``. It listens at its port,
    its contact is node 1's. With ``is`` it fails in that way.

    ``{"member": "b", "node": 2, "of": {"a": 1}, ...}`` does so too, then lets the first of the members there are hand
    it an empty state, and takes the events of all that from everybody, up to the view in which it votes.

    Raises
    ------
    ValueError
        For a key that is not of the shorthand.
    """
    for word, steps in (("join", _join), ("member", _member), ("repeat", _repeat)):
        if word in raw:
            unknown = set(raw) - {word, *_KEYS[word]}
            if unknown:
                raise ValueError(f"{word} has no {', '.join(sorted(unknown))}")
            return steps(raw)
    return [raw]


def _repeat(raw: Raw) -> list[Raw]:
    text = json.dumps(raw["steps"])
    return [step for i in range(raw["repeat"]) for step in json.loads(text.replace("{i}", str(i)))]


def _join(raw: Raw) -> list[Raw]:
    name, node = raw["join"], raw["node"]
    config = f"{name}.config"
    options = {"node": node, "group": "{group}", "listen": f"127.0.0.1:{{port{node}}}"}
    options |= {"initial_members": "127.0.0.1:{port1}"} | WIRE | raw.get("options", {})
    services = raw.get("services", {"raw": 0})
    join: Raw = {"do": "group_join", "config": config, "timeout_ms": raw.get("timeout_ms", _JOIN_MS), "group_out": name}
    steps: list[Raw] = [{"do": "config_create", "config_out": config}]
    steps += [{"do": "config_set", "config": config, "key": key, "value": value} for key, value in options.items()]
    for service, schema_hash in services.items():
        steps.append({"do": "config_add_service", "config": config, "name": service, "schema_hash": schema_hash})
    steps.append(join | {key: raw[key] for key in ("is", "error") if key in raw})
    steps.append({"do": "config_close", "config": config})
    if "is" not in raw:
        steps += [{"do": "shard_open", "group": name, "service": s, "shard_out": f"{name}.{s}"} for s in services]
    return steps


def _member(raw: Raw) -> list[Raw]:
    name, others, shards = raw["member"], raw.get("of", {}), range(len(raw.get("services", {"raw": 0})))
    steps = _join({"join": name} | raw)
    for i, other in enumerate(others):
        requests = [] if i else [f"STATE_REQUEST;node={raw['node']};shard={k}" for k in shards]
        ids = "".join(f",{name}.request{k}" for k in shards)
        steps.append(_poll(other, ["VIEW", *requests]) | {"ids": f"{name}.view{ids}"})
    states = []
    for donor, donor_node in list(others.items())[:1]:
        for k in shards:
            to = {"group": donor, "node": raw["node"], "request": f"${name}.request{k}"}
            steps.append({"do": "group_state", **to, "data": "text:", "last": 1})
            states.append(f"STATE;node={donor_node};shard={k};flags=FIRST|LAST")
    if not others:
        return [*steps, _poll(name, ["VIEW"])]
    return [*steps, _poll(name, ["VIEW", *states, "VIEW"]), *(_poll(other, ["VIEW"]) for other in others)]


def _poll(group: str, events: list[str]) -> Raw:
    return {"do": "poll", "group": group, "timeout_ms": _WAIT_MS, "until": len(events), "events": events}
