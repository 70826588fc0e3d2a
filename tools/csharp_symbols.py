#!/usr/bin/env python3
"""Writes what C# sees of include/derecho.h: bindings/csharp/Derecho/Native.cs.

python3 tools/csharp_symbols.py FILE.cs
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from abi_hash import abi_hash
from abi_model import HEADER, Abi, Field, Function, read_abi

HEAD = """\
// Generated from include/derecho.h by tools/csharp_symbols.py; do not edit. python3 tools/generated.py writes it again.
using System;
using System.Runtime.InteropServices;
using System.Security;

namespace Derecho
{
    /// <summary>The C ABI, by its own names: derecho.h says what each means. Handles are <c>IntPtr</c>.</summary>
    [SuppressUnmanagedCodeSecurity]
    internal static unsafe class Native
    {
        internal const string LibraryName = "derecho";
"""

SCALARS = {"char": "byte", "int32_t": "int", "uint32_t": "uint", "int": "int", "derecho_status": "int"}
SCALARS |= {"int64_t": "long", "uint64_t": "ulong", "size_t": "ulong", "void": "void"}
KEYWORDS = {"internal", "event", "in", "out", "ref", "params", "lock"}


def escaped(name: str) -> str:
    return f"@{name}" if name in KEYWORDS else name


def type_of(text: str, handles: tuple[str, ...]) -> str:
    base = text.replace("const ", "").replace("*", "").strip()
    stars = text.count("*")
    if base in handles:
        return "IntPtr" + "*" * (stars - 1)
    return SCALARS.get(base, base) + "*" * stars


def field_line(field: Field, handles: tuple[str, ...]) -> str:
    kind, name = type_of(field.type, handles), escaped(field.name)
    if field.count == 1:
        return f"internal {kind} {name};"
    if kind in SCALARS.values():
        return f"internal fixed {kind} {name}[{field.count}];"
    return f"internal fixed byte {name}[{field.size}]; // {field.count} of {kind}"  # C# fixes only plain numbers


def function_lines(function: Function, handles: tuple[str, ...]) -> Iterator[str]:
    words = [f"{type_of(p.type, handles)} {escaped(p.name)}" for p in function.parameters]
    start = f"internal static extern {type_of(function.result, handles)} {function.name}("
    yield "[DllImport(LibraryName, ExactSpelling = true)]"
    line = start
    for i, word in enumerate(words):
        text = word + (", " if i + 1 < len(words) else "")
        if len(line) + len(text) > 100:
            yield line.rstrip()
            line = "    "
        line += text
    yield line + ");"


def lines_of(abi: Abi, version_hash: int) -> Iterator[str]:
    yield f"internal const ulong AbiHash = 0x{version_hash:016x};"
    yield ""
    for constant in abi.constants:
        kind = "uint" if constant.unsigned else "int"
        yield f"internal const {kind} {constant.name} = {constant.value};"
    for struct in abi.structs:
        yield ""
        yield f"[StructLayout(LayoutKind.Sequential, Size = {struct.size})]"
        yield f"internal struct {struct.name}"
        yield "{"
        for field in struct.fields:
            yield "    " + field_line(field, abi.handles)
        yield "}"
    for function in abi.functions:
        yield ""
        yield from function_lines(function, abi.handles)


def main() -> None:
    text = HEADER.read_text(encoding="utf-8")
    body = [f"        {line}".rstrip() for line in lines_of(read_abi(), abi_hash(text))]
    Path(sys.argv[1]).write_text(HEAD + "\n".join(body) + "\n    }\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
