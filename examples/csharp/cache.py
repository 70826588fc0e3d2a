"""The service of the example: `derecho stubs examples/csharp/cache.py --lang csharp --package Example --out DIR`."""

import derecho


@derecho.service(state=dict[str, bytes])
class Cache:
    """Values by key, the same at every member."""

    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}

    @derecho.ordered
    def put(self, key: str, value: bytes) -> int:
        """Keep a value; return how many there are."""
        self.items[key] = value
        return len(self.items)

    @derecho.query
    def get(self, key: str) -> bytes | None:
        """Look a value up."""
        return self.items.get(key)

    def __derecho_save__(self) -> dict[str, bytes]:
        return self.items

    def __derecho_load__(self, state: dict[str, bytes]) -> None:
        self.items = state
