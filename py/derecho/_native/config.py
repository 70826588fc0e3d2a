"""Owner of a ``derecho_config``: every option is text."""

from __future__ import annotations

from typing import Any

from ._load import c_text, check, ffi, lib, text

__all__ = ["Config"]


class Config:
    """What a node is to be."""

    def __init__(self) -> None:
        handle = ffi.new("derecho_config **")
        check(lib.derecho_config_create(handle))
        self.handle: Any = handle[0]

    def set(self, key: str, value: str) -> None:
        """Set one option; `InvalidArgument` for an unknown key or a bad value, naming what is accepted."""
        check(lib.derecho_config_set(self.handle, c_text(key), c_text(value)))

    def get(self, key: str) -> str:
        """Read one option."""
        value = ffi.new("const char **")
        check(lib.derecho_config_get(self.handle, c_text(key), value))
        return text(value[0])

    def load(self, path: str) -> None:
        """Set options from a TOML file; `InvalidArgument` with file, line and reason."""
        check(lib.derecho_config_load(self.handle, c_text(path)))

    def add_service(self, name: str, schema_hash: int, schema: str = "") -> None:
        """Add a service, the same ones in the same order at every node. `schema` is what the hash is of."""
        check(lib.derecho_config_add_service(self.handle, c_text(name), schema_hash))
        if schema:
            check(lib.derecho_config_describe_service(self.handle, c_text(name), c_text(schema)))

    def cancel_join(self) -> None:
        """Make a join with it return `Closed`, on any thread; does nothing once it was closed."""
        lib.derecho_join_cancel(self.handle)

    def close(self) -> None:
        """Free it."""
        check(lib.derecho_config_close(self.handle))
