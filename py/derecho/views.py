"""Views: who is in the group, as of the events that the application has seen."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Difference", "Holdup", "Member", "Progress", "View"]

_NO_RANK = 0xFFFFFFFF


@dataclass(frozen=True)
class Member:
    """One member of a view.

    Attributes
    ----------
    node : int
        Its id.
    address : str
        Where it listens: ``"host:port"``.
    has_state : bool
        False while the state is still being transferred to it.
    votes : bool
        Whether it counts where more than half of the members are needed: since the first view that began after it held
        the state.
    """

    node: int
    address: str
    has_state: bool
    votes: bool


_CAUSES = ("", "not polling", "not releasing", "no state", "not acknowledging")


@dataclass(frozen=True)
class Holdup:
    """A member that holds others up.

    Attributes
    ----------
    node : int
        Its id; it may be this node's own.
    cause : str
        ``"not polling"``: its application takes nothing. ``"not releasing"``: it keeps what it took, and with it room
        in a ring. ``"no state"``: its state has not arrived yet. ``"not acknowledging"``: its library stands still.
    seconds : float
        For how long already.
    text : str
        All of it as a sentence.
    """

    node: int
    cause: str
    seconds: float
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class View:
    """An agreed list of members.

    Attributes
    ----------
    id : int
        Grows with every view.
    members : tuple of Member
        By rank.
    self_rank : int or None
        Of this node; None for a client.
    group_id : str
        The group's UUID, made when it was founded: docs/founding.md.
    """

    id: int
    members: tuple[Member, ...]
    self_rank: int | None
    group_id: str

    @property
    def nodes(self) -> tuple[int, ...]:
        """The members' ids, by rank."""
        return tuple(m.node for m in self.members)

    @property
    def voters(self) -> tuple[int, ...]:
        """The ids of those that vote, by rank."""
        return tuple(m.node for m in self.members if m.votes)

    def __contains__(self, node: object) -> bool:
        return node in self.nodes

    def __str__(self) -> str:
        return f"view {self.id}: {{{', '.join(f'{m.node}' if m.votes else f'{m.node} joining' for m in self.members)}}}"


@dataclass(frozen=True)
class Progress:
    """How far the state of a service has come to a node that joins.

    Attributes
    ----------
    service : str
        Its name.
    nbytes : int
        Bytes that came.
    total : int or None
        Bytes in all; None while it is not known, as of a state that is saved in pieces.
    seconds : float
        Since the first of them.
    """

    service: str
    nbytes: int
    total: int | None
    seconds: float

    @property
    def rate(self) -> float:
        """Bytes per second; 0 at first."""
        return self.nbytes / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True)
class Difference:
    """A replica that differs from those of a majority, as option ``digest`` found.

    Attributes
    ----------
    service : str
        The service's name.
    version : int
        The last call that was looked at.
    node : int or None
        Whose replica it is, perhaps this node's own; None: replicas differ, and none of them are a majority.
    text : str
        All of it as a sentence, with the nodes on either side.
    """

    service: str
    version: int
    node: int | None
    text: str

    def __str__(self) -> str:
        return self.text


def make_holdup(node: int, cause: int, lasted_ms: int, text: str) -> Holdup | None:
    """Build a holdup of what the core gave."""
    return Holdup(node, _CAUSES[cause], lasted_ms / 1000, text) if cause else None


def make_view(view_id: int, self_rank: int, members: list[tuple[int, str, bool, bool]], group_id: str) -> View:
    """Build a view of what the core gave."""
    return View(view_id, tuple(Member(*m) for m in members), None if self_rank == _NO_RANK else self_rank, group_id)
