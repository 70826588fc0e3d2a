"""Java's own text: names that are none of its words, statements within the line, comments."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable

from .model import StubError
from .names import comment_lines, pascal

__all__ = [
    "KEYWORDS",
    "OF_BINDING",
    "OF_OBJECT",
    "WIDTH",
    "block",
    "declaration",
    "distinct",
    "in_package",
    "indented",
    "javadoc",
    "type_name",
    "words",
    "wrapped",
]

WIDTH = 120

KEYWORDS = """
    abstract assert boolean break byte case catch char class const continue default do double else enum extends final
    finally float for goto if implements import instanceof int interface long native new package private protected
    public return short static strictfp super switch synchronized this throw throws transient try void volatile while
    true false null yield _
"""
#: The binding's own classes: a service of one of these names would hide it from the programs that use both.
OF_BINDING = """
    AddressInUse BadHandle Buffer CallContext Calls Claim Closed Config DecodeError Decoder Derecho DerechoError
    Difference DuplicateNode Ejected EncodeError Encoder Event EventBatch EventKind Flags Group Holdup InHandler
    Incompatible InternalError InvalidArgument Member MemberRemoved MemoryKey MessageBatch NoMajority NoMemory
    NotMember Pending Progress RawGroup RegisteredMemory RemoteError ReplicasDiffer Replies Reply RingFull Service
    Shard StateError StateLost Stats Status Timeout TooLarge Transfer UnknownMethod Unreachable View ViewChanging
"""
OF_OBJECT = "clone equals finalize getClass hashCode notify notifyAll toString wait"
_NOTHING = re.compile(r"(?!)")


def type_name(name: str) -> str:
    """A class's name, of whatever a service is called."""
    return pascal(re.sub(r"\W|^(?=\d)", "_", name))


def in_package(package: str, file: str) -> str:
    """Where a file of a package lies.

    Raises
    ------
    StubError
        When that is no name of a package.
    """
    for part in package.split(".") if package else ():
        if not part.isidentifier() or part in words(KEYWORDS):
            raise StubError(f"--package {package}: {part!r} is no name of a package in Java")
    return "/".join([*package.split("."), file]) if package else file


def words(*texts: str) -> set[str]:
    return {word for text in texts for word in text.split()}


def distinct(
    names: Iterable[str], bend: Callable[[str], str], taken: set[str], around: re.Pattern[str] = _NOTHING
) -> dict[str, str]:
    """Names of Java by those of the schema: bent, and with an underscore where they would clash."""
    found: dict[str, str] = {}
    for name in names:
        bent = bend(name)
        while bent in taken or bent in found.values() or around.fullmatch(bent):
            bent += "_"
        found[name] = bent
    return found


def declaration(head: str, items: list[str], end: str, indent: int = 4) -> list[str]:
    """A list in parentheses: on one line, or else an item a line."""
    line = f"{head}{', '.join(items)}{end}"
    if len(line) + indent + 4 <= WIDTH:
        return [line]
    return [head, *(f"        {item}{',' if i < len(items) - 1 else end}" for i, item in enumerate(items))]


def wrapped(line: str) -> list[str]:
    """A statement that is too long, broken between its words."""
    if len(line) <= WIDTH:
        return [line]
    indent = " " * (len(line) - len(line.lstrip()))
    return textwrap.wrap(
        line.lstrip(),
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + " " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )


def block(head: str, body: list[str]) -> list[str]:
    return [f"{head} {{", *indented(body), "}"]


def indented(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else "" for line in lines]


def javadoc(doc: str) -> list[str]:
    safe = doc.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")
    safe = safe.replace("*/", "*&#47;")
    marked = re.sub(r"``(.+?)``|`(.+?)`", lambda m: f"{{@code {m[1] or m[2]}}}", safe)
    lines = comment_lines(marked, WIDTH - 12)
    if len(lines) == 1:
        return [f"/** {lines[0]} */"]
    return ["/**", *(f" * {line}" if line else " * <p>" for line in lines), " */"]
