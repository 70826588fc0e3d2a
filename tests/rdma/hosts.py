"""Members of a group in this machine, each as if on a host of its own."""

from __future__ import annotations

import importlib.util
import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import perftest

SYSTEM = Path(__file__).resolve().parents[1] / "system" / "conftest.py"
#: A host is where its boot id is: with another one, `auto` does not share memory.
OWN_BOOT_ID = 'id=$(mktemp) && echo $(cat /proc/sys/kernel/random/uuid) > $id && mount --bind $id "$0" && exec "$@"'
AS_HOST = ["unshare", "--mount", "sh", "-c", OWN_BOOT_ID, "/proc/sys/kernel/random/boot_id"]
#: Root's privilege to lock what it likes is taken away.
AS_USER = ["setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock"]
NAMES = itertools.count()


def system() -> Any:
    """What tests/system has for members as processes."""
    spec = importlib.util.spec_from_file_location("system_members", SYSTEM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


Member = system().Member


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Hosts:
    """Members at devices. A process is used again by later tests: starting one takes seconds here."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._idle: dict[tuple[object, ...], list[Any]] = {}
        self.members: list[Any] = []  # of the test that runs
        self._group = ""

    def member(self, node: int, device: str, *under: str, **options: Any) -> Any:
        """Have a process under these commands, to join at the device; what it logs is in its `printed()`."""
        config = {"rdma_device": device, "ring_bytes": 1 << 20, "mail_bytes": 1 << 18} | options.pop("config", {})
        options = {"wire": "verbs", "listen": f"{perftest.ADDRESS[device]}:0", "config": config} | options
        idle = self._idle.setdefault(under, [])
        member = idle.pop() if idle else Member(self._folder, node, under=("env", "DERECHO_LOG=info", *under))
        member.node, member.options, member.under = node, options, under
        self.members.append(member)
        return member

    def together(self, *members: Any) -> None:
        """Let them join one new group, until each sees all."""
        self._group = f"group-{next(NAMES)}"
        members[0].join(found=True, group=self._group)
        for member in members[1:]:
            self.begin_join(member, members[0])
        for member in members[1:]:
            member.joined()
        for member in members:
            member.ask("wait_view", nodes=[m.node for m in members])

    def begin_join(self, member: Any, contact: Any) -> None:
        """To the newest group, of which the contact is a member; it has when it is `joined()`."""
        settings = {"node": member.node, "contacts": [contact.address], "group": self._group}
        member.send("join", **(member.options | settings))

    def test_over(self, failed: bool) -> None:
        """Keep the processes, but not after a failure: who knows in what state they are."""
        for member in self.members:
            if failed or member.child.poll() is not None:
                print(f"---- node {member.node}\n{member.printed()}")
                member.end()
            else:
                member.ask("close")
                member.forget_printed()
                self._idle[member.under].append(member)
        self.members = []

    def lose(self, member: Any) -> None:
        """Forget one that was killed."""
        member.end()
        self.members.remove(member)

    def end(self) -> None:
        for idle in self._idle.values():
            for member in idle:
                member.end()


@contextmanager
def cable_cut() -> Iterator[None]:
    """The end at rxe1 is down meanwhile."""
    run("ip", "link", "set", "eth1", "down")
    try:
        yield
    finally:
        run("ip", "link", "set", "eth1", "up")
        run("ip", "route", "add", "10.9.0.1", "dev", "eth1", "table", "102")  # it went with the link


@contextmanager
def silent_neighbour() -> Iterator[None]:
    """Whoever sends to rxe1 has to find it first, and gets no answer."""
    run("ip", "link", "set", "eth1", "arp", "off")
    run("ip", "neighbour", "flush", "dev", "eth0")
    try:
        yield
    finally:
        run("ip", "link", "set", "eth1", "arp", "on")


@contextmanager
def deleted(device: str) -> Iterator[None]:
    """The device is on its way out: who has it open may go on, and it is gone when they have closed it."""
    deletion = subprocess.Popen(["rdma", "link", "delete", device])
    yield
    assert deletion.wait(20) == 0, "nobody has it open"
    run("rdma", "link", "add", device, "type", "rxe", "netdev", device.replace("rxe", "eth"))


@contextmanager
def netem(device: str, *how: str) -> Iterator[None]:
    run("tc", "qdisc", "add", "dev", device, "root", "netem", *how)
    try:
        yield
    finally:
        run("tc", "qdisc", "del", "dev", device, "root")
