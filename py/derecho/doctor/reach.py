"""Tries addresses: whether one can be listened at, and who answers at another. Every wait has a deadline."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, TypeVar

__all__ = ["Listening", "Reach", "listen_briefly", "reach_all", "split_address"]

_T = TypeVar("_T")

# A bootstrap message without a body (fabric/wire_format.hpp): a node refuses it, in a message of the same kind.
_HEADER = struct.Struct("<IHHII")
_MAGIC = 0x48435244
_PROTOCOL_VERSION = 6
_EMPTY_HELLO = _HEADER.pack(_MAGIC, _PROTOCOL_VERSION, 1, 0, 0)


@dataclass(frozen=True)
class Listening:
    """What came of listening at an address for a moment."""

    status: Literal["free", "taken", "not here", "unknown host", "denied"]
    detail: str = ""
    everywhere: bool = False  #: it is every address of the host


@dataclass(frozen=True)
class Reach:
    """Who answers at an address.

    ``derecho``: a node; ``listens``: something that does not introduce itself as one; ``refused``: the host answers,
    and nothing listens there; ``silent``: nothing answers; ``unknown host``: its name is not known.
    """

    status: Literal["derecho", "listens", "refused", "silent", "unknown host"]
    detail: str = ""
    resolved: str = ""  #: such as ``10.0.0.1:7001``
    is_here: bool = False  #: it is an address of this host


def split_address(text: str) -> tuple[str, int | None]:
    """Split ``host[:port]``, with an IPv6 address in brackets if a port follows.

    Raises
    ------
    ValueError
        If there is no host, or the port is not a number from 1 to 65535.
    """
    host, port = text, ""
    if text.startswith("[") and "]" in text:
        host, _, port = text[1:].partition("]")
        if port and not port.startswith(":"):
            raise ValueError(f"{text!r} is not HOST or HOST:PORT")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
        port = f":{port}"
    if not host or (port and not (port[1:].isdecimal() and 1 <= int(port[1:]) <= 65535)):
        raise ValueError(f"{text!r} is not HOST or HOST:PORT with a port from 1 to 65535")
    return host, int(port[1:]) if port else None


def _resolve(host: str, port: int, flags: int = 0) -> list[tuple[Any, Any]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


def _within(deadline_s: float, work: Callable[[], _T], late: _T) -> Callable[[], _T]:
    """Start work on a thread; return what waits for it. A resolver that hangs must not hang the doctor."""
    result = [late]

    def run() -> None:
        result[0] = work()

    thread = threading.Thread(target=run, daemon=True)
    end = time.monotonic() + deadline_s
    thread.start()

    def wait() -> _T:
        thread.join(max(end - time.monotonic(), 0))
        return result[0]

    return wait


def listen_briefly(address: str, deadline_s: float) -> Listening:
    """Listen at ``host:port`` as a node would, and stop at once."""
    host, _, port = address.rpartition(":")
    late = Listening("unknown host", f"its name was not resolved within {deadline_s:.1f} s")
    return _within(deadline_s, lambda: _listen(host.strip("[]"), int(port)), late)()


def _listen(host: str, port: int) -> Listening:
    try:
        family, address = _resolve(host, port, socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        return Listening("unknown host", _reason(error))
    try:
        with socket.socket(family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(1)
            return Listening("free", everywhere=listener.getsockname()[0] in ("0.0.0.0", "::"))
    except OSError as error:
        status: dict[int | None, Literal["taken", "not here"]] = {
            errno.EADDRINUSE: "taken",
            errno.EADDRNOTAVAIL: "not here",
        }
        return Listening(status.get(error.errno, "denied"), _reason(error))


def reach_all(addresses: Iterable[str], deadline_s: float) -> dict[str, Reach]:
    """Connect to every ``host[:port]`` at the same time; without a port, only find out where it is."""
    late = Reach("unknown host", f"its name was not resolved within {deadline_s:.1f} s")
    # A name gets as long as connecting does, and the second over: the deadline of connecting says more, if it is that.
    waits = {
        address: _within(2 * deadline_s + 1, partial(_reach, address, deadline_s), late)
        for address in dict.fromkeys(addresses)
    }
    return {address: wait() for address, wait in waits.items()}


def _reach(address: str, deadline_s: float) -> Reach:
    host, port = split_address(address)
    try:
        found = _resolve(host, port or 0)
    except (OSError, UnicodeError) as error:
        return Reach("unknown host", _reason(error))
    if not port:
        return Reach("silent", "no port was given, so nobody was asked", found[0][1][0], _is_here(*found[0]))
    for family, to in found:  # at least one; each has its share of the time
        text = f"[{to[0]}]:{port}" if ":" in to[0] else f"{to[0]}:{port}"
        last = _connect(family, to, text, deadline_s / len(found))
        if last.status in ("derecho", "listens"):
            break
    return last


def _is_here(family: Any, address: Any) -> bool:
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address[0], 0, *address[2:]))
        return True
    return False


def _connect(family: Any, to: Any, text: str, deadline_s: float) -> Reach:
    here = _is_here(family, to)
    end = time.monotonic() + deadline_s
    with socket.socket(family, socket.SOCK_STREAM) as dialer:
        dialer.settimeout(deadline_s)
        try:
            dialer.connect(to)
            if dialer.getsockname() == dialer.getpeername():  # TCP may connect a socket to itself
                raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        except TimeoutError:
            return Reach("silent", f"no answer within {deadline_s:.1f} s", text, here)
        except OSError as error:
            return Reach("refused" if error.errno == errno.ECONNREFUSED else "silent", _reason(error), text, here)
        try:
            dialer.sendall(_EMPTY_HELLO)
            answer = b""
            while len(answer) < _HEADER.size:
                dialer.settimeout(max(end - time.monotonic(), 0.01))
                if not (more := dialer.recv(_HEADER.size - len(answer))):
                    return Reach("listens", "it closed the connection without a word", text, here)
                answer += more
        except TimeoutError:
            return Reach("listens", f"it said nothing within {deadline_s:.1f} s", text, here)
        except OSError as error:
            return Reach("listens", _reason(error), text, here)
    if _HEADER.unpack(answer)[0] == _MAGIC and answer != _EMPTY_HELLO:  # an echo is no node
        return Reach("derecho", "", text, here)
    return Reach("listens", "it does not speak Derecho's protocol", text, here)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
