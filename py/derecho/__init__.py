"""libderecho: strongly consistent replicated state at the speed of the memory bus, the socket or the RDMA NIC.

Annotate a class, join a group, call it::

    import derecho

    @derecho.service
    class Cache:
        def __init__(self): self.items = {}

        @derecho.ordered
        def put(self, key: str, value: bytes) -> int:
            self.items[key] = value
            return len(self.items)

    with derecho.join([Cache()], node=1, listen="127.0.0.1:7001", found=True) as group:
        print(group[Cache].put("k", b"v").all())   # {1: 1}: every member's answer

`derecho.Group` is the place to start reading; docs/python.md is the guide.
"""

from ._native import Message, log_to, version
from .buffers import Buffer, buffer
from .calls import OrderedCall, QueryCall
from .codec import ServiceSchema
from .context import CallContext, context
from .errors import *  # noqa: F403
from .futures import Future, Replies, Reply
from .group import Group, join
from .memory import MemoryKey, RegisteredMemory, Transfer
from .raw import RawShard
from .service import Caller, ordered, query, schema, service
from .state import Local
from .types import *  # noqa: F403
from .views import Difference, Holdup, Member, Progress, View

__version__ = version()

__all__ = [
    "Buffer",
    "CallContext",
    "Caller",
    "Difference",
    "Future",
    "Group",
    "Holdup",
    "Local",
    "Member",
    "MemoryKey",
    "Message",
    "OrderedCall",
    "Progress",
    "QueryCall",
    "RawShard",
    "RegisteredMemory",
    "Replies",
    "Reply",
    "ServiceSchema",
    "Transfer",
    "View",
    "buffer",
    "context",
    "join",
    "log_to",
    "ordered",
    "query",
    "schema",
    "service",
    "version",
]
__all__ += errors.__all__  # type: ignore[name-defined] # noqa: F405
__all__ += types.__all__  # type: ignore[name-defined] # noqa: F405
