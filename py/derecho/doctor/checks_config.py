"""Judges configurations, each by itself and all together. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from .configs import NodeConfig
from .facts import Facts
from .findings import Finding, Severity
from .needs import Needs
from .wires import PortWanted, verbs_obstacle

__all__ = ["check_config", "check_together"]

_ALL = "all configurations"


def check_config(config: NodeConfig, facts: Facts, need: Needs, others: Collection[NodeConfig] = ()) -> list[Finding]:
    """Judge one configuration; `others` are to be started, too, and some may be meant for other hosts."""
    if config.error:
        return [Finding("options", "must", config.error, "the node refuses to start with it", about=config.path)]
    found = [
        Finding("options", "must", unfit, "the node refuses to start with it", about=config.path)
        for unfit in _unfit(config)
    ]
    if not found:
        options = config.options
        what = f"{options['role']} {options['node']} of group '{options['group']}', wire {options['wire']}"
        found.append(Finding("options", "fine", what, about=config.path))
    found += _listen(config, alone=not others)
    found += _wire(config, facts, need)
    planned = {other.address for other in others if not other.error and not other.client}
    return found + [_contact(config, contact, contact in planned) for contact in config.reached]


def _unfit(config: NodeConfig) -> Iterator[str]:
    """What does not fit together, which the core would refuse when the node joins."""
    options = config.options
    if not options["node"]:
        yield "option node is missing: the id of this node"
    if not config.client and not options["listen"]:
        yield "option listen is missing: host:port that other members reach this node at"
    if config.client and not config.contacts:
        yield "option contacts is missing: a client needs a member to connect to"
    if config.client and options["found"] == "true":
        yield "option found is true: a client founds no group"
    if options["found"] == "true" and options["initial_members"]:
        yield "options found and initial_members are both set: the first founds alone, the second together; choose one"
    if not config.client and not config.contacts and options["found"] != "true":
        yield (
            "nothing says how this node comes into a group: set initial_members (the same addresses at all of them, "
            "which found it together), contacts (nodes that are in it), or found = true (alone)"
        )
    for option in ("ring_bytes", "mail_bytes"):
        if config.number(option).bit_count() != 1:
            yield f"option {option}: {options[option]} is not a power of two"
    if config.message_max_bytes > config.number("ring_bytes") // 4:
        yield (
            f"option message_max_bytes: {options['message_max_bytes']} is more than a quarter of ring_bytes "
            f"({options['ring_bytes']})"
        )
    if config.number("suspect_ms") < 2 * config.number("heartbeat_ms"):
        yield (
            f"option suspect_ms: {options['suspect_ms']} is less than twice heartbeat_ms ({options['heartbeat_ms']}): "
            "live members would be removed"
        )


def _listen(config: NodeConfig, alone: bool) -> Iterator[Finding]:
    listening, address = config.listening, config.options["listen"]
    if listening is None:
        return
    if listening.status == "free":
        yield Finding("listen", "fine", f"{address} is free", about=config.path)
        if listening.everywhere and not config.options["advertise"]:
            why = "every address of this host says to nobody where it is: the node refuses to start"
            commands = ('advertise = "HOST:0"   # in the file, the address that others reach',)
            yield Finding("advertise", "must", f"missing, but needed with {address}", why, commands, config.path)
    elif listening.status == "taken":
        port = address.rpartition(":")[2]
        why = "the node cannot listen there: stop what does, or take another port"
        yield Finding("listen", "must", f"{address} is taken", why, (f"ss -ltnp 'sport = :{port}'",), config.path)
    elif listening.status == "not here" and not alone:
        yield Finding("listen", "fine", f"{address} is no address of this host: taken for another's", about=config.path)
    elif listening.status == "not here":
        why = "a node listens at an address of its own host; what others are told instead is advertise"
        yield Finding("listen", "must", f"{address} is no address of this host", why, ("ip -brief addr",), config.path)
    else:
        what = f"{address}: {listening.detail}"
        yield Finding("listen", "must", what, "the node cannot listen there", about=config.path)


def _wire(config: NodeConfig, facts: Facts, need: Needs) -> Iterator[Finding]:
    wire = config.options["wire"]
    port = PortWanted(config.options["rdma_device"], config.number("rdma_port"), config.number("rdma_gid_index"))
    far = [contact for contact, reach in config.reached.items() if reach.resolved and not reach.is_here]
    obstacle = ""
    if wire == "verbs":
        obstacle = verbs_obstacle(facts, need, port)
    elif wire == "shm" and facts.memory.sealing_error:
        obstacle = f"sealed memory cannot be made: {facts.memory.sealing_error}"
    elif wire == "shm" and far:
        obstacle = f"{', '.join(far)} is not on this host"
    if obstacle:
        why = "the node cannot join, or refuses others; auto takes what there is"
        yield Finding("wire", "must", f"{wire}, but {obstacle}", why, ('wire = "auto"   # in the file',), config.path)
    elif wire == "auto" and port != PortWanted() and (obstacle := verbs_obstacle(facts, need, port)):
        why = "the options rdma_* are there for a port, and without it auto uses tcp with other hosts"
        yield Finding("wire", "should", f"auto, but {obstacle}", why, about=config.path)


def _is_self(config: NodeConfig, contact: str) -> bool:
    if config.client:
        return False
    same_port = contact.rpartition(":")[2] == config.options["listen"].rpartition(":")[2]
    return contact == config.address or (config.reached[contact].is_here and same_port)


def _contact(config: NodeConfig, contact: str, planned: bool) -> Finding:
    reach, why = config.reached[contact], ""
    severity: Severity = "fine"
    if _is_self(config, contact):
        what = "this node itself"
    elif reach.status == "derecho":
        what = "a node answers"
    elif reach.status == "refused" and (planned or config.founds):
        what = "nobody listens there yet" + ("" if planned else "; this node takes part in founding the group")
    elif reach.status == "refused":
        severity, what = "should", "nobody listens there"
        why = "a node joins when a contact answers, and founds nothing because none does: docs/founding.md"
    elif reach.status == "listens":
        severity, what = "must", f"something listens, but {reach.detail}"
        why = "it is no node of this version of libderecho"
    elif reach.status == "silent":
        severity, what = "must", f"cannot be reached: {reach.detail}"
        why = "the host is down, or a firewall or a route is in between"
    else:
        severity, what = "must", f"not found: {reach.detail}"
        why = "a contact is host:port, with a name that is known here"
    return Finding("contact", severity, f"{contact}: {what}", why, (), config.path)


# ---------------------------------------------------------------------------------------------------- all together


def check_together(configs: Sequence[NodeConfig]) -> list[Finding]:
    """Judge what the nodes of one group must have alike, and what each must have of its own."""
    configs = [config for config in configs if not config.error]
    if len(configs) < 2:
        return []
    members = [config for config in configs if not config.client]
    resolved = {contact: reach.resolved for config in configs for contact, reach in config.reached.items()}

    def founders(config: NodeConfig) -> str:
        if config.options["found"] == "true":
            return f"{config.address}, alone"
        initial = [part.strip() for part in config.options["initial_members"].split(",") if part.strip()]
        return ", ".join(sorted(resolved.get(address) or address for address in initial))

    def value_of(option: str) -> Callable[[NodeConfig], str]:
        return lambda config: config.options[option]

    return [
        _unique("node ids", [c for c in configs if c.options["node"]], value_of("node")),
        _unique("addresses", [c for c in members if c.address and not c.address.endswith(":0")], lambda c: c.address),
        *(_alike(option, configs, value_of(option)) for option in ("group", "ring_bytes", "mail_bytes")),
        _alike("message_max_bytes", configs, lambda c: str(c.message_max_bytes)),
        *(_alike(option, members, value_of(option)) for option in _digest_options(members)),
        _alike("founders", [config for config in members if config.founds], founders),
    ]


def _digest_options(members: Sequence[NodeConfig]) -> tuple[str, ...]:
    """Those that matter."""
    used = any(config.options["digest"] != "off" for config in members)
    return ("digest", "digest_every", "digest_policy") if used else ()


def _unique(check: str, configs: Sequence[NodeConfig], of: Callable[[NodeConfig], str]) -> Finding:
    users: dict[str, list[str]] = {}
    for config in configs:
        users.setdefault(of(config), []).append(config.path)
    double = {value: paths for value, paths in users.items() if len(paths) > 1}
    if not double:
        return Finding(check, "fine", ", ".join(users), about=_ALL)
    what = "; ".join(f"{value} in {' and '.join(paths)}" for value, paths in double.items())
    return Finding(check, "must", what, "each node of a group has its own: the second is refused", about=_ALL)


def _alike(check: str, configs: Sequence[NodeConfig], of: Callable[[NodeConfig], str]) -> Finding:
    users: dict[str, list[str]] = {}
    for config in configs:
        users.setdefault(of(config), []).append(config.path)
    if len(users) < 2:
        return Finding(check, "fine", ", ".join(users) + " in all", about=_ALL)
    what = "; ".join(f"{value} in {' and '.join(paths)}" for value, paths in users.items())
    if check == "founders":
        why = "who is told to found a group beside others makes a second one: docs/founding.md"
    else:
        why = "all nodes of a group must have it alike, or they refuse each other"
    return Finding(check, "must", what, why, about=_ALL)
