"""A stub DLL's shim for Python: ctypes and nothing else."""

from __future__ import annotations

from ..codec.method import Method
from .model import StubModel
from .names import distinct, fold, snake
from .passing import Passing, passing
from .python import BUILTINS, class_name, docstring

__all__ = ["emit"]

_CTYPES = {"f32": "c_float", "f64": "c_double", "bool": "c_bool"}
_CTYPES |= {f"{s}{n}": f"c_{'u' if s == 'u' else ''}int{n}" for s in "iu" for n in (8, 16, 32, 64)}
_PYTHON = {"number": "int", "text": "str", "bytes": "bytes", "numbers": "Sequence[{}]", "message": "bytes"}


def emit(model: StubModel, package: str) -> dict[str, str]:
    """Write the shim. `package` is not used: a Python module has its own name."""
    name, cls = snake(model.schema.name), class_name(model.schema.name, _MODULE)
    lines = [
        f'"""Service {model.schema.name} through its stub DLL, lib{name}.so: ctypes, and no package of libderecho.',
        "",
        f"Written by `derecho stubs --dll` from {model.source}; do not edit. A value that is no number, text, bytes,",
        "list of numbers, or optional of these is given and returned as the bytes of its message (docs/layout.md).",
        '"""',
        "",
        "from __future__ import annotations",
        "",
        "import ctypes",
        "from collections.abc import Callable, Sequence",
        "from typing import Any, Generic, TypeVar",
        "",
        'T = TypeVar("T")',
        "",
        f"SCHEMA_HASH = 0x{model.schema.hash:016x}",
        "_TIMEOUT_MS = 10_000",
        *_RUNTIME.format(name=name, cls=cls).splitlines(),
    ]
    for method in model.methods:
        lines += ["", *_method(name, method, model.method_docs[method.name])]
    return {f"{name}_dll.py": "\n".join(fold(lines)) + "\n"}


_MODULE = ["Any", *BUILTINS, "Call", "Callable", "Generic", "Sequence", "T", "TypeVar", "ctypes"]

_RUNTIME = '''

class {cls}Error(Exception):
    """A function of the DLL failed; `status` is a derecho_status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Call(Generic[T]):
    """A call under way."""

    def __init__(self, library: Any, check: Callable[[int], None], handle: Any, read: Callable[[Any], T]) -> None:
        self._library, self._check, self._handle, self._read = library, check, handle, read

    def result(self, timeout_ms: int = _TIMEOUT_MS) -> T:
        """Wait for the first answer."""
        self._check(self._library.{name}_wait(self._handle, ctypes.c_int64(timeout_ms)))
        return self._read(self._handle)

    def all(self, timeout_ms: int = _TIMEOUT_MS) -> T:
        """Wait until every member has answered; return the first answer."""
        self._check(self._library.{name}_wait_all(self._handle, ctypes.c_int64(timeout_ms)))
        return self._read(self._handle)

    def __del__(self) -> None:
        self._library.{name}_call_close(self._handle)


class {cls}:
    """A member of the group with a replica of {cls}; a context manager that leaves.

    Parameters
    ----------
    config : str
        Options "key=value", separated by ";".
    library : str
        Path of the DLL.
    """

    def __init__(self, config: str, library: str = "lib{name}.so") -> None:
        self._library = ctypes.CDLL(library)
        self._library.{name}_last_error.restype = ctypes.c_char_p
        self._library.{name}_schema_hash.restype = ctypes.c_uint64
        if self._library.{name}_schema_hash() != SCHEMA_HASH:
            raise ImportError(f"{{library}} was built from another {cls}: make the stubs anew")
        self._handle = ctypes.c_void_p()
        self._check(self._library.{name}_open(config.encode(), ctypes.byref(self._handle)))

    def _check(self, status: int) -> None:
        if status != 0:
            raise {cls}Error(status, self._library.{name}_last_error().decode())

    def wait_members(self, count: int, timeout_ms: int = _TIMEOUT_MS) -> None:
        """Wait for a view of so many members, or more, that vote."""
        self._check(self._library.{name}_wait_members(self._handle, ctypes.c_uint32(count), ctypes.c_int64(timeout_ms)))

    def leave(self) -> None:
        """Leave in good order."""
        self._check(self._library.{name}_leave(self._handle))

    def close(self) -> None:
        """Stop at once, as a crash would."""
        self._check(self._library.{name}_close(self._handle))

    def __enter__(self) -> {cls}:
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def _call(self, function: str, arguments: Sequence[Any], read: Callable[[Any], T]) -> Call[T]:
        call = ctypes.c_void_p()
        self._check(getattr(self._library, function)(self._handle, *arguments, ctypes.byref(call)))
        return Call(self._library, self._check, call, read)

    def _number(self, function: str, kind: Any, optional: bool) -> Callable[[Any], Any]:
        """A reader of a result that is a number."""

        def read(call: Any) -> Any:
            present, value = ctypes.c_uint8(1), kind()
            flag = [ctypes.byref(present)] if optional else []
            self._check(getattr(self._library, function)(call, *flag, ctypes.byref(value)))
            return value.value if present.value else None

        return read

    def _block(self, function: str, kind: Any, optional: bool, copy: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """A reader of a result that is a pointer and a count."""

        def read(call: Any) -> Any:
            present, data, count = ctypes.c_uint8(1), ctypes.c_void_p(), ctypes.c_size_t()
            flag = [ctypes.byref(present)] if optional else []
            self._check(getattr(self._library, function)(call, *flag, ctypes.byref(data), ctypes.byref(count)))
            if not present.value:
                return None
            return copy((kind * count.value).from_address(data.value) if count.value else ())

        return read'''


def _annotation(p: Passing) -> str:
    scalar = p.number if p.kind in ("number", "numbers") else ""
    python = "bool" if scalar == "bool" else "float" if scalar in ("f32", "f64") else "int"
    text = python if p.kind == "number" else _PYTHON[p.kind].format(python)
    return f"{text} | None" if p.optional else text


def _result_annotation(p: Passing) -> str:
    return _annotation(p).replace("Sequence", "list")


def _arguments(name: str, p: Passing) -> list[str]:
    """Expressions of what the DLL's function takes."""
    flag = [f"ctypes.c_uint8({name} is not None)"] if p.optional else []
    if p.kind == "number":
        return [*flag, f"ctypes.{_CTYPES[p.number]}({f'{name} or 0' if p.optional else name})"]
    if p.kind == "numbers":
        values = f"({name} or ())" if p.optional else name
        return [*flag, f"(ctypes.{_CTYPES[p.number]} * len({values}))(*{values})", f"ctypes.c_size_t(len({values}))"]
    empty = '""' if p.kind == "text" else 'b""'
    value = f"({name} or {empty})" if p.optional else name
    value = f"{value}.encode()" if p.kind == "text" else f"bytes({value})"
    return [*flag, value, f"ctypes.c_size_t(len({value}))"]


def _reader(function: str, p: Passing) -> str:
    if p.kind == "number":
        return f'self._number("{function}", ctypes.{_CTYPES[p.number]}, {p.optional})'
    kind = f"ctypes.{_CTYPES[p.number]}" if p.kind == "numbers" else "ctypes.c_uint8"
    copy = {"text": "lambda data: bytes(data).decode()", "numbers": "list"}.get(p.kind, "bytes")
    return f'self._block("{function}", {kind}, {p.optional}, {copy})'


def _method(name: str, method: Method, doc: str) -> list[str]:
    node = [] if method.kind == "ordered" else ["node: int"]
    names = distinct({f.name: f.name for f in method.fields}, ["self", "node", "ctypes", "len", "bytes"])
    given = [(names[f.name], passing(f.type)) for f in method.fields]
    parameters = ", ".join(["self", *node, *(f"{field}: {_annotation(p)}" for field, p in given)])
    result = passing(method.result) if method.result else None
    arguments = [] if method.kind == "ordered" else ["ctypes.c_uint32(node)"]
    arguments += [text for field, p in given for text in _arguments(field, p)]
    function = f"{name}_{snake(method.name)}"
    read = _reader(f"{function}_result", result) if result else "lambda call: None"
    where = "At every member." if method.kind == "ordered" else "At one member."
    return [
        f"    def {method.name}({parameters}) -> Call[{_result_annotation(result) if result else 'None'}]:",
        *docstring(doc or where, "        ", apart=False),
        "        return self._call(",
        f'            "{function}",',
        f"            [{', '.join(arguments)}],",
        f"            {read},",
        "        )",
    ]
