"""The public face of a group: join it, call services in it, watch its views, leave it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import dataclasses
import logging
import math
import os
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast, overload

from ._native import Cancel, Config, NativeGroup
from .aio import AsyncDriver
from .calls import OrderedCall, QueryCall
from .codec.method import ServiceSchema
from .engine import LEAVE_AFTER_FAILURE_S, Engine
from .errors import Closed, DerechoError, InvalidArgument, Timeout
from .raw import RawShard
from .raw_host import RawHost
from .service import Caller, schema
from .service_host import ServiceHost
from .state import check_service
from .views import Difference, Holdup, Progress, View

if TYPE_CHECKING:
    from typing_extensions import Buffer as SupportsBuffer  # contiguous bytes-like objects, NumPy arrays included

    from ._native import Message
    from .memory import Part, RegisteredMemory, Transfer

__all__ = ["Group", "join"]

S = TypeVar("S")
_log = logging.getLogger("derecho")
_DEFAULT_TIMEOUT_S = 10.0
_LONGEST_S = 366 * 86400  # any longer wait is a mistake
_LEAVE_SLICE_S = 0.1  # so that Ctrl-C is noticed

Option = str | int | float | bool | Sequence[str]
OnMessage: TypeAlias = "Callable[[Message], object] | Mapping[str, Callable[[Message], object]] | None"

_open_groups: weakref.WeakSet[Group] = weakref.WeakSet()


@atexit.register
def _close_open_groups() -> None:
    """At the end of the process, before threads and modules go: the others go on at once."""
    for group in list(_open_groups):
        group._leave_shortly()


def _forget_open_groups() -> None:
    """In the child of a fork: it is no member, and its end is to touch nothing."""
    for group in list(_open_groups):
        group._forget()
    _open_groups.clear()


os.register_at_fork(after_in_child=_forget_open_groups)


class Group:
    """This process's part in one group. Made by :meth:`join` or :func:`derecho.join`; a context manager.

    Any thread may use it. A thread that waits for a result drives the group; when none waits, a background thread does,
    so handlers run on either, one at a time, in order. (`handlers` of :meth:`join` is for other wishes.)

    It is this process's: in a child of ``fork`` everything but `close` raises `Closed`, and nothing reaches the group.
    A group that is no more referred to, nor any of its services or shards, leaves by itself.

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
        self._inherited = False
        _open_groups.add(self)

    # ---------------------------------------------------------------------------------------- joining, leaving

    @classmethod
    def join(
        cls,
        services: Iterable[object] | Mapping[str, object] = (),
        *,
        raw: Sequence[str] = (),
        node: int | None = None,
        listen: str | None = None,
        contacts: Sequence[str] | None = None,
        initial_members: Sequence[str] | None = None,
        found: bool | None = None,
        group: str | None = None,
        wire: str | None = None,
        config: str | os.PathLike[str] | Mapping[str, Option] | None = None,
        timeout: float = _DEFAULT_TIMEOUT_S,
        on_view: Callable[[View], object] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        on_message: OnMessage = None,
        on_end: Callable[[DerechoError], object] | None = None,
        on_difference: Callable[[Difference], object] | None = None,
        handlers: Literal["anywhere", "thread", "loop"] = "anywhere",
    ) -> Group:
        """Come into a group: join it, or found it, alone or with others; never because nobody answers.

        Returns once this node is in a view, every service has its state, and this node votes.

        Parameters
        ----------
        services : iterable of objects, or mapping of name to object
            Instances of classes decorated with :func:`derecho.service`: the local replicas. Every member gives the same
            services in the same order.
        raw : sequence of str
            Names of shards for plain messages, see :meth:`raw`; the same at every member, too.
        node : int
            This node's id, unique in the group.
        listen : str
            ``"host:port"`` where the others reach this node.
        contacts : sequence of str
            Nodes that are in the group, as ``"host:port"``.
        initial_members : sequence of str
            The nodes that found the group together, the same list at all of them; contacts, too. docs/founding.md.
        found : bool
            Found the group, alone.
        group : str
            The group's name.
        wire : str
            ``"auto"``, ``"shm"``, ``"tcp"`` or ``"verbs"``.
        config : str or mapping
            A TOML file, or further options by name (docs/options.md); the arguments above override it.
        timeout : float
            Seconds, for joining and as the default of every later wait. A transfer of state may take longer, as long as
            something of it comes within them.
        on_view : callable
            As with :meth:`on_view`, from the first view on.
        on_progress : callable
            Called with a `Progress` for every piece of a service's state that comes, while this waits for it.
        on_message : callable, or mapping of name to callable
            `RawShard.on_message`, from the first message on; a callable alone is for the only raw shard there is.
        on_end : callable
            As with :meth:`on_end`.
        on_difference : callable
            As with :meth:`on_difference`.
        handlers : str
            Where the methods of services and the functions above run, one at a time in each case. ``"anywhere"``: on
            the thread or event loop that waits for a result, else on a thread of the group's own; the fastest.
            ``"thread"``: always on that thread, so that they may take a lock which somebody holds who waits for a
            result. ``"loop"``: always on the loop that awaits :meth:`join_async`, once that has returned.

        Raises
        ------
        TypeError
            For a service that is not decorated, or whose state cannot be saved.
        InvalidArgument, Unreachable, Incompatible, DuplicateNode, AddressInUse, Timeout, StateError
            With a sentence that names the cause.
        """
        if handlers == "loop":
            raise InvalidArgument("handlers='loop' is for join_async(), which says which loop")
        return cls._join(
            Cancel(),
            services,
            raw=raw,
            node=node,
            listen=listen,
            contacts=contacts,
            initial_members=initial_members,
            found=found,
            group=group,
            wire=wire,
            config=config,
            timeout=timeout,
            on_view=on_view,
            on_progress=on_progress,
            on_message=on_message,
            on_end=on_end,
            on_difference=on_difference,
            handlers=handlers,
        )

    @classmethod
    def _join(
        cls,
        cancel: Cancel,
        services: Iterable[object] | Mapping[str, object] = (),
        *,
        raw: Sequence[str] = (),
        config: str | os.PathLike[str] | Mapping[str, Option] | None = None,
        timeout: float = _DEFAULT_TIMEOUT_S,
        on_view: Callable[[View], object] | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        on_message: OnMessage = None,
        on_end: Callable[[DerechoError], object] | None = None,
        on_difference: Callable[[Difference], object] | None = None,
        handlers: str = "anywhere",
        **explicit: Option | None,
    ) -> Group:
        _check_names("raw", raw)
        if handlers not in ("anywhere", "thread", "loop"):
            raise InvalidArgument(f"handlers: {handlers!r} is not 'anywhere', 'thread' or 'loop'")
        given = _on_message(on_message, raw)
        timeout_ms = _milliseconds(timeout)
        hosted = _named(services)
        for _, instance in hosted:
            check_service(instance)
        settings = _configure(config, explicit, hosted, raw)
        try:
            cancel.attach(settings)
            native = NativeGroup(settings, timeout_ms)
            own, name = int(settings.get("node")), settings.get("group")
            piece_bytes = int(settings.get("mail_bytes")) // 8  # room for frames, and for others' mail
        finally:
            settings.close()
        engine = Engine(native, timeout, piece_bytes)
        try:
            for schema, instance in hosted:
                engine.shards.append(ServiceHost(engine, schema, instance, native.shard(schema.name)))
            for title in raw:
                host = RawHost(engine, title, native.shard(title), len(engine.shards))
                host.on_message = given.get(title)
                engine.shards.append(host)
            if on_view is not None:
                engine.on_view.append(on_view)
            engine.on_progress = on_progress
            if handlers == "thread":
                engine.pump.start(alone=True)
            engine.await_state(timeout, cancel.is_set)
            if on_end is not None:
                engine.on_end.append(on_end)
            if on_difference is not None:
                engine.on_difference.append(on_difference)
            if handlers == "anywhere":
                engine.pump.start()
        except BaseException:
            with contextlib.suppress(DerechoError):
                native.leave(_milliseconds(LEAVE_AFTER_FAILURE_S))
            engine.pump.stop()
            native.close()
            raise
        return cls(engine, own, name)

    @classmethod
    async def join_async(cls, *args: Any, **kwargs: Any) -> Group:
        """As :meth:`join`, without blocking the loop: it runs on a thread of the loop's executor.

        Cancelled, it gives up joining at once.
        """
        loop = asyncio.get_running_loop()
        cancel = Cancel()
        joining = loop.run_in_executor(None, lambda: cls._join(cancel, *args, **kwargs))
        try:
            group = await asyncio.shield(joining)
        except asyncio.CancelledError:
            cancel.set()
            with contextlib.suppress(DerechoError):
                (await joining).leave(LEAVE_AFTER_FAILURE_S)
            raise
        if kwargs.get("handlers") == "loop":
            AsyncDriver(group._engine, loop).stay()
        return group

    def leave(self, timeout: float | None = None) -> None:
        """Leave in good order, then close: the others go on at once, and nobody suspects anyone.

        Raises
        ------
        Timeout
            When the others did not confirm; the group is closed all the same.
        """
        if self._inherited:
            assert self._engine.end is not None
            raise self._engine.end
        if self._closed:
            return
        seconds = self._engine.timeout if timeout is None else timeout
        try:
            self._leave_in_slices(seconds)
        finally:
            self.close()

    def _leave_in_slices(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        began = False
        while self._engine.end is None:
            left = deadline - time.monotonic()
            try:
                self._engine.native.leave(_milliseconds(min(max(left, 0.0), _LEAVE_SLICE_S)))
                return
            except Timeout:
                if left <= _LEAVE_SLICE_S:
                    raise Timeout(
                        f"the others have not installed a view without this node within {seconds:g} s"
                    ) from None
                began = True
            except Closed:
                if not began:
                    raise
                return  # it has left since the last slice ended

    def _leave_shortly(self) -> None:
        """Leave in good order if that can be done soon; in any case be closed."""
        try:
            self.leave(LEAVE_AFTER_FAILURE_S)
        except DerechoError as error:
            self._engine.tell(logging.WARNING, f"leaving {self.name}: {error}")

    def _forget(self) -> None:
        self._closed = self._inherited = True
        self._engine.forget()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._leave_shortly()

    def close(self) -> None:
        """Stop at once, as a crash would. Pending futures fail with `Closed`. A second time does nothing."""
        if self._closed:
            return
        self._closed = True
        _open_groups.discard(self)
        self._engine.pump.stop()
        self._engine.native.close()
        self._engine._ended(Closed(f"this node closed the group {self.name}"))
        self._engine.memories.release()

    def __enter__(self) -> Group:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Leave in good order, after an exception in the block (Ctrl-C among them) within two seconds."""
        if self._inherited:
            return
        if kind is not None:
            self._leave_shortly()
            return
        try:
            self.leave()
        except DerechoError as error:
            _log.warning("leaving %s: %s", self.name, error)

    async def __aenter__(self) -> Group:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        await asyncio.get_running_loop().run_in_executor(None, lambda: self.__exit__(kind))

    # ---------------------------------------------------------------------------------------- services

    def __getitem__(self, cls: type[S]) -> Caller[S]:
        """Return the proxy of a service: ``group[Cache].put("k", b"v")``.

        Its ordered methods give `derecho.Replies`, its queries `derecho.Reply`.
        """
        return self.service(cls)

    def service(self, cls: type[S], name: str | None = None) -> Caller[S]:
        """Return the proxy of a service, by class and, where one class serves several, by name.

        Raises
        ------
        InvalidArgument
            When there is no such service here; the text lists those there are.
        """
        host = self._host(cls, name)
        kind = self._proxies.get(host.schema.name)
        if kind is None:
            kind = self._proxies[host.schema.name] = _proxy(host)
        proxy = kind()
        proxy._group = self  # which stays open as long as this is in use
        return cast("Caller[S]", proxy)

    def local(self, cls: type[S], name: str | None = None) -> S:
        """Return this node's replica, the very instance given to :meth:`join`: for reading.

        Its state is that of the last event applied here. Changing it, or calling an ordered method on it, changes this
        replica alone.
        """
        return cast("S", self._host(cls, name).instance)

    def raw(self, name: str) -> RawShard:
        """Return a shard for plain messages.

        Raises
        ------
        InvalidArgument
            When `name` was not among `raw` in :meth:`join`.
        """
        shards = [s for s in self._engine.shards if isinstance(s, RawHost)]
        for shard in shards:
            if shard.name == name:
                return RawShard(shard, self)
        raise InvalidArgument(f"no raw shard {name!r}; there are: {', '.join(s.name for s in shards) or 'none'}")

    def _host(self, cls: type, name: str | None) -> ServiceHost:
        hosts = [h for h in self._engine.shards if isinstance(h, ServiceHost)]
        for host in hosts:
            if isinstance(host.instance, cls) and name in (None, host.schema.name):
                return host
        there = ", ".join(h.schema.name for h in hosts) or "none"
        raise InvalidArgument(f"no service {name or cls.__name__} in this group; there are: {there}")

    # ---------------------------------------------------------------------------------------- registered memory

    def register(self, buffer: SupportsBuffer, *, read: bool = False, write: bool = False) -> RegisteredMemory:
        """Register a buffer, so that members who are given a key may read or write it, one-sidedly.

        Parameters
        ----------
        buffer : buffer
            C-contiguous, at least one byte: a NumPy array of any shape and type, bytearray, memoryview, mmap, ... It is
            held, and its bytes are used in place, until it is deregistered or the group was closed. An array in a CUDA
            device's memory (CuPy, PyTorch, ...) is registered as `register_dmabuf` says.
        read, write : bool
            What peers may do; neither: it is for this node's own operations only.

        Raises
        ------
        InvalidArgument
            When it is not contiguous, is empty, or is read-only and `write` is set.

        Examples
        --------
        >>> weights = numpy.zeros(1_000_000, "f4")
        >>> with group.register(weights, write=True) as memory:
        ...     key = memory.key_for(2)          # hand it to node 2, in a message, say
        >>> # at node 2:
        >>> group.write(1, key, 0, my_weights).result()
        """
        return self._engine.memories.register(buffer, read, write)

    def register_dmabuf(
        self, fd: int, nbytes: int, offset: int = 0, *, read: bool = False, write: bool = False
    ) -> RegisteredMemory:
        """Register memory of another device, a GPU's above all, by the Linux dma-buf that its driver gives away.

        RDMA devices read and write it in place. By shared memory and TCP it goes only if its driver lets it be mapped;
        otherwise operations that would have to go that way raise `Unreachable`.

        Parameters
        ----------
        fd : int
            Of the dma-buf; duplicated: it may be closed afterwards.
        nbytes, offset : int
            The part of it that is registered, bytes.
        read, write : bool
            As of `register`.

        Raises
        ------
        InvalidArgument
            When `fd` is not a dma-buf, or shorter than that.
        """
        return self._engine.memories.register_dmabuf(fd, offset, nbytes, read, write)

    def read(
        self, node: int, key: SupportsBuffer, offset: int, into: Part | Sequence[Part], timeout: float | None = None
    ) -> Transfer:
        """Begin to copy a run of a member's memory into parts of this node's, one after the other.

        Operations on one member's memory are carried out in the order they were begun. The application there takes no
        part.

        Parameters
        ----------
        node : int
            Whose memory it is; this node itself is allowed.
        key : MemoryKey or its bytes
            Made by that node for this one.
        offset : int
            Of the run's first byte in that memory. The run is as long as the parts together.
        into : part, or list of parts
            `RegisteredMemory`, ``(memory, offset, nbytes)`` of one, or a writable contiguous buffer, which is
            registered until the operation ended. Their bytes are undefined until then.
        timeout : float, optional
            Seconds to wait while too many operations are under way; the group's default if None.

        Returns
        -------
        Transfer
            A future: the number of bytes, or the error.

        Raises
        ------
        InvalidArgument
            For a part that is not inside of its memory, or cannot be used.
        NotMember
            When `node` is not in the view.
        RingFull
            When the time passed.
        """
        return self._engine.memories.begin(False, node, key, offset, into, timeout)

    def write(
        self, node: int, key: SupportsBuffer, offset: int, data: Part | Sequence[Part], timeout: float | None = None
    ) -> Transfer:
        """Begin to copy parts of this node's memory, one after the other, to a run of a member's.

        As `read`; `data` may be read-only, and must not change before the operation ended. Once the future has its
        value the bytes are in that member's memory, and what is sent afterwards is delivered after them. After an error
        a part of them may be.
        """
        return self._engine.memories.begin(True, node, key, offset, data, timeout)

    # ---------------------------------------------------------------------------------------- views, totals

    @property
    def view(self) -> View:
        """The current view, as of the events applied here."""
        view = self._engine.current_view()
        assert view is not None  # join() waits for the first
        return view

    @property
    def views(self) -> tuple[View, ...]:
        """Every view since this node joined."""
        return tuple(self._engine.views)

    @overload
    def on_view(self, function: Callable[[View], S]) -> Callable[[View], S]: ...
    @overload
    def on_view(self, function: None = None) -> None: ...
    def on_view(self, function: Any = None) -> Any:
        """Call ``function(view)`` for every later view, in order with messages; usable as a decorator."""
        if function is not None:
            self._engine.on_view.append(function)
        return function

    def on_end(self, function: Callable[[DerechoError], S]) -> Callable[[DerechoError], S]:
        """Call ``function(why)`` once when the group ends for this node; at once if it has. Usable as a decorator.

        `why` is what `ended` says: `Closed` when it left or was closed, `Ejected`, `NoMajority`, `StateLost`.
        """
        if self._engine.end is not None:
            function(self._engine.end)
        else:
            self._engine.on_end.append(function)
        return function

    def on_difference(self, function: Callable[[Difference], S]) -> Callable[[Difference], S]:
        """Call ``function(difference)`` when option ``digest`` finds that replicas differ. Usable as a decorator.

        Once for each member that differs, at every member, that one included; in order with calls. What then becomes of
        it is for option ``digest_policy`` to say.
        """
        self._engine.on_difference.append(function)
        return function

    @overload
    def wait_view(self, nodes: int | Iterable[int], timeout: float | None = None) -> View: ...
    @overload
    def wait_view(self, *, exactly: int, timeout: float | None = None) -> View: ...
    def wait_view(
        self, nodes: int | Iterable[int] | None = None, timeout: float | None = None, *, exactly: int | None = None
    ) -> View:
        """Wait for a view of so many members or more, or of exactly these nodes, all of which hold the state and vote.

        Parameters
        ----------
        nodes : int or iterable of int
            The least number of members, or the nodes.
        exactly : int
            In place of `nodes`: the number of members, no more and no fewer.

        Raises
        ------
        Timeout
            Naming the view there is instead.
        """
        if (nodes is None) == (exactly is None):
            raise TypeError("wait_view() takes a number of members, or the nodes, or exactly=")
        least = nodes if isinstance(nodes, int) else None
        wanted = None if nodes is None or least is not None else sorted(cast("Iterable[int]", nodes))
        what = f"exactly {exactly}" if exactly is not None else f"{least} or more" if least is not None else str(wanted)

        def there() -> bool:
            view = self._engine.view
            if view is None:
                return False
            if least is not None:
                return len(view.voters) >= least
            if len(view.voters) < len(view.members):
                return False
            return len(view.nodes) == exactly if wanted is None else sorted(view.nodes) == wanted

        seconds = self._engine.timeout if timeout is None else timeout
        if not self._engine.wait(there, seconds, f"a view of {what}"):
            raise Timeout(f"no view of {what} within {seconds:g} s; there is {self.view}")
        return self.view

    @property
    def ended(self) -> DerechoError | None:
        """Why the group ended for this node, None while it goes on."""
        return self._engine.end

    def holdup(self, node: int | None = None) -> Holdup | None:
        """Return whether a member holds others up, for how long and why: what the errors of waits in vain add.

        Parameters
        ----------
        node : int, optional
            A member; None for the one that does so the longest. It may be this node itself.
        """
        return self._engine.holdup(node)

    def troubles(self) -> list[str]:
        """Return what this node found out that no call can report, a sentence each, also logged as warnings.

        Above all that there is another group of this name: docs/founding.md. The last 16 are kept.
        """
        return self._engine.native.troubles()

    def stats(self) -> dict[str, int]:
        """Return this node's running totals, by the names of ``derecho_stats`` in derecho.h."""
        return self._engine.native.stats()

    def fileno(self) -> int:
        """Return a descriptor that is readable when the group has something to be driven for."""
        return self._engine.native.fd()

    def drive(self, timeout: float = 0.0) -> None:
        """Drive the group once on this thread, waiting at most `timeout` seconds: for an application's own loop.

        Raises
        ------
        DerechoError
            The group has ended, and why: `Closed`, `Ejected`, `NoMajority`, `StateLost`.
        """
        if self._engine.end is not None:
            raise self._engine.end
        self._engine.pump.turn(timeout)

    def __repr__(self) -> str:
        state = f"ended: {self._engine.end}" if self._engine.end else str(self._engine.view)
        return f"<Group {self.name}, node {self.node}, {state}>"


#: Join a group: `Group.join`.
join = Group.join


def _named(services: Iterable[object] | Mapping[str, object]) -> list[tuple[ServiceSchema, object]]:
    if not isinstance(services, Iterable):
        raise TypeError(
            f"services is a list of instances: [{type(services).__name__}()], or a mapping of name to instance"
        )
    if isinstance(services, Mapping):
        found = [(dataclasses.replace(schema(s), name=name), s) for name, s in services.items()]
    else:
        found = [(schema(s), s) for s in services]
    for kind, instance in found:
        if isinstance(instance, type):
            raise TypeError(f"services are instances: {kind.name}(), not {kind.name}")
    return found


def _configure(
    config: str | os.PathLike[str] | Mapping[str, Option] | None,
    explicit: dict[str, Option | None],
    hosted: list[tuple[ServiceSchema, object]],
    raw: Sequence[str],
) -> Config:
    settings = Config()
    try:
        if isinstance(config, (str, os.PathLike)):
            settings.load(os.fspath(config))
        elif config is not None:
            for key, value in config.items():
                settings.set(key, _text(value))
        for key, option in explicit.items():
            if option is not None:
                settings.set(key, _text(option))
        for kind, _ in hosted:
            settings.add_service(kind.name, kind.hash, kind.text)
        for name in raw:
            settings.add_service(name, 0)
    except BaseException:
        settings.close()
        raise
    return settings


def _check_names(parameter: str, names: object) -> None:
    """Refuse a lone string, which would be taken for a list of its letters."""
    if isinstance(names, str):
        raise TypeError(f"{parameter} is a list of names: [{names!r}], not {names!r}")


def _on_message(given: OnMessage, raw: Sequence[str]) -> Mapping[str, Callable[[Message], object]]:
    if given is None:
        return {}
    there = ", ".join(raw) or "none"
    if not isinstance(given, Mapping):
        if len(raw) != 1:
            raise InvalidArgument(
                f"on_message is one function for {len(raw)} raw shards ({there}): map names to functions"
            )
        return {raw[0]: given}
    for name in given:
        if name not in raw:
            raise InvalidArgument(f"on_message: no raw shard {name!r}; there are: {there}")
    return given


def _milliseconds(timeout: float) -> int:
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)):
        raise TypeError(f"timeout is a number of seconds, not {timeout!r}")
    if not 0 <= timeout <= _LONGEST_S:
        raise InvalidArgument(f"timeout: {timeout} is not a number of seconds from 0 to {_LONGEST_S}")
    return math.ceil(timeout * 1000)


def _text(value: Option) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float)):
        return str(value)
    return ",".join(value)


def _proxy(host: ServiceHost) -> type:
    """Make a class whose objects have an attribute for each method of the service."""
    members: dict[str, Any] = {
        m.name: OrderedCall(host, m) if m.kind == "ordered" else QueryCall(host, m) for m in host.schema.methods
    }
    members["__doc__"] = type(host.instance).__doc__
    return type(f"{host.schema.name}Proxy", (), members)
