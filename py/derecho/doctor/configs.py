"""Reads configurations, and tries on this machine what they name. Nothing here judges."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .reach import Listening, Reach, listen_briefly, reach_all

__all__ = ["NodeConfig", "read_configs"]

_OPTIONS = (
    *(
        "node",
        "group",
        "listen",
        "advertise",
        "contacts",
        "initial_members",
        "found",
        "role",
        "wire",
        "ring_bytes",
        "mail_bytes",
    ),
    *("message_max_bytes", "heartbeat_ms", "suspect_ms", "connect_timeout_ms"),
    *("digest", "digest_every", "digest_policy"),
    *("rdma_device", "rdma_port", "rdma_gid_index"),
)
_DEADLINE_S_MAX = 5.0


@dataclass(frozen=True)
class NodeConfig:
    """A configuration: its options as the core read them, or why it did not; and what was tried of it here."""

    path: str
    error: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    given: tuple[str, ...] = ()  #: options that stand in the file; others have their defaults
    listening: Listening | None = None
    reached: Mapping[str, Reach] = field(default_factory=dict)  #: by contact

    def number(self, option: str) -> int:
        """An option that is a number."""
        return int(self.options[option])

    @property
    def client(self) -> bool:
        """Whether it is a client's, who listens nowhere."""
        return self.options["role"] == "client"

    @property
    def contacts(self) -> list[str]:
        """Whom the node asks to be let in, in order: its contacts, and the initial members."""
        texts = (self.options["contacts"], self.options["initial_members"])
        return list(dict.fromkeys(part.strip() for text in texts for part in text.split(",") if part.strip()))

    @property
    def founds(self) -> bool:
        """Whether it may found a group, alone or with others."""
        return self.options["found"] == "true" or self.options["initial_members"] != ""

    @property
    def address(self) -> str:
        """What others are told: ``advertise``, with the port of ``listen`` if it has none."""
        listen, advertise = self.options["listen"], self.options["advertise"]
        if not advertise:
            return listen
        host, _, port = advertise.rpartition(":")
        return f"{host}:{listen.rpartition(':')[2]}" if port == "0" else advertise

    @property
    def message_max_bytes(self) -> int:
        """The largest message; the default gives way to a small ring."""
        most = self.number("message_max_bytes")
        return most if "message_max_bytes" in self.given else min(most, self.number("ring_bytes") // 4)

    @property
    def deadline_s(self) -> float:
        """How long the doctor tries to connect."""
        return min(self.number("connect_timeout_ms") / 1000, _DEADLINE_S_MAX)


def read_configs(paths: Sequence[Path]) -> list[NodeConfig]:
    """Read each, try to listen where it wants to, then connect to its contacts."""
    configs = [_try_listening(_load(path)) for path in paths]
    good = [config for config in configs if not config.error]
    reached = reach_all((c for config in good for c in config.contacts), max((c.deadline_s for c in good), default=0.0))
    return [
        config if config.error else replace(config, reached={c: reached[c] for c in config.contacts})
        for config in configs
    ]


def _load(path: Path) -> NodeConfig:
    from .._native import Config
    from ..errors import InvalidArgument

    config = Config()
    try:
        config.load(str(path))
        options = {option: config.get(option) for option in _OPTIONS}
    except InvalidArgument as error:
        return NodeConfig(str(path), error=_without_path(str(error), str(path)))
    finally:
        config.close()
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    table: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8"))
    return NodeConfig(str(path), options=options, given=tuple(table.get("derecho", table)))


def _without_path(error: str, path: str) -> str:
    """Of ``PATH:LINE: REASON``, ``line LINE: REASON``."""
    if not error.startswith(f"{path}:"):
        return error
    rest = error.removeprefix(f"{path}:").strip()
    return f"line {rest}" if rest[:1].isdecimal() else rest


def _try_listening(config: NodeConfig) -> NodeConfig:
    if config.error or config.client or not config.options["listen"]:
        return config
    return replace(config, listening=listen_briefly(config.options["listen"], config.deadline_s))
