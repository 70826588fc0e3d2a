"""Views: who is in the group, as of the events that the application has seen."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Member", "View"]

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
    """

    node: int
    address: str
    has_state: bool


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
    """

    id: int
    members: tuple[Member, ...]
    self_rank: int | None

    @property
    def nodes(self) -> tuple[int, ...]:
        """The members' ids, by rank."""
        return tuple(m.node for m in self.members)

    def __contains__(self, node: object) -> bool:
        return node in self.nodes

    def __str__(self) -> str:
        return f"view {self.id}: {{{', '.join(map(str, self.nodes))}}}"


def make_view(view_id: int, self_rank: int, members: list[tuple[int, str, bool]]) -> View:
    """Build a view of what the core gave."""
    return View(view_id, tuple(Member(*m) for m in members), None if self_rank == _NO_RANK else self_rank)
