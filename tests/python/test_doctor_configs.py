"""Shows what `derecho doctor CONFIG...` says of configurations: real files, read by the core, tried on real sockets."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import derecho
from derecho.doctor.checks_config import check_config, check_together
from derecho.doctor.configs import NodeConfig, read_configs
from derecho.doctor.facts import Device, Facts, Gid, Port, Rdma, Uverbs
from derecho.doctor.findings import Finding
from derecho.doctor.gather import gather
from derecho.doctor.reach import Listening, Reach, listen_briefly, reach_all, split_address
from derecho.doctor.report import needs_of

COMMAND = [sys.executable, "-m", "derecho.cli", "doctor"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
NOT_HERE = "192.0.2.1"  # reserved for documentation


@pytest.fixture(scope="module")
def facts() -> Facts:
    return gather()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def listener(answer: bytes | None = None, backlog: int = 8) -> Iterator[str]:
    """Something that listens and is no node: it answers with `answer`, an echo (``b""``), or not at all (None)."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(backlog)

        def serve() -> None:
            with contextlib.suppress(OSError):
                guest, _ = server.accept()
                with guest:
                    received = guest.recv(100)
                    guest.sendall(answer or received)

        if answer is not None:
            threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"


def config_file(folder: Path, name: str, **options: Any) -> Path:
    path = folder / f"{name}.toml"
    lines = [f"{key} = {json.dumps(value)}" for key, value in options.items()]
    path.write_text("\n".join(["[derecho]", *lines, ""]))
    return path


def three(folder: Path, **changed: Any) -> list[Path]:
    """Configurations of a group; what is changed is so in the last."""
    addresses = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    all_options: list[dict[str, Any]] = [
        {"node": i + 1, "listen": address, "initial_members": addresses} for i, address in enumerate(addresses)
    ]
    all_options[2] |= changed
    return [config_file(folder, name, **options) for name, options in zip("abc", all_options, strict=True)]


def of(found: list[Finding], check: str) -> Finding:
    (finding,) = (finding for finding in found if finding.check == check)
    return finding


def contact_of(found: list[Finding], contact: str) -> Finding:
    (finding,) = (f for f in found if f.check == "contact" and f.what.startswith(f"{contact}: "))
    return finding


def checked(facts: Facts, path: Path, *others: Path) -> list[Finding]:
    config, *rest = read_configs([path, *others])
    return check_config(config, facts, needs_of(None, [config]), rest)


# ---------------------------------------------------------------------------------------------------- each by itself


def test_a_founder_that_can_start_has_nothing_to_change(tmp_path: Path, facts: Facts) -> None:
    listen = f"127.0.0.1:{free_port()}"
    found = checked(facts, config_file(tmp_path, "a", node=1, listen=listen, initial_members=[listen]))
    assert {f.severity for f in found} == {"fine"}
    assert of(found, "options").what == "member 1 of group 'default', wire auto"
    assert of(found, "contact").what == f"{listen}: this node itself"


REFUSED_BY_THE_CORE: list[tuple[dict[str, Any], str]] = [
    ({"rng_bytes": 5}, 'unknown option "rng_bytes"'),
    ({"wire": "pigeon"}, "is none of"),
    ({"contacts": ["127.0.0.1"]}, "is not host:port"),
    ({"node": ""}, "node"),
    ({"listen": ""}, "option listen is missing"),
    ({"role": "client"}, "option contacts is missing"),
    ({"found": False}, "nothing says how this node comes into a group"),
    ({"found": True, "initial_members": ["127.0.0.1:7000"]}, "are both set"),
    ({"ring_bytes": 100_000}, "ring_bytes"),
    ({"mail_bytes": 100_000}, "mail_bytes"),
    ({"ring_bytes": 65536, "message_max_bytes": 20_000}, "a quarter of ring_bytes"),
    ({"suspect_ms": 199}, "is less than twice heartbeat_ms"),
]


@pytest.mark.parametrize(("options", "reason"), REFUSED_BY_THE_CORE, ids=lambda value: str(value)[:30])
def test_options_are_refused_for_the_reason_that_the_core_has(
    options: dict[str, Any], reason: str, tmp_path: Path, facts: Facts
) -> None:
    path = config_file(tmp_path, "a", **{"node": 1, "listen": "127.0.0.1:0", "found": True, **options})
    complaints = [finding for finding in checked(facts, path) if finding.check == "options"]
    assert {finding.severity for finding in complaints} == {"must"}
    assert any(reason in finding.what for finding in complaints)
    with pytest.raises(derecho.InvalidArgument, match=reason):
        derecho.Group.join((), config=path, raw=["raw"], timeout=10)


@pytest.mark.parametrize("options", [{"ring_bytes": 65536}, {"suspect_ms": 200}], ids=str)
def test_options_that_the_core_takes_are_fine(options: dict[str, Any], tmp_path: Path, facts: Facts) -> None:
    path = config_file(tmp_path, "a", **{"node": 1, "listen": "127.0.0.1:0", "found": True, **options})
    assert of(checked(facts, path), "options").severity == "fine"
    derecho.Group.join((), config=path, raw=["raw"], timeout=10).close()


def test_a_missing_node_id_is_named(tmp_path: Path, facts: Facts) -> None:
    found = checked(facts, config_file(tmp_path, "a", listen="127.0.0.1:0", found=True))
    assert of(found, "options").what.startswith("option node is missing")


def test_a_file_that_is_not_toml_is_refused_with_its_line(tmp_path: Path, facts: Facts) -> None:
    path = tmp_path / "a.toml"
    path.write_text("node = 1\nlisten = [\n")
    (finding,) = checked(facts, path)
    assert finding.severity == "must"
    assert finding.what.startswith("line ")


def test_a_port_that_is_taken_is_told(tmp_path: Path, facts: Facts) -> None:
    with listener() as address:
        finding = of(checked(facts, config_file(tmp_path, "a", node=1, listen=address)), "listen")
    assert finding.severity == "must"
    assert finding.what == f"{address} is taken"
    assert address.rpartition(":")[2] in finding.commands[0]


def test_an_address_of_another_host_is_an_error_in_a_single_configuration_only(tmp_path: Path, facts: Facts) -> None:
    path = config_file(tmp_path, "a", node=1, listen=f"{NOT_HERE}:7000")
    assert of(checked(facts, path), "listen").severity == "must"
    other = config_file(tmp_path, "b", node=2, listen="127.0.0.1:0")
    assert of(checked(facts, path, other), "listen").severity == "fine"


def test_a_name_to_listen_at_that_is_not_known_is_told(tmp_path: Path, facts: Facts) -> None:
    finding = of(checked(facts, config_file(tmp_path, "a", node=1, listen="nosuch.invalid:7000")), "listen")
    assert finding.severity == "must"


def test_listening_everywhere_needs_an_address_to_advertise(tmp_path: Path, facts: Facts) -> None:
    options = {"node": 1, "listen": "0.0.0.0:0"}
    found = checked(facts, config_file(tmp_path, "a", **options))
    assert of(found, "advertise").severity == "must"
    found = checked(facts, config_file(tmp_path, "a", **options, advertise="127.0.0.1:0"))
    assert [f for f in found if f.check == "advertise"] == []


def test_contacts_are_told_apart_by_who_answers(tmp_path: Path, facts: Facts) -> None:
    nobody = f"127.0.0.1:{free_port()}"
    with (
        derecho.Group.join((), raw=["raw"], node=9, listen="127.0.0.1:0", found=True, timeout=10) as group,
        listener(b"x" * 16) as it,
    ):
        node = group.view.members[0].address
        contacts = [nobody, node, it, "nosuch.invalid:7000"]
        path = config_file(tmp_path, "a", node=1, listen="127.0.0.1:0", contacts=contacts)
        found = checked(facts, path)
    assert contact_of(found, node).severity == "fine"
    assert contact_of(found, node).what.endswith("a node answers")
    assert contact_of(found, nobody).severity == "should"
    assert "founds nothing because none does" in contact_of(found, nobody).why
    assert contact_of(found, it).severity == "must"
    assert "does not speak Derecho's protocol" in contact_of(found, it).what
    assert contact_of(found, "nosuch.invalid:7000").severity == "must"


def test_a_contact_that_does_not_answer_is_given_up_at_the_deadline(tmp_path: Path, facts: Facts) -> None:
    with listener(backlog=0) as full, contextlib.ExitStack() as guests:
        host, _, port = full.rpartition(":")
        for _ in range(3):  # until its queue takes no more, and the kernel drops what comes
            guest = guests.enter_context(socket.socket())
            guest.setblocking(False)
            guest.connect_ex((host, int(port)))
        path = config_file(tmp_path, "a", node=1, listen="127.0.0.1:0", contacts=[full], connect_timeout_ms=300)
        begin = time.monotonic()
        finding = contact_of(checked(facts, path), full)
        assert time.monotonic() - begin < 5
    assert finding.severity == "must"
    assert "no answer within 0.3 s" in finding.what


def test_nobody_has_to_listen_yet_where_this_node_founds_or_another_configuration_will(
    tmp_path: Path, facts: Facts
) -> None:
    first, second, third = three(tmp_path)
    found = [f for f in checked(facts, first) if f.check == "contact"]
    assert [f.severity for f in found] == ["fine"] * 3
    assert "takes part in founding the group" in found[1].what
    late = config_file(
        tmp_path, "late", node=4, listen="127.0.0.1:0", contacts=[f.what.rpartition(":")[0] for f in found]
    )
    assert {f.severity for f in checked(facts, late) if f.check == "contact"} == {"should"}
    assert {f.severity for f in checked(facts, third, first, second)} == {"fine"}


def made(facts: Facts, **options: str) -> list[Finding]:
    """Findings of a configuration that nothing was tried of, whose contact is on another host."""
    defaults = {
        "node": "1",
        "group": "g",
        "listen": "127.0.0.1:7000",
        "advertise": "",
        "contacts": "far:7000",
        "initial_members": "",
        "found": "false",
    }
    defaults |= {"role": "member", "wire": "auto", "ring_bytes": "65536", "mail_bytes": "65536"}
    defaults |= {"message_max_bytes": "1", "heartbeat_ms": "1", "suspect_ms": "2", "connect_timeout_ms": "1"}
    defaults |= {"rdma_device": "", "rdma_port": "0", "rdma_gid_index": "-1"}
    reached = {"far:7000": Reach("derecho", resolved="192.0.2.1:7000")}
    config = NodeConfig("a.toml", "", defaults | options, (), Listening("free"), reached)
    return check_config(config, facts, needs_of(None, [config]))


def test_a_wire_that_this_host_or_a_contact_does_not_have_is_told(facts: Facts) -> None:
    bare = replace(facts, rdma=Rdma())
    assert [f for f in made(bare) if f.check == "wire"] == []
    assert "no RDMA device" in of(made(bare, wire="verbs"), "wire").what
    assert "far:7000 is not on this host" in of(made(bare, wire="shm"), "wire").what
    unsealed = replace(facts, memory=replace(facts.memory, sealing_error="no memfd"))
    assert "no memfd" in of(made(unsealed, wire="shm"), "wire").what


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"rdma_device": "mlx5_7"}, "no RDMA device mlx5_7, only mlx5_0, mlx5_1"),
        ({"rdma_device": "mlx5_1"}, "no /dev/infiniband/uverbs* can be opened for mlx5_1"),
        ({"rdma_port": "4"}, "port 4 of an RDMA device is not there, or not active"),
        ({"rdma_gid_index": "9"}, "no active port has a GID with index 9"),
    ],
)
def test_an_rdma_port_that_is_not_there_is_told(facts: Facts, options: dict[str, str], what: str) -> None:
    port = Port(1, "ACTIVE", "Ethernet", 100, (Gid(3, "::ffff:a00:1", "RoCE v2"),))
    devices = tuple(Device(name, (port,)) for name in ("mlx5_0", "mlx5_1"))
    files = (Uverbs("/dev/a", None, "mlx5_0"), Uverbs("/dev/b", "Permission denied", "mlx5_1"))
    here = replace(
        facts,
        rdma=Rdma(devices=devices, seen_by_library=("mlx5_0", "mlx5_1"), uverbs=files),
        memory=replace(facts.memory, ipc_lock=True),
    )
    assert of(made(here, wire="verbs", **options), "wire").what == f"verbs, but {what}"
    assert of(made(here, wire="auto", **options), "wire").severity == "should"
    for fits in ({}, {"rdma_device": "mlx5_0", "rdma_port": "1", "rdma_gid_index": "3"}):
        assert [f for f in made(here, wire="verbs", **fits) if f.check == "wire"] == []


# ---------------------------------------------------------------------------------------------------- all together


def test_configurations_of_one_group_fit_together(tmp_path: Path) -> None:
    found = check_together(read_configs(three(tmp_path)))
    assert {f.severity for f in found} == {"fine"}
    checks = ["node ids", "addresses", "group", "ring_bytes", "mail_bytes", "message_max_bytes", "founders"]
    assert [f.check for f in found] == checks


@pytest.mark.parametrize(
    ("changed", "check", "what"),
    [
        ({"node": 2}, "node ids", "2 in "),
        ({"group": "other"}, "group", "other in "),
        ({"ring_bytes": 65536 * 128}, "ring_bytes", "8388608 in "),
        ({"mail_bytes": 65536}, "mail_bytes", "65536 in "),
        ({"message_max_bytes": 1000}, "message_max_bytes", "1000 in "),
        ({"initial_members": ["127.0.0.1:9"]}, "founders", "127.0.0.1:9 in "),
        ({"initial_members": [], "found": True}, "founders", "alone in "),
    ],
    ids=str,
)
def test_what_must_be_alike_or_unique_names_the_files_that_break_it(
    changed: dict[str, Any], check: str, what: str, tmp_path: Path
) -> None:
    paths = three(tmp_path, **changed)
    found = check_together(read_configs(paths))
    assert [f.check for f in found if f.severity == "must"] == [check]
    assert what in of(found, check).what
    assert str(paths[2]) in of(found, check).what


def test_two_nodes_of_one_address_are_told(tmp_path: Path) -> None:
    taken = f"127.0.0.1:{free_port()}"
    paths = [config_file(tmp_path, str(i), node=i, listen=taken, initial_members=[taken]) for i in (1, 2)]
    assert of(check_together(read_configs(paths)), "addresses").severity == "must"
    for path, name in zip(paths, ("10.0.0.1", "10.0.0.2"), strict=True):  # ports of two containers' hosts
        path.write_text(path.read_text() + f'advertise = "{name}:0"\n')
    finding = of(check_together(read_configs(paths)), "addresses")
    port = taken.rpartition(":")[2]
    assert (finding.severity, finding.what) == ("fine", f"10.0.0.1:{port}, 10.0.0.2:{port}")


def test_a_founder_known_by_another_name_of_its_host_is_the_same(tmp_path: Path) -> None:
    a, b, _ = read_configs(three(tmp_path, initial_members=[]))
    first, *others = a.contacts
    renamed = replace(
        b,
        options={**b.options, "initial_members": ",".join(["founder.example:7000", *others])},
        reached={"founder.example:7000": Reach("refused", resolved=first)},
    )
    assert of(check_together([a, renamed]), "founders").severity == "fine"


# ---------------------------------------------------------------------------------------------------- addresses


def test_an_echo_is_no_node_and_silence_is_told(tmp_path: Path) -> None:
    with listener(b"") as echo, listener() as silent:
        reached = reach_all([echo, silent, "127.0.0.1", f"{NOT_HERE}"], 0.5)
    assert (reached[echo].status, reached[silent].status) == ("listens", "listens")
    assert "said nothing within" in reached[silent].detail
    assert reached["127.0.0.1"].is_here
    assert not reached[NOT_HERE].is_here


def test_addresses_are_split_as_the_core_does() -> None:
    assert split_address("host:7000") == ("host", 7000)
    assert split_address("host") == ("host", None)
    assert split_address("[::1]:7000") == ("::1", 7000)
    assert split_address("::1") == ("::1", None)
    for bad in ("", ":7000", "host:", "host:0", "host:65536", "host:http", "[::1]7000"):
        with pytest.raises(ValueError, match="is not HOST"):
            split_address(bad)


def test_listening_leaves_the_port_free() -> None:
    address = f"127.0.0.1:{free_port()}"
    assert [listen_briefly(address, 2).status for _ in range(2)] == ["free", "free"]
    assert listen_briefly("[::1]:0", 2).status in ("free", "not here")  # there may be no IPv6


# ---------------------------------------------------------------------------------------------------- the command


def test_the_command_checks_configurations_and_ends_with_code_1_for_a_bad_one(tmp_path: Path) -> None:
    good, _, _ = paths = three(tmp_path)
    bad = config_file(tmp_path, "bad", node=1, listen="127.0.0.1:0", contacts=["nosuch.invalid:7000"])
    for files, status, told in (
        (paths, 0, "Nothing must be changed"),
        ([good, bad], 1, "node ids: 1 in "),
        ([bad], 1, "nosuch.invalid:7000: not found"),
    ):
        run = subprocess.run(
            [*COMMAND, *files], env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False
        )
        assert (run.returncode, run.stderr) == (status, "")
        assert told in " ".join(run.stdout.split())
