"""What stands for a service's methods on a proxy: `OrderedCall` and `QueryCall`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

from .codec.encode import Parts
from .codec.method import Method
from .futures import Replies, Reply

if TYPE_CHECKING:
    from .service_host import ServiceHost

__all__ = ["OrderedCall", "QueryCall"]

P = ParamSpec("P")
R = TypeVar("R")

REPLY_WANTED = 1  # DERECHO_CALL_REPLY


class _Source(str):
    """An annotation as it was written, shown without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


def _written(annotation: Any) -> _Source:
    return _Source(annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))


def _describe(call: Any, method: Method, future: type) -> None:
    """Give a call the name, the docstring and the signature of its method, for ``help()`` and for editors."""
    signature = inspect.signature(method.function)
    named = [p.replace(annotation=_written(p.annotation)) for p in list(signature.parameters.values())[1:]]
    result = _Source(f"{future.__name__}[{_written(signature.return_annotation)}]")
    call.__name__ = method.name
    call.__qualname__ = method.where
    call.__module__ = method.function.__module__
    call.__doc__ = inspect.getdoc(method.function) or f"The {method.kind} method {method.where}."
    call.__signature__ = signature.replace(parameters=named, return_annotation=result)


def _shown(call: Any, kind: str) -> str:
    """``<ordered Cache.put(key: str, value: bytes) -> Replies[int]>``."""
    return f"<{kind} {call.__qualname__}{call.__signature__}>"


class OrderedCall(Generic[P, R]):
    """A method that every member applies, in the same order.

    Calling it returns `Replies` at once. All three forms copy their arguments before they return.
    """

    __slots__ = ("__dict__", "_decode", "_encode", "_host", "_id", "_where")

    def __init__(self, host: ServiceHost, method: Method) -> None:
        self._host = host
        self._id = method.id
        self._where = method.where
        self._encode = cast("Callable[P, Parts]", method.encode)
        self._decode = cast("Callable[[memoryview], R]", method.decode_result)
        _describe(self, method, Replies)

    def __repr__(self) -> str:
        return _shown(self, "ordered")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Replies[R]:
        """Send the call; wait for room in the ring, and for a view change to finish, at most the group's time-out.

        Raises
        ------
        EncodeError
            For an argument that does not fit.
        RingFull, ViewChanging, TooLarge, Closed
            As the core says.
        """
        parts = self._encode(*args, **kwargs)
        replies: Replies[R] = Replies(self._host.waiter, self._where, self._decode)
        self._host.call(self._id, REPLY_WANTED, parts, replies)
        return replies

    def send(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """Send the call without asking for answers: the fastest form. Waits for room as a call does."""
        self._host.call(self._id, 0, self._encode(*args, **kwargs), None)

    def try_send(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """As `send`, but `RingFull` or `ViewChanging` at once instead of waiting."""
        self._host.try_call(self._id, 0, self._encode(*args, **kwargs), None)


class QueryCall(Generic[P, R]):
    """A method that one member answers, out of order with ordered calls."""

    __slots__ = ("__dict__", "_decode", "_encode", "_host", "_id", "_where")

    def __init__(self, host: ServiceHost, method: Method) -> None:
        self._host = host
        self._id = method.id
        self._where = method.where
        self._encode = cast("Callable[P, Parts]", method.encode)
        self._decode = cast("Callable[[memoryview], R]", method.decode_result)
        _describe(self, method, Reply)

    def __repr__(self) -> str:
        return _shown(self, "query")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Reply[R]:
        """Ask this node itself if it is a member, else the first member of the view."""
        return self.at(self._host.nearest(), *args, **kwargs)

    def at(self, node: int, /, *args: P.args, **kwargs: P.kwargs) -> Reply[R]:
        """Ask one member.

        Parameters
        ----------
        node : int
            Its node id; `NotMember` if it is not in the view.
        """
        parts = self._encode(*args, **kwargs)
        reply: Reply[R] = Reply(self._host.waiter, self._where, self._decode, node)
        self._host.query(node, self._id, parts, reply)
        return reply
