import sys

import derecho


@derecho.service
class Cache:
    def __init__(self) -> None:
        self.items: dict[str, bytes] = {}

    @derecho.ordered
    def put(self, key: str, value: bytes) -> int:
        self.items[key] = value
        return len(self.items)


node = int(sys.argv[1])
with derecho.join([Cache()], node=node, listen=f"127.0.0.1:700{node}", contacts=["127.0.0.1:7001"]) as group:
    group.wait_view(3, timeout=60)
    print(f"node {node}: view {group.view.id}; every member says", group[Cache].put(f"from {node}", b"hello").all())
    input("press Enter to leave\n")
    print(f"node {node} has", group.local(Cache).items)
