"""How values pass a stub DLL, whose functions are untyped: the same for the DLL and for every language's shim.

A number is itself; text, bytes and lists of numbers are a pointer and a count; an optional of these has a flag before.
Any other value is a message with one field (docs/layout.md), as pointer and size.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..codec.wire import Blob, ListOf, OptionalOf, ScalarType, WireType

__all__ = ["Passing", "passing"]


@dataclass(frozen=True)
class Passing:
    """How one value passes.

    Attributes
    ----------
    kind : str
        ``"number"``, ``"text"``, ``"bytes"``, ``"numbers"`` or ``"message"``.
    optional : bool
        Whether a flag precedes it.
    wire : WireType
        Its type, without the optional.
    """

    kind: str
    optional: bool
    wire: WireType

    @property
    def number(self) -> str:
        """The wire's name of a number, or of a list's numbers."""
        scalar = self.wire.element if isinstance(self.wire, ListOf) else self.wire
        assert isinstance(scalar, ScalarType)
        return scalar.name

    @property
    def count_suffix(self) -> str:
        """What the count's name ends in."""
        return "count" if self.kind == "numbers" else "bytes"


def passing(wire: WireType) -> Passing:
    """Find how values of a type pass."""
    if isinstance(wire, OptionalOf):
        inner = passing(wire.value)
        if inner.kind != "message" and not inner.optional:
            return Passing(inner.kind, True, wire.value)
        return Passing("message", False, wire)
    if isinstance(wire, ScalarType):
        return Passing("number", False, wire)
    if isinstance(wire, Blob):
        return Passing("text" if wire.name == "str" else "bytes", False, wire)
    if isinstance(wire, ListOf) and isinstance(wire.element, ScalarType) and wire.element.name != "bool":
        return Passing("numbers", False, wire)
    return Passing("message", False, wire)
