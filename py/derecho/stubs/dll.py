"""``--dll``: a service in C++ as a DLL of untyped stubs, a CMake project around it, and a shim for each language."""

from __future__ import annotations

import importlib
import re

from ..codec.method import Method
from ..codec.wire import WireType
from . import cpp
from .c import c_prefix
from .cpp import comment, declaration, identifier, method_names, service_names, value_type
from .model import StubError, StubModel
from .names import distinct, fold, snake
from .passing import Passing, passing

__all__ = ["emit"]

_NUMBERS = {"f32": "float", "f64": "double", "bool": "uint8_t"}
_LIBRARIES = {"asan", "c", "crypto", "dl", "gcc_s", "m", "pthread", "rt", "ssl", "stdc++", "tsan", "util"}
_NUMBERS |= {f"{s}{n}": f"{'u' if s == 'u' else ''}int{n}_t" for s in "iu" for n in (8, 16, 32, 64)}


def emit(model: StubModel, language: str, package: str) -> dict[str, str]:
    """Write the DLL's side of a language: for ``"cpp"`` the project, for ``"c"`` its header, for others a shim.

    Raises
    ------
    StubError
        When a method's function would be one that the DLL has already.
    """
    prefix = c_prefix(model)
    if prefix in _LIBRARIES:
        raise StubError(f"service {model.schema.name}: lib{prefix}.so is a library of the system's; rename the service")
    taken = {text.partition("(")[0].rpartition(f"{prefix}_")[2] for text, _ in _common(prefix)} | {"member", "call"}
    for method in model.methods:
        name = snake(method.name)
        made = {name, *([f"{name}_result"] if method.result else [])}
        if made & taken:
            raise StubError(f"{method.where}: a DLL has {prefix}_{min(made & taken)} already; rename the method")
        taken |= made
    if language == "cpp":
        return _project(model)
    if language == "c":
        return {f"{snake(model.schema.name)}_dll.h": _header(model)}
    shim = importlib.import_module(f"{__package__}.shim_{language}")
    return shim.emit(model, package)  # type: ignore[no-any-return]


def _project(model: StubModel) -> dict[str, str]:
    name = snake(model.schema.name)
    return cpp.emit(model) | {
        f"{name}_dll.h": _header(model),
        f"{name}_dll.cpp": _library(model),
        f"{name}_service.cpp": _skeleton(model),
        f"{name}_dll.map": f"/* {_head(model, 'what its DLL exports')} */\n{{ global: {name}_*; local: *; }};\n",
        "CMakeLists.txt": _cmake(model, name),
    }


# ------------------------------------------------------------------------------------------------- values


def _number(p: Passing) -> str:
    return _NUMBERS[p.number]


def _parameters(name: str, p: Passing) -> list[str]:
    flag = [f"uint8_t {name}_present"] if p.optional else []
    if p.kind == "number":
        return [*flag, f"{_number(p)} {name}"]
    pointer = {"text": "const char *", "numbers": f"const {_number(p) if p.kind == 'numbers' else ''} *"}
    return [*flag, f"{pointer.get(p.kind, 'const void *')}{name}", f"size_t {name}_{p.count_suffix}"]


def _results(p: Passing) -> list[str]:
    flag = ["uint8_t *present_out"] if p.optional else []
    if p.kind == "number":
        return [*flag, f"{_number(p)} *result_out"]
    pointer = {"text": "const char **", "numbers": f"const {_number(p) if p.kind == 'numbers' else ''} **"}
    return [*flag, f"{pointer.get(p.kind, 'const void **')}result_out", f"size_t *result_{p.count_suffix}_out"]


def _argument(name: str, wire: WireType) -> str:
    """The C++ expression of an argument, of what was passed."""
    p = passing(wire)
    value = {
        "number": f"{name} != 0" if p.kind == "number" and p.number == "bool" else name,
        "text": f"dll::text_of({name}, {name}_bytes)",
        "bytes": f"dll::span_of<std::byte>({name}, {name}_bytes)",
        "numbers": f"dll::span_of<{_number(p) if p.kind == 'numbers' else ''}>({name}, {name}_count)",
        "message": f"dll::decode_value<{value_type(p.wire)}>({name}, {name}_bytes)",
    }[p.kind]
    if not p.optional:
        return value
    owner = value_type(p.wire)
    made = f"dll::copied<{owner}>({value})" if p.kind in ("bytes", "numbers") else f"{owner}({value})"
    return f"{name}_present != 0 ? std::optional({made}) : std::nullopt"


# ------------------------------------------------------------------------------------------------- the header


def _head(model: StubModel, what: str) -> str:
    return f"Service {model.schema.name}: {what}. Written by `derecho stubs --dll` from {model.source}; do not edit."


def _names(model: StubModel, method: Method) -> list[str]:
    """Names for the parameters that are the method's own."""
    taken = ["handle", "node", "call_out", "open", "open_members", "calls", "dll"]
    taken += [service_names(model)[0], *(identifier(s.name) for s in model.structs)]
    names = distinct(
        {f.name: identifier(f.name) for f in method.fields},
        taken,
        lambda name: [name, *(f"{name}_{end}" for end in ("present", "bytes", "count"))],
    )
    return list(names.values())


def _function(model: StubModel, method: Method) -> str:
    prefix, names = snake(model.schema.name), _names(model, method)
    node = [] if method.kind == "ordered" else ["uint32_t node"]
    fields = zip(names, method.fields, strict=True)
    given = [text for name, f in fields for text in _parameters(name, passing(f.type))]
    parameters = ", ".join([f"{prefix}_member *handle", *node, *given, f"{prefix}_call **call_out"])
    return f"int32_t {prefix}_{snake(method.name)}({parameters})"


def _result_function(prefix: str, method: Method, wire: WireType) -> str:
    return (
        f"int32_t {prefix}_{snake(method.name)}_result({', '.join([f'{prefix}_call *call', *_results(passing(wire))])})"
    )


def _common(prefix: str) -> list[tuple[str, str]]:
    """The functions that every stub DLL has: their declarations, and what is to be said of them."""
    return [
        (f"uint64_t {prefix}_schema_hash(void)", "Of the service: a shim compares it with its own."),
        (
            f"const char *{prefix}_last_error(void)",
            "What the last failed function of this thread had to say. Runtimes that move their tasks from thread to "
            "thread ask by handle instead.",
        ),
        (
            f"size_t {prefix}_member_error({prefix}_member *handle, char *text_out, size_t text_bytes)",
            "What the last failed function of this handle had to say, whichever thread called it. @return its bytes, "
            "as snprintf().",
        ),
        (
            f"size_t {prefix}_call_error({prefix}_call *call, char *text_out, size_t text_bytes)",
            "The same of a call.",
        ),
        (
            f"int32_t {prefix}_open(const char *config, {prefix}_member **handle_out)",
            "Join a group with a replica. @param config pairs key=value, each on a line or ended by ';': options of "
            "docs/options.md, config, a TOML file, and timeout_ms, of joining and of every later wait (10000).",
        ),
        (
            f"int32_t {prefix}_open_text(const char *config, {prefix}_member **handle_out, char *text_out, "
            "size_t text_bytes)",
            "The same; a failure, which leaves no handle, puts into text_out what it has to say.",
        ),
        (f"int32_t {prefix}_leave({prefix}_member *handle)", "Leave in good order, and close the handle."),
        (f"int32_t {prefix}_close({prefix}_member *handle)", "Stop at once, as a crash would, and close the handle."),
        (
            f"int32_t {prefix}_wait_members({prefix}_member *handle, uint32_t count, int64_t timeout_ms)",
            "Wait for a view of so many members, or more, that vote.",
        ),
        (
            f"int32_t {prefix}_wait_members_exactly({prefix}_member *handle, uint32_t count, int64_t timeout_ms)",
            "Wait for a view of so many members, no more and no fewer, all of which vote.",
        ),
        (
            f"int32_t {prefix}_view_members({prefix}_member *handle, uint64_t *view_out, uint32_t *nodes_out, "
            "size_t room, size_t *count_out)",
            "The view: its id, which grows, and its members' nodes by rank, as many as there is room for.",
        ),
        (
            f"int32_t {prefix}_view_voters({prefix}_member *handle, uint64_t *view_out, uint32_t *nodes_out, "
            "size_t room, size_t *count_out)",
            "As view_members, of the members that vote only: the others are still joining.",
        ),
        (
            f"int32_t {prefix}_member_fd({prefix}_member *handle, int32_t *fd_out)",
            "A descriptor for poll, epoll and event loops: readable when an answer or a view has come since it was "
            "read last (read 8 bytes). It is closed with the handle.",
        ),
        (
            f"int32_t {prefix}_call_poll({prefix}_call *call, uint8_t all, uint8_t *done_out)",
            "Whether a wait for the first answer (all: for every one) would end at once. Never waits.",
        ),
        (f"int32_t {prefix}_wait({prefix}_call *call, int64_t timeout_ms)", "Wait for the first answer to a call."),
        (f"int32_t {prefix}_wait_all({prefix}_call *call, int64_t timeout_ms)", "Wait for every member's answer."),
        (f"int32_t {prefix}_call_close({prefix}_call *call)", "Forget a call; what its result points to is freed."),
    ]


def _header(model: StubModel) -> str:
    prefix = snake(model.schema.name)
    guard = f"{prefix.upper()}_DLL_H"
    lines = [
        *comment(f"{_head(model, 'untyped functions of a member, for any language to load')}\n\n{_HEADER_DOC}"),
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"typedef struct {prefix}_member {prefix}_member; /* an open member */",
        f"typedef struct {prefix}_call {prefix}_call;     /* a call under way */",
    ]
    for text, doc in _common(prefix):
        lines += ["", *comment(doc), f"{text};"]
    for method in model.methods:
        where = "At every member." if method.kind == "ordered" else "At one member."
        doc = model.method_docs[method.name]
        lines += ["", *comment(f"{doc}\n\n{where}" if doc else where), f"{_function(model, method)};"]
        if method.result:
            lines.append(f"{_result_function(prefix, method, method.result)};")
    lines += ["", "#ifdef __cplusplus", "}", "#endif", "", f"#endif /* {guard} */"]
    return "\n".join(fold(lines)) + "\n"


_HEADER_DOC = """\
Every int32_t is a derecho_status, 0 for success. Handles are checked: a closed one is an error. Arguments are copied
before a function returns. What a result points to lives until its call is closed. A value that is no number, text,
bytes, list of numbers, or optional of these passes as the message of one field that docs/layout.md describes. With
call_out NULL an ordered call wants no answers. Any thread may call anything."""


# ------------------------------------------------------------------------------------------------- the library


def _library(model: StubModel) -> str:
    prefix, (cls, space) = snake(model.schema.name), service_names(model)
    lines = [
        f"// Service {model.schema.name} as a DLL: untyped functions, which relay to Replicated<{cls}>.",
        f"// Written by `derecho stubs --dll` from {model.source}; do not edit.",
        f'#include "{prefix}_dll.h"',
        "",
        "#include <derecho/dll.hpp>",
        "",
        f'#include "{space}.hpp"',
        "",
        "namespace dll = derecho::dll;",
        "",
        f"/** {prefix}_service.cpp makes the replica. */",
        f"std::unique_ptr<{space}::{cls}> make_{prefix}();",
        "",
        f"namespace {space} {{",
        "namespace {",
        "",
        f"dll::Handles<dll::Open<{cls}>> open_members;",
        "dll::Handles<dll::Call> calls;",
        "",
        "}  // namespace",
        "",
        'extern "C" {',
        *_common_bodies(prefix, cls),
    ]
    for method in model.methods:
        lines += ["", *_call_body(model, cls, method)]
        if method.result:
            lines += ["", *_result_body(prefix, method, method.result)]
    return "\n".join(fold([*lines, "", '}  // extern "C"', f"}}  // namespace {space}"])) + "\n"


def _body(signature: str, statements: list[str]) -> list[str]:
    table = {"handle": "open_members", "call": "calls"}
    found = re.search(r"\((?:\w+) \*(handle|call)\b", signature)
    start = f"dll::guarded_of({table[found[1]]}, {found[1]}, [&] {{" if found else "dll::guarded([&] {"
    return [
        f"{signature} {{",
        f"    return {start}",
        *(f"        {s}" for s in statements),
        "    });",
        "}",
    ]


def _common_bodies(prefix: str, cls: str) -> list[str]:
    bodies = {
        "open": [
            f"auto made = std::make_shared<dll::Open<{cls}>>(make_{prefix}(), dll::parse_config(config));",
            "open_members.add(std::move(made), handle_out);",
        ],
        "view_members": [
            "dll::check_out(count_out);",
            "*count_out = open_members.find(handle)->members(view_out, nodes_out, room);",
        ],
        "view_voters": [
            "dll::check_out(count_out);",
            "*count_out = open_members.find(handle)->voters(view_out, nodes_out, room);",
        ],
        "member_fd": ["dll::check_out(fd_out);", "*fd_out = open_members.find(handle)->group.news_fd();"],
        "call_poll": ["dll::check_out(done_out);", "*done_out = calls.find(call)->done(all != 0);"],
        "leave": ["open_members.remove(handle)->group.leave();"],
        "close": ["open_members.remove(handle)->group.close();"],
        "wait_members": ["open_members.find(handle)->group.wait_view(count, dll::from_ms(timeout_ms));"],
        "wait_members_exactly": [
            "open_members.find(handle)->group.wait_view_exactly(count, dll::from_ms(timeout_ms));"
        ],
        "wait": ["calls.find(call)->wait(dll::from_ms(timeout_ms), false);"],
        "wait_all": ["calls.find(call)->wait(dll::from_ms(timeout_ms), true);"],
        "call_close": ["calls.remove(call);"],
    }
    lines = []
    for text, _ in _common(prefix):
        name = text.partition("(")[0].removeprefix(f"int32_t {prefix}_")
        if name in bodies:
            lines += ["", *_body(text, bodies[name])]
    return [
        "",
        f"uint64_t {prefix}_schema_hash(void) {{ return kSchemaHash; }}",
        f"const char *{prefix}_last_error(void) {{ return dll::last_error().c_str(); }}",
        f"size_t {prefix}_member_error({prefix}_member *handle, char *text_out, size_t text_bytes) {{",
        "    return dll::error_of(open_members, handle, text_out, text_bytes);",
        "}",
        f"size_t {prefix}_call_error({prefix}_call *call, char *text_out, size_t text_bytes) {{",
        "    return dll::error_of(calls, call, text_out, text_bytes);",
        "}",
        *lines,
        "",
        *(line.format(p=prefix) for line in _OPEN_TEXT),
    ]


_OPEN_TEXT = """\
int32_t {p}_open_text(const char *config, {p}_member **handle_out, char *text_out, size_t text_bytes) {{
    const int32_t status = {p}_open(config, handle_out);
    if (status != 0) dll::copy_text(dll::last_error(), text_out, text_bytes);
    return status;
}}""".splitlines()


def _call_body(model: StubModel, cls: str, method: Method) -> list[str]:
    pointer = f"&{cls}::{method_names(model)[method.name]}"
    given = [_argument(name, f.type) for name, f in zip(_names(model, method), method.fields, strict=True)]
    find = "const auto open = open_members.find(handle);"
    if method.kind == "query":
        call = f"dll::keep_call(calls, open->calls.query<{pointer}>({', '.join(['node', *given])}), call_out);"
        return _body(_function(model, method), [find, call])
    arguments = ", ".join(given)
    return _body(
        _function(model, method),
        [
            find,
            f"if (call_out == nullptr) return open->calls.send<{pointer}>({arguments});",
            f"dll::keep_call(calls, open->calls.ordered<{pointer}>({arguments}), call_out);",
        ],
    )


def _result_body(prefix: str, method: Method, wire: WireType) -> list[str]:
    p = passing(wire)
    statements = ["const auto found = calls.find(call);"]
    statements.append(f"const auto& {'whole' if p.optional else 'value'} = found->result<{value_type(wire)}>();")
    if p.optional:
        statements += ["*present_out = whole.has_value();", "if (!whole) return;", "const auto& value = *whole;"]
    if p.kind == "number":
        statements.append("*result_out = value;")
    elif p.kind == "message":
        statements.append(f"const auto message = found->keep(derecho::Message<{value_type(wire)}>::encode(value));")
        statements += ["*result_out = message.data();", "*result_bytes_out = message.size();"]
    else:
        statements += ["*result_out = value.data();", f"*result_{p.count_suffix}_out = value.size();"]
    return _body(_result_function(prefix, method, wire), statements)


# ------------------------------------------------------------------------------------------------- the project


def _skeleton(model: StubModel) -> str:
    prefix, (cls, space) = snake(model.schema.name), service_names(model)
    state = value_type(model.state) if model.state else "derecho::Bytes"
    lines = [
        f"// Yours to fill in: the replica of {model.schema.name}. `derecho stubs` keeps this file once it is there.",
        "#include <memory>",
        "#include <stdexcept>",
        "",
        f'#include "{space}.hpp"',
        "",
        f"namespace {space} {{",
        "namespace {",
        "",
        f"class Replica : public {cls} {{",
        "public:",
    ]
    for method in model.methods:
        const = "" if method.kind == "ordered" else " const"
        text = declaration(model, method, "{type} /*{name}*/")
        lines.append(f"    {text}{const} override {{")
        lines += [f'        throw std::logic_error("{method.name} is not written yet");', "    }"]
    lines += [
        f"    {state} save_state() const override {{",
        '        throw std::logic_error("save_state is not written yet");',
        "    }",
        f"    void load_state({state} /*state*/) override {{",
        '        throw std::logic_error("load_state is not written yet");',
        "    }",
        "};",
        "",
        "}  // namespace",
        f"}}  // namespace {space}",
        "",
        f"std::unique_ptr<{space}::{cls}> make_{prefix}() {{ return std::make_unique<{space}::Replica>(); }}",
    ]
    return "\n".join(fold(lines)) + "\n"


def _cmake(model: StubModel, name: str) -> str:
    return f"""\
# {_head(model, "its DLL")}
# cmake -S . -B build -Dderecho_DIR="$(derecho cmake-dir)" && cmake --build build
# cmake --install build --prefix DIR: the DLL to ship, with libderecho beside it, in DIR/lib; its header in DIR/include.
cmake_minimum_required(VERSION 3.21)
project({name} LANGUAGES CXX)
find_package(derecho REQUIRED)
if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE Release)
endif()

add_library({name}_dll SHARED {name}_dll.cpp {name}_service.cpp)
set_target_properties({name}_dll PROPERTIES OUTPUT_NAME {name} INSTALL_RPATH "$ORIGIN")
target_link_libraries({name}_dll PRIVATE derecho::derecho)
target_link_options({name}_dll PRIVATE "LINKER:--version-script=${{CMAKE_CURRENT_SOURCE_DIR}}/{name}_dll.map")

install(TARGETS {name}_dll LIBRARY DESTINATION lib)
install(IMPORTED_RUNTIME_ARTIFACTS derecho::derecho LIBRARY DESTINATION lib)
install(FILES {name}_dll.h DESTINATION include)
"""
