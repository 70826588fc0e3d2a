"""The state of a service: saved for a joiner, in pieces, and loaded by it.

A service may define ``__derecho_save__(self) -> bytes`` and ``__derecho_load__(self, data: bytes) -> None``. Otherwise
its attributes are one MessagePack map, strictly: what would come back as another type is refused, not converted. With a
declared type of state (``@derecho.service(state=...)``) the hooks deal in values of that type (docs/layout.md).
"""

from __future__ import annotations

from typing import Any

import msgpack  # type: ignore[import-untyped]

from ._native import Message
from .codec.method import StateType
from .errors import StateError
from .service import schema

__all__ = ["Incoming", "check_service", "load", "save"]

_FIRST, _LAST = 2, 4  # DERECHO_FLAG_FIRST, DERECHO_FLAG_LAST
_ACCEPTED = "None, bool, int (64 bits), float, str, bytes, list, dict of these"


def save(service: Any) -> bytes:
    """Return the state of a service, as of now.

    Raises
    ------
    StateError
        Naming the attribute that cannot be saved, or what ``__derecho_save__`` raised.
    """
    name = type(service).__name__
    custom = getattr(service, "__derecho_save__", None)
    declared = _declared(service)
    if custom is not None:
        try:
            return b"".join(declared.encode(custom())) if declared else bytes(memoryview(custom()))
        except Exception as error:
            raise StateError(f"{name}.__derecho_save__ failed: {type(error).__name__}: {error}") from error
    try:
        return _pack(vars(service))
    except (TypeError, ValueError, OverflowError, RecursionError):
        for key, value in vars(service).items():
            try:
                _pack(value)
            except (TypeError, ValueError, OverflowError, RecursionError) as error:
                raise StateError(
                    f"{name}.{key} cannot be saved ({error}): attributes may be {_ACCEPTED}; for others define "
                    f"{name}.__derecho_save__(self) -> bytes and __derecho_load__(self, data: bytes)"
                ) from None
        raise


def load(service: Any, data: bytes) -> None:
    """Replace the state of a service by a saved one.

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
        vars(service).clear()
        vars(service).update(attributes)
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
            save(service)
        except StateError as error:
            raise TypeError(str(error)) from None


def _declared(service: Any) -> StateType | None:
    return schema(service).state


def _pack(value: Any) -> bytes:
    return bytes(msgpack.packb(value, strict_types=True, use_bin_type=True))


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
