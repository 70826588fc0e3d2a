"""A whole group in one process, for tests of services: members come, crash and come back, and nothing is left behind.

::

    from derecho.testing import cluster

    def test_a_value_outlives_a_crash():
        with cluster(3, Cache) as members:
            members[0][Cache].put("k", b"v").result()
            members.kill(0)
            assert members[1][Cache].get("k").result() == b"v"

With pytest, the fixture ``derecho_cluster`` does the same: ``members = derecho_cluster(3, Cache)``.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from .calls import REPLY_WANTED
from .context import CallContext, running
from .errors import DerechoError, NoMajority, Timeout
from .futures import Replies
from .group import Group
from .raw_host import RawHost

__all__ = ["Cluster", "call_context", "cluster"]

S = TypeVar("S")
_NO_METHOD = 0xFFFFFFFF  # each member says in its turn that it does not know it
_LOOK_S = 0.002


class Cluster:
    """Members of one group, all in this process, as nodes 1, 2, ... Made by :func:`cluster`; a context manager.

    ``cluster[i]`` is the `derecho.Group` of member i, counted from 0, even if that is gone: there are ``len(cluster)``;
    iterating gives those that are there.
    """

    def __init__(self, count: int, services: Sequence[Any], options: Mapping[str, Any]) -> None:
        self._services = services
        self._options = options
        self._members: list[Group] = []
        try:
            for _ in range(count):
                self.add()
            self.wait_settled()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, index: int) -> Group:
        return self._members[index]

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Group]:
        return iter(self.alive)

    @property
    def alive(self) -> list[Group]:
        """The members that are there."""
        return [group for group in self._members if group.ended is None]

    def add(self) -> Group:
        """Let one more member join; return its group, which has the state."""
        group = self._join(len(self._members) + 1)
        self._members.append(group)
        return group

    def kill(self, index: int) -> None:
        """End a member as a crash does: nothing is said to the others, who notice. Of two, no majority is left."""
        self._members[index].close()

    def leave(self, index: int) -> None:
        """End a member in good order."""
        self._members[index].leave()

    def restart(self, index: int) -> Group:
        """Let a member that is gone come back under its node id, with new replicas; return its group.

        Raises
        ------
        NoMajority
            When no member is there to take it in.
        """
        if self._members[index].ended is None:
            raise ValueError(f"member {index} is there: kill it, or let it leave, first")
        self._members[index] = self._join(index + 1)
        return self._members[index]

    def replicas(self, cls: type[S], name: str | None = None) -> list[S]:
        """Return each member's own instance of a service: equal, once the cluster has settled."""
        return [group.local(cls, name) for group in self]

    def wait_settled(self, timeout: float | None = None) -> None:
        """Wait until the members that are there are one view, have their state, and have applied all that was sent.

        Raises
        ------
        Timeout
            Naming what did not come.
        NoMajority
            When no member is there.
        """
        seconds = self._timeout if timeout is None else timeout
        deadline = time.monotonic() + seconds
        while True:
            members = self._those_there()
            try:
                for group in members:
                    self._settle(group, [g.node for g in members], deadline)
                return
            except DerechoError:
                if self.alive == members:
                    raise  # otherwise a member ended meanwhile, and the others may still settle

    def close(self) -> None:
        """End all members, one after the other, in good order if that can be done soon."""
        for group in reversed(self._members):
            group._leave_shortly()

    def __repr__(self) -> str:
        return f"<Cluster of nodes {', '.join(str(group.node) for group in self)}>"

    # ---------------------------------------------------------------------------------------- inside

    def _those_there(self) -> list[Group]:
        groups = self.alive
        if not groups:
            ends = "; ".join(f"node {group.node}: {group.ended}" for group in self._members)
            raise NoMajority(f"no member of the cluster is there, and its state is gone: make a new cluster ({ends})")
        return groups

    @property
    def _timeout(self) -> float:
        return float(self._options["timeout"])

    def _join(self, node: int) -> Group:
        how: dict[str, Any] = {"found": True}
        if self._members:  # whoever founds later makes another group, without the state
            groups = self._those_there()
            how = {"contacts": [m.address for group in groups for m in group.view.members if m.node == group.node]}
        return Group.join(self._make(), node=node, listen="127.0.0.1:0", **how, **self._options)

    def _make(self) -> Any:
        if len(self._services) == 1 and isinstance(self._services[0], Mapping):
            return {name: _instance(make) for name, make in self._services[0].items()}
        return [_instance(make) for make in self._services]

    def _settle(self, group: Group, nodes: list[int], deadline: float) -> None:
        group.wait_view(nodes, max(0.0, deadline - time.monotonic()))
        engine = group._engine
        for host in engine.shards:
            what = f"{host.name}: what node {group.node} has sent"
            shard = host.shard if isinstance(host, RawHost) else host._shard
            replies: Replies[None] = Replies(engine, what, lambda _: None)
            engine.call(shard, _NO_METHOD, REPLY_WANTED, (), replies, wait=True)
            for reply in replies.replies(max(0.0, deadline - time.monotonic())).values():
                if not engine.wait(reply.done, max(0.0, deadline - time.monotonic()), what):
                    raise Timeout(f"{what} is not applied by member {reply.member} within {self._timeout:g} s")


def cluster(count: int, *services: Any, raw: Sequence[str] = (), timeout: float = 20.0, **options: Any) -> Cluster:
    """Start a group of so many members in this process, over shared memory.

    Parameters
    ----------
    count : int
        Of members.
    services : callables
        Classes of services, or functions without parameters that make an instance: called once a member. Or one
        mapping of name to such.
    raw : sequence of str
        Names of shards for plain messages.
    timeout : float
        Seconds, of every wait.
    options : dict
        Of `Group.join`, the same for all members: ``wire="tcp"``, ``handlers="thread"``, ...

    Raises
    ------
    TypeError
        For an instance of a service: each member needs one of its own.
    """
    for given in services:
        for make in given.values() if isinstance(given, Mapping) else [given]:
            if not callable(make):
                raise TypeError(
                    f"each member needs an instance of its own: give the class {type(make).__name__}, or a function "
                    "that makes one"
                )
    return Cluster(count, services, {"raw": raw, "timeout": timeout, **options})


def _instance(make: Callable[[], Any]) -> Any:
    return make()


@dataclass(frozen=True)
class _Fixed:
    context: CallContext

    def call_context(self) -> CallContext:
        return self.context


@contextlib.contextmanager
def call_context(caller: int = 1, version: int = 1, time_ns: int | None = None) -> Iterator[CallContext]:
    """Let `derecho.context` answer on this thread, for tests that call a service's methods without a group.

    Parameters
    ----------
    caller : int
        Id of the node that makes the call.
    version : int
        Of the call.
    time_ns : int, optional
        Nanoseconds since the Unix epoch; now, if not given.

    Examples
    --------
    ::

        lock = Lock()
        with call_context(caller=2, time_ns=5_000_000_000):
            lock.acquire("printer")
        assert lock.owner("printer") == 2
    """
    context = CallContext(caller, version, time.time_ns() if time_ns is None else time_ns)
    before, running.host = running.host, _Fixed(context)
    try:
        yield context
    finally:
        running.host = before
