"""What all C# that is generated has in common: names, and lines of code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape

from .model import StubError
from .names import comment_lines

__all__ = ["NUMBERS", "OF_BINDING", "OF_OBJECT", "Code", "Names", "checked_namespace"]

#: C#'s numbers, by their names on the wire.
NUMBERS = {"i8": "sbyte", "u8": "byte", "i16": "short", "u16": "ushort", "i32": "int", "u32": "uint"}
NUMBERS |= {"i64": "long", "u64": "ulong", "f32": "float", "f64": "double", "bool": "bool"}

#: What every class has.
OF_OBJECT = {"Equals", "Finalize", "GetHashCode", "GetType", "MemberwiseClone", "ReferenceEquals", "ToString"}

#: The binding's own classes, and the namespaces it uses: a service of one of these names would hide it.
OF_BINDING = set(
    """
    AddressInUse BadHandle Buffer BufferPin Bytes CallContext CallFlags Claim Closed Config DecodeError Decoder Derecho
    DerechoError Difference DuplicateNode Ejected EncodeError Encoder Event EventBatch EventFlags EventKind Future Group
    GroupOptions Holdup HoldupCause InHandler Incompatible InternalError InvalidArgument Library Log Map Member
    MemberRemoved MemoryAccess MemoryKey MemoryPart MessageBatch NoMajority NoMemory NotMember Nothing OutgoingCall
    OutgoingQuery Progress RawGroup RawService RegisteredMemory RemoteError ReplicasDiffer Replies Reply Result
    RingFull ScratchEncoder Service ServiceCaller Shard StateError StateLost Stats Status Struct System Timeout TooLarge
    Transfer UnknownMethod Unreachable View ViewChanging
    """.split()  # noqa: SIM905 (a list of 70 quoted words is no easier to read)
)

_KEYWORDS = set(
    """
    abstract as base bool break byte case catch char checked class const continue decimal default delegate do double
    else enum event explicit extern false finally fixed float for foreach goto if implicit in int interface internal
    is lock long namespace new null object operator out override params private protected public readonly ref return
    sbyte sealed short sizeof stackalloc static string struct switch this throw true try typeof uint ulong unchecked
    unsafe ushort using virtual void volatile while
    """.split()  # noqa: SIM905 (a list of 80 quoted words is no easier to read)
)

_WIDTH = 120


def checked_namespace(namespace: str, cls: str) -> str:
    """A namespace that a class of this name may have, "" for none.

    Raises
    ------
    StubError
        When that is no name of a namespace, or programs could not name the class that it holds.
    """
    for part in namespace.split(".") if namespace else ():
        if not part.isidentifier() or part in _KEYWORDS:
            raise StubError(f"--package {namespace}: {part!r} is no name of a namespace in C#")
    if namespace.rpartition(".")[2] == cls:
        raise StubError(f"--package {namespace}: in C# a namespace has not the name of its class; take another")
    return namespace


class Names:
    """Names of one scope, each given once."""

    def __init__(self, taken: Iterable[str]) -> None:
        self.taken = set(taken)

    def add(self, name: str) -> str:
        while name in self.taken:
            name += "_"
        self.taken.add(name)
        return f"@{name}" if name in _KEYWORDS else name

    def local(self, name: str) -> str:
        """A local variable: numbered from the second on."""
        i = 1
        while (found := name if i == 1 else f"{name}{i}") in self.taken:
            i += 1
        return self.add(found)


class Code:
    """Lines of code, indented."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def put(self, line: str = "") -> None:
        self.lines.append("    " * self.depth + line if line else "")

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        self.put(head)
        self.put("{")
        self.depth += 1
        yield
        self.depth -= 1
        self.put("}")

    def call(self, start: str, arguments: list[str], end: str) -> None:
        """A call or parameter list, broken where the line gets long."""
        room = _WIDTH - 4 * self.depth
        line = f"{start}({', '.join(arguments)}){end}"
        if len(line) <= room:
            self.put(line)
            return
        self.put(f"{start}(")
        self.depth += 1
        for i, argument in enumerate(arguments):
            self.put(argument + (f"){end}" if i + 1 == len(arguments) else ","))
        self.depth -= 1

    def doc(self, tag: str, text: str) -> None:
        opening, closing = f"<{tag}>", f"</{tag}>"
        lines = comment_lines(escape(text, quote=False), _WIDTH - 4 - 4 * self.depth - len(opening) - len(closing))
        for line in (opening + "\n".join(lines) + closing).split("\n"):
            self.put(f"/// {line}".rstrip())

    def docstring(self, text: str, otherwise: str) -> None:
        """The first paragraph is the summary, the rest remarks."""
        summary, _, rest = (text or otherwise).partition("\n\n")
        self.doc("summary", summary)
        if rest.strip():
            self.doc("remarks", rest.strip())
