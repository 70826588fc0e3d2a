"""Shows that a group over RDMA survives what breaks: queue pairs, devices, the cable, packets, limits, members."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import hosts
import memory
import numpy
import pytest
from hosts import AS_HOST, AS_USER, Hosts

ROOT = Path(__file__).resolve().parents[3]
CORE_TESTS = ROOT / "build" / "wheel" / "derecho_tests"
BREAK_PAIRS = Path(__file__).with_name("break_pairs.py")
REMOVE_DEVICE = Path(__file__).with_name("remove_device.py")
USE_MEMORY = Path(__file__).with_name("use_memory.py")
ENTRIES = 60  # that each member adds


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    made = Hosts(tmp_path_factory.mktemp("members"))
    yield made
    made.end()


@pytest.fixture
def group(processes: Hosts, request: pytest.FixtureRequest) -> Iterator[Hosts]:
    before = request.session.testsfailed
    yield processes
    processes.test_over(failed=request.session.testsfailed > before)


def trio(group: Hosts, **config: Any) -> list[Any]:
    """Nodes 1 and 2 at one end of the cable, 3 at the other, with RDMA between all."""
    members = [group.member(node, device, config=config) for node, device in ((1, "rxe0"), (2, "rxe0"), (3, "rxe1"))]
    group.together(*members)
    return members


def all_add(members: list[Any], prefix: str, count: int = ENTRIES) -> None:
    for member in members:
        member.send("add_many", prefix=f"{prefix}{member.node}-", count=count)
    for member in members:
        member.answer()


def expect_alike(members: list[Any], prefixes: list[str], count: int = ENTRIES) -> None:
    """Everything that these added is at each of them, once, in one order that is also each sender's."""
    first, *others = [member.ask("entries") for member in members]
    assert all(other == first for other in others)
    for prefix in prefixes:
        for member in members:
            name = f"{prefix}{member.node}-"
            assert [entry for entry in first if entry.startswith(name)] == [f"{name}{i}" for i in range(count)]


def warnings(member: Any) -> list[str]:
    return [line for line in member.printed().splitlines() if "] warn: " in line]


def losses(member: Any) -> list[int]:
    return [int(node) for node in re.findall(r"lost node (\d+): its (?:RDMA connection|process)", member.printed())]


def test_a_peer_that_breaks_the_rules_of_rdma_loses_its_link() -> None:
    run = [CORE_TESTS, "--gtest_filter=*RoguePeer*"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert " 0 tests" not in done.stdout


def test_a_member_whose_queue_pairs_fail_stops_and_the_others_go_on(group: Hosts) -> None:
    one, two, three = trio(group)
    all_add([one, two, three], "before-")
    assert three.ask("run", program=str(BREAK_PAIRS)) == 2
    broken = time.monotonic()
    assert one.ask("wait_view", nodes=[1, 2]) == [1, 2]
    assert two.ask("wait_view", nodes=[1, 2]) == [1, 2]
    kind, text = three.ask("wait_end")
    assert time.monotonic() - broken < 15
    assert kind in ("NoMajority", "Ejected"), text
    assert "its RDMA connection broke: this end of it stopped" in three.printed()
    all_add([one, two], "after-")
    expect_alike([one, two], ["before-", "after-"])
    # Who hears first from the other that it is out has no loss to report.
    assert sorted(losses(one) + losses(two)) in ([3], [3, 3])


def test_a_member_whose_device_is_removed_stops_and_says_so_and_the_others_go_on(group: Hosts) -> None:
    one, two, three = trio(group)
    with hosts.deleted("rxe1"):
        all_add([one, two, three], "before-")
        assert three.ask("run", program=str(REMOVE_DEVICE)) > 0
        assert one.ask("wait_view", nodes=[1, 2]) == [1, 2]
        assert two.ask("wait_view", nodes=[1, 2]) == [1, 2]
        assert three.ask("wait_end")[0] == "NoMajority"
        for node in (1, 2):
            assert f"lost node {node}: RDMA device rxe1 was removed\n" in three.printed()
        assert warnings(three)[0].endswith("RDMA device rxe1 was removed")
        assert share_of_a_processor(three) < 0.2
        three.ask("close")
    all_add([one, two], "after-")
    expect_alike([one, two], ["before-", "after-"])


def test_a_node_whose_device_is_removed_sleeps_and_meets_others_over_tcp(group: Hosts) -> None:
    one, two = group.member(1, "rxe1", *AS_HOST, wire="auto"), group.member(2, "rxe0", *AS_HOST, wire="auto")
    one.join(found=True)
    with hosts.deleted("rxe1"):
        assert one.ask("run", program=str(REMOVE_DEVICE)) > 0
        assert share_of_a_processor(one) < 0.2
        two.join(contacts=[one.address])
        all_add([one, two], "x-", 5)
        expect_alike([one, two], ["x-"], 5)
        for member, other in ((one, 2), (two, 1)):
            assert wires(member) == {other: "tcp"}
            assert "no verbs: node 1 has no RDMA device" in member.printed()
        one.ask("close")


def share_of_a_processor(member: Any) -> float:
    """What an idle member uses, for a second."""
    stat = Path(f"/proc/{member.child.pid}/stat")

    def used_s() -> float:
        return sum(map(int, stat.read_text().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")

    before = used_s()
    time.sleep(1)
    return used_s() - before


def test_the_survivors_go_on_while_the_network_holds_a_dead_members_last_packet(group: Hosts) -> None:
    # Until it is let go, after three seconds here, a queue pair cannot be destroyed.
    one, two, three = trio(group)
    key = use_memory(three, "register", size=64 << 10, node=1)
    use_memory(one, "write", node=3, key=key, size=64 << 10, seed=1)
    with hosts.silent_neighbour():
        use_memory(one, "begin_writes", node=3, key=key, size=64 << 10, times=20)
        for member in (one, two):
            member.send("add_many", prefix=f"x-{member.node}-", count=ENTRIES)
        three.kill()
        for member in (one, two):
            member.answer()
    for member in (one, two):
        told = time_of(member, "(?:lost|suspects) node 3")
        assert time_of(member, "installs view 4") - told < 1.5
    expect_alike([one, two], ["x-"])


def time_of(member: Any, words: str) -> float:
    """When a member first logged that."""
    found = re.search(rf"^(\S+) .*{words}", member.printed(), re.MULTILINE)
    assert found is not None, words
    return float(found[1])


def test_joiners_that_rdma_does_not_find_disturb_nobody(group: Hosts) -> None:
    # A busy host may stop somebody for as long as a member is silent before it is suspected; not each time, though.
    tries = 3
    while anybody_is_suspected_while_joiners_are_not_found(group):
        tries -= 1
        assert tries > 0, "a node was silent while a queue pair was connected"
        group.test_over(failed=False)


def anybody_is_suspected_while_joiners_are_not_found(group: Hosts) -> bool:
    # The kernel looks for each of them for a second, and whoever connects a queue pair to it waits for that.
    members = [group.member(node, "rxe0", *AS_HOST, wire="auto") for node in (1, 2, 3)]
    joiners = [group.member(node, "rxe1", *AS_HOST, wire="auto") for node in (4, 5, 6)]
    group.together(*members)
    with hosts.silent_neighbour():
        for joiner in joiners:
            group.begin_join(joiner, members[0])
        all_add(members, "meanwhile-")
        for joiner in joiners:
            joiner.joined()
        for member in members + joiners:
            member.ask("wait_view", nodes=[1, 2, 3, 4, 5, 6])
        all_add(members + joiners, "after-", 5)  # which comes when all are linked
    assert {wires(joiners[0])[node] for node in (1, 2, 3)} == {"tcp"}
    told = [line for member in members for line in warnings(member)]
    assert any("does not work, so it is TCP: connecting an RDMA queue pair: " in line for line in told)
    return any("suspects" in member.printed() for member in members + joiners)


def traffic_classes(packets: socket.socket) -> set[int]:
    """Of the RoCE packets that came so far."""
    seen = set()
    with suppress(BlockingIOError):
        while packet := packets.recv(2048):
            if packet[9] == socket.IPPROTO_UDP and int.from_bytes(packet[22:24], "big") == 4791:
                seen.add(packet[1])
    return seen


def test_packets_have_the_traffic_class_and_as_many_retries_as_configured(group: Hosts) -> None:
    config = {"rdma_traffic_class": 106, "rdma_ack_timeout": 18, "rdma_retries": 1, "suspect_ms": 6000}
    one, two = (group.member(node, device, config=config) for node, device in ((1, "rxe0"), (2, "rxe1")))
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as packets:
        packets.bind(("eth1", 0x0800))
        packets.setblocking(False)
        group.together(one, two)
        all_add([one, two], "x-")
        assert traffic_classes(packets) == {106}
    with hosts.netem("eth0", "loss", "100%"):
        cut = time.time()
        one.ask("wait_end")
        # Twice 1.07 s, of which the first may have begun before. Either may notice first.
        assert 0.9 < time_of(one, "lost node 2: its (?:RDMA connection broke|process ended)") - cut < 3.0


def test_the_last_word_of_a_member_that_leaves_is_heard_however_long_it_takes(group: Hosts) -> None:
    # The end of its TCP connection comes first. Without the decision the other would be one of two.
    one, two = (group.member(node, device) for node, device in ((1, "rxe0"), (2, "rxe1")))
    group.together(one, two)
    with hosts.netem("eth0", "delay", "50ms"):
        one.ask("leave")
    assert two.ask("wait_view", nodes=[2]) == [2]
    all_add([two], "alone-", 5)


def test_a_network_that_is_gone_for_less_than_suspect_ms_loses_nobody(group: Hosts) -> None:
    members = trio(group, suspect_ms=12000)
    for member in members:
        member.send("flood", seconds=1.0)
    with hosts.netem("eth0", "loss", "100%"), hosts.netem("eth1", "loss", "100%"):
        time.sleep(2.5)
    for member in members:
        member.answer()
    all_add(members, "after-")
    expect_alike(members, ["after-"])
    assert not any(losses(member) for member in members)


def test_the_far_side_of_a_cut_stops_and_the_near_one_goes_on(group: Hosts) -> None:
    one, two, three = trio(group, rdma_ack_timeout=14, rdma_retries=6)  # the device notices it first
    for member in (one, two, three):
        member.send("flood", **({} if member is three else {"seconds": 2.0}))
    with hosts.netem("eth0", "loss", "100%"), hosts.netem("eth1", "loss", "100%"):
        cut = time.monotonic()
        one.answer()
        two.answer()
        assert one.ask("wait_view", nodes=[1, 2]) == [1, 2]
        with pytest.raises(Exception, match="NoMajority"):
            three.answer()
        assert time.monotonic() - cut < 30
        kind, text = three.ask("wait_end")
        assert kind == "NoMajority", text
        all_add([one, two], "after-")
    expect_alike([one, two], ["after-"])
    for member, others in ((one, {3}), (two, {3}), (three, {1, 2})):
        lost = losses(member)
        assert set(lost) <= others, "nobody else"
        assert len(set(lost)) == len(lost), "once"
        assert [line for line in warnings(member) if "node 3 ends: only 1 of 3 members" not in line] == []
    reason = "its RDMA connection broke: it acknowledges nothing that is sent to it (transport retry counter exceeded)"
    assert any(reason in member.printed() for member in (one, two, three))


def test_a_bad_cable_loses_delays_and_reorders_but_no_promise_is_broken(group: Hosts) -> None:
    members = trio(group)
    bad = ("delay", "1ms", "reorder", "10%", "loss", "1%")
    with hosts.netem("eth0", *bad), hosts.netem("eth1", *bad):
        all_add(members, "bad-", 5 * ENTRIES)
        assert not any(member.ask("ended") for member in members)
    expect_alike(members, ["bad-"], 5 * ENTRIES)


def test_a_member_that_stalls_holds_short_queues_up_and_nothing_is_lost(group: Hosts) -> None:
    members = trio(group, rdma_queue_depth=8, ring_bytes=1 << 16, message_max_bytes=1 << 12, suspect_ms=4000)
    one, two, three = members
    one.send("add_many", prefix="short-1-", count=10 * ENTRIES)
    two.send("add_many", prefix="short-2-", count=10 * ENTRIES)
    three.kill(signal.SIGSTOP)
    time.sleep(1.5)
    three.kill(signal.SIGCONT)
    one.answer()
    two.answer()
    three.ask("add", entry="behind all")
    entries = [member.ask("entries") for member in members]
    assert entries[0] == entries[1] == entries[2]
    for name in ("short-1-", "short-2-"):
        assert [e for e in entries[0] if e.startswith(name)] == [f"{name}{i}" for i in range(10 * ENTRIES)]

    three.kill(signal.SIGSTOP)
    assert one.ask("wait_view", nodes=[1, 2]) == [1, 2]
    all_add([one, two], "without-")
    three.kill(signal.SIGCONT)
    assert three.ask("wait_end")[0] == "Ejected"


# ------------------------------------------------------------------------------------------------------------ limits


def limited(nbytes: int) -> tuple[str, ...]:
    """A process that may lock so much and no more."""
    return ("prlimit", f"--memlock={nbytes}", *AS_USER)


def test_a_limit_on_locked_memory_that_is_too_low_is_told_when_joining(group: Hosts) -> None:
    member = group.member(1, "rxe0", *limited(2 << 20))
    with pytest.raises(Exception, match="NoMemory: wire verbs is not possible: ") as refused:
        member.join(found=True)
    (needed,) = re.findall(r"with 1 peer\(s\) over RDMA this node would lock up to (\d+) bytes", str(refused.value))
    assert 4 << 20 < int(needed) < 6 << 20, "rings and mirrors of two members, in two views"
    assert "the limit is 2097152 bytes" in str(refused.value)
    assert "ulimit -l unlimited" in str(refused.value)

    member.join(found=True, wire="auto")
    (told,) = warnings(member)
    assert (
        f"no RDMA, so wire auto uses TCP with other hosts: with 1 peer(s) over RDMA this node would lock up to {needed}"
        in told
    )


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("rdma_device", "mlx5_0", "there is no RDMA device mlx5_0; there are: rxe0, rxe1"),
        ("rdma_port", 5, r"RDMA device rxe0 has no port 5 \(rdma_port\), only 1 to 1"),
        ("rdma_gid_index", 9, r"rxe0 port 1 has no GID with index 9 \(rdma_gid_index\); it has 0, 1"),
        ("rdma_pkey_index", 7, r"rxe0 port 1 has no partition key with index 7 \(rdma_pkey_index\), only 0 to 0"),
    ],
)
def test_an_option_that_names_what_is_not_there_is_told(group: Hosts, option: str, value: object, reason: str) -> None:
    member = group.member(1, "rxe0", config={option: value})
    with pytest.raises(Exception, match=f"InvalidArgument: wire verbs is not possible: .*{reason}"):
        member.join(found=True)


def without(folder: str) -> tuple[str, ...]:
    """A process that finds nothing there."""
    return ("unshare", "--mount", "sh", "-c", f'mount -t tmpfs none {folder} && exec "$@"', "sh")


@pytest.mark.parametrize(
    ("under", "reason"),
    [
        (without("/dev/infiniband"), r"uverbs0: No such file or directory; a container is given it with `docker run"),
        (without("/etc/libibverbs.d"), "RDMA device rxe0 has no driver for libibverbs here: `apt-get install ibverbs-"),
        (
            ("setpriv", "--inh-caps=-dac_override", "--bounding-set=-dac_override"),
            "RDMA device rxe0 cannot be opened: /dev/infiniband/uverbs0: Permission denied; `chmod 666 /dev/",
        ),
    ],
    ids=["no device file", "no driver", "no permission"],
)
def test_a_device_that_cannot_be_opened_says_why(group: Hosts, under: tuple[str, ...], reason: str) -> None:
    files = list(Path("/dev/infiniband").glob("uverbs*"))
    member = group.member(1, "rxe0", *under)
    modes = [file.stat().st_mode for file in files]
    for file in files:
        file.chmod(0)  # which binds nobody with the privilege to override it
    try:
        with pytest.raises(Exception, match=f"InvalidArgument: wire verbs is not possible: .*{reason}"):
            member.join(found=True)
    finally:
        for file, mode in zip(files, modes, strict=True):
            file.chmod(mode)


def test_auto_uses_tcp_with_a_peer_for_which_no_more_memory_may_be_locked(group: Hosts) -> None:
    # The first may lock as much as one peer over RDMA takes.
    one = group.member(1, "rxe0", *AS_HOST, *limited(6 << 20), wire="auto")
    two, three = (group.member(node, "rxe1", *AS_HOST, wire="auto") for node in (2, 3))
    members = [one, two, three]
    group.together(*members)
    all_add(members, "auto-", 10)
    expect_alike(members, ["auto-"], 10)

    (told,) = warnings(one)
    assert "does not work, so it is TCP: with 2 peer(s) over RDMA this node would lock up to" in told
    assert sorted(wires(one).values()) == ["tcp", "verbs"]
    refused = two if wires(two)[1] == "tcp" else three
    assert "so it is TCP: its end cannot be opened, and its log says why" in refused.printed()
    assert wires(two)[3] == wires(three)[2] == "verbs"


# ------------------------------------------------------------------------------------------------- registered memory


def use_memory(member: Any, what: str, **names: Any) -> Any:
    return member.ask("run", program=str(USE_MEMORY), what=what, **names)


def expect_written(asking: Any, serving: Any, size: int, seed: int) -> None:
    """The one writes to the other, which then has it."""
    key = use_memory(serving, "register", size=size, node=asking.node)
    assert use_memory(asking, "write", node=serving.node, key=key, size=size, seed=seed) == size
    expected = numpy.random.default_rng(seed).integers(0, 256, size, "u1")
    assert use_memory(serving, "sum") == int(expected.sum())


def test_memory_that_may_not_be_locked_goes_by_mail_and_the_log_says_why(group: Hosts) -> None:
    size = 8 << 20
    one, two = group.member(1, "rxe0", *limited(10 << 20)), group.member(2, "rxe1")
    group.together(one, two)
    expect_written(one, two, 64 << 10, 1)
    assert warnings(one) == []
    expect_written(two, one, size, 2)
    expect_written(one, two, size, 3)
    told = warnings(one)
    assert len(told) == 2, "one of each buffer"
    for line in told:
        assert f"registered memory of {size} bytes goes by mail, not directly: of the limit on locked memory, " in line
        assert "ulimit -l unlimited" in line
    all_add([one, two], "still-", 10)
    assert warnings(two) == []


def test_a_member_is_killed_while_another_writes_to_its_memory(group: Hosts) -> None:
    one, two = (group.member(n, f"rxe{n - 1}", config={"require_majority": False}) for n in (1, 2))
    group.together(one, two)
    key = use_memory(two, "register", size=1 << 20, node=1)
    use_memory(one, "begin_writes", node=2, key=key, size=1 << 20, times=300)
    two.kill(signal.SIGKILL)
    ends = use_memory(one, "end_writes")
    assert set(ends) == {"NoneType", "MemberRemoved"}
    assert ends == sorted(ends, reverse=True), "none is done once one is not"
    all_add([one], "alone-", 10)
    group.lose(two)


def test_a_member_that_sleeps_is_woken_when_what_it_asked_for_is_done() -> None:
    # Nothing else wakes it for so long; and it sleeps as soon as it has nothing to do.
    sleepy = ("spin_us=0", "yield_us=0", "heartbeat_ms=20000", "suspect_ms=90000", "wait_ms=20000")
    with hosts.netem("eth1", "rate", "200mbit"):
        measured = memory.ours(*sleepy, "bytes=1048576", "rounds=3")
    assert 20e6 < measured[True, 1 << 20]["ns"] < 5e9, measured


# ---------------------------------------------------------------------------------------------------------- fallback


def wires(member: Any) -> dict[int, str]:
    """Over which wire a member says that it is linked with whom."""
    found = re.findall(r"linked with node (\d+) at \S+ over (\w+)", member.printed())
    return {int(node): wire for node, wire in found}


@pytest.fixture
def island() -> Iterator[str]:
    """A device at a cable of its own, reached from the others over TCP, but not over RDMA."""
    hosts.run("ip", "link", "add", "eth2", "mtu", "4200", "type", "veth", "peer", "name", "eth3")
    hosts.run("ip", "addr", "add", "10.9.1.1/24", "dev", "eth2")
    hosts.run("ip", "link", "set", "eth2", "up")
    hosts.run("ip", "link", "set", "eth3", "up")
    hosts.run("rdma", "link", "add", "rxe2", "type", "rxe", "netdev", "eth2")
    yield "rxe2"  # nobody must have it open at the end, or it could not be deleted
    hosts.run("ip", "link", "del", "eth2")


def fallback(group: Hosts, device: str, **config: Any) -> tuple[str, str]:
    """What two nodes on different hosts log of their link, which is one over TCP."""
    near = group.member(1, "rxe0", *AS_HOST, wire="auto")
    far = group.member(2, "rxe1", *AS_HOST, wire="auto", config={"rdma_device": device, **config})
    group.together(near, far)
    all_add([near, far], "x-", 5)
    expect_alike([near, far], ["x-"], 5)
    assert (wires(near), wires(far)) == ({2: "tcp"}, {1: "tcp"})
    return near.printed(), far.printed()


def test_auto_uses_tcp_with_a_host_that_has_no_device_and_both_say_so(group: Hosts) -> None:
    near, far = fallback(group, "mlx5_7")
    assert "no RDMA, so wire auto uses TCP with other hosts: there is no RDMA device mlx5_7; there are: rxe" in far
    for text in (near, far):
        assert re.search(r"over tcp \(no shm: .*another host.*; no verbs: node 2 has no RDMA device", text)


def test_auto_uses_tcp_between_addresses_of_different_kinds_and_both_say_so(group: Hosts) -> None:
    for text in fallback(group, "rxe1", rdma_gid_index=0):
        assert "no verbs: one has a routable RoCE v2 address, the other has not)" in text


def test_auto_uses_tcp_where_no_write_gets_across_and_both_say_so(island: str, group: Hosts) -> None:
    near, far = fallback(group, island)
    assert re.search(r"warn.* RDMA with 10.9.0.1:\d+ does not work, so it is TCP: ", far)
    assert "over tcp (verbs did not come about)" in far
    assert "over tcp (verbs did not come about, and the log of that node says why)" in near
