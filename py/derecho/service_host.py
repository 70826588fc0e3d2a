"""One service in one group: where its calls go out, and where the calls of all members come in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ._native import Message
from .codec.encode import Parts
from .codec.method import ServiceSchema
from .context import CallContext, running
from .errors import DerechoError, StateError
from .outbox import error_parts
from .state import Incoming, Saving, load, save

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["ServiceHost"]

_log = logging.getLogger("derecho")
_REPLY, _OWN = 1, 8  # DERECHO_FLAG_*
_HELD_BYTES_MAX = 64 << 20  # of calls while a state is saved; then the rest of it is made at once
_OK, _REMOTE_ERROR, _UNKNOWN_METHOD = 0, 17, 18
_QUERY = 3  # DERECHO_EVENT_QUERY


class ServiceHost:
    """Dispatches calls to the local instance, and sends the calls of its proxy.

    Parameters
    ----------
    engine : Engine
        Of the group.
    schema : ServiceSchema
        The service.
    instance : object
        The local replica.
    shard : int
        Its handle.
    """

    def __init__(self, engine: Engine, schema: ServiceSchema, instance: Any, shard: int) -> None:
        self.schema = schema
        self.name = schema.name
        self.instance = instance
        self.waiter = engine
        self.loading = False
        self.load_error: StateError | None = None
        self._engine = engine
        self._shard = shard
        self._incoming = Incoming()
        self._held: list[Message] = []
        self._held_bytes = 0
        self._savings: list[Saving] = []  # on their way, during which the service must not change
        self._call: Message | None = None  # whose method runs
        self._since = 0, 0  # version and time of the state that came
        self._saved_as_of = 0, 0  # ... of the one that is being saved
        self._until: tuple[int, int] | None = None  # that, while queries see it
        self._table: list[tuple[Callable[..., Any], Callable[..., Any], Callable[..., Parts], str]] = [
            (m.decode, getattr(instance, m.name), m.encode_result, m.where) for m in schema.methods
        ]

    # ---------------------------------------------------------------------------------------- outgoing

    def nearest(self) -> int:
        """The node a query goes to when none is named."""
        return self._engine.nearest()

    def call(self, method: int, flags: int, parts: Parts, future: Any) -> None:
        """Send an ordered call, waiting for room."""
        self._engine.call(self._shard, method, flags, parts, future, wait=True)

    def try_call(self, method: int, flags: int, parts: Parts, future: Any) -> None:
        """Send an ordered call, or raise at once."""
        self._engine.call(self._shard, method, flags, parts, future, wait=False)

    def query(self, node: int, method: int, parts: Parts, future: Any) -> None:
        """Send a query, waiting for room."""
        self._engine.query(self._shard, node, method, parts, future)

    # ---------------------------------------------------------------------------------------- incoming

    def on_calls(self, events: Iterator[Message]) -> None:
        """Run the handlers of ordered calls, or of queries, and answer those that want it."""
        outer, running.host = running.host, self  # a method may wait for another group, whose methods run meanwhile
        try:
            self._run(events)
        finally:
            running.host, self._call = outer, None

    def _run(self, events: Iterator[Message]) -> None:
        table = self._table
        known = len(table)
        answer = self._engine.outbox.answer
        for event in events:
            if self.loading or self._savings:
                self._hold(event)
                continue
            index = event.method
            if index >= known:
                if event.flags & _REPLY:
                    answer(event.sender, event.id, _UNKNOWN_METHOD, ())
                continue
            decode, run, encode_result, where = table[index]
            self._call = event
            try:
                result = run(*decode(event.data))
                if event.flags & _REPLY:
                    answer(event.sender, event.id, _OK, encode_result(result))
            except Exception as error:
                self._answer_error(event, where, error)
                self._log_failure(event, where, error)
            except BaseException as error:  # its caller is told, then this node leaves: it may have done the half of it
                self._answer_error(event, where, error)
                self._engine.leave_because(where, error)
                return

    def on_queries(self, events: Iterator[Message]) -> None:
        """Run the handlers of queries, which see the state as it is: they wait for it only while it is loaded."""
        if self.loading or not self._savings:
            return self.on_calls(events)
        savings, self._savings = self._savings, []
        self._until = self._saved_as_of
        try:
            self.on_calls(events)
        finally:
            self._savings, self._until = savings, None

    def call_context(self) -> CallContext | None:
        """Of the call whose method runs."""
        call = self._call
        if call is None:
            return None
        moment = call.version, call.timestamp
        if call.kind == _QUERY:
            moment = max(moment, self._since)
            if self._until is not None:
                moment = min(moment, self._until)
        return CallContext(call.sender, *moment)

    def _hold(self, event: Message) -> None:
        self._held.append(event.detach())
        self._held_bytes += len(event.data)
        if self._savings and self._held_bytes > _HELD_BYTES_MAX:
            self._finish_savings()

    def _run_held(self) -> None:
        held, self._held = self._held, []
        self._held_bytes = 0
        self.on_calls(iter(held))

    def _answer_error(self, event: Message, where: str, error: BaseException) -> None:
        if event.flags & _REPLY:
            try:
                self._engine.outbox.answer(event.sender, event.id, _REMOTE_ERROR, error_parts(error))
            except DerechoError as late:
                self._engine.tell(logging.WARNING, f"{where}: the answer could not be sent: {late}")

    def _log_failure(self, event: Message, where: str, error: Exception) -> None:
        if event.flags & _REPLY:
            self._engine.tell(logging.INFO, f"{where} failed, and its caller was told", error)
        else:
            self._engine.tell(logging.ERROR, f"{where} failed, and its caller wants no answer", error)

    # ---------------------------------------------------------------------------------------- state

    def on_state_request(self, event: Message) -> None:
        """A joiner needs the state as of now, or it is to be compared with the others'."""
        if self._held:  # they are a part of it
            self._finish_savings()
        try:
            saving = save(self.instance)
        except StateError as error:
            if event.flags & _OWN:
                _log.exception("the state of %s cannot be saved to be compared with others'", self.schema.name)
            else:
                _log.exception("member %d cannot join: the state of %s cannot be saved", event.sender, self.schema.name)
            self._engine.outbox.no_state(event.sender, event.id, error)
            return
        if saving.holds:
            self._savings.append(saving)
            self._saved_as_of = event.version, event.timestamp
        self._engine.outbox.state(event.sender, event.id, saving, lambda: self._saved(saving))

    def _saved(self, saving: Saving) -> None:
        """Its last piece was made, or nobody wants it any more."""
        if saving not in self._savings:
            return
        self._savings.remove(saving)
        if not self._savings:
            self._run_held()

    def _finish_savings(self) -> None:
        """Make what is missing now, so that the service may change."""
        savings, self._savings = self._savings, []
        for saving in savings:
            saving.collect()
        self._run_held()

    def on_state(self, event: Message) -> None:
        """A piece of the state came; after the last one, what was held back is applied."""
        if event.status != _OK:
            text = bytes(event.data).decode("utf-8", "replace")
            return self._came(StateError(f"member {event.sender} cannot give the state of {self.name}: {text}"))
        self._engine.progressed(self.name, event)
        whole = self._incoming.add(event)
        if whole is None:
            return
        self._since = event.id, event.timestamp
        try:
            load(self.instance, whole)
        except StateError as error:
            _log.error("%s", error)
            return self._came(error)
        self._came(None)

    def _came(self, error: StateError | None) -> None:
        self.load_error = error
        self.loading = False
        self._run_held()
