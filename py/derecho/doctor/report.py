"""Puts facts, findings and choices of wires together: what ``--json`` prints and ``show`` renders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from .checks import check_machine
from .checks_config import check_config, check_together
from .configs import NodeConfig
from .facts import Facts, FactsError, read
from .findings import Finding, must_change
from .needs import Needs, needs
from .reach import Reach
from .wires import WireChoice, choose_wire, choose_wire_to_unknown

__all__ = ["SCHEMA", "Pair", "Report", "load_facts", "needs_of", "pairs", "report"]

#: Of the JSON; grows when a key changes its meaning or goes away, not when one is added.
SCHEMA = 1


@dataclass(frozen=True)
class Pair:
    """Two hosts, the wire between them, and who answered at the second's address, if it was one."""

    a: str
    b: str
    choice: WireChoice
    reach: Reach | None = None


@dataclass(frozen=True)
class Report:
    """Everything a run of the doctor found."""

    facts: Facts
    need: Needs
    findings: tuple[Finding, ...]
    pairs: tuple[Pair, ...] = ()

    @property
    def must_change(self) -> bool:
        """Whether something will not work as it is."""
        return must_change(self.findings)

    def as_json(self, version: str) -> dict[str, Any]:
        """Return it as docs/doctor.md describes."""
        return {
            "schema": SCHEMA,
            "derecho": version,
            "must_change": self.must_change,
            "facts": asdict(self.facts),
            "needs": asdict(self.need) | {"memory_bytes": self.need.memory_bytes, "open_files": self.need.open_files},
            "findings": [asdict(finding) for finding in self.findings],
            "between": [
                {"a": pair.a, "b": pair.b, **asdict(pair.choice), "reach": asdict(pair.reach) if pair.reach else None}
                for pair in self.pairs
            ],
        }


def report(facts: Facts, need: Needs, configs: Sequence[NodeConfig], between: Sequence[Pair]) -> Report:
    """Judge everything."""
    verbs_wanted = any(not config.error and config.options["wire"] == "verbs" for config in configs)
    findings = check_machine(facts, need, verbs_wanted)
    for config in configs:
        findings += check_config(config, facts, need, [other for other in configs if other is not config])
    return Report(facts, need, (*findings, *check_together(configs)), tuple(between))


def needs_of(nodes: int | None, configs: Sequence[NodeConfig]) -> Needs:
    """What the largest of the configured nodes needs; without configurations, one with the defaults, of three."""
    good = [config for config in configs if not config.error]
    return needs(
        nodes or max(3, len(configs), *(len(config.contacts) for config in good), 0),
        max((config.number("ring_bytes") for config in good), default=None),
        max((config.number("mail_bytes") for config in good), default=None),
    )


def pairs(here: Facts, others: Sequence[Facts], addresses: dict[str, Reach], need: Needs) -> list[Pair]:
    """Decide for all pairs of hosts with known facts, and between this one and each address.

    An address that is the name of a known host adds nothing to what is known.
    """
    known = [here, *others]
    found = [Pair(a.host.name, b.host.name, choose_wire(a, b, need)) for a, b in combinations(known, 2)]
    names = {facts.host.name for facts in others}
    for address, reach in addresses.items():
        if address.partition(":")[0] not in names and reach.status != "unknown host":
            found.append(Pair(here.host.name, address, choose_wire_to_unknown(here, reach.is_here, need), reach))
    return found


def load_facts(path: Path) -> Facts:
    """Read the facts in what ``derecho doctor --json`` printed on another host; `FactsError` if it is not that."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FactsError(f"{path} is not JSON: {error}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA or "facts" not in data:
        raise FactsError(f"{path} is not what derecho doctor --json prints, with schema {SCHEMA}")
    try:
        facts: Facts = read(Facts, data["facts"])
    except FactsError as error:
        raise FactsError(f"{path}: {error}") from error
    return facts
