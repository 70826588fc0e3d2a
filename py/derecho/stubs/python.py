"""Python: the annotated class again, without the bodies, for programs that have not got the original."""

from __future__ import annotations

import keyword

from ..codec.method import Method
from ..codec.wire import ArrayOf, Blob, ListOf, MapOf, OptionalOf, ScalarType, StructOf, WireType
from .model import StubError, StubModel, children
from .names import distinct, plain, snake

__all__ = ["BUILTINS", "annotation", "class_name", "docstring", "emit"]

_SCALARS = {"bool": "bool", "i64": "int", "f64": "float", "f32": "derecho.float32"}
_SCALARS |= {
    f"{s}{n}": f"derecho.{'u' if s == 'u' else ''}int{n}" for s in "iu" for n in (8, 16, 32, 64) if s + str(n) != "i64"
}


def emit(model: StubModel) -> dict[str, str]:
    """Write the module of a service: dataclasses, and a base class whose proxies are the callers.

    Returns
    -------
    dict of str to str
        One file: its name and content.
    """
    schema = model.schema
    for method in model.methods:
        if method.name == "derecho":
            raise StubError(f"{method.where}: in Python a method of this name hides the package; rename it")
    lines = [
        f'"""Service {schema.name}: what a member implements, and what a caller calls. See docs/python.md.',
        "",
        f"Written by `derecho stubs` from {model.source}; do not edit.",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        *(["from dataclasses import dataclass"] if model.structs else []),
        *(["from typing import Annotated"] if _has_long_array(model) else []),
        *([""] if model.structs or _has_long_array(model) else []),
        "import derecho",
    ]
    for struct in model.structs:
        fields = [f"    {f.name}: {annotation(f.type)}" for f in struct.fields]
        lines += [
            "",
            "",
            "@dataclass",
            f"class {struct.name}:",
            *docstring(model.struct_docs[struct.name], "    "),
            *fields,
        ]
    cls = class_name(schema.name, [*(s.name for s in model.structs), "derecho", "dataclass", "Annotated", *BUILTINS])
    options = [] if cls == schema.name else [f'name="{_escaped(schema.name)}"']
    options += [f"state={annotation(model.state)}"] if model.state else []
    given = f"({', '.join(options)})" if options else ""
    lines += ["", "", f"@derecho.service{given}", f"class {cls}:", *docstring(model.doc, "    ", apart=False)]
    for method in model.methods:
        lines += ["", *_method(method, model.method_docs[method.name])]
    lines += [
        "",
        "",
        f"if derecho.schema({cls}).hash != 0x{schema.hash:016x}:",
        '    raise ImportError("this stub was made by another version of libderecho; make it anew")',
    ]
    return {f"{snake(schema.name)}_stub.py": "\n".join(lines) + "\n"}


def class_name(service: str, taken: list[str]) -> str:
    """A class's name, of whatever a service is called."""
    name = plain(service)
    return distinct({name: name}, [*keyword.kwlist, *taken])[name]


def annotation(wire: WireType) -> str:
    """A type as an annotation."""
    if isinstance(wire, ScalarType):
        return _SCALARS[wire.name]
    if isinstance(wire, Blob):
        return "derecho.InPlace" if wire.in_place else wire.name
    if isinstance(wire, ListOf):
        return f"list[{annotation(wire.element)}]"
    if isinstance(wire, MapOf):
        return f"dict[{annotation(wire.key)}, {annotation(wire.value)}]"
    if isinstance(wire, ArrayOf):
        if wire.count > _SPELLED_OUT_MAX:
            return f"Annotated[tuple[{annotation(wire.element)}, ...], derecho.Length({wire.count})]"
        return f"tuple[{', '.join([annotation(wire.element)] * wire.count)}]"
    if isinstance(wire, OptionalOf):
        return f"{annotation(wire.value)} | None"
    assert isinstance(wire, StructOf)
    return wire.name


_SPELLED_OUT_MAX = 4
BUILTINS = ("bool", "bytes", "dict", "float", "int", "list", "str", "tuple", "ImportError", "NotImplementedError")


def _has_long_array(model: StubModel) -> bool:
    types = [f.type for m in model.methods for f in m.fields] + [m.result for m in model.methods if m.result]
    types += [model.state] if model.state else []

    def long(wire: WireType) -> bool:
        return (isinstance(wire, ArrayOf) and wire.count > _SPELLED_OUT_MAX) or any(map(long, children(wire)))

    return any(map(long, types))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def docstring(doc: str, indent: str, apart: bool = True) -> list[str]:
    """The lines of a docstring; `apart`: with an empty one after them."""
    if not doc:
        return []
    text = doc.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    text = f'{text[:-1]}\\"' if doc.endswith('"') and not doc.endswith('"""') else text
    first, *rest = text.splitlines()
    lines = [f'{indent}"""{first}', *(f"{indent}{line}".rstrip() for line in rest)]
    lines[-1] += '"""' if not rest else ""
    return [*lines, *([f'{indent}"""'] if rest else []), *([""] if apart else [])]


def _method(method: Method, doc: str) -> list[str]:
    parameters = "".join(f", {f.name}: {annotation(f.type)}" for f in method.fields)
    result = annotation(method.result) if method.result else "None"
    return [
        f"    @derecho.{method.kind}",
        f"    def {method.name}(self{parameters}) -> {result}:",
        *docstring(doc, "        ", apart=False),
        "        raise NotImplementedError",
    ]
