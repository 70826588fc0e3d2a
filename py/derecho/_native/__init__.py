"""The only place that sees the C ABI: statuses become exceptions, handles and buffers get owners.

Two C modules lie in one file that cffi writes (build_native.py): ``_lib`` for what happens once, ``_fast`` for what
happens per message. Everything above this package deals in Python objects and plain integers.
"""

from ._load import LIBRARY, Claim, Claiming, Message, fast
from .buffers import Memory
from .config import Config
from .group import Cancel, NativeGroup, Runs
from .log import log_to, version
from .memory import KEY_BYTES, NativeMemory
from .memory import begin as begin_operation
from .pump import Pump

__all__ = [
    "KEY_BYTES",
    "LIBRARY",
    "Cancel",
    "Claim",
    "Claiming",
    "Config",
    "Memory",
    "Message",
    "NativeGroup",
    "NativeMemory",
    "Pump",
    "Runs",
    "begin_operation",
    "fast",
    "log_to",
    "version",
]
