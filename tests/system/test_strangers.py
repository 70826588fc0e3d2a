"""Who is not a member of the group: other servers at a contact's address, garbage and floods at a member's port."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

import derecho

if TYPE_CHECKING:
    from conftest import Member

Trio = Callable[..., list["Member"]]


@derecho.service
class Store:
    @derecho.query
    def get(self) -> int:
        return 1


# ------------------------------------------------------------------------------------------------ at a contact


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def http(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def ssh(connection: socket.socket) -> None:
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
    connection.recv(65536)


def random_bytes(connection: socket.socket) -> None:
    while True:
        connection.sendall(random.randbytes(4096))


def silence(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def hang_up(connection: socket.socket) -> None:
    del connection


@contextlib.contextmanager
def serving(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Another program's server, on a free port; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            behave(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("behave", "text"),
    [
        (echo, "echoes what it receives"),
        (http, "does not speak Derecho's protocol|closed the connection"),
        (ssh, "does not speak Derecho's protocol"),
        (random_bytes, "does not speak Derecho's protocol"),
        (silence, "did not introduce itself"),
        (hang_up, "closed the connection|Connection reset"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_contact_that_is_another_server_is_named(behave: Callable[[socket.socket], None], text: str) -> None:
    with serving(behave) as address:
        started = time.monotonic()
        with pytest.raises((derecho.Unreachable, derecho.Incompatible), match=text) as caught:
            derecho.join(
                [Store()],
                node=2,
                listen="127.0.0.1:0",
                contacts=[address],
                timeout=1.5,
                config={"connect_timeout_ms": 500},
            )
        assert address in str(caught.value)
        assert time.monotonic() - started < 10


def test_a_silent_contact_does_not_keep_from_joining_through_a_good_one() -> None:
    with (
        serving(silence) as bad,
        derecho.join([Store()], node=1, listen="127.0.0.1:0", found=True, timeout=30) as founder,
    ):
        good = founder.view.members[0].address
        with derecho.join([Store()], node=2, listen="127.0.0.1:0", contacts=[bad, good], timeout=30) as group:
            assert group.wait_view([1, 2], 30).nodes == (1, 2)


# ------------------------------------------------------------------------------------------------ at a member's port


def strangers(address: tuple[str, int]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """What may knock at a member's port, by name."""
    with recorded_hello() as hello:
        greeting = hello

    def say(data: bytes) -> Callable[[], None]:
        def talk() -> None:
            with contextlib.suppress(OSError), socket.create_connection(address, 10) as connection:
                connection.settimeout(0.05)
                connection.sendall(data)
                while connection.recv(65536):
                    pass

        return talk

    source = random.Random(7)
    yield "nothing", say(b"")
    yield "an HTTP request", say(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    yield "zeros", say(bytes(100_000))
    yield "noise", say(source.randbytes(100_000))
    for length in (1, 5, len(greeting) // 2, len(greeting) - 1):
        yield f"{length} bytes of a greeting", say(greeting[:length])
    for _ in range(40):
        broken = bytearray(greeting)
        for _ in range(source.randint(1, 4)):
            broken[source.randrange(len(broken))] = source.randrange(256)
        yield "a broken greeting", say(bytes(broken) + source.randbytes(source.choice([0, 64, 5000])))
    yield "a greeting, then noise", say(greeting + source.randbytes(100_000))


@contextlib.contextmanager
def recorded_hello() -> Iterator[bytes]:
    """The first bytes that a node sends to whom it dials."""
    heard: list[bytes] = []
    with serving(lambda c: heard.append(c.recv(65536))) as address, pytest.raises(derecho.DerechoError):
        derecho.join([Store()], node=77, listen="127.0.0.1:0", contacts=[address], timeout=0.3, group="other")
    yield next(data for data in heard if data)


def test_strangers_at_a_members_port_disturb_nobody(trio: Trio) -> None:
    members = trio()
    host, port = members[0].address.rsplit(":", 1)
    before = members[0].ask("footprint")
    for name, knock in strangers((host, int(port))):
        knock()
        assert members[0].child.poll() is None, name
    assert members[0].ask("add", entry="x") == [1, 2, 3]
    assert members[0].ask("view") == [1, 2, 3]
    settle(members[0], before)


def test_a_flood_of_connections_disturbs_no_member_and_a_joiner_still_comes_in(trio: Trio, start: Any) -> None:
    members = trio()
    host, port = members[0].address.rsplit(":", 1)
    before = members[0].ask("footprint")
    flood = [socket.create_connection((host, int(port)), 10) for _ in range(300)]
    try:
        assert members[1].ask("add", entry="x") == [1, 2, 3]
        joiner = start(4).join(contacts=[members[0].address])
        assert joiner.ask("add", entry="y") == [1, 2, 3, 4]
        joiner.ask("leave")
        members[0].ask("wait_view", nodes=[1, 2, 3])
    finally:
        for connection in flood:
            connection.close()
    assert members[0].ask("add", entry="z") == [1, 2, 3]
    settle(members[0], before)


def test_clients_take_what_they_may_and_leave_nothing_behind(trio: Trio, start: Any) -> None:
    members = trio(config={"clients_max": 2})
    contacts = [members[0].address]
    before = members[0].ask("footprint"), members[0].ask("memory_bytes")
    as_client = {"listen": None, "contacts": contacts}
    clients = [start(node) for node in (10, 11)]
    for client in clients:
        client.send("join", node=client.node, config={"role": "client"}, **as_client)
    for client in clients:
        client.answer()
        assert client.ask("count_at", node=1) == 0
    with pytest.raises(Exception, match="node 1 has 2 clients already, as many as its option clients_max allows"):
        start(12).join(config={"role": "client"}, timeout=1.0, **as_client)
    joiner = start(4).join(contacts=contacts, config={"clients_max": 2})
    assert joiner.ask("add", entry="there is room for a member") == [1, 2, 3, 4]
    joiner.ask("leave")
    members[0].ask("wait_view", nodes=[1, 2, 3])
    for client in clients:
        client.kill()
    deadline = time.monotonic() + 30
    while (now := members[0].ask("memory_bytes")) > before[1]:
        assert time.monotonic() < deadline, (before, now)
        members[0].ask("add", entry="a view that is over is given back")
    settle(members[0], before[0])


def settle(member: Member, before: dict[str, int]) -> None:
    """Wait until the member's descriptors are back to what they were."""
    deadline = time.monotonic() + 30
    while (now := member.ask("footprint"))["descriptors"] > before["descriptors"] + 1:
        assert time.monotonic() < deadline, (before, now)
        os.sched_yield()
    assert now["threads"] == before["threads"]
    assert now["kilobytes"] <= before["kilobytes"] + 20_000
    assert member.printed() == ""
