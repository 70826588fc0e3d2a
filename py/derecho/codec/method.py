"""The schema of a service: its methods, their types, the canonical text that every language hashes, and its JSON."""

from __future__ import annotations

import hashlib
import inspect
import json
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .annotations import ACCEPTED, Unsupported, wire_type
from .check import explain
from .decode import make_decoder
from .encode import Parts, make_encoder, parameters
from .wire import ArrayOf, Field, ListOf, MapOf, OptionalOf, StructOf, WireType, struct_layout

__all__ = ["MARK", "Method", "ServiceSchema", "schema_of"]

#: Attribute of a decorated function: "ordered" or "query".
MARK = "__derecho_kind__"

_NAME_BYTES_MAX = 63
_METHODS_MAX = 1 << 16


@dataclass(frozen=True)
class Method:
    """One method of a service.

    Attributes
    ----------
    id : int
        Its index in order of declaration: the ``method`` of the C ABI.
    name, kind : str
        `kind` is ``"ordered"`` or ``"query"``.
    where : str
        ``"Cache.put"``, for errors.
    fields : tuple of Field
        The parameters.
    result : WireType or None
        None for a method that returns nothing.
    function : callable
        The undecorated function.
    """

    id: int
    name: str
    kind: str
    where: str
    fields: tuple[Field, ...]
    result: WireType | None
    function: Callable[..., Any]

    @property
    def text(self) -> str:
        """The canonical line of this method."""
        words = ",".join(f"{f.name}:{f.type.text}" for f in self.fields)
        return f"{self.kind} {self.name}({words})->{self.result.text if self.result else 'void'}"

    @cached_property
    def encode(self) -> Callable[..., Parts]:
        """Takes the method's arguments, returns the message in parts."""
        signature = inspect.signature(self.function)
        named = signature.parameters.values()
        defaults = {f"_default_{p.name}": p.default for p in named if p.default is not p.empty}
        return make_encoder(self.where, self.name, self.fields, parameters(signature), defaults)

    @cached_property
    def decode(self) -> Callable[[memoryview], tuple[Any, ...]]:
        """Takes a message, returns the arguments in order of declaration."""
        return make_decoder(self.where, self.fields)

    @cached_property
    def encode_result(self) -> Callable[[Any], Parts]:
        """Takes what the handler returned, returns the reply in parts."""
        return make_encoder(self.where, "encode_result", self._result_fields, "result") if self.result else self._void

    @cached_property
    def decode_result(self) -> Callable[[memoryview], Any]:
        """Takes a reply, returns the value."""
        if self.result:
            return make_decoder(f"{self.where} reply", self._result_fields, single=True)
        return lambda message: None

    @property
    def _result_fields(self) -> tuple[Field, ...]:
        assert self.result is not None
        return (Field("result", self.result),)

    def _void(self, result: Any) -> Parts:
        if result is not None:
            raise TypeError(f"{self.where}: result: expected None, got {type(result).__name__}")
        return ()


@dataclass(frozen=True)
class StateType:
    """The declared type of a service's state, which all languages' members share.

    Attributes
    ----------
    type : WireType
        Of the value that ``__derecho_save__`` returns and ``__derecho_load__`` takes.
    where : str
        ``"Cache"``, for errors.
    """

    type: WireType
    where: str

    @cached_property
    def encode(self) -> Callable[[Any], Parts]:
        """Takes the value, returns the message in parts."""
        return make_encoder(self.where, "encode_state", (Field("state", self.type),), "state")

    @cached_property
    def decode(self) -> Callable[[memoryview], Any]:
        """Takes a message, returns the value."""
        return make_decoder(f"{self.where} state", (Field("state", self.type),), single=True)


@dataclass(frozen=True)
class ServiceSchema:
    """All that members must agree on about a service.

    Attributes
    ----------
    state : StateType or None
        None when the state is bytes that only the service itself understands.
    """

    name: str
    methods: tuple[Method, ...]
    state: StateType | None = None

    @cached_property
    def text(self) -> str:
        """The canonical text: a line for the service, each method and the state, in order, each ended by a newline."""
        state = (f"state {self.state.type.text}",) if self.state else ()
        return "".join(f"{line}\n" for line in (f"service {self.name}", *(m.text for m in self.methods), *state))

    @cached_property
    def hash(self) -> int:
        """64 bits over `text`: the first 8 bytes of its SHA-256, little-endian; never 0, which stands for "raw"."""
        return int.from_bytes(hashlib.sha256(self.text.encode()).digest()[:8], "little") or 1

    @cached_property
    def by_name(self) -> dict[str, Method]:
        """The methods by name."""
        return {m.name: m for m in self.methods}

    def to_json(self) -> str:
        """The schema as canonical JSON (keys sorted, no spaces), for generators of stubs (docs/layout.md)."""
        structs: dict[str, Any] = {}
        methods = []
        for m in self.methods:
            result = (Field("result", m.result),) if m.result else ()
            for f in (*m.fields, *result):
                _collect(f.type, structs)
            methods.append(
                {
                    "id": m.id,
                    "name": m.name,
                    "kind": m.kind,
                    "arguments": _struct_json(m.fields),
                    "result": _struct_json(result),
                }
            )
        state = (Field("state", self.state.type),) if self.state else ()
        for f in state:
            _collect(f.type, structs)
        whole = {
            "schema": 1,
            "service": self.name,
            "hash": f"{self.hash:016x}",
            "methods": methods,
            "state": _struct_json(state) if state else None,
            "structs": structs,
            "text": self.text,
        }
        return json.dumps(whole, sort_keys=True, separators=(",", ":"))


def schema_of(cls: type, name: str, scope: Mapping[str, Any], state: Any = None) -> ServiceSchema:
    """Read the schema off a class whose methods are decorated.

    Parameters
    ----------
    cls : type
        The class; methods of its bases come first.
    name : str
        Of the service.
    scope : mapping
        Names that annotations may use besides their module's.
    state : type, optional
        Of the service's state, when all languages are to understand it.

    Raises
    ------
    TypeError
        Naming class, method, parameter, and the accepted types.
    """
    if not name or len(name.encode()) > _NAME_BYTES_MAX or not name.isprintable() or " " in name:
        raise TypeError(f"service name {name!r} must have 1 to {_NAME_BYTES_MAX} bytes, printable, without spaces")
    found: dict[str, Callable[..., Any]] = {}
    for base in reversed(cls.__mro__):
        for key, value in vars(base).items():
            _not_wrapped(f"{cls.__name__}.{key}", value)
            if hasattr(value, MARK):
                found[key] = value
            elif key in found and base is not object:
                raise TypeError(f"{cls.__name__}.{key}: overrides a service method, but is not decorated itself")
    if not found:
        raise TypeError(f"{cls.__name__} has no method with @derecho.ordered or @derecho.query")
    if len(found) > _METHODS_MAX:
        raise TypeError(f"{cls.__name__} has {len(found)} methods; at most {_METHODS_MAX}")
    methods = tuple(_method(cls, i, key, function, scope) for i, (key, function) in enumerate(found.items()))
    declared = None if state is None else StateType(_resolve(state, scope, f"{cls.__name__}: the state"), cls.__name__)
    schema = ServiceSchema(name, methods, declared)
    _same_name_same_struct(cls, schema)
    return schema


def _method(cls: type, index: int, name: str, function: Callable[..., Any], scope: Mapping[str, Any]) -> Method:
    where = f"{cls.__name__}.{name}"
    try:
        hints = typing.get_type_hints(function, localns=dict(scope) | {cls.__name__: cls}, include_extras=True)
    except NameError as error:
        raise TypeError(f"{where}: {error}; annotations must be resolvable where the class is decorated") from error
    _plain_function(where, function)
    self, *named = inspect.signature(function).parameters.values() or (None,)
    _takes_self(where, self, hints, scope)
    fields = []
    for p in named:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            raise TypeError(f"{where}: parameter {p}: a message has a fixed set of parameters")
        if p.name.startswith("_"):
            raise TypeError(f"{where}: parameter {p.name}: names must not start with an underscore")
        if p.name not in hints:
            raise TypeError(f"{where}: parameter {p.name} has no annotation; accepted types: {ACCEPTED}")
        field = Field(p.name, _resolve(hints[p.name], scope, f"{where}: parameter {p.name}"))
        if p.default is not p.empty and (wrong := explain(field.type, p.default)):
            raise TypeError(f"{where}: the default of parameter {p.name}{wrong}")
        fields.append(field)
    if "return" not in hints:
        raise TypeError(f"{where}: the result has no annotation (not even -> None); accepted types: {ACCEPTED}")
    result = hints["return"]
    wire = None if result is type(None) else _resolve(result, scope, f"{where}: the result")
    return Method(index, name, getattr(function, MARK), where, tuple(fields), wire, function)


def _not_wrapped(where: str, value: Any) -> None:
    """Refuse what hides a decorated function, or takes no self."""
    inner = [value, *(getattr(value, name, None) for name in ("__func__", "fget", "func"))]
    if not inspect.isfunction(value) and any(hasattr(each, MARK) for each in inner):
        raise TypeError(
            f"{where}: a service's method is a plain function that takes self, not a {type(value).__name__}"
        )


def _plain_function(where: str, function: Callable[..., Any]) -> None:
    """Refuse what returns before it has run: replicas apply one call after the other, as a whole."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(
            f"{where}: a handler is no `async def`: it runs as a whole, at its place in the order; callers await"
        )
    if inspect.isgeneratorfunction(function):
        raise TypeError(f"{where}: a handler does not `yield`: it returns one value, such as a list")


def _takes_self(
    where: str, first: inspect.Parameter | None, hints: Mapping[str, Any], scope: Mapping[str, Any]
) -> None:
    ok = first is not None and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)
    if first is not None and ok and first.name in hints:
        try:
            wire_type(hints[first.name], scope)
        except Unsupported:
            return
        ok = False  # a parameter that travels
    if not ok:
        raise TypeError(f"{where}: the first parameter must be self")


def _resolve(annotation: Any, scope: Mapping[str, Any], what: str) -> WireType:
    try:
        return wire_type(annotation, scope)
    except Unsupported as error:
        raise TypeError(f"{what}: {error}; accepted types: {ACCEPTED}") from None


def _children(wire: WireType) -> tuple[WireType, ...]:
    if isinstance(wire, (ListOf, ArrayOf)):
        return (wire.element,)
    if isinstance(wire, MapOf):
        return (wire.key, wire.value)
    if isinstance(wire, OptionalOf):
        return (wire.value,)
    if isinstance(wire, StructOf):
        return tuple(f.type for f in wire.fields)
    return ()


def _collect(wire: WireType, structs: dict[str, Any]) -> None:
    for child in _children(wire):
        _collect(child, structs)
    if isinstance(wire, StructOf):
        structs[wire.name] = _struct_json(wire.fields)


def _struct_json(fields: tuple[Field, ...]) -> dict[str, Any]:
    offsets, size = struct_layout(fields)
    return {
        "align": max((f.type.align for f in fields), default=1),
        "size": size,
        "fields": [
            {"name": f.name, "offset": offset, "type": _type_json(f.type)}
            for f, offset in zip(fields, offsets, strict=True)
        ],
    }


def _type_json(wire: WireType) -> Any:
    """A type as JSON: its name, or an object with `kind` and what it is made of."""
    if isinstance(wire, StructOf):
        return {"kind": "struct", "name": wire.name}
    if isinstance(wire, ListOf):
        return {"kind": "list", "element": _type_json(wire.element)}
    if isinstance(wire, ArrayOf):
        return {"kind": "array", "element": _type_json(wire.element), "count": wire.count}
    if isinstance(wire, MapOf):
        return {"kind": "map", "key": _type_json(wire.key), "value": _type_json(wire.value)}
    if isinstance(wire, OptionalOf):
        return {"kind": "optional", "value": _type_json(wire.value)}
    return wire.text


def _same_name_same_struct(cls: type, schema: ServiceSchema) -> None:
    """Two dataclasses of one name would be one type in the other languages."""
    seen: dict[str, StructOf] = {}

    def visit(wire: WireType) -> None:
        for child in _children(wire):
            visit(child)
        if isinstance(wire, StructOf) and seen.setdefault(wire.name, wire) != wire:
            raise TypeError(f"{cls.__name__}: two different dataclasses are named {wire.name}")

    for m in schema.methods:
        for f in m.fields:
            visit(f.type)
        if m.result:
            visit(m.result)
    if schema.state:
        visit(schema.state.type)
