"""What a node of a group needs of its host, from the options' real defaults."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Needs", "needs"]

_REGION_HEAD_BYTES = 64 << 10  # counters before a ring's bytes, rows of the view: generously
_DESCRIPTORS_OF_A_NODE = 64
_DESCRIPTORS_OF_A_PEER = 16  # sockets, an eventfd, a pidfd, memory of two views


@dataclass(frozen=True)
class Needs:
    """Of one node of a group of `nodes`, with one service."""

    nodes: int
    ring_bytes: int
    mail_bytes: int

    @property
    def memory_bytes(self) -> int:
        """Rings of all members in two views, as during a view change, and mail with each peer in both directions.

        There are two mails with a peer: for letters, and for registered memory.

        Over verbs all of it is registered, and so locked: one's own for the device to read, the peers' for it to write.
        """
        rings = 2 * self.nodes * (self.ring_bytes + _REGION_HEAD_BYTES)
        return rings + 2 * (self.nodes - 1) * (2 * self.mail_bytes + _REGION_HEAD_BYTES)

    @property
    def open_files(self) -> int:
        """Descriptors of the library; the program's own come on top."""
        return _DESCRIPTORS_OF_A_NODE + _DESCRIPTORS_OF_A_PEER * (self.nodes - 1)


def needs(nodes: int, ring_bytes: int | None = None, mail_bytes: int | None = None) -> Needs:
    """Make it from the number of nodes, and the core's default of what is not given."""
    from .._native import Config

    defaults = Config()
    try:
        ring_bytes = ring_bytes or int(defaults.get("ring_bytes"))
        return Needs(nodes, ring_bytes, mail_bytes or int(defaults.get("mail_bytes")))
    finally:
        defaults.close()
