"""What a lone call takes while the files flow: a client of the group, in the supervisor, asks a member now and then."""

from __future__ import annotations

import threading
import time

import derecho

from .store import FileStore

__all__ = ["Probe"]

_EVERY_S = 0.005
_PATIENCE_S = 5.0
_NODE = 1_000_000
_NO_PATH = ""  # no file has it, so the answer is as small as the question


class Probe:
    """Asks members in turn, one question at a time; the calls of a member that is lost meanwhile do not count.

    Parameters
    ----------
    contacts : list of str
        Members' addresses.
    group, wire : str
        As of the members.
    """

    def __init__(self, contacts: list[str], group: str, wire: str) -> None:
        self.seconds: list[float] = []
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(contacts, group, wire), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Leave the group."""
        self._ending.set()
        self._thread.join(_PATIENCE_S)

    def p50_us(self) -> float | None:
        """The median in microseconds, if there was a call."""
        ordered = sorted(self.seconds)
        return ordered[len(ordered) // 2] * 1e6 if ordered else None

    def _run(self, contacts: list[str], group: str, wire: str) -> None:
        config = {"role": "client", "group": group, "wire": wire}
        try:
            with derecho.join(
                [FileStore()], node=_NODE, contacts=contacts, config=config, timeout=_PATIENCE_S
            ) as client:
                self._ask(client)
        except derecho.DerechoError:
            return  # without it, the demo has one figure less

    def _ask(self, client: derecho.Group) -> None:
        store, turn = client[FileStore], 0
        while not self._ending.wait(_EVERY_S):
            nodes = client.view.nodes
            turn += 1
            began = time.perf_counter()
            try:
                store.get.at(nodes[turn % len(nodes)], _NO_PATH).result(_PATIENCE_S)
            except (derecho.NotMember, derecho.MemberRemoved):
                continue
            self.seconds.append(time.perf_counter() - began)
