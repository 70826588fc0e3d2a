"""The public face of a group: join it, call services in it, watch its views, leave it."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast, overload

from ._native import Config, NativeGroup
from .calls import OrderedCall, QueryCall
from .engine import Engine
from .errors import Closed, DerechoError, InvalidArgument
from .raw import RawShard
from .schema.method import ServiceSchema
from .service import schema
from .service_host import ServiceHost
from .state import check_service
from .views import View

__all__ = ["Group", "join"]

S = TypeVar("S")
_log = logging.getLogger("derecho")
_DEFAULT_TIMEOUT_S = 10.0

Option = str | int | float | bool | Sequence[str]


class Group:
    """This process's part in one group. Made by :meth:`join` or :func:`derecho.join`; a context manager.

    Any thread may use it. A thread that waits for a result drives the group; when none waits, a background thread does,
    so handlers run on either, one at a time, in order.

    Attributes
    ----------
    node : int
        This node's id.
    name : str
        The group's.
    """

    def __init__(self, engine: Engine, node: int, name: str) -> None:
        self._engine = engine
        self.node = node
        self.name = name
        self._proxies: dict[str, Any] = {}
        self._closed = False

    # ---------------------------------------------------------------------------------------- joining, leaving

    @classmethod
    #: Join a group: `Group.join`.
join = Group.join


def _named(services: Iterable[object] | Mapping[str, object]) -> list[tuple[ServiceSchema, object]]:
    if isinstance(services, Mapping):
        found = [(dataclasses.replace(schema(s), name=name), s) for name, s in services.items()]
    else:
        found = [(schema(s), s) for s in services]
    for kind, instance in found:
        if isinstance(instance, type):
            raise TypeError(f"services are instances: {kind.name}(), not {kind.name}")
    return found


def _configure(
    config: str | Mapping[str, Option] | None,
    explicit: dict[str, Option | None],
    hosted: list[tuple[ServiceSchema, object]],
    raw: Sequence[str],
) -> Config:
    settings = Config()
    try:
        if isinstance(config, str):
            settings.load(config)
        elif config is not None:
            for key, value in config.items():
                settings.set(key, _text(value))
        for key, option in explicit.items():
            if option is not None:
                settings.set(key, _text(option))
        for kind, _ in hosted:
            settings.add_service(kind.name, kind.hash)
        for name in raw:
            settings.add_service(name, 0)
    except BaseException:
        settings.close()
        raise
    return settings


def _text(value: Option) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    return ",".join(value)


def _proxy(host: ServiceHost) -> Any:
    """Make an object with an attribute for each method of the service."""
    members: dict[str, Any] = {
        m.name: OrderedCall(host, m) if m.kind == "ordered" else QueryCall(host, m) for m in host.schema.methods
    }
    members["__doc__"] = type(host.instance).__doc__
    return type(f"{host.schema.name}Proxy", (), members)()
