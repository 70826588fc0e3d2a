"""C: one header a service, over ``derecho_stub.h``: structs and their tables, callers, a dispatcher."""

from __future__ import annotations

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
    has_tail,
    struct_layout,
)
from .cpp import comment, identifier, quoted
from .model import StubError, StubModel, children
from .names import distinct, fold, snake

__all__ = ["c_prefix", "emit"]

_SCALARS = {"f32": "float", "f64": "double", "bool": "bool"}
_SCALARS |= {f"{s}{n}": f"{'u' if s == 'u' else ''}int{n}_t" for s in "iu" for n in (8, 16, 32, 64)}

#: The system's headers: a stub that is named like one would be found in its place.
_HEADERS = set(
    """
    aio alloca assert byteswap complex ctype dirent dlfcn elf endian envz err errno error execinfo fcntl features fenv
    float fnmatch fstab ftw glob grp iconv ifaddrs inttypes iso646 langinfo libgen libintl limits link locale math
    mcheck memory monetary mqueue netdb nl_types nss obstack paths poll printf pthread pty pwd regex resolv sched
    search semaphore setjmp sgtty shadow signal spawn stab stdalign stdarg stdatomic stdbool stdc_predef stddef stdint
    stdio stdlib stdnoreturn string strings syscall sysexits syslog tar termio termios tgmath thread_db threads time
    ttyent uchar ucontext ulimit unistd utime utmp utmpx values wait wchar wctype wordexp
    """.split()  # noqa: SIM905 (a list of 100 quoted words is no easier to read)
)

_HANDLERS_DOC = """\
What a member does when a method is called. Each is given `context`, the arguments, where to put the result, and its
handling (derecho_context_of(handling): caller, version, time), and returns DERECHO_OK or derecho_fail(). Arguments, and
what they point to, are gone when it returns; what a result points to may come from handling->arena."""

_STATE_DOC = """\
The state as of now, for a joiner, and the other way round. What it points to is read during the call only: keep
copies."""

_REPLICA_DOC = """\
A replica of the service, whose events derecho_replica_handle() handles; the handlers outlive it. @param shard its place
among the group's services."""

_JOIN_DOC = """\
Join, or found, a group with this one service. @param options key, value, key, value ..., NULL: docs/options.md.
@return as derecho_group_join(); derecho_stub_error() has the details. The replica is to be left by
derecho_replica_leave()."""

_DISPATCH_DOC = """\
Run the handler of a DERECHO_EVENT_CALL or DERECHO_EVENT_QUERY of this service, and answer. Answers that find no room
are kept in `answers`, for derecho_answers_retry()."""

_PIECE = 100  # characters of a literal in one line


def _pieces(text: str) -> list[str]:
    """A string among others, in as many lines as it needs."""
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)] or [""]
    return [f"    {quoted(piece)}" for piece in pieces[:-1]] + [f"    {quoted(pieces[-1])},"]


def emit(model: StubModel) -> dict[str, str]:
    """Write the header of a service.

    Returns
    -------
    dict of str to str
        One file: its name and content.
    """
    prefix = c_prefix(model)
    file = distinct({prefix: prefix}, _HEADERS)[prefix]
    return {f"{file}.h": "\n".join(fold(_Header(model, prefix).lines())) + "\n"}


def c_prefix(model: StubModel) -> str:
    """What the names of a service's C functions begin with.

    Raises
    ------
    StubError
        When they would be among the library's own.
    """
    prefix = snake(model.schema.name)
    if f"{prefix}_".startswith("derecho_"):
        raise StubError(
            f"service {model.schema.name}: in C, what begins with derecho_ is the library's; rename the service"
        )
    return prefix


class _Header:
    """One service's header under construction."""

    def __init__(self, model: StubModel, prefix: str) -> None:
        self._model = model
        self._prefix = prefix
        self._structs = distinct({s.name: snake(s.name) for s in model.structs}, _TAKEN, _forms_of_struct)
        taken = _TAKEN.union(*(_forms_of_struct(self._word(wire)) for wire in self._types()))
        self._methods = distinct({m.name: snake(m.name) for m in model.methods}, taken, _forms_of_method)
        self._members = distinct({m.name: identifier(m.name) for m in model.methods}, ["context"])

    def lines(self) -> list[str]:
        model, guard = self._model, f"{self._prefix.upper()}_STUB_H"
        lines = [
            f"/* Service {model.schema.name}: what a member implements, and what a caller calls. See docs/c.md.",
            f"   Written by `derecho stubs` from {model.source}; do not edit. */",
            f"#ifndef {guard}",
            f"#define {guard}",
            "",
            "#include <derecho_stub.h>",
            "",
            f"#define {self._prefix.upper()}_SERVICE {quoted(model.schema.name)}",
            "",
            "/** For derecho_config_add_service(): members whose hashes differ do not join each other. */",
            f"#define {self._prefix.upper()}_SCHEMA_HASH 0x{model.schema.hash:016x}u",
            "",
            "/** What the hash is of, by line: for the error of a node that is refused. */",
            f"static const char *const {self._prefix}_schema[] = {{",
            *(part for line in model.schema.text.splitlines() for part in _pieces(line)),
            "    NULL};",
            "",
            "enum {",
            *(f"    {self._number(m)} = {m.id}," for m in model.methods),
            "};",
        ]
        for wire in self._types():
            lines += ["", *self._declare(wire)]
        for struct in model.structs:
            lines += ["", *self._message_functions(self._name(struct), self._name(struct))]
        if model.state:
            lines += ["", *self._message_struct(f"{self._prefix}_state", (Field("state", model.state),))]
            lines += ["", *self._message_functions(f"{self._prefix}_state", f"{self._prefix}_state")]
        for method in model.methods:
            lines += ["", *self._messages(method), "", *self._caller(method)]
            if method.result:
                lines += ["", *self._result_reader(method)]
        lines += ["", *self._handlers(), "", *self._dispatcher(), "", *self._replica(), "", f"#endif /* {guard} */"]
        return lines

    # ---------------------------------------------------------------------------------------- names

    def _number(self, method: Method) -> str:
        return f"{self._prefix.upper()}_{self._methods[method.name].upper()}"

    def _function(self, method: Method) -> str:
        return f"{self._prefix}_{self._methods[method.name]}"

    def _name(self, wire: WireType) -> str:
        """The C type of a value."""
        if isinstance(wire, ScalarType):
            return _SCALARS[wire.name]
        if isinstance(wire, Blob):
            return "derecho_text" if wire.name == "str" else "derecho_bytes"
        return f"{self._prefix}_{self._word(wire)}"

    def _table(self, wire: WireType) -> str:
        """The table of a type."""
        if isinstance(wire, (ScalarType, Blob)):
            return f"derecho_type_{wire.name}"
        return f"{self._name(wire)}_type"

    def _word(self, wire: WireType) -> str:
        """A type as a part of a name."""
        if isinstance(wire, StructOf):
            if wire.python is None:  # an entry of a map
                return f"pair_{self._word(wire.fields[0].type)}_{self._word(wire.fields[1].type)}"
            return self._structs[wire.name]
        if isinstance(wire, (ListOf, OptionalOf)):
            inner = wire.element if isinstance(wire, ListOf) else wire.value
            return f"{'list' if isinstance(wire, ListOf) else 'optional'}_{self._word(inner)}"
        if isinstance(wire, ArrayOf):
            return f"array_{self._word(wire.element)}_{wire.count}"
        if isinstance(wire, MapOf):
            return f"map_{self._word(wire.key)}_{self._word(wire.value)}"
        return wire.name

    # ---------------------------------------------------------------------------------------- types

    def _types(self) -> list[WireType]:
        """Everything that needs a typedef, each after what it is made of."""
        found: dict[str, WireType] = {}

        def visit(wire: WireType) -> None:
            for child in (wire.pair,) if isinstance(wire, MapOf) else children(wire):
                visit(child)
            if not isinstance(wire, (ScalarType, Blob)):
                found.setdefault(self._name(wire), wire)

        for wire in [*self._model.structs, *self._roots()]:
            visit(wire)
        return list(found.values())

    def _roots(self) -> list[WireType]:
        methods = self._model.methods
        roots = [f.type for m in methods for f in m.fields] + [m.result for m in methods if m.result]
        return roots + ([self._model.state] if self._model.state else [])

    def _declare(self, wire: WireType) -> list[str]:
        name = self._name(wire)
        if isinstance(wire, StructOf):
            return self._struct(name, wire.fields, self._model.struct_docs.get(wire.name, ""))
        if isinstance(wire, ListOf):
            return self._reference(name, wire.element, "LIST")
        if isinstance(wire, MapOf):
            return self._reference(name, wire.pair, "MAP")
        if isinstance(wire, ArrayOf):
            element = self._name(wire.element)
            body = [f"typedef struct {name} {{", f"    {element} items[{wire.count}];", f"}} {name};"]
            return body + self._table_of(name, wire, "ARRAY", wire.count, self._table(wire.element))
        assert isinstance(wire, OptionalOf)
        body = [f"typedef struct {name} {{", "    bool present;", f"    {self._name(wire.value)} value;", f"}} {name};"]
        return body + self._table_of(
            name, wire, "OPTIONAL", 0, self._table(wire.value), value=f"offsetof({name}, value)"
        )

    def _reference(self, name: str, element: WireType, kind: str) -> list[str]:
        return [
            f"typedef struct {name} {{",
            f"    const {self._name(element)} *items;",
            "    uint64_t count;",
            f"}} {name};",
            *self._table_line(name, kind, True, 4, 8, 0, f"&{self._table(element)}", "0", "NULL"),
        ]

    def _table_of(self, name: str, wire: WireType, kind: str, count: int, element: str, value: str = "0") -> list[str]:
        return self._table_line(name, kind, has_tail(wire), wire.align, wire.size, count, f"&{element}", value, "NULL")

    def _table_line(
        self,
        name: str,
        kind: str,
        refers: bool,
        align: int,
        size: int,
        count: int,
        element: str,
        value: str,
        fields: str,
        memory: str | None = None,
    ) -> list[str]:
        memory = f"sizeof({name})" if memory is None else memory
        return [
            f"static const derecho_type {name}_type = {{",
            f"    DERECHO_TYPE_{kind}, {str(refers).lower()}, {align}, {size}, {memory}, {count}, {element}, {value}, "
            f"{fields}}};",
        ]

    def _struct(self, name: str, fields: tuple[Field, ...], doc: str = "") -> list[str]:
        return [
            *comment(doc),
            f"typedef struct {name} {{",
            *(f"    {self._name(f.type)} {identifier(f.name)};" for f in fields),
            f"}} {name};",
            *self._struct_table(name, fields),
        ]

    def _struct_table(self, name: str, fields: tuple[Field, ...]) -> list[str]:
        offsets, size = struct_layout(fields)
        align = max((f.type.align for f in fields), default=1)
        refers = any(has_tail(f.type) for f in fields)
        lines = []
        if fields:
            lines = [
                f"static const derecho_type_field {name}_fields[] = {{",
                *(
                    f"    {{&{self._table(f.type)}, {offset}, offsetof({name}, {identifier(f.name)})}},"
                    for f, offset in zip(fields, offsets, strict=True)
                ),
                "};",
            ]
        listed = f"{name}_fields" if fields else "NULL"
        memory = None if fields else "0"
        return lines + self._table_line(name, "STRUCT", refers, align, size, len(fields), "NULL", "0", listed, memory)

    # ---------------------------------------------------------------------------------------- messages

    def _message_struct(self, name: str, fields: tuple[Field, ...]) -> list[str]:
        return self._struct(name, fields) if fields else self._struct_table(name, fields)

    def _message_functions(self, name: str, type_name: str) -> list[str]:
        return [
            "/** Its size as a message; UINT64_MAX when a text is not UTF-8. */",
            f"static inline uint64_t {name}_bytes(const {type_name} *value) {{",
            f"    return derecho_message_bytes(&{type_name}_type, value);",
            "}",
            "/** Write it as a message, to memory of that size. */",
            f"static inline void {name}_write(const {type_name} *value, void *to) {{",
            f"    derecho_message_write(&{type_name}_type, value, to);",
            "}",
            "/** Read it from a message: NULL, or why it is refused. It points into the message and the arena. */",
            f"static inline const char *{name}_read(const void *data, uint64_t size, {type_name} *value, "
            "derecho_arena *arena) {",
            f"    return derecho_message_read(&{type_name}_type, data, size, value, arena);",
            "}",
        ]

    def _messages(self, method: Method) -> list[str]:
        name = self._function(method)
        result = (Field("result", method.result),) if method.result else ()
        return [
            *self._message_struct(f"{name}_arguments", method.fields),
            *self._message_struct(f"{name}_reply", result),
        ]

    # ---------------------------------------------------------------------------------------- functions

    def _parameters(self, method: Method) -> list[str]:
        return [
            f"{self._name(f.type)} {name}"
            if isinstance(f.type, (ScalarType, Blob))
            else f"const {self._name(f.type)} *{name}"
            for f, name in _named(method)
        ]

    def _caller(self, method: Method) -> list[str]:
        name = self._function(method)
        ordered = method.kind == "ordered"
        where = "every member" if ordered else "one member"
        text = f"Call it at {where}. @param call_out names the call in its events"
        text += "; NULL: no answers wanted." if ordered else "."
        text += f"\n@return as derecho_shard_{'call' if ordered else 'query'}(); DERECHO_INVALID for a text not UTF-8."
        doc = self._model.method_docs[method.name]
        head = ["derecho_shard *shard", *([] if ordered else ["uint32_t node"]), *self._parameters(method)]
        values, made = [], []
        for f, given in _named(method):
            checked, value = self._pointed_to(f.type, given)
            made += checked
            values.append(value)
        if method.fields:
            made.append(f"    const {name}_arguments arguments = {{{', '.join(values)}}};")
        arguments = f"&{name}_arguments_type, {'&arguments' if method.fields else 'NULL'}"
        what = "call_out ? DERECHO_CALL_REPLY : 0" if ordered else "node"
        call = (
            f"derecho_stub_call(shard, {self._number(method)}, {what}, {arguments}, call_out)"
            if ordered
            else f"derecho_stub_query(shard, {what}, {self._number(method)}, {arguments}, call_out)"
        )
        return [
            *comment(f"{doc}\n\n{text}" if doc else text),
            f"static inline derecho_status {name}({', '.join([*head, 'uint64_t *call_out'])}) {{",
            *made,
            f"    return {call};",
            "}",
        ]

    def _pointed_to(self, wire: WireType, given: str) -> tuple[list[str], str]:
        """The value of an argument that is passed by pointer; NULL is an optional one's absence."""
        if isinstance(wire, (ScalarType, Blob)):
            return [], given
        if isinstance(wire, OptionalOf):
            absent = f"{given}_absent"
            return [f"    static {self._name(wire)} {absent};"], f"{given} ? *{given} : {absent}"
        refused = f'return derecho_stub_fail(DERECHO_INVALID, "argument %s is NULL", "{given}");'
        return [f"    if (!{given}) {refused}"], f"*{given}"

    def _result_reader(self, method: Method) -> list[str]:
        name = self._function(method)
        assert method.result is not None
        return [
            "/** Take the result out of a DERECHO_EVENT_REPLY with status DERECHO_OK: NULL, or why it is refused. */",
            f"static inline const char *{name}_result(const derecho_event *event, "
            f"{self._name(method.result)} *result_out, derecho_arena *arena) {{",
            f"    {name}_reply reply;",
            f"    const char *why = derecho_message_read(&{name}_reply_type, event->data, event->size_bytes, &reply, "
            "arena);",
            "    if (!why) *result_out = reply.result;",
            "    return why;",
            "}",
        ]

    def _handlers(self) -> list[str]:
        lines = [
            *comment(_HANDLERS_DOC),
            f"typedef struct {self._prefix}_handlers {{",
            "    void *context;",
        ]
        for method in self._model.methods:
            result = [f"{self._name(method.result)} *result_out"] if method.result else []
            parameters = ["void *context", *self._parameters(method), *result, "derecho_handling *handling"]
            lines.append(f"    derecho_status (*{self._members[method.name]})({', '.join(parameters)});")
        state = f"{self._prefix}_state" if self._model.state else "derecho_bytes"
        return [
            *lines,
            *comment(_STATE_DOC, "    "),
            f"    void (*save_state)(void *context, {state} *state_out, derecho_arena *arena);",
            f"    void (*load_state)(void *context, const {state} *state);",
            f"}} {self._prefix}_handlers;",
        ]

    def _dispatcher(self) -> list[str]:
        lines = [
            *comment(_DISPATCH_DOC),
            f"static inline derecho_status {self._prefix}_dispatch(derecho_group *group, const derecho_event *event, "
            f"const {self._prefix}_handlers *handlers, derecho_answers *answers) {{",
            '    derecho_handling handling = {event, {NULL}, ""};',
            "    const char *why = NULL;",
            "    switch (event->method) {",
        ]
        for method in self._model.methods:
            lines += self._case(method)
        return [
            *lines,
            "        default: return derecho_answer(group, event, DERECHO_UNKNOWN_METHOD, NULL, 0, answers);",
            "    }",
            "}",
        ]

    def _replica(self) -> list[str]:
        p = self._prefix
        typed = self._model.state is not None
        state = f"{p}_state" if typed else "derecho_bytes"
        size = f"{p}_state_bytes(&state)" if typed else "state.size_bytes"
        write = f"{p}_state_write(&state, message)" if typed else "memcpy(message, state.data, (size_t)size)"
        read = (
            [
                f"    {state} state;",
                "    derecho_arena arena = {NULL};",
                f"    const char *why = {p}_state_read(message, size, &state, &arena);",
                f"    const {p}_handlers *typed = (const {p}_handlers *)handlers;",
                "    if (!why) typed->load_state(typed->context, &state);",
                "    derecho_arena_free(&arena);",
                "    return why;",
            ]
            if typed
            else [
                f"    const {state} state = {{message, size}};",
                f"    const {p}_handlers *typed = (const {p}_handlers *)handlers;",
                "    typed->load_state(typed->context, &state);",
                "    return NULL;",
            ]
        )
        return [
            f"static inline derecho_status {p}_replica_dispatch(derecho_group *group, const derecho_event *event, "
            "const void *handlers, derecho_answers *answers) {",
            f"    return {p}_dispatch(group, event, (const {p}_handlers *)handlers, answers);",
            "}",
            "",
            f"static inline void *{p}_replica_save(const void *handlers, uint64_t *size_out) {{",
            f"    const {p}_handlers *typed = (const {p}_handlers *)handlers;",
            "    derecho_arena arena = {NULL};",
            f"    {state} state;",
            "    memset(&state, 0, sizeof state);",
            "    typed->save_state(typed->context, &state, &arena);",
            f"    const uint64_t size = {size};",
            "    void *message = size == UINT64_MAX ? NULL : malloc(size ? (size_t)size : 1);",
            f"    if (message && size) {write};",
            "    *size_out = size;",
            "    derecho_arena_free(&arena);",
            "    return message;",
            "}",
            "",
            f"static inline const char *{p}_replica_load(const void *handlers, const void *message, uint64_t size) {{",
            *read,
            "}",
            "",
            f"static const derecho_replica_methods {p}_replica_methods = {{{p}_replica_dispatch, {p}_replica_save, "
            f"{p}_replica_load}};",
            "",
            *comment(_REPLICA_DOC),
            f"static inline derecho_replica {p}_replica(derecho_group *group, uint32_t number, "
            f"const {p}_handlers *handlers) {{",
            "    derecho_replica made;",
            "    memset(&made, 0, sizeof made);",
            "    made.group = group;",
            "    made.number = number;",
            f"    made.methods = &{p}_replica_methods;",
            "    made.handlers = handlers;",
            "    return made;",
            "}",
            "",
            *comment(_JOIN_DOC),
            f"static inline derecho_status {p}_join(const char *const *options, int64_t timeout_ms, "
            f"const {p}_handlers *handlers, derecho_replica *replica_out) {{",
            f"    *replica_out = {p}_replica(NULL, 0, handlers);",
            f"    return derecho_stub_join({p.upper()}_SERVICE, {p.upper()}_SCHEMA_HASH, {p}_schema, options, "
            "timeout_ms, replica_out);",
            "}",
        ]

    def _case(self, method: Method) -> list[str]:
        name = self._function(method)
        given = [
            ("" if isinstance(f.type, (ScalarType, Blob)) else "&") + f"arguments.{identifier(f.name)}"
            for f in method.fields
        ]
        arguments = ["handlers->context", *given, *(["&reply.result"] if method.result else []), "&handling"]
        lines = [f"        case {self._number(method)}: {{"]
        if method.fields:
            lines.append(f"            {name}_arguments arguments;")
        if method.result:
            lines += [f"            {name}_reply reply;", "            memset(&reply, 0, sizeof reply);"]
        target = "&arguments" if method.fields else "NULL"
        return [
            *lines,
            f"            why = derecho_message_read(&{name}_arguments_type, event->data, event->size_bytes, {target}, "
            "&handling.arena);",
            "            const derecho_status status = why ? derecho_fail(&handling, "
            f'"DecodeError", derecho_text_of(why)) : handlers->{self._members[method.name]}({", ".join(arguments)});',
            f"            return derecho_answer_result(group, &handling, status, &{name}_reply_type, "
            f"{'&reply' if method.result else 'NULL'}, answers);",
            "        }",
        ]


#: What follows the prefix in names that every header has, in either case.
_TAKEN = set(
    """
    service schema schema_hash stub_h handlers dispatch replica replica_dispatch replica_save replica_load
    replica_methods join state state_type state_fields state_bytes state_write state_read
    """.split()  # noqa: SIM905 (more readable than a list)
)
_LOCALS = ["shard", "node", "call_out", "arguments", "context", "result_out", "handling"]


def _forms_of_struct(name: str) -> list[str]:
    return [name, *(f"{name}_{end}" for end in ("type", "fields", "bytes", "write", "read"))]


def _forms_of_method(name: str) -> list[str]:
    messages = [f"{name}_{message}" for message in ("arguments", "reply")]
    return [name, f"{name}_result", *messages, *(f"{m}_{end}" for m in messages for end in ("type", "fields"))]


def _named(method: Method) -> list[tuple[Field, str]]:
    """The fields of a method, and their names as parameters."""
    names = distinct({f.name: identifier(f.name) for f in method.fields}, _LOCALS)
    return [(f, names[f.name]) for f in method.fields]
