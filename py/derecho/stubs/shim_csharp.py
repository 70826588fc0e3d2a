"""A stub DLL's shim for C#: P/Invoke and nothing else."""

from __future__ import annotations

from string import Template

from ..codec.method import Method
from .csharp_text import NUMBERS, OF_OBJECT, Code, Names, checked_namespace
from .model import StubModel
from .names import camel, fold, pascal, snake
from .passing import Passing, passing

__all__ = ["emit"]

_NATIVE = NUMBERS | {"bool": "byte"}
_OWN = {"Call", "CallHandle", "Check", "Close", "Copied", "Dispose", "Failure", "Leave", "Milliseconds"}
_OWN |= {"Load", "Native", "Open", "SchemaHash", "Start", "Text", "Utf8", "WaitMembers"}


def emit(model: StubModel, namespace: str) -> dict[str, str]:
    """Write the shim, a class of a namespace, "" for none."""
    prefix, service = snake(model.schema.name), pascal(model.schema.name)
    names = Names(OF_OBJECT | _OWN | {f"{service}Dll"})
    methods, native = Code(), Code()
    methods.depth, native.depth = 2, 3
    for method in model.methods:
        _Method(prefix, method, names).put(model.method_docs[method.name], methods, native)
    text = _FILE.substitute(
        namespace=namespace,
        service=service,
        prefix=prefix,
        source=model.source,
        hash=f"0x{model.schema.hash:016x}",
        methods="\n".join(methods.lines),
        native="\n".join(native.lines),
    )
    if not checked_namespace(namespace, f"{service}Dll"):
        text = _without_namespace(text)
    return {f"{service}Dll.cs": "\n".join(fold(text.splitlines())) + "\n"}


def _without_namespace(text: str) -> str:
    """The same class in no namespace: what is in its braces, one step to the left."""
    head, _, inside = text.partition("\nnamespace \n{\n")
    lines = [line.removeprefix("    ") for line in inside.rstrip().removesuffix("}").splitlines()]
    return "\n".join([head, *lines])


def _type(p: Passing) -> str:
    """What it is in C#; null is an optional one's absence."""
    if p.kind == "number":
        return NUMBERS[p.number] + ("?" if p.optional else "")
    return "string" if p.kind == "text" else f"{NUMBERS[p.number]}[]" if p.kind == "numbers" else "byte[]"


class _Method:
    """One method: what starts its calls, what reads its result, and the native functions of both."""

    def __init__(self, prefix: str, method: Method, names: Names) -> None:
        self._ordered = method.kind == "ordered"
        self._name = names.add(pascal(method.name))
        self._reader = names.add(f"{pascal(method.name)}Result")
        self._function = f"{prefix}_{snake(method.name)}"
        self._result = passing(method.result) if method.result else None
        own = Names({"call", "node", "status"})
        self._fields = [(own.add(camel(f.name)), passing(f.type)) for f in method.fields]
        self._texts = {name: own.add(f"{name.lstrip('@')}Text") for name, p in self._fields if p.kind == "text"}

    def put(self, doc: str, methods: Code, native: Code) -> None:
        where = "At every member." if self._ordered else "At one member."
        methods.put()
        methods.docstring(f"{doc}\n\n{where}" if doc else where, "")
        self._put_start(methods)
        native.put()
        native.put("[DllImport(Library)]")
        node = [] if self._ordered else ["uint node"]
        parameters = [*node, *(text for name, p in self._fields for text in _native_parameters(name, p))]
        given = ", ".join(["IntPtr member", *parameters, "out CallHandle call"])
        native.put(f"internal static extern int {self._function}({given});")
        if self._result:
            self._put_reader(self._result, methods)
            native.put()
            native.put("[DllImport(Library)]")
            results = ", ".join(f"out {text}" for text in _native_results(self._result))
            native.put(f"internal static extern int {self._function}_result(CallHandle call, {results});")

    def _put_start(self, code: Code) -> None:
        result = _type(self._result) if self._result else "object"
        node = [] if self._ordered else ["uint node"]
        parameters = ", ".join([*node, *(f"{_type(p)} {name}" for name, p in self._fields)])
        given = ["_member", *(["node"] if node else [])]
        with code.block(f"public Call<{result}> {self._name}({parameters})"):
            for name, p in self._fields:
                if p.kind == "text":
                    code.put(f"byte[] {self._texts[name]} = Utf8({name});")
                given += _arguments(name, p, self._texts.get(name, name))
            code.put(f"int status = Native.{self._function}({', '.join([*given, 'out CallHandle call'])});")
            code.put(f"return Start(status, call, {self._reader if self._result else '_ => (object)null'});")

    def _put_reader(self, p: Passing, code: Code) -> None:
        native = f"Native.{self._function}_result"
        code.put()
        with code.block(f"private static {_type(p)} {self._reader}(CallHandle call)"):
            results = ", ".join(f"out {text}" for text in _native_results(p))
            code.put(f"Check({native}(call, {results}));")
            value = {
                "number": "value != 0" if p.kind == "number" and p.number == "bool" else "value",
                "text": "Text(data, count)",
                "numbers": f"Copied<{NUMBERS[p.number] if p.kind == 'numbers' else ''}>(data, count)",
            }.get(p.kind, "Copied<byte>(data, count)")
            absent = f"({_type(p)})null" if p.kind == "number" else "null"
            code.put(f"return {f'present == 0 ? {absent} : {value}' if p.optional else value};")


def _native_parameters(name: str, p: Passing) -> list[str]:
    plain = name.lstrip("@")
    flag = [f"byte {plain}_present"] if p.optional else []
    if p.kind == "number":
        return [*flag, f"{_NATIVE[p.number]} {name}"]
    return [*flag, f"{_type(p) if p.kind == 'numbers' else 'byte[]'} {name}", f"ulong {plain}_{p.count_suffix}"]


def _native_results(p: Passing) -> list[str]:
    flag = ["byte present"] if p.optional else []
    return [*flag, f"{_NATIVE[p.number]} value"] if p.kind == "number" else [*flag, "IntPtr data", "ulong count"]


def _arguments(name: str, p: Passing, array: str) -> list[str]:
    """Expressions of what the DLL's function takes; `array` is what a text was made into."""
    flag = [f"(byte)({name} == null ? 0 : 1)"] if p.optional else []
    if p.kind == "number":
        value = f"{name}.GetValueOrDefault()" if p.optional else name
        return [*flag, f"(byte)({value} ? 1 : 0)" if p.number == "bool" else value]
    may_be_null = p.optional and p.kind != "text"
    return [*flag, array, f"(ulong)({array}?.Length ?? 0)" if may_be_null else f"(ulong){array}.Length"]


_FILE = Template("""\
// Service ${service} through its stub DLL, lib${prefix}.so: P/Invoke, and no other class of libderecho.
// Written by `derecho stubs --dll` from ${source}; do not edit.
// An optional value is null when absent. What is no number, text, bytes, list of numbers, or optional of these is the
// bytes of its message (docs/layout.md). 64-bit Linux; mono, or any .NET with .NET Standard 2.0.
using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace ${namespace}
{
    /// <summary>
    /// A member of a group with a replica of ${service}. <c>Dispose</c> leaves in good order; the collector closes a
    /// forgotten one. Any thread may use it; used after its end, it throws <see cref="Failure"/>.
    /// </summary>
    public sealed class ${service}Dll : IDisposable
    {
        /// <summary>Of the service: a DLL of another one is refused.</summary>
        public const ulong SchemaHash = ${hash};

        private readonly IntPtr _member;
        private volatile bool _ended;

        /// <summary>Join a group.</summary>
        /// <param name="config">Options "key=value", separated by ";".</param>
        /// <param name="path">Of the DLL; otherwise it is looked for beside this assembly, and where the loader
        /// looks.</param>
        /// <exception cref="DllNotFoundException">There is none.</exception>
        /// <exception cref="BadImageFormatException">It was built from another ${service}.</exception>
        public ${service}Dll(string config, string path = null)
        {
            if (path != null) Load(path);
            _member = Open(config);
        }

        // Once it is loaded, the loader knows it by its name.
        private static void Load(string path)
        {
            if (Native.dlopen(Utf8(path + "\\0"), Native.LoadNow) == IntPtr.Zero) throw new DllNotFoundException(path);
        }

        // mono looks for a DLL when a method that calls it is compiled: that must not be the one that calls Load.
        [MethodImpl(MethodImplOptions.NoInlining)]
        private static IntPtr Open(string config)
        {
            if (Native.${prefix}_schema_hash() != SchemaHash)
                throw new BadImageFormatException(
                    "lib${prefix}.so was built from another ${service}: make the stubs anew");
            Check(Native.${prefix}_open(Utf8(config + "\\0"), out IntPtr member));
            return member;
        }

        /// <summary>Closes a forgotten one.</summary>
        ~${service}Dll()
        {
            if (_member != IntPtr.Zero && !_ended) Native.${prefix}_close(_member);
        }

        /// <summary>Wait for a view of so many members, or more, that vote; at most 10 s unless told.</summary>
        public void WaitMembers(int count, TimeSpan? timeout = null)
        {
            Check(Native.${prefix}_wait_members(_member, (uint)count, Milliseconds(timeout)));
            GC.KeepAlive(this);
        }

        /// <summary>Leave in good order.</summary>
        public void Leave()
        {
            _ended = true;
            Check(Native.${prefix}_leave(_member));
        }

        /// <summary>Stop at once, as a crash would.</summary>
        public void Close()
        {
            _ended = true;
            Check(Native.${prefix}_close(_member));
        }

        /// <summary>Leave, unless that was done.</summary>
        public void Dispose()
        {
            if (!_ended) Leave();
        }
${methods}

        private Call<T> Start<T>(int status, CallHandle call, Func<CallHandle, T> read)
        {
            Check(status);
            GC.KeepAlive(this);
            return new Call<T>(call, read);
        }

        private static void Check(int status)
        {
            if (status == 0) return;
            IntPtr text = Native.${prefix}_last_error();
            ulong count = 0;
            while (Marshal.ReadByte(text, (int)count) != 0) count++;
            throw new Failure(status, Text(text, count));
        }

        private static long Milliseconds(TimeSpan? timeout) =>
            (long)(timeout ?? TimeSpan.FromSeconds(10)).TotalMilliseconds;

        private static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text ?? "");

        private static string Text(IntPtr data, ulong count) => Encoding.UTF8.GetString(Copied<byte>(data, count));

        private static T[] Copied<T>(IntPtr data, ulong count) where T : struct
        {
            var values = new T[count];
            var bytes = new byte[Buffer.ByteLength(values)];
            if (count != 0) Marshal.Copy(data, bytes, 0, bytes.Length);
            Buffer.BlockCopy(bytes, 0, values, 0, bytes.Length);
            return values;
        }

        /// <summary>A function of the DLL failed; the message says why.</summary>
        public sealed class Failure : Exception
        {
            internal Failure(int status, string text) : base(text) { Status = status; }

            /// <summary>A derecho_status.</summary>
            public int Status { get; }
        }

        /// <summary>A call under way. Forgetting it, with or without an answer, closes it.</summary>
        public sealed class Call<T>
        {
            private readonly CallHandle _call;
            private readonly Func<CallHandle, T> _read;

            internal Call(CallHandle call, Func<CallHandle, T> read)
            {
                _call = call;
                _read = read;
            }

            /// <summary>Wait for the first answer; at most 10 s unless told.</summary>
            public T Result(TimeSpan? timeout = null)
            {
                Check(Native.${prefix}_wait(_call, Milliseconds(timeout)));
                return _read(_call);
            }

            /// <summary>Wait until every member has answered; the first answer.</summary>
            public T All(TimeSpan? timeout = null)
            {
                Check(Native.${prefix}_wait_all(_call, Milliseconds(timeout)));
                return _read(_call);
            }
        }

        /// <summary>Closes a call when nobody has it any more.</summary>
        internal sealed class CallHandle : SafeHandleZeroOrMinusOneIsInvalid
        {
            /// <summary>For the runtime, which fills it in.</summary>
            public CallHandle() : base(true) { }

            /// <inheritdoc/>
            protected override bool ReleaseHandle() => Native.${prefix}_call_close(handle) == 0;
        }

        /// <summary>The DLL's functions, by their own names: ${prefix}_dll.h says what each means.</summary>
        private static class Native
        {
            internal const int LoadNow = 2;
            private const string Library = "lib${prefix}.so";

            [DllImport("libdl.so.2")]
            internal static extern IntPtr dlopen(byte[] path, int flags);

            [DllImport(Library)]
            internal static extern ulong ${prefix}_schema_hash();

            [DllImport(Library)]
            internal static extern IntPtr ${prefix}_last_error();

            [DllImport(Library)]
            internal static extern int ${prefix}_open(byte[] config, out IntPtr member);

            [DllImport(Library)]
            internal static extern int ${prefix}_leave(IntPtr member);

            [DllImport(Library)]
            internal static extern int ${prefix}_close(IntPtr member);

            [DllImport(Library)]
            internal static extern int ${prefix}_wait_members(IntPtr member, uint count, long timeoutMs);

            [DllImport(Library)]
            internal static extern int ${prefix}_wait(CallHandle call, long timeoutMs);

            [DllImport(Library)]
            internal static extern int ${prefix}_wait_all(CallHandle call, long timeoutMs);

            [DllImport(Library)]
            internal static extern int ${prefix}_call_close(IntPtr call);
${native}
        }
    }
}
""")
