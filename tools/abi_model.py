"""What include/derecho.h declares, as data: the generators of bindings' symbol files read it from here.

Parsed with pycparser, so that nothing depends on how the header is laid out. Comments are kept: a binding's symbols
carry the sentences of the header.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pycparser import c_ast, c_parser

__all__ = ["Abi", "Constant", "Field", "Function", "Parameter", "Struct", "read_abi"]

HEADER = Path(__file__).resolve().parent.parent / "include" / "derecho.h"

#: Bytes of the plain C types that the header uses, on a 64-bit machine; pointers have 8.
SIZES = {"int8_t": 1, "uint8_t": 1, "char": 1, "int32_t": 4, "uint32_t": 4, "int": 4, "derecho_status": 4}
SIZES |= {"int64_t": 8, "uint64_t": 8, "size_t": 8}

_PRELUDE = "".join(f"typedef int {name};\n" for name in SIZES if name.endswith("_t"))
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_DEFINE = re.compile(r"^#define (DERECHO_\w+) +(0x[0-9a-fA-F]+|\d+)(u?)\s*(?:/\*.*\*/)?\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Constant:
    """A ``#define`` with a number, or an enumerator.

    Attributes
    ----------
    unsigned : bool
        It is compared with ``uint32_t`` fields, as flags are.
    """

    name: str
    value: int
    unsigned: bool


@dataclass(frozen=True)
class Parameter:
    """A parameter of a function; its `type` as C writes it, such as ``"const void *"``."""

    name: str
    type: str


@dataclass(frozen=True)
class Field:
    """A field of a struct: `type` is the element's when `count` is greater than 1."""

    name: str
    type: str
    count: int
    offset: int
    size: int


@dataclass(frozen=True)
class Struct:
    """A struct whose fields the header shows."""

    name: str
    fields: tuple[Field, ...]
    size: int
    align: int


@dataclass(frozen=True)
class Function:
    """A function of the ABI.

    Attributes
    ----------
    comment : str
        What the header says of it, without comment marks, one line of the header a line.
    """

    name: str
    result: str
    parameters: tuple[Parameter, ...]
    comment: str


@dataclass(frozen=True)
class Abi:
    """The whole header.

    Attributes
    ----------
    handles : tuple of str
        Types that are only ever pointed to, such as ``"derecho_group"``.
    """

    constants: tuple[Constant, ...]
    handles: tuple[str, ...]
    structs: tuple[Struct, ...]
    functions: tuple[Function, ...]


def read_abi(header: Path = HEADER) -> Abi:
    """Read the header."""
    text = header.read_text(encoding="utf-8")
    tree = c_parser.CParser().parse(_PRELUDE + _declarations(text))
    numbers = {m[1]: (int(m[2], 0), bool(m[3])) for m in _DEFINE.finditer(text)}
    constants = [Constant(name, value, unsigned) for name, (value, unsigned) in numbers.items()]
    handles, functions = [], []
    structs: dict[str, Struct] = {}
    comments = _comments(text)
    for node in tree.ext:
        if isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.Enum):
            constants += [Constant(e.name, int(e.value.value, 0), False) for e in node.type.values.enumerators]
        elif isinstance(node, c_ast.Decl) and isinstance(node.type, c_ast.FuncDecl):
            functions.append(_function(node, comments.get(node.name, "")))
        elif isinstance(node, c_ast.Typedef) and isinstance(node.type.type, c_ast.Struct):
            if node.type.type.decls is None:
                handles.append(node.name)
            else:
                structs[node.name] = _struct(node.name, node.type.type.decls, numbers, structs)
    return Abi(tuple(constants), tuple(handles), tuple(structs.values()), tuple(functions))


def _declarations(text: str) -> str:
    """The header as a parser without a preprocessor takes it; array lengths stay names, as identifiers."""
    plain = re.sub(r"^#if(def|ndef)? __cplusplus.*?#endif", "", _COMMENT.sub(" ", text), flags=re.DOTALL | re.MULTILINE)
    plain = re.sub(r"^#.*(\\\n.*)*$", "", plain, flags=re.MULTILINE)
    return plain.replace("DERECHO_API ", "")


def _comments(text: str) -> dict[str, str]:
    found = {}
    for match in re.finditer(r"/\*\*((?:(?!\*/).)*)\*/\s*DERECHO_API[^;(]*?(derecho_\w+)\(", text, re.DOTALL):
        lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in match[1].strip().splitlines()]
        found[match[2]] = "\n".join(lines)
    return found


def _type(node: c_ast.Node) -> str:
    if isinstance(node, c_ast.PtrDecl):
        inner = _type(node.type)
        return f"{inner}*" if inner.endswith("*") else f"{inner} *"
    if isinstance(node, c_ast.TypeDecl):
        return " ".join([*node.quals, *node.type.names])
    raise TypeError(f"the header uses a kind of type that the model does not know: {node}")


def _function(node: c_ast.Decl, comment: str) -> Function:
    declared = node.type.args.params if node.type.args else []
    parameters = tuple(Parameter(p.name, _type(p.type)) for p in declared if p.name is not None)
    return Function(node.name, _type(node.type.type), parameters, comment)


def _struct(
    name: str, declared: list[c_ast.Decl], numbers: dict[str, tuple[int, bool]], known: dict[str, Struct]
) -> Struct:
    fields, position, alignment = [], 0, 1
    for d in declared:
        count, kind = 1, d.type
        if isinstance(kind, c_ast.ArrayDecl):
            length = kind.dim
            count = numbers[length.name][0] if isinstance(length, c_ast.ID) else int(length.value, 0)
            kind = kind.type
        text = _type(kind)
        size, align = _size(text, known)
        position = (position + align - 1) & -align
        fields.append(Field(d.name, text, count, position, size * count))
        position += size * count
        alignment = max(alignment, align)
    return Struct(name, tuple(fields), (position + alignment - 1) & -alignment, alignment)


def _size(text: str, known: dict[str, Struct]) -> tuple[int, int]:
    if text.endswith("*"):
        return 8, 8
    if text in known:
        return known[text].size, known[text].align
    return SIZES[text], SIZES[text]
