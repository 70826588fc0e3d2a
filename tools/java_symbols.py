#!/usr/bin/env python3
"""Writes the Java binding's symbols, class Native, from include/derecho.h.

    python3 tools/java_symbols.py bindings/java/src/main/java/org/libderecho/Native.java

Handles travel as numbers, which costs nothing; memory as MemorySegment, so that the JVM checks its lifetime.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from abi_hash import abi_hash
from abi_model import HEADER, Abi, Constant, Function, Parameter, Struct, read_abi

# They never block, and are on the way of every message: linked so that they run without leaving Java's state, and so
# that an array of Java's can be handed over without a copy.
CRITICAL = {
    "derecho_abi_version",
    "derecho_shard_send",
    "derecho_shard_send_many",
    "derecho_shard_call",
    "derecho_shard_claim",
    "derecho_claim_commit",
    "derecho_claim_abort",
    "derecho_shard_query",
    "derecho_group_reply",
    "derecho_group_state",
    "derecho_group_state_fail",
    "derecho_release",
}

HEAD = """\
// What include/derecho.h declares: functions, structs, constants. Written by tools/java_symbols.py; do not edit.
// Again: python3 tools/generated.py
package org.libderecho;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

final class Native {
    /** Of the header that this file was written from. */
    static final long ABI_HASH = 0x%016xL;

"""

LINKING = """\
    private static MethodHandle link(String name, MemoryLayout result, MemoryLayout... parameters) {
        return Linker.nativeLinker()
                .downcallHandle(Library.symbol(name), FunctionDescriptor.of(result, parameters));
    }

    /** As link, for a function that returns at once, and takes arrays of Java's. */
    private static MethodHandle linkCritical(String name, MemoryLayout result, MemoryLayout... parameters) {
        return Linker.nativeLinker()
                .downcallHandle(
                        Library.symbol(name),
                        FunctionDescriptor.of(result, parameters),
                        Linker.Option.critical(true));
    }

    /** No function of C throws: what came is the JVM's, or an argument's that the JVM refused. */
    private static RuntimeException refused(Throwable error) {
        if (error instanceof RuntimeException refusal) return refusal;
        if (error instanceof Error fatal) throw fatal;
        return new IllegalStateException(error);
    }

    static {
        Library.check(derecho_abi_hash(), ABI_HASH);
    }

    private Native() {}
}
"""


def source(abi: Abi, abi_hash_value: int) -> str:
    text = HEAD % abi_hash_value
    text += "".join(map(constant, abi.constants)) + "\n"
    text += "\n".join(map(struct, abi.structs)) + "\n"
    text += "\n".join(function(f, abi) for f in abi.functions) + "\n"
    return text + LINKING


def constant(c: Constant) -> str:
    number = f"0x{c.value:x}" if c.value > 0x7FFFFFFF else str(c.value)
    return f"    static final int {c.name.removeprefix('DERECHO_')} = {number};\n"


def struct(s: Struct) -> str:
    """The offsets of a struct's fields: read and written with MemorySegment.get and set."""
    name = "".join(word.title() for word in s.name.removeprefix("derecho_").split("_"))
    lines = [f"    /** struct {s.name}: where its fields lie. */", f"    static final class {name} {{"]
    lines += [f"        static final long BYTES = {s.size};"]
    lines += [f"        static final long {f.name.upper()} = {f.offset};" for f in s.fields]
    return "\n".join([*lines, "", f"        private {name}() {{}}", "    }", ""])


def function(f: Function, abi: Abi) -> str:
    handle = f.name.removeprefix("derecho_").upper() + "_FUNCTION"
    linker = "linkCritical" if f.name in CRITICAL else "link"
    parameters = [(java_type(p.type, abi), camel(p)) for p in f.parameters]
    layouts = "".join(f", {layout(kind)}" for kind, _ in parameters)
    result = java_type(f.result, abi)
    return "\n".join(
        [
            f"    private static final MethodHandle {handle} =",
            *wrapped(f'            {linker}("{f.name}", {layout(result)}{layouts});'),
            "",
            *javadoc(f.comment),
            *wrapped(f"    static {result} {f.name}({', '.join(f'{kind} {name}' for kind, name in parameters)}) {{"),
            "        try {",
            *wrapped(
                f"            return ({result}) {handle}.invokeExact({', '.join(name for _, name in parameters)});"
            ),
            "        } catch (Throwable error) {",
            "            throw refused(error);",
            "        }",
            "    }",
            "",
        ]
    )


def java_type(c_type: str, abi: Abi) -> str:
    plain = c_type.removeprefix("const ")
    if plain.endswith("*"):
        return "long" if plain.removesuffix(" *") in abi.handles else "MemorySegment"
    return "long" if plain in ("size_t", "int64_t", "uint64_t") else "int"


def layout(java: str) -> str:
    return {"long": "JAVA_LONG", "int": "JAVA_INT", "MemorySegment": "ADDRESS"}[java]


def camel(parameter: Parameter) -> str:
    first, *rest = parameter.name.split("_")
    return first + "".join(word.title() for word in rest)


def javadoc(comment: str) -> list[str]:
    """The first sentence of what the header says."""
    sentence = " ".join(comment.split()).split(". ")[0].split(" @")[0].rstrip(".") + "."
    whole = f"    /** {sentence} */"
    if len(whole) <= 120:
        return [whole]
    return ["    /**", *textwrap.wrap(sentence, 120, initial_indent="     * ", subsequent_indent="     * "), "     */"]


def wrapped(line: str) -> list[str]:
    """The line, broken behind its opening parenthesis when it is too long."""
    if len(line) <= 120:
        return [line]
    at = line.index("(", line.index("invokeExact") if "invokeExact" in line else 0) + 1
    indent = " " * (len(line) - len(line.lstrip()) + 8)
    return [line[:at], *textwrap.wrap(line[at:], 120, initial_indent=indent, subsequent_indent=indent)]


def main() -> None:
    hashed = abi_hash(HEADER.read_text(encoding="utf-8"))
    Path(sys.argv[1]).write_text(source(read_abi(), hashed), encoding="utf-8")


if __name__ == "__main__":
    main()
