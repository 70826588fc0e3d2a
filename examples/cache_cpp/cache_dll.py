"""Service Cache through its stub DLL, libcache.so: ctypes, and no package of libderecho.

Written by `derecho stubs --dll` from cache.py; do not edit. A value that is no number, text, bytes,
list of numbers, or optional of these is given and returned as the bytes of its message (docs/layout.md).
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")

SCHEMA_HASH = 0xffa36669e67d256a
_TIMEOUT_MS = 10_000


class CacheError(Exception):
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
        self._check(self._library.cache_wait(self._handle, ctypes.c_int64(timeout_ms)))
        return self._read(self._handle)

    def all(self, timeout_ms: int = _TIMEOUT_MS) -> T:
        """Wait until every member has answered; return the first answer."""
        self._check(self._library.cache_wait_all(self._handle, ctypes.c_int64(timeout_ms)))
        return self._read(self._handle)

    def __del__(self) -> None:
        self._library.cache_call_close(self._handle)


class Cache:
    """A member of the group with a replica of Cache; a context manager that leaves.

    Parameters
    ----------
    config : str
        Options "key=value", separated by ";".
    library : str
        Path of the DLL.
    """

    def __init__(self, config: str, library: str = "libcache.so") -> None:
        self._library = ctypes.CDLL(library)
        self._library.cache_last_error.restype = ctypes.c_char_p
        self._library.cache_schema_hash.restype = ctypes.c_uint64
        if self._library.cache_schema_hash() != SCHEMA_HASH:
            raise ImportError(f"{library} was built from another Cache: make the stubs anew")
        self._handle = ctypes.c_void_p()
        self._check(self._library.cache_open(config.encode(), ctypes.byref(self._handle)))

    def _check(self, status: int) -> None:
        if status != 0:
            raise CacheError(status, self._library.cache_last_error().decode())

    def wait_members(self, count: int, timeout_ms: int = _TIMEOUT_MS) -> None:
        """Wait for a view of so many members, or more, that vote."""
        self._check(self._library.cache_wait_members(self._handle, ctypes.c_uint32(count), ctypes.c_int64(timeout_ms)))

    def leave(self) -> None:
        """Leave in good order."""
        self._check(self._library.cache_leave(self._handle))

    def close(self) -> None:
        """Stop at once, as a crash would."""
        self._check(self._library.cache_close(self._handle))

    def __enter__(self) -> Cache:
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

        return read

    def put(self, key: str, value: bytes) -> Call[int]:
        """Store a value; return how many there are now."""
        return self._call(
            "cache_put",
            [key.encode(), ctypes.c_size_t(len(key.encode())), bytes(value), ctypes.c_size_t(len(bytes(value)))],
            self._number("cache_put_result", ctypes.c_int64, False),
        )

    def drop(self, key: str) -> Call[bool]:
        """Forget a value; return whether there was one."""
        return self._call(
            "cache_drop",
            [key.encode(), ctypes.c_size_t(len(key.encode()))],
            self._number("cache_drop_result", ctypes.c_bool, False),
        )

    def get(self, node: int, key: str) -> Call[bytes | None]:
        """Return a value, or nothing."""
        return self._call(
            "cache_get",
            [ctypes.c_uint32(node), key.encode(), ctypes.c_size_t(len(key.encode()))],
            self._block("cache_get_result", ctypes.c_uint8, True, bytes),
        )

    def sizes(self, node: int) -> Call[list[int]]:
        """Return the values' sizes in bytes, by key."""
        return self._call(
            "cache_sizes",
            [ctypes.c_uint32(node)],
            self._block("cache_sizes_result", ctypes.c_uint64, False, list),
        )
