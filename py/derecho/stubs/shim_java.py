"""A stub DLL's shim for Java: the foreign functions of Java 22 and nothing else."""

from __future__ import annotations

import re
from string import Template

from ..codec.method import Method
from ..codec.wire import WireType
from .java_text import (
    KEYWORDS,
    OF_OBJECT,
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
from .names import camel, snake
from .passing import Passing, passing

__all__ = ["emit"]

#: Type, what it is as an object, layout; an unsigned number is one of the same width.
_NUMBERS = {
    "8": ("byte", "Byte", "JAVA_BYTE"),
    "16": ("short", "Short", "JAVA_SHORT"),
    "32": ("int", "Integer", "JAVA_INT"),
    "64": ("long", "Long", "JAVA_LONG"),
    "f32": ("float", "Float", "JAVA_FLOAT"),
    "f64": ("double", "Double", "JAVA_DOUBLE"),
    "bool": ("boolean", "Boolean", "JAVA_BYTE"),
}
_OWN = "abandon close leave start waitMembers"
_AROUND_PARAMETER = re.compile(r"node")


def emit(model: StubModel, package: str) -> dict[str, str]:
    """Write the shim, a class of a package, "" for none."""
    names = distinct((m.name for m in model.methods), camel, words(KEYWORDS, OF_OBJECT, _OWN))
    methods = [line for m in model.methods for line in ["", *_method(m, names[m.name], model.method_docs[m.name])]]
    service = type_name(model.schema.name)
    text = _FILE.substitute(
        package=f"package {package};\n\n" if package else "",
        service=service,
        prefix=snake(model.schema.name),
        source=model.source,
        hash=f"0x{model.schema.hash:016x}L",
        methods="\n".join(indented(methods)),
    )
    return {
        in_package(package, f"{service}Dll.java"): "\n".join(
            part for line in text.splitlines() for part in wrapped(line)
        )
        + "\n"
    }


def _number(p: Passing) -> tuple[str, str, str]:
    return _NUMBERS[p.number if p.number in _NUMBERS else p.number[1:]]


def _type(p: Passing) -> str:
    if p.kind == "number":
        return _number(p)[1 if p.optional else 0]
    return "String" if p.kind == "text" else f"{_number(p)[0]}[]" if p.kind == "numbers" else "byte[]"


def _argument(name: str, p: Passing) -> list[str]:
    """Expressions for what the DLL's function takes, of which the shim itself makes pointer and count."""
    if not p.optional:
        return [name]
    kind = _number(p)[0] if p.kind in ("number", "numbers") else "byte"
    nothing = {"number": "false" if kind == "boolean" else f"({kind}) 0", "text": '""'}.get(p.kind, f"new {kind}[0]")
    return [f"{name} != null", f"{name} != null ? {name} : {nothing}"]


def _reader(function: str, result: WireType) -> str:
    """The expression of what reads a call's result."""
    p = passing(result)
    layout = _number(p)[2] if p.kind in ("number", "numbers") else "JAVA_BYTE"
    if p.kind == "number":
        value = f"data.get({layout}, 0)" + (" != 0" if p.number == "bool" else "")
    else:
        value = f"data.toArray({layout})"
        value = f"new String({value}, UTF_8)" if p.kind == "text" else value
    shape = "number" if p.kind == "number" else "block"
    return f'library.{shape}("{function}_result", {str(p.optional).lower()}, {layout}, data -> {value})'


def _method(method: Method, name: str, doc: str) -> list[str]:
    names = distinct((f.name for f in method.fields), camel, words(KEYWORDS), _AROUND_PARAMETER)
    node = [] if method.kind == "ordered" else ["node"]
    parameters = [*(f"int {n}" for n in node), *(f"{_type(passing(f.type))} {names[f.name]}" for f in method.fields)]
    given = [*node, *(text for f in method.fields for text in _argument(names[f.name], passing(f.type)))]
    result = "Void"
    if method.result:
        p = passing(method.result)
        result = _number(p)[1] if p.kind == "number" else _type(p)
    function = snake(method.name)
    read = _reader(function, method.result) if method.result else "call -> null"
    where = "At every member." if method.kind == "ordered" else "At one member."
    return [
        *javadoc(f"{doc}\n\n{where}" if doc else where),
        *declaration(f"public Call<{result}> {name}(", parameters, ") {"),
        *indented(declaration("return start(", [f'"{function}"', read, *given], ");", indent=8)),
        "}",
    ]


_FILE = Template("""\
// Service ${service} through its stub DLL, lib${prefix}.so: Java 22, and no other class of libderecho.
// Written by `derecho stubs --dll` from ${source}; do not edit.
// An unsigned number is all bits of the signed one of its width. An optional value is null when absent. What is no
// number, text, bytes, list of numbers, or optional of these is the bytes of its message (docs/layout.md).
${package}import static java.lang.foreign.ValueLayout.*;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.lang.reflect.Array;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/**
 * A member of a group with a replica of ${service}. Leaving the block of a {@code try} leaves in good order. Any thread
 * may use it; used after its end, it throws {@link Failure}.
 */
public final class ${service}Dll implements AutoCloseable {
    /** Of the service: a DLL of another one is refused. */
    public static final long SCHEMA_HASH = ${hash};

    private static final Duration TIMEOUT = Duration.ofSeconds(10);
    private static final Cleaner CLEANER = Cleaner.create();

    private final Library library;
    private final MemorySegment handle;
    private volatile boolean ended;

    /**
     * Join a group, through the DLL on the loader's search path.
     *
     * @param config options "key=value", separated by ";"
     */
    public ${service}Dll(String config) {
        this(config, "lib${prefix}.so");
    }

    /** @param path of the DLL */
    public ${service}Dll(String config, String path) {
        library = new Library(path);
        handle = library.open("open", config.getBytes(UTF_8));
    }

    /** Wait for a view of so many members, or more, that vote. */
    public void waitMembers(int count, Duration timeout) {
        library.call("wait_members", handle, count, timeout.toMillis());
    }

    /** Leave in good order. */
    public void leave() {
        ended = true;
        library.call("leave", handle);
    }

    /** Stop at once, as a crash would. */
    public void abandon() {
        ended = true;
        library.call("close", handle);
    }

    /** Leave, unless that was done. */
    @Override
    public void close() {
        if (!ended) leave();
    }
${methods}

    private <T> Call<T> start(String function, Function<MemorySegment, T> read, Object... arguments) {
        return new Call<>(library, library.start(function, handle, arguments), read);
    }

    /** A function of the DLL failed; the message says why. */
    public static final class Failure extends RuntimeException {
        private static final long serialVersionUID = 1;
        private final int status;

        private Failure(int status, String text) {
            super(text);
            this.status = status;
        }

        /** A derecho_status. */
        public int status() {
            return status;
        }
    }

    /** A call under way. Forgetting it, with or without an answer, closes it. */
    public static final class Call<T> {
        private final Library library;
        private final MemorySegment handle;
        private final Function<MemorySegment, T> read;

        private Call(Library library, MemorySegment handle, Function<MemorySegment, T> read) {
            this.library = library;
            this.handle = handle;
            this.read = read;
            CLEANER.register(this, () -> library.call("call_close", handle));
        }

        /** As {@link #result(Duration)}, for 10 s. */
        public T result() {
            return result(TIMEOUT);
        }

        /** Wait for the first answer. */
        public T result(Duration timeout) {
            return answer("wait", timeout);
        }

        /** As {@link #all(Duration)}, for 10 s. */
        public T all() {
            return all(TIMEOUT);
        }

        /** Wait until every member has answered; the first answer. */
        public T all(Duration timeout) {
            return answer("wait_all", timeout);
        }

        private T answer(String wait, Duration timeout) {
            try {
                library.call(wait, handle, timeout.toMillis());
                return read.apply(handle);
            } finally {
                Reference.reachabilityFence(this); // not closed meanwhile
            }
        }
    }

    /** The DLL's functions, by name without prefix. */
    private static final class Library {
        private final SymbolLookup symbols;
        private final Map<String, MethodHandle> functions = new ConcurrentHashMap<>();

        Library(String path) {
            symbols = SymbolLookup.libraryLookup(path, Arena.global());
            if ((long) invoke("schema_hash", JAVA_LONG) != SCHEMA_HASH)
                throw new UnsatisfiedLinkError(path + " was built from another ${service}: make the stubs anew");
        }

        /** Call a function that gives a status. */
        void call(String function, Object... arguments) {
            final int status = (int) invoke(function, JAVA_INT, arguments);
            if (status == 0) return;
            final MemorySegment text = (MemorySegment) invoke("last_error", ADDRESS);
            throw new Failure(status, text.reinterpret(Long.MAX_VALUE).getString(0));
        }

        /** Open a member. */
        MemorySegment open(String function, byte[] config) {
            try (Arena arena = Arena.ofConfined()) {
                final MemorySegment out = arena.allocate(ADDRESS);
                final MemorySegment text = arena.allocate(config.length + 1);
                call(function, text.copyFrom(MemorySegment.ofArray(config)), out);
                return out.get(ADDRESS, 0);
            }
        }

        /** Start a call of a member. */
        MemorySegment start(String function, MemorySegment member, Object[] arguments) {
            try (Arena arena = Arena.ofConfined()) {
                final MemorySegment out = arena.allocate(ADDRESS);
                final List<Object> given = new ArrayList<>(List.of(member));
                for (Object argument : arguments) pass(argument, given, arena);
                given.add(out);
                call(function, given.toArray());
                return out.get(ADDRESS, 0);
            }
        }

        /** A number or flag is itself; text, bytes and numbers are pointer and count. */
        private static void pass(Object argument, List<Object> given, Arena arena) {
            final MemorySegment values =
                    switch (argument) {
                        case String text -> MemorySegment.ofArray(text.getBytes(UTF_8));
                        case byte[] bytes -> MemorySegment.ofArray(bytes);
                        case short[] numbers -> MemorySegment.ofArray(numbers);
                        case int[] numbers -> MemorySegment.ofArray(numbers);
                        case long[] numbers -> MemorySegment.ofArray(numbers);
                        case float[] numbers -> MemorySegment.ofArray(numbers);
                        case double[] numbers -> MemorySegment.ofArray(numbers);
                        default -> null;
                    };
            if (values == null) {
                given.add(argument instanceof Boolean flag ? (byte) (flag ? 1 : 0) : argument);
                return;
            }
            given.add(arena.allocate(values.byteSize(), Long.BYTES).copyFrom(values));
            given.add(argument instanceof String ? values.byteSize() : (long) Array.getLength(argument));
        }

        /** What reads a result that is a number. */
        <T> Function<MemorySegment, T> number(
                String function, boolean optional, MemoryLayout layout, Function<MemorySegment, T> copy) {
            return call -> {
                try (Arena arena = Arena.ofConfined()) {
                    final MemorySegment present = arena.allocateFrom(JAVA_BYTE, (byte) 1);
                    final MemorySegment value = arena.allocate(layout);
                    if (optional) call(function, call, present, value);
                    else call(function, call, value);
                    return present.get(JAVA_BYTE, 0) == 0 ? null : copy.apply(value);
                }
            };
        }

        /** What reads a result that is a pointer and a count. */
        <T> Function<MemorySegment, T> block(
                String function, boolean optional, MemoryLayout element, Function<MemorySegment, T> copy) {
            return call -> {
                try (Arena arena = Arena.ofConfined()) {
                    final MemorySegment present = arena.allocateFrom(JAVA_BYTE, (byte) 1);
                    final MemorySegment data = arena.allocate(ADDRESS);
                    final MemorySegment count = arena.allocate(JAVA_LONG);
                    if (optional) call(function, call, present, data, count);
                    else call(function, call, data, count);
                    if (present.get(JAVA_BYTE, 0) == 0) return null;
                    return copy.apply(data.get(ADDRESS, 0).reinterpret(count.get(JAVA_LONG, 0) * element.byteSize()));
                }
            };
        }

        private Object invoke(String function, MemoryLayout result, Object... arguments) {
            final MethodHandle found =
                    functions.computeIfAbsent(function, name -> link(name, result, arguments));
            try {
                return found.invoke(arguments);
            } catch (Throwable error) {
                throw new AssertionError(function, error);
            }
        }

        private MethodHandle link(String function, MemoryLayout result, Object[] arguments) {
            final MemoryLayout[] layouts = new MemoryLayout[arguments.length];
            for (int i = 0; i < layouts.length; i++)
                layouts[i] =
                        switch (arguments[i]) {
                            case Byte ignored -> JAVA_BYTE;
                            case Short ignored -> JAVA_SHORT;
                            case Integer ignored -> JAVA_INT;
                            case Long ignored -> JAVA_LONG;
                            case Float ignored -> JAVA_FLOAT;
                            case Double ignored -> JAVA_DOUBLE;
                            default -> ADDRESS;
                        };
            final MemorySegment symbol = symbols.find("${prefix}_" + function)
                    .orElseThrow(() -> new UnsatisfiedLinkError("the DLL has no ${prefix}_" + function));
            return Linker.nativeLinker()
                    .downcallHandle(symbol, FunctionDescriptor.of(result, layouts))
                    .asSpreader(Object[].class, layouts.length);
        }
    }
}
""")
