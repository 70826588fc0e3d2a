"""Shows what the machine offers: two RDMA devices with one cable between them, and the limits of a real host."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import perftest
import pytest

DEVICES = list(perftest.ADDRESS)
NETDEV = {"rxe0": "eth0", "rxe1": "eth1"}

# Debian's Python, for which pyverbs is built. Registers a megabyte.
REGISTER = """
from pyverbs.device import Context
from pyverbs.enums import IBV_ACCESS_LOCAL_WRITE
from pyverbs.mr import MR
from pyverbs.pd import PD
with Context(name="rxe0") as context, PD(context) as domain, MR(domain, 1 << 20, IBV_ACCESS_LOCAL_WRITE) as region:
    print("registered", region.length)
"""


def run(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def port(device: str) -> Path:
    return Path(f"/sys/class/infiniband/{device}/ports/1")


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_is_active_and_its_link_layer_is_ethernet(device: str) -> None:
    assert (port(device) / "state").read_text().strip() == "4: ACTIVE"
    assert (port(device) / "link_layer").read_text().strip() == "Ethernet"
    assert f"hca_id:\t{device}" in run("ibv_devinfo", "-d", device), "libibverbs sees it"


@pytest.mark.parametrize("device", DEVICES)
def test_a_device_has_a_roce_v2_gid_of_its_routable_address(device: str) -> None:
    gid = (port(device) / "gids" / str(perftest.routable_gid(device))).read_text().strip()
    assert ipaddress.IPv6Address(gid).ipv4_mapped == ipaddress.IPv4Address(perftest.ADDRESS[device])


@pytest.mark.parametrize("server", ["rxe0", "rxe1"])
def test_perftest_measures_one_sided_writes(server: str) -> None:
    figures = json.loads(run("tests/rdma/perftest.py", "--to", server))
    assert 1 < figures["latency_us"] < 1_000_000  # microseconds they are, however slow the machine is
    assert 1 < figures["bandwidth_mib_s"] < 100_000


@pytest.fixture
def slow_cable() -> Iterator[None]:
    """100 ms from rxe0 to rxe1; the way back is as fast as ever."""
    run("tc", "qdisc", "add", "dev", "eth0", "root", "netem", "delay", "100ms")
    yield
    run("tc", "qdisc", "del", "dev", "eth0", "root")


def test_netem_slows_down_what_crosses_the_cable(slow_cable: None) -> None:
    latency_us = perftest.result("ib_write_lat", "t_typical", "--size=8", "--iters=10", client="rxe0", server="rxe1")
    assert 50_000 <= latency_us < 90_000, "half a round trip, of which one way takes 100 ms"


def test_netem_slows_down_tcp_between_the_two_addresses_too(slow_cable: None) -> None:
    def connect_s() -> float:
        started = time.monotonic()
        socket.create_connection(listening.getsockname(), 10, (perftest.ADDRESS["rxe0"], 0)).close()
        return time.monotonic() - started

    with socket.create_server((perftest.ADDRESS["rxe1"], 0)) as listening:
        assert 0.1 <= min(connect_s() for _ in range(4)) < 1, "the first one also loads Python's modules"


def test_a_cut_cable_takes_the_ports_down_and_back() -> None:
    run("ip", "link", "set", "eth1", "down")
    try:
        for device in DEVICES:
            assert (port(device) / "state").read_text().strip() == "1: DOWN"
    finally:
        run("ip", "link", "set", "eth1", "up")
        run("ip", "route", "add", "10.9.0.1", "dev", "eth1", "table", "102")  # it went with the link
    assert perftest.measure().latency_us > 0  # it works


def test_a_device_can_be_deleted_and_added_again() -> None:
    run("rdma", "link", "delete", "rxe1")
    try:
        assert not port("rxe1").exists()
    finally:
        run("rdma", "link", "add", "rxe1", "type", "rxe", "netdev", "eth1")
    assert (port("rxe1") / "state").read_text().strip() == "4: ACTIVE"


@pytest.mark.parametrize(("limit", "fits"), [("unlimited", True), (str(2 << 20), True), (str(64 << 10), False)])
def test_a_lowered_memlock_limit_binds_who_is_not_privileged(limit: str, fits: bool) -> None:
    as_a_user = ["setpriv", "--inh-caps=-ipc_lock", "--bounding-set=-ipc_lock"]
    register = ["prlimit", f"--memlock={limit}", *as_a_user, "/usr/bin/python3", "-c", REGISTER]
    done = subprocess.run(register, capture_output=True, text=True, timeout=60, check=False)
    assert ("registered 1048576" in done.stdout) == fits, done.stdout + done.stderr
    if not fits:
        assert re.search("Errno:? 12|Cannot allocate memory", done.stderr), done.stderr


def test_huge_pages_can_be_had() -> None:
    Path("/proc/sys/vm/nr_hugepages").write_text("8")
    try:
        assert re.search(r"^HugePages_Free: +8$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    finally:
        Path("/proc/sys/vm/nr_hugepages").write_text("0")


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm", "/run", "."])
def test_files_can_be_written_and_are_lost(folder: str) -> None:
    file = Path(folder, "rdma-scratch")
    assert not file.exists(), "left by an earlier machine"
    file.write_text("here")
    assert file.read_text() == "here"
