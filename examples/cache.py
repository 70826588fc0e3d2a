"""A replicated cache, as the examples of all languages have it: `derecho stubs` makes their side of it from this."""

import derecho


@derecho.service(state=dict[str, bytes])
class Cache:
    """A map that every member holds."""

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}

    @derecho.ordered
    def put(self, key: str, value: bytes) -> int:
        """Set a value; return how many there are."""
        self.items[key] = value
        return len(self.items)

    @derecho.query
    def get(self, key: str) -> bytes | None:
        """Return a value, None if there is none."""
        return self.items.get(key)

    def __derecho_save__(self) -> dict[str, bytes]:
        return self.items

    def __derecho_load__(self, state: dict[str, bytes]) -> None:
        self.items = state
