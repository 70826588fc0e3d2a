"""The state of a service: saved for a joiner, in pieces, and loaded by it.

A service may define ``__derecho_save__(self) -> bytes`` and ``__derecho_load__(self, data: bytes) -> None``. If the
first is a generator, or returns another iterator of bytes, its pieces are made as they are sent, and the service's
ordered calls are held back until the last one was: they must not be in the state. Otherwise its attributes are one
MessagePack map, in order of their names, strictly: what would come back as another type is refused, not converted.
Attributes that the saved map lacks stay what ``__init__`` made them, and those whose annotation is `Local` are left out
of it. With a declared type of state (``@derecho.service(state=...)``) the hooks deal in values of that type
(docs/layout.md).
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from copy import copy
from typing import Annotated, Any, TypeVar

import msgpack  # type: ignore[import-untyped]

from ._native import Message, fast
from .codec.method import StateType
from .errors import StateError
from .service import schema

__all__ = ["Incoming", "Local", "Piece", "Saving", "check_service", "load", "save"]

refuse_buffers = fast.refuse_buffers
_FIRST, _LAST = 2, 4  # DERECHO_FLAG_FIRST, DERECHO_FLAG_LAST
_ATOMS = {type(None), bool, int, float, str, bytes}
_LARGE_BYTES = 64 << 10  # at least what bin 32 is the canonical header of
_MANY = 64
_LOCAL = "derecho.Local"
_ACCEPTED = "None, bool, int (64 bits), float, str, bytes, list, dict of these"

T = TypeVar("T")

#: Marks an attribute of a service as this node's own business: ``hits: derecho.Local[int]`` in the class. It is not a
#: part of the state: a joiner keeps what its ``__init__`` made, and digests do not look at it.
Local = Annotated[T, _LOCAL]

Piece = bytes | bytearray | memoryview


class Saving:
    """A state on its way out, in pieces that are made as they are sent.

    Attributes
    ----------
    pieces : iterator of bytes-like
        Of any size.
    holds : bool
        Whether the service must not change until the last piece was made.
    nbytes : int or None
        All pieces together; None if that is not known.
    """

    def __init__(self, pieces: Iterator[Piece], holds: bool, nbytes: int | None) -> None:
        self.pieces = pieces
        self.holds = holds
        self.nbytes = nbytes

    def whole(self) -> bytes:
        """Make all pieces, as one."""
        return b"".join(self.pieces)

    def collect(self) -> None:
        """Make all pieces now."""
        self.pieces = iter(list(self.pieces))
        self.holds = False


def save(service: Any) -> Saving:
    """Begin to save the state of a service, as of now.

    Raises
    ------
    StateError
        Naming what ``__derecho_save__`` raised, or an attribute that cannot be saved. The pieces may raise it, too.
    """
    name = type(service).__name__
    custom = getattr(service, "__derecho_save__", None)
    if custom is None:
        local = _local_names(type(service))
        attributes = {key: value for key, value in sorted(vars(service).items()) if key not in local}
        holds = not all(map(_is_flat, attributes.values()))
        if not holds:
            attributes = {key: copy(value) for key, value in attributes.items()}
        return Saving(_pieces_of(name, attributes), holds, None)
    declared = _declared(service)
    try:
        value = custom()
        if declared:
            parts = list(declared.encode(value))
            return Saving(iter(parts), False, sum(map(len, parts)))
        if isinstance(value, Iterator):
            return Saving(_guarded(name, value), True, None)
        data = memoryview(value).cast("B")
        return Saving(iter((data,)), False, len(data))
    except Exception as error:
        raise _save_failed(name, error) from error


def _local_names(cls: type) -> frozenset[str]:
    names: set[str] = set()
    for base in cls.__mro__:
        scope = vars(sys.modules.get(base.__module__, sys))
        for name, annotation in inspect.get_annotations(base).items():
            if _is_local(annotation, scope):
                names.add(name)
    return frozenset(names)


def _is_local(annotation: Any, scope: dict[str, Any]) -> bool:
    """Whether it is `Local`; as text, too, in which other names may mean nothing here."""
    if not isinstance(annotation, str):
        return _LOCAL in getattr(annotation, "__metadata__", ())
    named = re.match(r"[\w.]+", annotation.strip())
    value: Any = None
    for n, part in enumerate(named[0].split(".") if named else ()):
        value = scope.get(part) if n == 0 else getattr(value, part, None)
    return _is_local(value, {}) if value is not None else False


def _save_failed(name: str, error: Exception) -> StateError:
    return StateError(f"{name}.__derecho_save__ failed: {type(error).__name__}: {error}")


def _guarded(name: str, pieces: Iterator[Any]) -> Iterator[memoryview]:
    try:
        for piece in pieces:
            yield memoryview(piece).cast("B")
    except Exception as error:
        raise _save_failed(name, error) from error


def _is_flat(value: Any) -> bool:
    """Whether a copy of it alone does not change when the service does: values of such types never do."""
    kind = type(value)
    if kind is dict:
        return _ATOMS.issuperset(map(type, value.values()))
    if kind is list:
        return _ATOMS.issuperset(map(type, value))
    return kind in _ATOMS


def _pieces_of(name: str, attributes: dict[str, Any]) -> Iterator[Piece]:
    """One MessagePack map, in pieces: what is large is never there twice."""
    packer = msgpack.Packer(strict_types=True, use_bin_type=True)
    yield packer.pack_map_header(len(attributes))
    for key, value in attributes.items():
        yield packer.pack(key)
        try:
            yield from _pack(packer, value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise StateError(
                f"{name}.{key} cannot be saved ({error}): attributes may be {_ACCEPTED}; for others, such as "
                f"dataclasses, declare @derecho.service(state=TYPE), define {name}.__derecho_save__(self) -> TYPE and "
                f"__derecho_load__(self, state: TYPE), or both without a type, in bytes of your own; mark one that "
                f"is this node's own as {key}: derecho.Local[...] in the class"
            ) from None


def _pack(packer: Any, value: Any) -> Iterator[Piece]:
    if type(value) is bytes and len(value) > _LARGE_BYTES:
        yield b"\xc6" + len(value).to_bytes(4, "big")  # bin 32
        yield memoryview(value)
    elif type(value) is dict and len(value) > _MANY:
        yield packer.pack_map_header(len(value))
        for key, entry in value.items():
            refuse_buffers(key)
            yield packer.pack(key)
            yield from _pack(packer, entry)
    elif type(value) is list and len(value) > _MANY:
        yield packer.pack_array_header(len(value))
        for entry in value:
            yield from _pack(packer, entry)
    else:
        refuse_buffers(value)  # which msgpack, for all its strictness, takes for bytes
        yield packer.pack(value)


def load(service: Any, data: bytes) -> None:
    """Replace the state of a service by a saved one. Attributes that it lacks, or that are local, stay as they are.

    Raises
    ------
    StateError
        When it cannot be.
    """
    name = type(service).__name__
    custom = getattr(service, "__derecho_load__", None)
    try:
        if custom is not None:
            declared = _declared(service)
            custom(declared.decode(memoryview(data)) if declared else data)
            return
        attributes = msgpack.unpackb(data, strict_map_key=False)
        if not isinstance(attributes, dict) or not all(isinstance(key, str) for key in attributes):
            raise ValueError("not a map of attributes")
        local = _local_names(type(service))
        vars(service).update({key: value for key, value in attributes.items() if key not in local})
    except Exception as error:
        raise StateError(f"the state of {name} cannot be loaded: {type(error).__name__}: {error}") from error


def check_service(service: Any) -> None:
    """Refuse, before joining, a service whose state could not be handed to a joiner later."""
    name = type(service).__name__
    custom = [hasattr(service, hook) for hook in ("__derecho_save__", "__derecho_load__")]
    if any(custom) and not all(custom):
        raise TypeError(f"{name} has only one of __derecho_save__ and __derecho_load__: it needs both, or neither")
    if not any(custom):
        if _declared(service):
            raise TypeError(f"{name} declares the type of its state: define __derecho_save__ and __derecho_load__")
        if not hasattr(service, "__dict__"):
            raise TypeError(f"{name} keeps its state in slots: define __derecho_save__ and __derecho_load__")
        try:
            for _ in save(service).pieces:
                pass
        except StateError as error:
            raise TypeError(str(error)) from None


def _declared(service: Any) -> StateType | None:
    return schema(service).state


class Incoming:
    """Collects the pieces of one service's state."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def add(self, event: Message) -> bytes | None:
        """Add a piece; return the whole when it was the last."""
        if event.flags & _FIRST:
            self._pieces.clear()
        self._pieces.append(event.tobytes())
        if not event.flags & _LAST:
            return None
        whole = b"".join(self._pieces)
        self._pieces.clear()
        return whole
