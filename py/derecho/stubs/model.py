"""What an emitter is given: the schema of a service, its docstrings, and its structs in order of need."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from ..codec.method import Method, ServiceSchema
from ..codec.wire import ArrayOf, ListOf, MapOf, OptionalOf, StructOf, WireType

__all__ = ["StubError", "StubModel", "children", "read_services", "stub_model"]


class StubError(Exception):
    """Why there are no stubs, in a sentence for the terminal."""


@dataclass(frozen=True)
class StubModel:
    """One service, as emitters see it.

    Attributes
    ----------
    schema : ServiceSchema
        Names, methods, types, hash; layouts come from `derecho.codec.wire`.
    source : str
        Name of the file it was read from, for the head of what is generated.
    doc : str
        The class's docstring, "" without one.
    method_docs : dict of str to str
        By method name; "" without one.
    struct_docs : dict of str to str
        By struct name.
    structs : tuple of StructOf
        Every struct of the service once, each after those that it uses.
    """

    schema: ServiceSchema
    source: str
    doc: str
    method_docs: dict[str, str]
    struct_docs: dict[str, str]
    structs: tuple[StructOf, ...]

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods, by id."""
        return self.schema.methods

    @property
    def state(self) -> WireType | None:
        """The declared type of the state; None when it is bytes."""
        return self.schema.state.type if self.schema.state else None


def read_services(path: Path) -> list[StubModel]:
    """Import a Python file and model the services that it defines, in order of definition.

    Raises
    ------
    StubError
        When the file cannot be imported, with its error, or defines no service.
    """
    module = _import(path)
    services = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and "__derecho_schema__" in vars(value)
    ]
    if not services:
        raise StubError(f"{path} defines no class with @derecho.service")
    return [stub_model(cls, path.name) for cls in dict.fromkeys(services)]


def stub_model(cls: type, source: str) -> StubModel:
    """Model one decorated class."""
    schema: ServiceSchema = vars(cls)["__derecho_schema__"]
    structs: dict[str, StructOf] = {}
    for m in schema.methods:
        for wire in (*(f.type for f in m.fields), *((m.result,) if m.result else ())):
            _collect(wire, structs)
    if schema.state:
        _collect(schema.state.type, structs)
    return StubModel(
        schema,
        source,
        inspect.cleandoc(cls.__doc__ or ""),
        {m.name: inspect.cleandoc(m.function.__doc__ or "") for m in schema.methods},
        {s.name: _struct_doc(s.python) for s in structs.values()},
        tuple(structs.values()),
    )


def children(wire: WireType) -> Iterator[WireType]:
    """The types that a type is made of, directly."""
    if isinstance(wire, (ListOf, ArrayOf)):
        yield wire.element
    elif isinstance(wire, MapOf):
        yield from (wire.key, wire.value)
    elif isinstance(wire, OptionalOf):
        yield wire.value
    elif isinstance(wire, StructOf):
        yield from (f.type for f in wire.fields)


def _collect(wire: WireType, structs: dict[str, StructOf]) -> None:
    for child in children(wire):
        _collect(child, structs)
    if isinstance(wire, StructOf):
        structs.setdefault(wire.name, wire)


def _struct_doc(cls: type) -> str:
    doc = inspect.cleandoc(cls.__doc__ or "")
    generated = dataclasses.is_dataclass(cls) and doc.startswith(f"{cls.__name__}(")  # what dataclass itself puts there
    return "" if generated else doc


def _import(path: Path) -> ModuleType:
    name = path.stem
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StubError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look their module up
    sys.path.insert(0, str(path.resolve().parent))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise StubError(f"{path}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
    return module
