"""Registered memory: buffers of one's own that members read and write one-sidedly (docs/memory.md)."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from ._native import KEY_BYTES, Message, NativeMemory, begin_operation
from .cuda import dmabuf, is_cuda
from .errors import Closed, DerechoError, InvalidArgument, MemberRemoved, from_status
from .futures import Future

if TYPE_CHECKING:
    from typing_extensions import Buffer as SupportsBuffer  # contiguous bytes-like objects, NumPy arrays included

    from .engine import Engine

__all__ = ["MemoryKey", "Part", "RegisteredMemory", "Transfer"]

_READ, _WRITE = 1, 2  # DERECHO_MEMORY_*
_OK, _REMOVED = 0, 16


class MemoryKey(bytes):
    """What opens one node's registered memory to one member: 32 bytes, to be sent to it in any way.

    It can be pickled, and made again from its bytes. It is of no use to any other node, nor to that member after it
    left the view.

    Raises
    ------
    InvalidArgument
        When made of anything but 32 bytes.
    """

    __slots__ = ()

    def __new__(cls, data: SupportsBuffer) -> MemoryKey:
        key = super().__new__(cls, memoryview(data))
        if len(key) != KEY_BYTES:
            raise InvalidArgument(f"a key has {KEY_BYTES} bytes, not {len(key)}")
        return key

    def __repr__(self) -> str:
        return f"<MemoryKey of memory {int.from_bytes(self[:8], 'little')}>"  # and not its secret


class Transfer(Future[int]):
    """A read or write under way; its value is the number of bytes moved, all there were.

    Notes
    -----
    ``result()`` raises `MemberRemoved` when the member left the view first, and `InvalidArgument` when the key opens
    nothing, does not allow it, or the run reaches beyond the memory's end; `Unreachable` when only RDMA devices reach
    the memory at one end, and none does.
    """

    __slots__ = ("_borrowed", "nbytes", "node")

    def __init__(self, engine: Engine, what: str, node: int, nbytes: int, borrowed: list[RegisteredMemory]) -> None:
        super().__init__(engine, what)
        #: Whose memory it is.
        self.node = node
        #: How many bytes are to be moved.
        self.nbytes = nbytes
        self._borrowed = borrowed  # registered for this operation only

    def _take(self, event: Message) -> None:
        self._give_back()
        if event.status == _OK:
            self._set(self.nbytes)
        elif event.status == _REMOVED:
            self._set(None, MemberRemoved(f"{self._what}: member {self.node} left the view first"))
        else:
            self._set(None, from_status(event.status, f"{self._what}: {str(event.data, 'utf-8', 'replace')}"))

    def _fail(self, error: DerechoError) -> None:
        self._set(None, error)
        with suppress(DerechoError):  # an operation may be open for good: closing the group lets the buffers go
            self._give_back()

    def _give_back(self) -> None:
        for memory in self._borrowed:
            memory.deregister(0)


class RegisteredMemory:
    """A buffer that members who were given a key may read and write. Made by :meth:`derecho.Group.register`.

    The buffer can neither be resized nor freed before `deregister`, or the group's end, even if this object is dropped.
    What peers write shows in it at any time, in any order within one operation. A context manager: leaving the block
    deregisters.

    Attributes
    ----------
    nbytes : int
        Its size.
    """

    def __init__(self, engine: Engine, native: NativeMemory) -> None:
        self._engine = engine
        self._native: NativeMemory | None = native
        self.nbytes = native.nbytes

    def key_for(self, node: int) -> MemoryKey:
        """Return the key that opens this memory to one member; the same when asked for again.

        Raises
        ------
        NotMember
            When `node` is not in the view.
        InvalidArgument
            When the memory was registered for no peer's access.
        Closed
            After `deregister`.
        """
        return MemoryKey(self._open().key_for(node))

    def deregister(self, timeout: float | None = None) -> None:
        """Take the buffer back; a second time does nothing.

        Waits for this node's own reads and writes that use it. Afterwards all keys to it are dead, nothing of anybody's
        lands in it any more, and the buffer is free.

        Parameters
        ----------
        timeout : float, optional
            Seconds; the group's default if None.

        Raises
        ------
        Timeout
            Naming how many operations are pending, and with whom; it is still registered.
        """
        native = self._native
        if native is None:
            return
        with suppress(Closed):  # it ended with its group, or on another thread just now
            native.deregister(self._engine.memories.milliseconds(timeout))
        if self._engine.memories.drop(self):
            self._native = None
            native.release()

    @property
    def closed(self) -> bool:
        """Whether it was deregistered."""
        return self._native is None

    def _open(self) -> NativeMemory:
        if self._native is None:
            raise Closed("the memory was deregistered")
        return self._native

    def __len__(self) -> int:
        return self.nbytes

    def __enter__(self) -> RegisteredMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.deregister()

    def __repr__(self) -> str:
        return f"<RegisteredMemory of {self.nbytes} bytes{'' if self._native else ', deregistered'}>"


#: A part of this node's memory: all of a registered one, ``(memory, offset, nbytes)`` of it, or any contiguous buffer,
#: such as a slice of a registered array.
Part: TypeAlias = "RegisteredMemory | tuple[RegisteredMemory, int, int] | SupportsBuffer"


class Memories:
    """What one group has registered, and the operations under way."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._registered: dict[RegisteredMemory, None] = {}  # in order; a set that keeps them alive
        self._transfers: dict[int, Transfer] = {}
        # Held while an operation begins, so that its event finds it.
        self._lock = threading.Lock()

    def milliseconds(self, timeout: float | None) -> int:
        """Return a wait in milliseconds."""
        return int((self._engine.timeout if timeout is None else timeout) * 1000)

    def register(self, buffer: SupportsBuffer, read: bool, write: bool) -> RegisteredMemory:
        """Register all of a buffer, or of an array in a CUDA device's memory."""
        if is_cuda(buffer):
            with dmabuf(buffer) as (fd, offset, nbytes):
                return self.register_dmabuf(fd, offset, nbytes, read, write, holds=buffer)
        view = _bytes_of(buffer)
        try:
            if write and view.readonly:
                raise InvalidArgument("the buffer is read-only: peers cannot be let to write it")
            native = NativeMemory(self._engine.native, view, _access(read, write))
        except BaseException:
            view.release()
            raise
        return self._registered_as(native)

    def register_dmabuf(
        self, fd: int, offset: int, nbytes: int, read: bool, write: bool, holds: object = None
    ) -> RegisteredMemory:
        """Register a part of a device's memory, holding on to what it is of."""
        if offset < 0 or nbytes < 0:
            raise InvalidArgument(f"offset {offset} or size {nbytes} is negative")
        native = NativeMemory(self._engine.native, (fd, offset, nbytes), _access(read, write), holds)
        return self._registered_as(native)

    def _registered_as(self, native: NativeMemory) -> RegisteredMemory:
        memory = RegisteredMemory(self._engine, native)
        self._registered[memory] = None
        return memory

    def drop(self, memory: RegisteredMemory) -> bool:
        """Forget a buffer; whether it was known."""
        return self._registered.pop(memory, self) is None

    def begin(
        self,
        write: bool,
        node: int,
        key: SupportsBuffer,
        offset: int,
        parts: Part | Sequence[Part],
        timeout: float | None,
    ) -> Transfer:
        """Begin an operation."""
        raw = MemoryKey(key)
        if offset < 0:
            raise InvalidArgument(f"offset {offset} is negative")
        borrowed: list[RegisteredMemory] = []
        try:
            pieces = [self._piece(part, write, borrowed) for part in _each(parts) if _size(part)]
            nbytes = sum(size for _, _, size in pieces)
            what = f"{'write of' if write else 'read of'} {nbytes} bytes {'to' if write else 'from'} node {node}"
            transfer = Transfer(self._engine, what, node, nbytes, borrowed)

            def attempt() -> None:
                with self._lock:
                    number = begin_operation(self._engine.native, write, node, raw, offset, pieces)
                    self._transfers[number] = transfer

            self._engine.retrying(attempt, timeout)
        except BaseException:
            for memory in borrowed:
                memory.deregister(0)
            raise
        return transfer

    def on_events(self, _: int, events: Iterator[Message]) -> None:
        """Finish what ended."""
        for event in events:
            if event.status == Closed.status:
                continue  # what ended the group fails it, at once
            with self._lock:
                transfer = self._transfers.pop(event.id, None)
            if transfer is not None:
                transfer._take(event)

    def end(self, error: DerechoError) -> None:
        """Nothing will come any more."""
        with self._lock:
            transfers, self._transfers = self._transfers, {}
        for transfer in transfers.values():
            transfer._fail(error)

    def release(self) -> None:
        """Let all buffers go: the group was closed."""
        for memory in list(self._registered):
            memory.deregister(0)

    # ---------------------------------------------------------------------------------------- parts

    def _piece(self, part: Any, write: bool, borrowed: list[RegisteredMemory]) -> tuple[NativeMemory, int, int]:
        if isinstance(part, RegisteredMemory):
            part = (part, 0, part.nbytes)
        if isinstance(part, tuple):
            memory, offset, nbytes = part
            native = memory._open()
            if offset < 0 or nbytes < 0 or offset + nbytes > native.nbytes:
                raise InvalidArgument(f"{nbytes} bytes from {offset} are not inside of the {native.nbytes} registered")
        else:
            memory = self.register(part, read=False, write=False)
            borrowed.append(memory)
            native, offset, nbytes = memory._open(), 0, memory.nbytes
        if not write and not native.writable:
            raise InvalidArgument("the buffer is read-only: nothing can be read into it")
        return native, offset, nbytes


def _each(parts: Any) -> Iterable[Any]:
    """Tell several parts from one: a list, or a tuple that is not ``(memory, offset, nbytes)``."""
    if isinstance(parts, list):
        return parts
    if isinstance(parts, tuple) and not (len(parts) == 3 and isinstance(parts[1], int)):
        return parts
    return (parts,)


def _size(part: Any) -> int:
    return 1 if isinstance(part, (tuple, RegisteredMemory)) or is_cuda(part) else _bytes_of(part).nbytes


def _access(read: bool, write: bool) -> int:
    return (_READ if read else 0) | (_WRITE if write else 0)


def _bytes_of(buffer: SupportsBuffer) -> memoryview:
    try:
        view = memoryview(buffer)
    except TypeError:
        raise TypeError(
            f"{type(buffer).__name__} is no buffer: bytes, bytearray, memoryview, array or NumPy array"
        ) from None
    if not view.c_contiguous:
        view.release()
        raise InvalidArgument(
            "the buffer is not C-contiguous, its bytes do not lie in one run: take another slice, or a copy such as "
            "numpy.ascontiguousarray()"
        )
    return view
