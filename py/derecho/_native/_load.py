"""Loads the extension, checks that it and the library were built from the same header, and maps statuses."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BY_STATUS, DerechoError, InvalidArgument, from_status

__all__ = ["LIBRARY", "Claim", "Claiming", "Message", "Right", "check", "error", "fast", "ffi", "lib", "number", "text"]

try:
    from . import _lib
except ImportError as _error:
    raise ImportError(
        f"derecho's extension module could not be loaded ({_error}); install the package with `pip install .` "
        "and run Python outside of its source folder"
    ) from _error

lib: Any = _lib.lib
ffi: Any = _lib.ffi

#: ``libderecho.so.1``, which lies beside this file (the extension's RPATH says so); the number is the ABI's version.
LIBRARY = Path(_lib.__file__).with_name(f"libderecho.so.{lib.derecho_abi_version()}")


def _load_fast() -> Any:
    name = f"{__package__}._fast"
    loader = importlib.machinery.ExtensionFileLoader(name, _lib.__file__)
    spec = importlib.util.spec_from_loader(name, loader, origin=_lib.__file__)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    sys.modules[name] = module
    return module


if TYPE_CHECKING:
    from . import _fast as fast
    from ._fast import Claim as Claim
    from ._fast import Claiming as Claiming
    from ._fast import Message as Message
    from ._fast import Right as Right
else:
    fast = _load_fast()
    Claim, Claiming, Message, Right = fast.Claim, fast.Claiming, fast.Message, fast.Right

if lib.derecho_abi_hash() != fast.BUILT_AGAINST:
    raise ImportError(
        f"{LIBRARY} has the ABI hash {lib.derecho_abi_hash():016x}, but the extension was built against "
        f"{fast.BUILT_AGAINST:016x}: they come from different versions of derecho.h; reinstall the package"
    )

fast.set_errors(BY_STATUS)


def text(pointer: Any) -> str:
    """Copy a C string."""
    return str(ffi.string(pointer).decode("utf-8", "replace"))


def c_text(value: str) -> bytes:
    """Encode a string for C, which would take a NUL for its end."""
    if "\0" in value:
        raise InvalidArgument(f"{value!r} contains a NUL character")
    return value.encode()


def error(status: int) -> DerechoError:
    """Return the exception of a call of this thread that just failed."""
    return from_status(status, text(lib.derecho_last_error()))


def check(status: int) -> None:
    """Raise unless the status is ``DERECHO_OK``."""
    if status != 0:
        raise error(status)


def number(pointer: Any) -> int:
    """Return a handle as the integer that `fast` takes."""
    return int(ffi.cast("uintptr_t", pointer))
