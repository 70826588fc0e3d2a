"""C++: one header a service, over ``derecho.hpp``."""

from __future__ import annotations

from ..codec.method import Method
from ..codec.wire import ArrayOf, Blob, ListOf, MapOf, OptionalOf, ScalarType, StructOf, WireType
from .model import StubModel
from .names import comment_lines, distinct, fold, plain, snake

__all__ = [
    "comment",
    "declaration",
    "emit",
    "identifier",
    "method_names",
    "parameter_names",
    "parameter_type",
    "quoted",
    "service_names",
    "value_type",
]

_WIDTH = 120
_KEYWORDS = set(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char char8_t char16_t char32_t class
    compl concept const consteval constexpr constinit const_cast continue co_await co_return co_yield decltype
    default delete do double dynamic_cast else enum explicit export extern false float for friend goto if inline int
    long mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast requires return short signed sizeof static static_assert static_cast struct switch template
    this thread_local throw true try typedef typeid typename union unsigned using virtual void volatile wchar_t
    while xor xor_eq save_state load_state save_state_pieces
    restrict typeof errno EOF NULL linux unix
    """.split()  # noqa: SIM905 (a list of 100 quoted words is no easier to read)
)
#: Names that no namespace can have: of the C library's functions and of namespaces in the stub's headers.
_NO_NAMESPACES = set(
    """
    abort accept access alarm basename bind brk ceil clock clone close conj connect cos daemon daylight derecho div
    drem environ errno exit exp fcntl flock floor fork free gamma getline index jn kill link listen log logb longjmp
    lround madvise malloc mkdir mprotect nearbyint nice open pause pipe poll popen pow printf profil puts quick_exit
    raise rand random read recv remainder remove rename rewind round scalb scanf select send setenv setjmp shutdown
    signal significand sin sleep socket splice sqrt stat statx std stderr stdin stdout strfry strsignal swab sync
    syscall system tan tee tempnam time timezone tm tolower toupper trunc truncate umask unlink vfork wait write yn
    """.split()  # noqa: SIM905 (a list of 100 quoted words is no easier to read)
)
_SCALARS = {"f32": "float", "f64": "double", "bool": "bool"}
_SCALARS |= {f"{s}{n}": f"{'u' if s == 'u' else ''}int{n}_t" for s in "iu" for n in (8, 16, 32, 64)}


def emit(model: StubModel) -> dict[str, str]:
    """Write the header of a service.

    Returns
    -------
    dict of str to str
        One file: its name and content.
    """
    name, space = service_names(model)
    lines = [
        f"// Service {model.schema.name}: what a member implements, and what a caller calls. See docs/cpp.md.",
        f"// Written by `derecho stubs` from {model.source}; do not edit.",
        "#pragma once",
        "",
        "#include <derecho.hpp>",
        "",
        f"namespace {space} {{",
        "",
        "/** Of the service's methods and types: members whose hashes differ do not join each other. */",
        f"inline constexpr uint64_t kSchemaHash = 0x{model.schema.hash:016x};",
    ]
    for struct in model.structs:
        lines += ["", *_struct(model, struct)]
    lines += ["", *_service(model, name)]
    lines += [
        "",
        f"static_assert(derecho::schema_hash<{name}>() == kSchemaHash, "
        '"the stub was made for other headers of libderecho");',
        "",
        f"}}  // namespace {space}",
    ]
    return {f"{space}.hpp": "\n".join(fold(lines)) + "\n"}


def identifier(name: str) -> str:
    """A name that is no word of C or C++, or of their headers: `int` is `int_`, so `int_` is `int__`."""
    return f"{name}_" if name.rstrip("_") in _KEYWORDS else name


def quoted(text: str) -> str:
    """A string of C or C++."""
    return '"{}"'.format(text.replace("\\", r"\\").replace('"', r"\""))


def service_names(model: StubModel) -> tuple[str, str]:
    """The service's class, and its namespace."""
    name = identifier(plain(model.schema.name))
    space = identifier(snake(model.schema.name))
    return distinct({name: name}, _struct_names(model))[name], distinct({space: space}, _NO_NAMESPACES)[space]


def method_names(model: StubModel) -> dict[str, str]:
    """The methods of the class, by their names in the schema."""
    taken = [*_struct_names(model), service_names(model)[0], "derecho_service"]
    return distinct({m.name: identifier(m.name) for m in model.methods}, taken)


def parameter_names(model: StubModel, method: Method) -> dict[str, str]:
    """A method's parameters, by their names in the schema."""
    return distinct({f.name: identifier(f.name) for f in method.fields}, _struct_names(model))


def _struct_names(model: StubModel) -> list[str]:
    return [identifier(struct.name) for struct in model.structs]


def value_type(wire: WireType) -> str:
    """The C++ type that holds a value."""
    if isinstance(wire, ScalarType):
        return _SCALARS[wire.name]
    if isinstance(wire, Blob):
        return "std::string" if wire.name == "str" else "derecho::Bytes"
    if isinstance(wire, ListOf):
        return f"std::vector<{value_type(wire.element)}>"
    if isinstance(wire, MapOf):
        return f"derecho::Map<{value_type(wire.key)}, {value_type(wire.value)}>"
    if isinstance(wire, ArrayOf):
        return f"std::array<{value_type(wire.element)}, {wire.count}>"
    if isinstance(wire, OptionalOf):
        return f"std::optional<{value_type(wire.value)}>"
    assert isinstance(wire, StructOf)
    return identifier(wire.name)


def parameter_type(wire: WireType) -> str:
    """The C++ type that a handler takes: a view into the message where there is one."""
    if isinstance(wire, ScalarType):
        return value_type(wire)
    if isinstance(wire, Blob):
        return "std::string_view" if wire.name == "str" else "derecho::BytesView"
    if isinstance(wire, ListOf) and isinstance(wire.element, ScalarType) and wire.element.name != "bool":
        return f"std::span<const {value_type(wire.element)}>"
    return f"const {value_type(wire)}&"


def declaration(model: StubModel, method: Method, parameter_of: str = "{type} {name}") -> str:
    """``int64_t put(std::string_view key, derecho::BytesView value)``."""
    names = parameter_names(model, method)
    parameters = ", ".join(parameter_of.format(type=parameter_type(f.type), name=names[f.name]) for f in method.fields)
    result = value_type(method.result) if method.result else "void"
    return f"{result} {method_names(model)[method.name]}({parameters})"


def comment(doc: str, indent: str = "") -> list[str]:
    """A docstring as a comment; nothing for none."""
    if not doc:
        return []
    lines = comment_lines(doc.replace("*/", "* /").replace("/*", "/ *"), _WIDTH - len(indent) - 3)
    if len(lines) == 1 and len(indent) + len(lines[0]) + 7 <= _WIDTH:
        return [f"{indent}/** {lines[0]} */"]
    return [f"{indent}/**", *(f"{indent} * {line}".rstrip() for line in lines), f"{indent} */"]


def _struct(model: StubModel, struct: StructOf) -> list[str]:
    name = identifier(struct.name)
    names = distinct({f.name: identifier(f.name) for f in struct.fields}, [*_struct_names(model), "derecho_fields"])
    return [
        *comment(model.struct_docs[struct.name]),
        f"struct {name} {{",
        *(f"    {value_type(f.type)} {names[f.name]}{{}};" for f in struct.fields),
        f"    bool operator==(const {name}&) const = default;",
        "",
        "    static constexpr auto derecho_fields = derecho::fields(",
        f'        "{struct.name}",',
        *_listed([f'derecho::field<&{name}::{names[f.name]}>("{f.name}")' for f in struct.fields]),
        "};",
    ]


def _service(model: StubModel, name: str) -> list[str]:
    lines = [*comment(model.doc), f"class {name} {{", "public:", f"    virtual ~{name}() = default;"]
    for method in model.methods:
        lines += ["", *comment(model.method_docs[method.name], "    ")]
        const = "" if method.kind == "ordered" else " const"
        lines.append(f"    virtual {declaration(model, method)}{const} = 0;")
    state = value_type(model.state) if model.state else "derecho::Bytes"
    lines += [
        "",
        "    /** The state as of now, for a member that joins. */",
        f"    virtual {state} save_state() const = 0;",
        "    /** Replace the state by one that another member saved. */",
        f"    virtual void load_state({state} state) = 0;",
        "    /** Instead of save_state(), if it is not empty: bytes that are made as they are sent; meanwhile the",
        "     * ordered calls of this service are held back here. */",
        "    virtual derecho::StatePieces save_state_pieces() const { return {}; }",
        "",
        "    static constexpr auto derecho_service = derecho::service(",
        f"        {quoted(model.schema.name)},",
    ]
    names = method_names(model)
    entries = [f"derecho::state<{state}>()"] if model.state else []
    for method in model.methods:
        words = "".join(f', "{word}"' for word in (f.name for f in method.fields))
        entries.append(f'derecho::{method.kind}<&{name}::{names[method.name]}>("{method.name}"{words})')
    return [*lines, *_listed(entries), "};"]


def _listed(entries: list[str]) -> list[str]:
    """The last arguments of a call, one a line, and its end."""
    return [f"        {entry}{',' if i + 1 < len(entries) else ');'}" for i, entry in enumerate(entries)]
