"""The member program (README.md) in Python: `Everything` with the package itself, told what to do on standard input."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import derecho
from derecho.calls import OrderedCall

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from everything import Everything
from words import from_hex, from_word, to_hex, to_word

_METHODS = derecho.schema(Everything).by_name
_UNKNOWN_METHOD = 999


class Member:
    """One method a line of the protocol, with its words as arguments; returns the words of the answer."""

    group: derecho.Group

    def join(self, node: str, listen: str, addresses: str, wire: str, group: str) -> list[object]:
        peers = addresses.split(",")
        self.group = derecho.join(
            [Everything()], node=int(node), listen=listen, initial_members=peers, wire=wire, group=group
        )
        return [_nodes(self.group.view)]

    @property
    def service(self) -> Everything:
        return self.group[Everything]

    def wait(self, count: str) -> list[object]:
        return [_nodes(self.group.wait_view(int(count)))]

    def wait_exactly(self, count: str) -> list[object]:
        return [_nodes(self.group.wait_view(exactly=int(count)))]

    def echo(self, values: str) -> list[object]:
        answers = self.service.echo(from_hex(values)).all()
        return [",".join(f"{node}={to_hex(answers[node])}" for node in sorted(answers))]

    def ask(self, node: str, values: str) -> list[object]:
        return [to_hex(self.service.echo_here.at(int(node), from_hex(values)).result())]

    def bytes(self, value: str) -> list[object]:
        return [self.service.echo_bytes(bytes.fromhex(value)).result().hex()]

    def mixed(self, a: str, b: str, c: str, d: str, e: str) -> list[object]:
        numbers = [int(n) for n in e.split(",") if n]
        return [self.service.mix(int(a), b, float(c), d == "true", numbers).result()]

    def add(self, amount: str) -> list[object]:
        return [self.service.add(int(amount)).result()]

    def addall(self, amount: str) -> list[object]:
        answers = self.service.add(int(amount)).all()
        return [",".join(f"{node}={answers[node]}" for node in sorted(answers))]

    def spoil(self) -> list[object]:
        self.group.local(Everything).totals.sum += 1
        return []

    def send(self, amount: str) -> list[object]:
        self.service.add.send(int(amount))
        return []

    def total(self) -> list[object]:
        return [self.service.total().result()]

    def fail(self, kind: str, text: str) -> list[object]:
        self.service.fail(kind, text).all()
        return []

    def failat(self, node: str, kind: str, text: str) -> list[object]:
        self.service.fail_here.at(int(node), kind, text).result()
        return []

    def moment(self) -> list[object]:
        answers = self.service.moment().all()
        return [",".join(f"{node}={answers[node]}" for node in sorted(answers))]

    def moment_at(self, node: str) -> list[object]:
        return [self.service.moment_here.at(int(node)).result()]

    def moment_of_none(self) -> list[object]:
        return [Everything().moment()]

    def troubles(self) -> list[object]:
        return list(self.group.troubles())

    def unknown(self) -> list[object]:
        host = self.group._host(Everything, None)
        call: OrderedCall[[int], int] = OrderedCall(host, dataclasses.replace(_METHODS["add"], id=_UNKNOWN_METHOD))
        call(0).all()
        return []

    def flood(self, count: str, size: str) -> list[object]:
        for i in range(int(count)):
            self.service.echo_bytes.send(bytes([i % 256]) * int(size))
        self.service.add(0).all()
        return []

    def threads(self, threads: str, count: str) -> list[object]:
        def add() -> None:
            for _ in range(int(count)):
                self.service.add(1).result()

        outcomes = _on_threads([add] * int(threads))
        for error in filter(None, outcomes):
            raise error
        return []

    def pending(self, count: str) -> list[object]:
        started = threading.Semaphore(0)

        def add() -> None:
            started.release()
            self.service.add(0).result()

        def close() -> None:
            for _ in range(int(count)):
                started.acquire()
            self.group.close()

        outcomes = _on_threads([*([add] * int(count)), close])[:-1]
        closed = sum(isinstance(o, derecho.Closed) for o in outcomes)
        return [outcomes.count(None), closed]

    def leave(self) -> list[object]:
        self.group.leave()
        return []

    def close(self) -> list[object]:
        self.group.close()
        return []


def _on_threads(functions: Iterable[Callable[[], None]]) -> list[Exception | None]:
    """Run each on a thread of its own; what each raised, in order."""
    functions = list(functions)
    outcomes: list[Exception | None] = [None] * len(functions)

    def run(i: int, function: Callable[[], None]) -> None:
        try:
            function()
        except Exception as error:
            outcomes[i] = error

    threads = [threading.Thread(target=run, args=(i, f)) for i, f in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _nodes(view: derecho.View) -> str:
    return ",".join(str(node) for node in view.nodes)


def _failure(error: Exception) -> list[object]:
    kind = type(error).__name__
    if isinstance(error, derecho.RemoteError):
        return ["error", kind, error.member, error.type_name, error.text]
    return ["error", kind, str(error)]


def main() -> None:
    """Answer lines until standard input ends."""
    member = Member()
    for line in sys.stdin:
        do, *words = line.split()
        try:
            answer = ["ok", *getattr(member, do)(*map(from_word, words))]
        except Exception as error:
            answer = _failure(error)
        print(*map(to_word, answer), flush=True)
    with contextlib.suppress(AttributeError):
        member.group.close()


if __name__ == "__main__":
    main()
