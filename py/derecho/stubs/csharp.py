"""A service in C#: one file with an abstract base class; in it the structs, and the caller."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext

from ..codec.method import Method
from ..codec.wire import (
    ArrayOf,
    Blob,
    Field,
    ListOf,
    MapOf,
    OptionalOf,
    ScalarType,
    StructOf,
    WireType,
    struct_layout,
)
from .csharp_text import NUMBERS, OF_BINDING, OF_OBJECT, Code, Names, checked_namespace
from .model import StubModel
from .names import camel, fold, literals, pascal

__all__ = ["emit"]

#: What Encoder.Put... and Decoder.Get... call these types.
_SUFFIXES = {"i8": "SByte", "u8": "Byte", "i16": "Int16", "u16": "UInt16", "i32": "Int32", "u32": "UInt32"}
_SUFFIXES |= {"i64": "Int64", "u64": "UInt64", "f32": "Single", "f64": "Double", "bool": "Bool"}
_SUFFIXES |= {"str": "String", "bytes": "Bytes"}

_SERVICE = OF_OBJECT | {
    "Caller",
    "Handle",
    "Hash",
    "Load",
    "LoadState",
    "Name",
    "Save",
    "SavePieces",
    "SaveState",
    "SchemaHash",
    "SchemaText",
}
_SERVICE |= {"ServiceName"}
_CALLER = OF_OBJECT | {"At", "Call", "Query", "Send", "TrySend"}
_STRUCT = OF_OBJECT | {"Decode", "Decoder", "Encode", "Get", "Put"}

#: What generated code calls by its plain name: a struct must not hide it.
_USED = {"Bytes", "Decoder", "Encoder", "Func", "Group", "IReadOnlyDictionary", "IReadOnlyList", "KeyValuePair", "Map"}
_USED |= {"Nothing", "OutgoingCall", "OutgoingQuery", "Replies", "Reply", "Result", "Service", "ServiceCaller"}
_USED |= {"Status", "Struct"}


def emit(model: StubModel, namespace: str) -> dict[str, str]:
    """Write a service in C#.

    Parameters
    ----------
    model : StubModel
        The service.
    namespace : str
        Of the generated class; "" for none.

    Returns
    -------
    dict of str to str
        The one file's name, and its text.
    """
    name = Names(_SERVICE | _USED | OF_BINDING | {"Exception", "Object", "String"}).add(pascal(model.schema.name))
    return {f"{name}.cs": _ServiceFile(model, name, checked_namespace(namespace, name)).text()}


class _Body:
    """The code of one method: encodes or decodes values, with locals that are named once."""

    def __init__(self, code: Code, types: _Types, names: Names) -> None:
        self.code = code
        self.types = types
        self.names = names

    # ------------------------------------------------------------------------------------------ encoding

    def put(self, wire: WireType, encoder: str, at: _At, value: str) -> None:
        """Put `value` at a place."""
        code = self.code
        if isinstance(wire, (ScalarType, Blob)):
            code.put(f"{encoder}.Put{_SUFFIXES[wire.name]}({at}, {value});")
        elif isinstance(wire, StructOf):
            code.put(f"{encoder}.NotNull({value}).Put({encoder}, {at});")
        elif isinstance(wire, OptionalOf):
            with code.block(f"if ({value} != null)"):
                code.put(f"{encoder}.PutBool({at}, true);")
                present = f"{value}.Value" if self.types.is_value(wire.value) else value
                self.put(wire.value, encoder, at + wire.value_offset, present)
        elif isinstance(wire, ArrayOf):
            self._put_array(wire, encoder, at, value)
        elif isinstance(wire, ListOf) and isinstance(wire.element, ScalarType):
            code.put(f"{encoder}.PutNumbers({at}, {value}, {wire.element.size});")
        else:
            self._put_elements(wire, encoder, at, value)

    def _put_array(self, wire: ArrayOf, encoder: str, at: _At, value: str) -> None:
        if isinstance(wire.element, ScalarType):
            self.code.put(f"{encoder}.PutArray({at}, {value}, {wire.count}, {wire.element.size});")
            return
        i = self.names.local("i")
        self.code.put(f"{encoder}.CheckLength({value}, {wire.count});")
        with self.code.block(f"for (int {i} = 0; {i} < {wire.count}; {i}++)"):
            self.put(wire.element, encoder, at.element(i, wire.element.size), f"{value}[{i}]")

    def _put_elements(self, wire: ListOf | MapOf, encoder: str, at: _At, value: str) -> None:
        element = wire.pair if isinstance(wire, MapOf) else wire.element
        place, item = self.names.local("place"), self.names.local("entry" if isinstance(wire, MapOf) else "item")
        count = f"{encoder}.Count({value})"
        self.code.put(f"int {place} = {encoder}.PutList({at}, {count}, {element.size}, {element.align});")
        if isinstance(wire, MapOf):
            kind = f"KeyValuePair<{self.types.of(wire.key)}, {self.types.of(wire.value)}>"
        else:
            kind = self.types.of(wire.element)
        with self.code.block(f"foreach ({kind} {item} in {value})"):
            if isinstance(wire, MapOf):
                (_, after), _ = struct_layout(wire.pair.fields)
                self.put(wire.key, encoder, _At(place), f"{item}.Key")
                self.put(wire.value, encoder, _At(place, after), f"{item}.Value")
            else:
                self.put(wire.element, encoder, _At(place), item)
            self.code.put(f"{place} += {element.size};")

    # ------------------------------------------------------------------------------------------ decoding

    def get(self, wire: WireType, decoder: str, at: _At, local: str) -> None:
        """Declare `local`, and get it from a place. Statements are in the order in which the tail lies."""
        code, kind = self.code, self.types.of(wire)
        if isinstance(wire, (ScalarType, Blob, StructOf)):
            code.put(f"{kind} {local} = {self._simple(wire, decoder, at)};")
        elif isinstance(wire, OptionalOf):
            code.put(f"{kind} {local} = null;")
            with code.block(f"if ({decoder}.GetBool({at}))"):
                self._assign(wire.value, decoder, at + wire.value_offset, local)
        elif isinstance(wire, (ListOf, ArrayOf)) and isinstance(wire.element, ScalarType):
            element = f"<{self.types.of(wire.element)}>"
            rest = f"{wire.count}, {wire.element.size}" if isinstance(wire, ArrayOf) else f"{wire.element.size}"
            getter = "GetArray" if isinstance(wire, ArrayOf) else "GetNumbers"
            code.put(f"{kind} {local} = {decoder}.{getter}{element}({at}, {rest});")
        elif isinstance(wire, MapOf):
            self._get_map(wire, decoder, at, local)
        else:
            self._get_elements(wire, decoder, at, local)

    def reader(self, start: str, wire: WireType, end: str) -> None:
        """A lambda that reads a whole value, after `start`."""
        code = self.code
        if isinstance(wire, (ScalarType, Blob, StructOf)):
            code.put(f"{start} decoder => {self._simple(wire, 'decoder', _At())}{end}")
            return
        code.put(f"{start} decoder =>")
        code.put("{")
        code.depth += 1
        self.get(wire, "decoder", _At(), "result")
        code.put("return result;")
        code.depth -= 1
        code.put("}" + end)

    def _simple(self, wire: ScalarType | Blob | StructOf, decoder: str, at: _At) -> str:
        if isinstance(wire, StructOf):
            return f"{self.types.of(wire)}.Get({decoder}, {at})"
        suffix = "InPlace" if isinstance(wire, Blob) and wire.in_place else _SUFFIXES[wire.name]
        return f"{decoder}.Get{suffix}({at})"

    def _assign(self, wire: WireType, decoder: str, at: _At, target: str) -> None:
        """Get a value into something that is declared."""
        if isinstance(wire, (ScalarType, Blob, StructOf)):
            self.code.put(f"{target} = {self._simple(wire, decoder, at)};")
            return
        local = self.names.local("value")
        self.get(wire, decoder, at, local)
        self.code.put(f"{target} = {local};")

    def _get_elements(self, wire: ListOf | ArrayOf, decoder: str, at: _At, local: str) -> None:
        element, i = wire.element, self.names.local("i")
        count = str(wire.count) if isinstance(wire, ArrayOf) else self.names.local("count")
        place = at
        if isinstance(wire, ListOf):
            start = self.names.local("place")
            place = _At(start)
            getter = f"{decoder}.GetList({at}, {element.size}, {element.align}, out int {count})"
            self.code.put(f"int {start} = {getter};")
        self.code.put(f"var {local} = {self.types.new_array(element, count)};")
        with self.code.block(f"for (int {i} = 0; {i} < {count}; {i}++)"):
            self._assign(element, decoder, place.element(i, element.size), f"{local}[{i}]")

    def _get_map(self, wire: MapOf, decoder: str, at: _At, local: str) -> None:
        pair, (place, count, i) = wire.pair, (self.names.local(word) for word in ("place", "count", "i"))
        key, value = self.names.local("key"), self.names.local("value")
        (_, after), _ = struct_layout(pair.fields)
        self.code.put(f"int {place} = {decoder}.GetList({at}, {pair.size}, {pair.align}, out int {count});")
        self.code.put(f"var {local} = new Map<{self.types.of(wire.key)}, {self.types.of(wire.value)}>();")
        with self.code.block(f"for (int {i} = 0; {i} < {count}; {i}++)"):
            self.get(wire.key, decoder, _At(place).element(i, pair.size), key)
            self.get(wire.value, decoder, _At(place, after).element(i, pair.size), value)
            self.code.put(f"{decoder}.Add({local}, {key}, {value});")


class _At:
    """A place in a message: an expression and a number of bytes."""

    def __init__(self, base: str = "", offset: int = 0) -> None:
        self.base = base
        self.offset = offset

    def __add__(self, more: int) -> _At:
        return _At(self.base, self.offset + more)

    def element(self, i: str, size: int) -> _At:
        step = i if size == 1 else f"{i} * {size}"
        return _At(f"{self.base} + {step}" if self.base else step, self.offset)

    def __str__(self) -> str:
        if not self.base:
            return str(self.offset)
        return f"{self.base} + {self.offset}" if self.offset else self.base


class _Types:
    """What the service's types are called in C#."""

    def __init__(self, structs: dict[str, str]) -> None:
        self.structs = structs

    def of(self, wire: WireType) -> str:
        if isinstance(wire, ScalarType):
            return NUMBERS[wire.name]
        if isinstance(wire, Blob):
            return "string" if wire.name == "str" else "Bytes" if wire.in_place else "byte[]"
        if isinstance(wire, ListOf):
            return f"IReadOnlyList<{self.of(wire.element)}>"
        if isinstance(wire, ArrayOf):
            return f"{self.of(wire.element)}[]"
        if isinstance(wire, MapOf):
            return f"IReadOnlyDictionary<{self.of(wire.key)}, {self.of(wire.value)}>"
        if isinstance(wire, OptionalOf):
            return self.of(wire.value) + ("?" if self.is_value(wire.value) else "")
        return self.structs[wire.name]

    def is_value(self, wire: WireType) -> bool:
        """Whether null needs a question mark."""
        return isinstance(wire, ScalarType) or (isinstance(wire, Blob) and wire.in_place)

    def new_array(self, element: WireType, count: str) -> str:
        kind = self.of(element)
        inner = kind.rstrip("[]") if kind.endswith("[]") else kind
        return f"new {inner}[{count}]{kind[len(inner) :]}"


class _ServiceFile:
    def __init__(self, model: StubModel, name: str, namespace: str) -> None:
        self.model = model
        self.name = name
        self.namespace = namespace
        self.code = Code()
        scope = Names(_SERVICE | _USED | {name})
        self.types = _Types({s.name: scope.add(pascal(s.name)) for s in model.structs})
        self.methods = {m.name: scope.add(pascal(m.name)) for m in model.methods}
        self.handlers = {m.name: scope.add(f"Handle{pascal(m.name)}") for m in model.methods}

    def text(self) -> str:
        code, model = self.code, self.model
        code.put(f"// Generated from {model.source} by `derecho stubs`; do not edit.")
        for used in ("System", "System.Collections.Generic", "Derecho"):
            code.put(f"using {used};")
        code.put()
        with code.block(f"namespace {self.namespace}") if self.namespace else nullcontext():
            code.docstring(model.doc, f"The service {model.schema.name}: derive from it to implement it.")
            with code.block(f"public abstract class {self.name} : Service"):
                self._head()
                for m in model.methods:
                    self._abstract(m)
                self._state()
                self._dispatch()
                for s in model.structs:
                    code.put()
                    self._struct(s)
                code.put()
                self._caller()
        return "\n".join(fold(code.lines)) + "\n"

    # ------------------------------------------------------------------------------------------ the base class

    def _head(self) -> None:
        code, schema = self.code, self.model.schema
        code.doc("summary", "The service's name in a group.")
        code.put(f'public const string Name = "{schema.name}";')
        code.put()
        code.doc("summary", "Of methods and types; members whose hashes differ do not join each other.")
        code.put(f"public const ulong Hash = 0x{schema.hash:016x};")
        code.put()
        code.put("/// <inheritdoc/>")
        code.put("protected override string ServiceName => Name;")
        code.put()
        code.put("/// <inheritdoc/>")
        code.put("protected override ulong SchemaHash => Hash;")
        code.put()
        code.put("/// <inheritdoc/>")
        code.put("protected override string SchemaText =>")
        for part in literals(schema.text, ";"):
            code.put(f"    {part}")

    def _result(self, m: Method) -> str:
        return self.types.of(m.result) if m.result else "void"

    def _abstract(self, m: Method) -> None:
        self.code.put()
        self.code.docstring(self.model.method_docs[m.name], f"The {m.kind} method {m.name}.")
        parameters, _ = self._parameters(m.fields, Names(()))
        self.code.call(f"public abstract {self._result(m)} {self.methods[m.name]}", parameters, ";")

    def _parameters(self, fields: Iterable[Field], names: Names) -> tuple[list[str], list[str]]:
        """Declarations of parameters, and their names."""
        plain = [names.add(camel(f.name)) for f in fields]
        return [f"{self.types.of(f.type)} {p}" for f, p in zip(fields, plain, strict=True)], plain

    def _state(self) -> None:
        code, state = self.code, self.model.state
        kind = self.types.of(state) if state else "byte[]"
        code.put()
        code.doc("summary", "The state, as of now, for a joiner.")
        code.put(f"protected abstract {kind} SaveState();")
        code.put()
        code.doc("summary", "Replace the state by a saved one.")
        code.put(f"protected abstract void LoadState({kind} state);")
        code.put()
        code.put("/// <inheritdoc/>")
        if state is None:
            code.put("protected override byte[] Save() => SaveState();")
            code.put()
            code.put("/// <inheritdoc/>")
            code.put("protected override void Load(byte[] state) => LoadState(state);")
            return
        body = _Body(code, self.types, Names(("state", "encoder", "decoder", "data", "result")))
        with code.block("protected override byte[] Save()"):
            code.put(f"{kind} state = SaveState();")
            code.put(f'return Encoder.ToArray("{self.model.schema.name} state", {_fixed(state)}, encoder =>')
            code.put("{")
            code.depth += 1
            body.put(state, "encoder", _At(), "state")
            code.depth -= 1
            code.put("});")
        code.put()
        code.put("/// <inheritdoc/>")
        with code.block("protected override void Load(byte[] data)"):
            where = f'"{self.model.schema.name} state"'
            body.reader(f"LoadState(Decoder.Read(data, {where}, {_fixed(state)},", state, "));")

    # ------------------------------------------------------------------------------------------ calls coming in

    def _dispatch(self) -> None:
        code = self.code
        code.put()
        code.put("/// <inheritdoc/>")
        with (
            code.block("protected override bool Handle(uint method, Decoder arguments, Encoder answer)"),
            code.block("switch (method)"),
        ):
            for m in self.model.methods:
                code.put(f"case {m.id}: {self.handlers[m.name]}(arguments, answer); return true;")
            code.put("default: return false;")
        for m in self.model.methods:
            code.put()
            self._handler(m)

    def _handler(self, m: Method) -> None:
        code, names = self.code, Names(())
        _, plain = self._parameters(m.fields, names)
        arguments, answer, result = (names.local(word) for word in ("arguments", "answer", "result"))
        body = _Body(code, self.types, names)
        with code.block(f"private void {self.handlers[m.name]}(Decoder {arguments}, Encoder {answer})"):
            offsets, size = struct_layout(m.fields)
            code.put(f'{arguments}.Begin("{m.where}", {size});')
            for f, name, offset in zip(m.fields, plain, offsets, strict=True):
                body.get(f.type, arguments, _At("", offset), name)
            code.put(f"{arguments}.End();")
            call = f"{self.methods[m.name]}({', '.join(plain)});"
            code.put(f"{self._result(m)} {result} = {call}" if m.result else call)
            code.put(f'{answer}.Begin("{m.where} reply", {_fixed(m.result) if m.result else 0});')
            if m.result:
                with code.block(f"while ({answer}.Pass())"):
                    body.put(m.result, answer, _At(), result)
            else:
                code.put(f"while ({answer}.Pass()) {{ }}")

    # ------------------------------------------------------------------------------------------ structs

    def _struct(self, s: StructOf) -> None:
        code, name = self.code, self.types.of(s)
        members = Names(_STRUCT | {name})
        properties = [members.add(pascal(f.name)) for f in s.fields]
        parameters, plain = self._parameters(s.fields, Names(()))
        code.docstring(self.model.struct_docs[s.name], f"The struct {s.name}.")
        with code.block(f"public sealed class {name} : Struct"):
            code.doc("summary", "Of all its fields.")
            code.call(f"public {name}", parameters, f' : base("{s.name}", {s.size})')
            code.put("{")
            code.depth += 1
            for member, parameter in zip(properties, plain, strict=True):
                code.put(f"{member} = {parameter};")
            code.depth -= 1
            code.put("}")
            for f, member in zip(s.fields, properties, strict=True):
                code.put()
                code.doc("summary", f"{f.name}: {_short(f.type)}.")
                code.put(f"public {self.types.of(f.type)} {member} {{ get; }}")
            code.put()
            self._struct_codec(s, name, properties, plain)

    def _struct_codec(self, s: StructOf, name: str, properties: list[str], plain: list[str]) -> None:
        code, (offsets, size) = self.code, struct_layout(s.fields)
        code.doc("summary", "Decode what Encode made.")
        code.put(f"public static {name} Decode(byte[] data) =>")
        code.put(f'    Decoder.Read(data, "{s.name}", {size}, decoder => Get(decoder, 0));')
        code.put()
        code.put("/// <inheritdoc/>")
        with code.block("public override void Put(Encoder encoder, int at)"):
            body = _Body(code, self.types, Names((*properties, "encoder", "at")))
            for f, member, offset in zip(s.fields, properties, offsets, strict=True):
                body.put(f.type, "encoder", _At("at", offset), member)
        code.put()
        code.doc("summary", "Get one from a message.")
        names = Names(plain)
        decoder, at = names.local("decoder"), names.local("at")
        with code.block(f"public static {name} Get(Decoder {decoder}, int {at})"):
            body = _Body(code, self.types, names)
            for f, local, offset in zip(s.fields, plain, offsets, strict=True):
                body.get(f.type, decoder, _At(at, offset), local)
            code.call(f"return new {name}", plain, ";")

    # ------------------------------------------------------------------------------------------ calls going out

    def _caller(self) -> None:
        code, model = self.code, self.model
        members = Names(_CALLER | _USED | {"Caller", "Name"} | set(self.types.structs.values()))
        called = {m.name: members.add(pascal(m.name)) for m in model.methods}
        code.doc("summary", f"Calls {model.schema.name} in a group. Threads: any.")
        with code.block("public sealed class Caller : ServiceCaller"):
            results = {m.name: members.add(f"{pascal(m.name)}Result") for m in model.methods}
            for m in model.methods:
                self._result_field(m, results[m.name])
            code.put()
            code.doc("summary", "Of a group that was joined with the service.")
            code.put("public Caller(Group group) : base(group, Name) { }")
            code.put()
            code.put("private Caller(Caller other, uint node) : base(other, node) { }")
            code.put()
            code.doc("summary", "The same, with queries to this member.")
            code.put("public Caller At(uint node) => new Caller(this, node);")
            for m in model.methods:
                encode = members.add(f"Encode{pascal(m.name)}")
                result = results[m.name]
                if m.kind == "query":
                    self._form(m, called[m.name], encode, "Query", f"Reply<{self._of(m)}>", f"Reply({result})")
                else:
                    names = [called[m.name], *(members.add(f"{w}{called[m.name]}") for w in ("Send", "TrySend"))]
                    self._ordered(m, names, encode, result)
                self._encode(m, encode)

    def _of(self, m: Method) -> str:
        return self.types.of(m.result) if m.result else "Nothing"

    def _result_field(self, m: Method, name: str) -> None:
        code, kind = self.code, self._of(m)
        code.put(f"private static readonly Result<{kind}> {name} =")
        code.depth += 1
        start = f'new Result<{kind}>("{m.where}", {_fixed(m.result) if m.result else 0},'
        if m.result is None:
            code.put(f"{start} decoder => default(Nothing));")
        else:
            _Body(code, self.types, Names(("decoder", "result"))).reader(start, m.result, ");")
        code.depth -= 1

    def _ordered(self, m: Method, names: list[str], encode: str, result: str) -> None:
        call, send, try_send = names
        self._form(m, call, encode, "Call", f"Replies<{self._of(m)}>", f"Replies({result})")
        self._form(m, send, encode, "Send", "void", "Send()", f"As {call}, without answers: the fastest form.")
        never = f"As {send}, but never waits: Again or Wedged when it did not go."
        self._form(m, try_send, encode, "TrySend", "Status", "Send()", never)

    def _form(self, m: Method, name: str, encode: str, begin: str, returns: str, finish: str, doc: str = "") -> None:
        code, names = self.code, Names(())
        parameters, plain = self._parameters(m.fields, names)
        outgoing = names.local("call")
        code.put()
        code.docstring(doc or self.model.method_docs[m.name], f"The {m.kind} method {m.name}.")
        code.call(f"public {returns} {name}", parameters, "")
        code.put("{")
        code.depth += 1
        kind = "OutgoingQuery" if m.kind == "query" else "OutgoingCall"
        _, size = struct_layout(m.fields)
        with code.block(f'using ({kind} {outgoing} = {begin}({m.id}, "{m.where}", {size}))'):
            code.put(f"while ({outgoing}.Pass()) {encode}({', '.join([outgoing, *plain])});")
            code.put(f"{'' if returns == 'void' else 'return '}{outgoing}.{finish};")
        code.depth -= 1
        code.put("}")

    def _encode(self, m: Method, name: str) -> None:
        code, names = self.code, Names(())
        parameters, plain = self._parameters(m.fields, names)
        encoder = names.local("encoder")
        code.put()
        code.call(f"private static void {name}", [f"Encoder {encoder}", *parameters], "")
        code.put("{")
        code.depth += 1
        body = _Body(code, self.types, names)
        for f, value, offset in zip(m.fields, plain, struct_layout(m.fields)[0], strict=True):
            body.put(f.type, encoder, _At("", offset), value)
        code.depth -= 1
        code.put("}")


def _fixed(wire: WireType) -> int:
    """Bytes of the fixed part of a message with this one field."""
    return struct_layout((Field("", wire),))[1]


def _short(wire: WireType) -> str:
    """A type in a word or two; structs by name only."""
    if isinstance(wire, StructOf):
        return wire.name
    if isinstance(wire, (ListOf, ArrayOf)):
        size = f" of {wire.count}" if isinstance(wire, ArrayOf) else ""
        return f"{'array' if size else 'list'}{size} of {_short(wire.element)}"
    if isinstance(wire, MapOf):
        return f"map of {_short(wire.key)} to {_short(wire.value)}"
    return f"{_short(wire.value)}, or null" if isinstance(wire, OptionalOf) else wire.text
