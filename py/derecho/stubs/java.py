"""Stubs in Java: a base class for the replica, records for the structs, a caller with the service's methods."""

from __future__ import annotations

import json
import re

from ..codec.method import Method
from ..codec.wire import Field, StructOf, WireType, struct_layout
from .java_codec import JavaTypes, Numbers, Reader, Writer, plus
from .java_text import (
    KEYWORDS,
    OF_BINDING,
    OF_OBJECT,
    WIDTH,
    block,
    declaration,
    distinct,
    in_package,
    indented,
    javadoc,
    type_name,
    words,
    wrapped,
)
from .model import StubModel
from .names import camel, literals, pascal

__all__ = ["emit"]

_OF_SERVICE = (
    "dispatch encodeState decodeState loadState saveState saveStatePieces hasMethod serviceName serviceHash of"
)
_OF_LANG = """
    AssertionError Boolean Byte Double Exception Float IllegalArgumentException Integer Long Object Override Short
    String System Throwable Void
"""

# Names that the statements around a parameter, or a record's component, use.
_NUMBERED = r"(at|count|index|item|key|list|map|value)\d+"
_AROUND_PARAMETER = re.compile(rf"in|out|method|result|node|calls|{_NUMBERED}")
_AROUND_COMPONENT = re.compile(rf"in|out|at|encode|{_NUMBERED}")

# Fully qualified names by the simple ones that generated code uses; an import stands where the name appears.
_IMPORTS = {
    "MemorySegment": "java.lang.foreign.MemorySegment",
    "ByteBuffer": "java.nio.ByteBuffer",
    "ArrayList": "java.util.ArrayList",
    "Arrays": "java.util.Arrays",
    "LinkedHashMap": "java.util.LinkedHashMap",
    "List": "java.util.List",
    "Map": "java.util.Map",
    "Calls": "org.libderecho.Calls",
    "Decoder": "org.libderecho.Decoder",
    "Encoder": "org.libderecho.Encoder",
    "Group": "org.libderecho.Group",
    "Replies": "org.libderecho.Replies",
    "Reply": "org.libderecho.Reply",
    "Service": "org.libderecho.Service",
}
_HEAD = """\
// Service {service} of {source}. Written by `derecho stubs`; do not edit.
// An optional value is null when absent. A u64 is a long of all its 64 bits, smaller unsigned numbers are checked.
"""


def emit(model: StubModel, package: str) -> dict[str, str]:
    """Write the stubs of a service.

    Parameters
    ----------
    package : str
        Of the class; "" for none.

    Returns
    -------
    dict of str to str
        The one file, by its name, in the folder of its package.
    """
    stub = _Stub(model)
    body = "\n".join(part for line in stub.lines() for part in wrapped(line))
    imports = "".join(f"import {full};\n" for name, full in _IMPORTS.items() if re.search(rf"\b{name}\b", body))
    head = _HEAD.format(service=model.schema.name, source=model.source) + (f"package {package};\n" if package else "")
    return {in_package(package, f"{stub.name}.java"): f"{head}\n{imports}\n{body}\n"}


class _Stub:
    """The parts of the file."""

    def __init__(self, model: StubModel) -> None:
        self.model = model
        reserved = {"Caller", *_IMPORTS, *words(KEYWORDS, OF_BINDING, _OF_LANG)}
        self.name = distinct([model.schema.name], type_name, reserved)[model.schema.name]
        taken = {self.name, "Caller", *_IMPORTS, *words(_OF_LANG)}
        records = distinct((s.name for s in model.structs), pascal, taken)
        self.types = JavaTypes(records)
        reserved = words(KEYWORDS, OF_OBJECT, _OF_SERVICE)
        self.methods = distinct((m.name for m in model.methods), camel, reserved)
        variants = {m.name: self.methods[m.name] + ("Send" if m.kind == "ordered" else "At") for m in model.methods}
        self.variants = distinct(variants, variants.__getitem__, reserved | set(self.methods.values()))

    def lines(self) -> list[str]:
        model = self.model
        lines = [
            *javadoc(model.doc or f"Service {model.schema.name}."),
            f"public abstract class {self.name} extends Service {{",
            "    /** Its name in a group. */",
            f"    public static final String NAME = {json.dumps(model.schema.name, ensure_ascii=False)};",
            "",
            "    /** Over its methods and types: members whose hashes differ do not join each other. */",
            f"    public static final long SCHEMA_HASH = 0x{model.schema.hash:016x}L;",
            "",
            f"    protected {self.name}() {{",
            f"        super(NAME, SCHEMA_HASH, {len(model.methods)},",
            *(f"                {part}" for part in literals(model.schema.text, ");")),
            "    }",
        ]
        parts = [self._handler(m) for m in model.methods]
        parts += [self._state(), self._dispatch(), self._of()]
        parts += [self._result_reader(m, m.result) for m in model.methods if m.result]
        parts += [self._caller(), *map(self._record, model.structs)]
        for part in parts:
            lines += ["", *indented(part)]
        return [*lines, "}"]

    # ---------------------------------------------------------------------------------------- the replica

    def _handler(self, m: Method) -> list[str]:
        head = f"public abstract {self._result(m)} {self.methods[m.name]}("
        return [*self._doc(m), *declaration(head, self._parameters(m), ") throws Exception;")]

    def _doc(self, m: Method) -> list[str]:
        return javadoc(self.model.method_docs[m.name] or f"Method {m.name}.")

    def _result(self, m: Method) -> str:
        return self.types.plain(m.result) if m.result else "void"

    def _names(self, m: Method) -> dict[str, str]:
        return distinct((f.name for f in m.fields), camel, words(KEYWORDS), _AROUND_PARAMETER)

    def _parameters(self, m: Method) -> list[str]:
        names = self._names(m)
        return [f"{self.types.plain(f.type)} {names[f.name]}" for f in m.fields]

    def _dispatch(self) -> list[str]:
        cases = [line for m in self.model.methods for line in block(f"case {m.id} ->", self._case(m))]
        body = ["return switch (method) {", *indented(cases)]
        body += ["    default -> throw new IllegalArgumentException();", "};"]
        head = "protected final Encoder.Message dispatch(int method, Decoder in) throws Exception"
        return ["@Override", *block(head, body)]

    def _case(self, m: Method) -> list[str]:
        names, numbers = self._names(m), Numbers()
        call = f"{self.methods[m.name]}({', '.join(names.values())});"
        lines = self._read(m.where, m.fields, names, numbers)
        if m.result is None:
            return [*lines, call, f'yield out -> out.begin("{m.where}", 0);']
        written = self._write(m.where, (Field("result", m.result),), {"result": "result"}, numbers)
        return [*lines, f"{self._result(m)} result = {call}", "yield out -> {", *indented(written), "};"]

    def _write(
        self, where: str, fields: tuple[Field, ...], names: dict[str, str], numbers: Numbers | None = None
    ) -> list[str]:
        """Write the message whose fields are the locals `names`."""
        offsets, size = struct_layout(fields)
        writer = Writer(self.types, numbers or Numbers())
        lines = [f'out.begin("{where}", {size});']
        for f, offset in zip(fields, offsets, strict=True):
            lines += writer.lines(f.type, str(offset), names[f.name], f.name)
        return lines

    def _read(
        self, where: str, fields: tuple[Field, ...], names: dict[str, str], numbers: Numbers | None = None
    ) -> list[str]:
        """Read the message, declaring the locals `names`."""
        offsets, size = struct_layout(fields)
        reader = Reader(self.types, numbers or Numbers())
        lines = [f'in.begin("{where}", {size});']
        for f, offset in zip(fields, offsets, strict=True):
            lines += reader.local(f.type, names[f.name], str(offset), f.name)
        return [*lines, "in.end();"]

    def _state(self) -> list[str]:
        state, where = self.model.state, self.name
        kind = self.types.plain(state) if state else "byte[]"
        encode, decode, reader = ["return saveState();"], ["loadState(message);"], []
        if state is not None:
            field = Field("state", state)
            written = self._write(where, (field,), {"state": "state"})
            encode = [f"{kind} state = saveState();", "return Encoder.encode(out -> {", *indented(written), "});"]
            decode = [f"loadState(Decoder.decode(message, {self.name}::readState));"]
            reader = ["", *self._reader("readState", f"{where} state", field)]
        return [
            "/** The state as of now, for a joiner; it is encoded before anything else is applied. */",
            f"protected abstract {kind} saveState() throws Exception;",
            "",
            "/** Replace the state by that of another member. */",
            f"protected abstract void loadState({kind} state) throws Exception;",
            "",
            "@Override",
            *block("protected final byte[] encodeState() throws Exception", encode),
            "",
            "@Override",
            *block("protected final void decodeState(byte[] message) throws Exception", decode),
            *reader,
        ]

    def _result_reader(self, m: Method, result: WireType) -> list[str]:
        return self._reader(f"{self.methods[m.name]}Result", f"{m.where} reply", Field("result", result))

    def _reader(self, name: str, where: str, field: Field) -> list[str]:
        """A function that reads a message of one field."""
        body = [*self._read(where, (field,), {field.name: field.name}), f"return {field.name};"]
        return block(f"private static {self.types.plain(field.type)} {name}(Decoder in)", body)

    # ---------------------------------------------------------------------------------------- the caller

    @staticmethod
    def _of() -> list[str]:
        return [
            "/** The service as a member of this group calls it. */",
            *block("public static Caller of(Group group)", ["return new Caller(group.calls(NAME, SCHEMA_HASH));"]),
        ]

    def _caller(self) -> list[str]:
        body = ["private final Calls calls;", "", *block("private Caller(Calls calls)", ["this.calls = calls;"])]
        for m in self.model.methods:
            body += ["", *(self._ordered(m) if m.kind == "ordered" else self._query(m))]
        head = "The service's methods, called at the members of a group. Arguments are encoded before a method returns."
        return [f"/** {head} */", *block("public static final class Caller", body)]

    def _ordered(self, m: Method) -> list[str]:
        plain, send = self.methods[m.name], self.variants[m.name]
        parameters = self._parameters(m)
        return [
            *self._doc(m),
            *declaration(f"public Replies<{self._answer(m)}> {plain}(", parameters, ") {"),
            *indented(self._call(f'return calls.call("{m.where}", {m.id}, ', m, f", {self._decoder(m)});")),
            "}",
            "",
            f"/** As {{@link #{plain}}}, without answers: the fastest form. */",
            *declaration(f"public void {send}(", parameters, ") {"),
            *indented(self._call(f"calls.send({m.id}, ", m, ");")),
            "}",
        ]

    def _query(self, m: Method) -> list[str]:
        plain, at = self.methods[m.name], self.variants[m.name]
        parameters = self._parameters(m)
        passed = ", ".join(["calls.nearest()", *self._names(m).values()])
        return [
            *self._doc(m),
            *declaration(f"public Reply<{self._answer(m)}> {plain}(", parameters, ") {"),
            f"    return {at}({passed});",
            "}",
            "",
            f"/** As {{@link #{plain}}}, asking one member. */",
            *declaration(f"public Reply<{self._answer(m)}> {at}(", ["int node", *parameters], ") {"),
            *indented(self._call(f'return calls.query("{m.where}", node, {m.id}, ', m, f", {self._decoder(m)});")),
            "}",
        ]

    def _answer(self, m: Method) -> str:
        return self.types.boxed(m.result) if m.result else "Void"

    def _decoder(self, m: Method) -> str:
        return f"{self.name}::{self.methods[m.name]}Result" if m.result else "Decoder::nothing"

    def _call(self, before: str, m: Method, after: str) -> list[str]:
        body = self._write(m.where, m.fields, self._names(m))
        short = f"{before}out -> {body[0].removesuffix(';')}{after}"
        if len(body) == 1 and len(short) + 12 <= WIDTH:
            return [short]
        return [f"{before}out -> {{", *indented(body), f"}}{after}"]

    # ---------------------------------------------------------------------------------------- structs

    def _record(self, struct: StructOf) -> list[str]:
        name = self.types.structs[struct.name]
        names = distinct((f.name for f in struct.fields), camel, words(KEYWORDS, OF_OBJECT), _AROUND_COMPONENT)
        components = [f"{self.types.plain(f.type)} {names[f.name]}" for f in struct.fields]
        body = [*self._whole(struct, name)]
        if any(self.types.has_array(f.type) for f in struct.fields):
            body += ["", *_equality(name)]
        body += ["", *self._fields_writer(struct, names), "", *self._fields_reader(struct, names, name)]
        doc = self.model.struct_docs[struct.name] or f"Struct {struct.name}."
        return [*javadoc(doc), *declaration(f"public record {name}(", components, ") {"), *indented(body), "}"]

    @staticmethod
    def _whole(struct: StructOf, name: str) -> list[str]:
        size = struct.size
        encode = [
            "return Encoder.encode(out -> {",
            f'    out.begin("{struct.name}", {size});',
            "    write(out, 0);",
            "});",
        ]
        decode = ["return Decoder.decode(message, in -> {", f'    in.begin("{struct.name}", {size});']
        decode += [f"    {name} value = read(in, 0);", "    in.end();", "    return value;", "});"]
        return [
            "/** The bytes of a message that has these fields. */",
            *block("public byte[] encode()", encode),
            "",
            "/** Of the bytes of a message that has these fields; DecodeError for any others. */",
            *block(f"public static {name} decode(byte[] message)", decode),
        ]

    def _fields_writer(self, struct: StructOf, names: dict[str, str]) -> list[str]:
        writer, body = Writer(self.types), []
        for f, offset in zip(struct.fields, struct_layout(struct.fields)[0], strict=True):
            body += writer.lines(f.type, plus("at", offset), names[f.name], f"{struct.name}.{f.name}")
        return block("private void write(Encoder out, long at)", body)

    def _fields_reader(self, struct: StructOf, names: dict[str, str], name: str) -> list[str]:
        reader, body = Reader(self.types), []
        for f, offset in zip(struct.fields, struct_layout(struct.fields)[0], strict=True):
            body += reader.local(f.type, names[f.name], plus("at", offset), f"{struct.name}.{f.name}")
        body += declaration(f"return new {name}(", list(names.values()), ");", indent=8)
        return block(f"private static {name} read(Decoder in, long at)", body)


def _equality(name: str) -> list[str]:
    """Records compare arrays by identity: these are equal when their bytes are."""
    return [
        "@Override",
        *block(
            "public boolean equals(Object other)",
            [f"return other instanceof {name} that && Arrays.equals(encode(), that.encode());"],
        ),
        "",
        "@Override",
        *block("public int hashCode()", ["return Arrays.hashCode(encode());"]),
    ]
