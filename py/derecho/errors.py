"""One exception class for every status that a caller can act on.

Every exception raised by this package is a :class:`DerechoError` and carries the sentence that the core wrote about the
failure (``derecho_last_error``), so that printing it is enough to know what to do.
"""

from __future__ import annotations

__all__ = [
    "AddressInUse",
    "BadHandle",
    "Closed",
    "DecodeError",
    "DerechoError",
    "DuplicateNode",
    "Ejected",
    "EncodeError",
    "InHandler",
    "Incompatible",
    "InvalidArgument",
    "MemberRemoved",
    "NoMajority",
    "NoMemory",
    "NotMember",
    "RemoteError",
    "ReplicasDiffer",
    "RingFull",
    "StateError",
    "StateLost",
    "Timeout",
    "TooLarge",
    "UnknownMethod",
    "Unreachable",
    "ViewChanging",
]


class DerechoError(Exception):
    """Anything that libderecho, or this package on top of it, refuses or fails to do.

    Attributes
    ----------
    status : int
        The ``derecho_status`` behind it; 20 (``DERECHO_INTERNAL``) when nothing more specific applies.
    """

    status: int = 20


class RingFull(DerechoError):
    """No room right now (``DERECHO_AGAIN``): receive and drop messages, then try again."""

    status = 1


class Timeout(DerechoError, TimeoutError):
    """The deadline passed; the text says what was waited for."""

    status = 2


class InvalidArgument(DerechoError, ValueError):
    """An argument or option is wrong; the text names it and what is accepted."""

    status = 3


class BadHandle(DerechoError):
    """The handle is not of the kind that the call takes."""

    status = 4


class Closed(DerechoError):
    """The group was closed or left."""

    status = 5


class TooLarge(DerechoError, ValueError):
    """Longer than the limit; the text names both."""

    status = 6


class NotMember(DerechoError):
    """That node is not in the view, or this one is only a client."""

    status = 7


class ViewChanging(DerechoError):
    """Members are being added or removed right now (``DERECHO_WEDGED``): receive, then try again."""

    status = 8


class Ejected(DerechoError):
    """The others removed this node; join again."""

    status = 9


class NoMajority(DerechoError):
    """Half or more of the members that vote are lost: this node stopped, so that no two halves go separate ways."""

    status = 10


class Unreachable(DerechoError, ConnectionError):
    """No contact answered; or only an RDMA device reaches some memory, and none does."""

    status = 11


class Incompatible(DerechoError):
    """The group runs something else; the text names the difference."""

    status = 12


class DuplicateNode(DerechoError):
    """A live member has this node id."""

    status = 13


class AddressInUse(DerechoError, OSError):
    """The listen address is taken."""

    status = 14


class NoMemory(DerechoError, MemoryError):
    """The system gave no memory or descriptors."""

    status = 15


class MemberRemoved(DerechoError):
    """The member left the view before it answered.

    Attributes
    ----------
    member : int
        The node that was removed; 0 when it was every one of them.
    """

    status = 16

    def __init__(self, text: str, member: int = 0) -> None:
        super().__init__(text)
        self.member = member


class RemoteError(DerechoError):
    """A handler at a member failed.

    Attributes
    ----------
    member : int
        The node whose handler failed.
    type_name : str
        Name of the exception's type over there, such as ``"KeyError"``.
    text : str
        Its text.
    where : str
        The method, such as ``"Cache.put"``.
    """

    status = 17

    def __init__(self, member: int, type_name: str, text: str, where: str = "") -> None:
        at = f"{where} at member {member}" if where else f"member {member}"
        super().__init__(f"{at}: {type_name}: {text}" if text else f"{at}: {type_name}")
        self.member = member
        self.type_name = type_name
        self.text = text
        self.where = where

    def __reduce__(self) -> tuple[type[RemoteError], tuple[int, str, str, str]]:
        return (type(self), (self.member, self.type_name, self.text, self.where))


class UnknownMethod(DerechoError):
    """The member's service has no such method.

    Attributes
    ----------
    member : int
        The node that said so; 0 when this one did.
    """

    status = 18

    def __init__(self, text: str, member: int = 0) -> None:
        super().__init__(text)
        self.member = member


class ReplicasDiffer(DerechoError):
    """Members answered one ordered call differently; or, as the reason of a group's end, option ``digest_policy``.

    Attributes
    ----------
    answers : dict of int to object
        Of a call: by node, in order of rank, the value that the member answered, or the error that it failed with.
    """

    status = 21

    def __init__(self, text: str, answers: dict[int, object] | None = None) -> None:
        super().__init__(text)
        self.answers = answers or {}


class StateLost(DerechoError):
    """Every member that had the state is gone."""

    status = 19


class InHandler(DerechoError):
    """A handler waited for something that only arrives once the handler has returned."""


class StateError(DerechoError):
    """A service's state cannot be saved, or the received one cannot be loaded."""


class EncodeError(DerechoError, TypeError):
    """A value does not fit the signature; the text names the method, the parameter and both types."""

    status = 3


class DecodeError(DerechoError, ValueError):
    """Bytes from a peer that are not a message of this signature."""

    status = 3


BY_STATUS: dict[int, type[DerechoError]] = {
    cls.status: cls
    for cls in (
        DerechoError,
        RingFull,
        Timeout,
        InvalidArgument,
        BadHandle,
        Closed,
        TooLarge,
        NotMember,
        ViewChanging,
        Ejected,
        NoMajority,
        Unreachable,
        Incompatible,
        DuplicateNode,
        AddressInUse,
        NoMemory,
        StateLost,
    )
}


def from_status(status: int, text: str) -> DerechoError:
    """Make the exception of a local status.

    Parameters
    ----------
    status : int
        A ``derecho_status`` other than ``DERECHO_OK``.
    text : str
        What the core said.
    """
    error = BY_STATUS.get(status, DerechoError)(text or f"libderecho returned status {status}")
    error.status = status
    return error


def from_reply(status: int, member: int, what: str, data: str) -> DerechoError:
    """Make the exception of a reply's status.

    Parameters
    ----------
    status : int
        The status of a ``DERECHO_EVENT_REPLY`` other than ``DERECHO_OK``.
    member : int
        The node that it came from, or is about.
    what : str
        The call, such as ``"Cache.get"``.
    data : str
        The error text in the reply: ``"Type: text"`` for a failed handler.
    """
    if status == RemoteError.status:
        type_name, _, text = data.partition(": ")
        return RemoteError(member, type_name, text, what)
    if status == MemberRemoved.status:
        return MemberRemoved(f"{what}: member {member} left the view before it answered", member)
    if status == UnknownMethod.status:
        return UnknownMethod(f"{what}: member {member} has no such method", member)
    return from_status(status, data or f"{what}: member {member} answered with status {status}")
