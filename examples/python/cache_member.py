"""One of three members of a replicated cache: cache_member.py NODE LISTEN CONTACT"""

import sys
from pathlib import Path

import derecho

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cache import Cache

node, listen, contact = sys.argv[1:]
with derecho.join([Cache()], node=int(node), listen=listen, contacts=[contact]) as group:
    group.wait_view(3, timeout=60)
    print("every member says", group[Cache].put(f"from {node}", b"hello").all())
    print("this one has", len(group[Cache].get(f"from {node}").result()), "bytes")
