"""The interface of the service; it is implemented in C++, in cache_service.cpp."""

import derecho


@derecho.service(state=dict[str, bytes])
class Cache:
    """Bytes by name."""

    @derecho.ordered
    def put(self, key: str, value: bytes) -> int:
        """Store a value; return how many there are now."""

    @derecho.ordered
    def drop(self, key: str) -> bool:
        """Forget a value; return whether there was one."""

    @derecho.query
    def get(self, key: str) -> bytes | None:
        """Return a value, or nothing."""

    @derecho.query
    def sizes(self) -> list[derecho.uint64]:
        """Return the values' sizes in bytes, by key."""
