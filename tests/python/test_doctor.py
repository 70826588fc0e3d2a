"""Shows what `derecho doctor` judges, from made-up facts; what it reads, from made-up trees; and the command on this
machine. What it says of configurations is in test_doctor_configs.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import derecho
from derecho.doctor import gather_rdma as gathering
from derecho.doctor.checks import check_machine
from derecho.doctor.facts import (
    Cpu,
    Device,
    Facts,
    FactsError,
    Gid,
    Host,
    Memory,
    Port,
    Rdma,
    Tcp,
    Uverbs,
    read,
)
from derecho.doctor.findings import Finding, must_change
from derecho.doctor.gather import gather
from derecho.doctor.gather_rdma import gather_rdma, sysfs_devices
from derecho.doctor.needs import Needs, needs
from derecho.doctor.report import SCHEMA
from derecho.doctor.wires import choose_wire, choose_wire_to_unknown

if TYPE_CHECKING:
    from conftest import Nodes

COMMAND = [sys.executable, "-m", "derecho.cli", "doctor"]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
MB = 1 << 20

LINK_LOCAL = Gid(0, "fe80::1", "RoCE v2", "eth0")
IPV4 = Gid(1, "::ffff:a00:1", "RoCE v2", "eth0")
IPV6 = Gid(2, "2001:db8::1", "RoCE v2", "eth0")
ROCE = Port(1, "ACTIVE", "Ethernet", 100, (LINK_LOCAL, IPV4))
INFINIBAND = Port(1, "ACTIVE", "InfiniBand", 200, (Gid(0, "fe80::5054:1", "IB"),))

#: A machine of which nothing is to be changed.
GOOD = Facts(
    host=Host("good", "boot-1", 1, 1000, "6.1", "x86_64"),
    rdma=Rdma("sysfs", "", (Device("mlx5_0", (ROCE,)),), None, ("mlx5_0",), (Uverbs("/dev/infiniband/uverbs0"),)),
    memory=Memory(
        available=8 << 30,
        cgroup_limit=None,
        memlock_soft=None,
        memlock_hard=None,
        ipc_lock=False,
        transparent_huge_pages="madvise",
        shared_huge_pages="advise",
        dev_shm_total=64 * MB,
        dev_shm_free=64 * MB,
        sealing_error=None,
    ),
    cpu=Cpu(8, None, {"cpu0": "performance", "cpu1": "performance"}, True, "tsc", ("tsc", "hpet"), 25.0),
    tcp=Tcp(4096, 6 * MB, 4 * MB),
    open_files_soft=1024,
    open_files_hard=4096,
)
THREE = Needs(nodes=3, ring_bytes=4 * MB, mail_bytes=1 * MB)


def change(facts: Facts, part: str, **values: Any) -> Facts:
    """The facts with some of a part's replaced."""
    return replace(facts, **{part: replace(getattr(facts, part), **values)})


def with_ports(*ports: Port, facts: Facts = GOOD) -> Facts:
    return change(facts, "rdma", devices=(Device("mlx5_0", ports),))


def findings(facts: Facts, check: str, need: Needs = THREE) -> list[Finding]:
    return [finding for finding in check_machine(facts, need, verbs_wanted=True) if finding.check == check]


# ---------------------------------------------------------------------------------------------------- findings


def test_a_good_machine_has_every_check_and_nothing_to_change() -> None:
    found = check_machine(GOOD, THREE)
    assert [f for f in found if f.severity != "fine"] == []
    assert {f.check for f in found} >= {case[0] for case in CHANGES}


CHANGES: list[tuple[str, Facts, str, str]] = [
    ("rdma devices", with_ports(replace(ROCE, state="DOWN")), "should", "ip link set eth0 up"),
    ("rdma devices", with_ports(replace(INFINIBAND, state="INIT")), "should", "apt-get install opensm"),
    ("rdma devices", with_ports(replace(ROCE, gids=(LINK_LOCAL,))), "should", "ip addr add ADDRESS/PREFIX dev eth0"),
    ("libibverbs", change(GOOD, "rdma", library_error="no such file"), "must", "apt-get install libibverbs1 ibverbs-p"),
    ("libibverbs", change(GOOD, "rdma", seen_by_library=()), "must", "apt-get install ibverbs-providers"),
    ("device files", change(GOOD, "rdma", uverbs=()), "must", "modprobe ib_uverbs"),
    (
        "device files",
        change(GOOD, "rdma", uverbs=(Uverbs("/dev/infiniband/uverbs0", "Permission denied"),)),
        "must",
        "chmod 666 /dev/infiniband/uverbs0",
    ),
    ("memlock", change(GOOD, "memory", memlock_soft=8 * MB), "must", "ulimit -l unlimited"),
    ("memlock", change(GOOD, "memory", memlock_soft=8 * MB, memlock_hard=8 * MB), "must", "echo '* - memlock"),
    ("huge pages", change(GOOD, "memory", transparent_huge_pages="never"), "should", "echo madvise > /sys/"),
    ("huge pages", change(GOOD, "memory", shared_huge_pages="never"), "should", "echo advise > /sys/"),
    (
        "device files",
        change(
            GOOD, "rdma", uverbs=(Uverbs("/dev/a", None, "mlx5_0"), Uverbs("/dev/b", "Permission denied", "mlx5_1"))
        ),
        "must",
        "chmod 666 /dev/b",
    ),
    ("shared memory", change(GOOD, "memory", sealing_error="sealing: Invalid argument"), "should", ""),
    ("memory", change(GOOD, "memory", available=16 * MB), "must", ""),
    ("memory", change(GOOD, "memory", cgroup_limit=16 * MB), "must", ""),
    ("open files", replace(GOOD, open_files_soft=64), "must", "ulimit -n 4096"),
    ("open files", replace(GOOD, open_files_soft=64, open_files_hard=64), "must", "LimitNOFILE"),
    ("processors", change(GOOD, "cpu", quota=0.5), "should", "docker run --cpus"),
    ("processors", change(GOOD, "cpu", usable=1), "should", ""),
    ("governor", change(GOOD, "cpu", governors={"cpu0": "powersave"}), "should", "cpupower frequency-set -g performa"),
    ("clock", change(GOOD, "cpu", clock_source="hpet"), "should", "echo tsc > /sys/"),
    ("clock", change(GOOD, "cpu", clock_source="hpet", clock_sources=("hpet", "acpi_pm")), "should", ""),
    ("clock", change(GOOD, "cpu", clock_read_ns=900.0), "should", ""),
    ("tcp backlog", change(GOOD, "tcp", somaxconn=16), "should", "sysctl -w net.core.somaxconn=128"),
    ("tcp buffers", change(GOOD, "tcp", tcp_wmem_max=MB // 4), "should", "sysctl -w net.ipv4.tcp_wmem="),
]


@pytest.mark.parametrize(("check", "facts", "severity", "command"), CHANGES, ids=lambda value: str(value)[:20])
def test_what_is_to_be_changed_has_a_severity_a_reason_and_its_command(
    check: str, facts: Facts, severity: str, command: str
) -> None:
    (finding,) = findings(facts, check)
    assert (finding.severity, bool(finding.why)) == (severity, True)
    assert (finding.commands[0].startswith(command)) if command else finding.commands == ()
    others = [f for f in check_machine(facts, THREE, verbs_wanted=True) if f.check != check and f.severity == "must"]
    assert others == []


def test_a_machine_without_a_device_needs_nothing_that_only_verbs_does() -> None:
    bare = replace(
        GOOD,
        rdma=Rdma(library_error="no such file"),
        memory=replace(GOOD.memory, memlock_soft=65536, memlock_hard=65536, transparent_huge_pages="never"),
    )
    assert {f.severity for f in check_machine(bare, THREE)} == {"fine"}


def test_what_only_verbs_needs_must_be_there_only_where_a_configuration_insists_on_verbs() -> None:
    facts = replace(change(GOOD, "memory", memlock_soft=8 * MB), rdma=replace(GOOD.rdma, uverbs=()))
    assert not must_change(check_machine(facts, THREE))
    assert must_change(check_machine(facts, THREE, verbs_wanted=True))


def test_a_driver_is_not_missed_where_the_device_file_is() -> None:
    hidden = change(GOOD, "rdma", seen_by_library=(), uverbs=())
    assert findings(hidden, "libibverbs")[0].severity == "fine"
    assert findings(hidden, "device files")[0].severity == "must"


def test_cap_ipc_lock_lifts_the_limit_of_locked_memory() -> None:
    low = change(GOOD, "memory", memlock_soft=65536, memlock_hard=65536)
    assert findings(low, "memlock")[0].severity == "must"
    assert findings(change(low, "memory", ipc_lock=True), "memlock")[0].severity == "fine"


def test_a_limit_that_is_enough_for_three_nodes_is_not_for_sixty() -> None:
    facts = change(GOOD, "memory", memlock_soft=64 * MB, memlock_hard=64 * MB)
    assert findings(facts, "memlock")[0].severity == "fine"
    assert findings(facts, "memlock", replace(THREE, nodes=60))[0].severity == "must"


def test_what_a_node_needs_is_no_less_than_a_real_node_maps(nodes: Nodes) -> None:
    groups = nodes.together(3, lambda: (), raw=["raw"])
    need = needs(3)
    assert (need.ring_bytes, need.mail_bytes) == (4 * MB, 1 * MB)
    in_place = 3 * need.ring_bytes + 4 * need.mail_bytes  # of one view; while it changes there are two
    for group in groups:
        deadline = time.monotonic() + 10
        while (mapped := group.stats()["memory_bytes"]) < in_place:
            assert time.monotonic() < deadline, f"only {mapped} bytes of memory have been mapped"
            time.sleep(0.01)
        assert mapped <= need.memory_bytes


# ---------------------------------------------------------------------------------------------------- wires


def host(name: str, *ports: Port, **identity: Any) -> Facts:
    return change(with_ports(*ports), "host", name=name, **{"boot_id": name, **identity})


NEAR = replace(ROCE, gids=(LINK_LOCAL,))
V6_ONLY = replace(ROCE, gids=(LINK_LOCAL, IPV6))
OTHER_SUBNET = replace(INFINIBAND, gids=(Gid(0, "fe80:0:0:7::1", "IB"),))


@pytest.mark.parametrize(
    ("a", "b", "wire", "why"),
    [
        (host("a", boot_id="x"), host("b", boot_id="x"), "shm", "the same boot"),
        (host("a", ROCE), host("b", ROCE), "verbs", "RoCE v2 over IPv4"),
        (host("a", ROCE, boot_id="x"), host("b", ROCE, boot_id="x", user=7), "verbs", "different users"),
        (host("a", ROCE, boot_id="x"), host("b", ROCE, boot_id="x", network_namespace=7), "verbs", "namespaces"),
        (host("a", boot_id="x"), host("b", boot_id="x", user=7), "tcp", "different users"),
        (host("a", boot_id=""), host("b", boot_id=""), "tcp", "different hosts"),
        (host("a", ROCE), host("b", V6_ONLY), "tcp", "do not meet"),
        (host("a", V6_ONLY), host("b", V6_ONLY), "verbs", "RoCE v2 over IPv6"),
        (host("a", ROCE), host("b", NEAR), "tcp", "b has RoCE within its link, IPv6"),
        (
            host("a", ROCE),
            host("b", replace(ROCE, gids=(replace(IPV4, type="RoCE v1"),))),
            "tcp",
            "b has RoCE within its link, IPv4",
        ),
        (
            host("a", replace(ROCE, gids=(Gid(1, "::ffff:a9fe:1", "RoCE v2"),))),
            host("b", ROCE),
            "tcp",
            "a has RoCE within its link, IPv4",
        ),
        (host("a", ROCE), host("b", replace(ROCE, state="DOWN")), "tcp", "b: no port"),
        (host("a", INFINIBAND), host("b", INFINIBAND), "verbs", "InfiniBand, subnet fe80"),
        (host("a", INFINIBAND), host("b", OTHER_SUBNET), "tcp", "do not meet"),
        (host("a", INFINIBAND), host("b", ROCE), "tcp", "do not meet"),
        (host("a", INFINIBAND, ROCE), host("b", ROCE), "tcp", "do not meet"),
        (host("a", NEAR, ROCE), host("b", ROCE), "verbs", "RoCE v2 over IPv4"),
        (host("a", NEAR), host("b", NEAR), "verbs", "RoCE within its link, IPv6"),
        (
            host("a", ROCE),
            change(host("b", ROCE), "memory", memlock_soft=MB),
            "tcp",
            "b: memlock is 1 MB, and a single",
        ),
        (host("a", ROCE), change(host("b", ROCE), "rdma", library_error="no"), "tcp", "b: libibverbs"),
        (host("a", ROCE), change(host("b", ROCE), "rdma", seen_by_library=()), "tcp", "b: no port"),
        (host("a", ROCE), change(host("b", ROCE), "rdma", uverbs=()), "tcp", "b: no /dev/infiniband"),
        (host("a", ROCE), replace(host("b"), rdma=Rdma()), "tcp", "b: no RDMA device"),
    ],
)
def test_auto_takes_shared_memory_then_verbs_then_tcp(a: Facts, b: Facts, wire: str, why: str) -> None:
    for choice in (choose_wire(a, b, THREE), choose_wire(b, a, THREE)):
        assert choice.wire == wire
        assert why in choice.why
        assert choice.assumes == ""  # all is known of both


def test_hosts_that_cannot_seal_memory_do_not_share_it() -> None:
    a = host("a", boot_id="x")
    b = change(a, "memory", sealing_error="sealing: Invalid argument")
    assert choose_wire(a, b, THREE).wire == "tcp"
    assert choose_wire_to_unknown(b, is_this_host=True, need=THREE).wire == "tcp"


def test_of_a_host_that_nothing_is_known_of_the_choice_says_what_it_assumes() -> None:
    verbs = choose_wire_to_unknown(GOOD, is_this_host=False, need=THREE)
    assert verbs.wire == "verbs"
    assert "RoCE v2 over IPv4" in verbs.assumes
    assert "--host" in verbs.assumes
    certain = choose_wire_to_unknown(replace(GOOD, rdma=Rdma()), is_this_host=False, need=THREE)
    assert (certain.wire, certain.assumes) == ("tcp", "")
    shm = choose_wire_to_unknown(GOOD, is_this_host=True, need=THREE)
    assert shm.wire == "shm"
    assert "same user" in shm.assumes


# ---------------------------------------------------------------------------------------------------- facts


def write(root: Path, files: dict[str, str]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n")


def rdma_tree(root: Path) -> None:
    port = "sys/class/infiniband/mlx5_0/ports/1/"
    write(
        root,
        {
            port + "state": "4: ACTIVE",
            port + "link_layer": "Ethernet",
            port + "rate": "100 Gb/sec (4X EDR)",
            port + "gids/0": "fe80:0000:0000:0000:0000:0000:0000:0001",
            port + "gids/1": "0000:0000:0000:0000:0000:0000:0000:0000",
            port + "gids/9": "fe80:0000:0000:0000:0000:0000:0000:0009",
            port + "gids/10": "0000:0000:0000:0000:0000:ffff:0a00:0001",
            port + "gid_attrs/types/0": "IB/RoCE v1",
            port + "gid_attrs/types/10": "RoCE v2",
            port + "gid_attrs/ndevs/10": "eth0",
            "sys/class/infiniband/ibp1/ports/1/state": "1: DOWN",
            "sys/class/infiniband/ibp1/ports/1/link_layer": "InfiniBand",
            "sys/class/infiniband/ibp1/ports/1/gids/0": "fe80:0000:0000:0000:5054:0000:0000:0001",
            "sys/class/infiniband/ibp1/ports/1/gid_attrs/types/0": "IB/RoCE v1",
            "dev/infiniband/uverbs0": "",
        },
    )


def test_devices_are_read_from_sysfs_with_the_types_of_their_gids(tmp_path: Path) -> None:
    rdma_tree(tmp_path)
    assert sysfs_devices(tmp_path) == (
        Device("ibp1", (Port(1, "DOWN", "InfiniBand", 0.0, (Gid(0, "fe80::5054:0:0:1", "IB"),)),)),
        Device(
            "mlx5_0",
            (
                Port(
                    *(1, "ACTIVE", "Ethernet", 100.0),
                    (Gid(0, "fe80::1", "RoCE v1"), Gid(9, "fe80::9", ""), Gid(10, "::ffff:a00:1", "RoCE v2", "eth0")),
                ),
            ),
        ),
    )
    assert sysfs_devices(tmp_path / "elsewhere") == ()


def test_where_pyverbs_does_not_know_the_devices_sysfs_tells_and_says_so(tmp_path: Path) -> None:
    rdma_tree(tmp_path)
    rdma = gather_rdma(tmp_path)
    assert (rdma.source, len(rdma.devices)) == ("sysfs", 2)
    assert "pyverbs" in rdma.source_note
    assert rdma.uverbs == (Uverbs("/dev/infiniband/uverbs0"),)


def stand_in(tmp_path: Path, body: str) -> Path:
    script = tmp_path / "python3"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    return script


def test_what_pyverbs_says_is_taken_and_its_silence_has_a_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rdma_tree(tmp_path)
    answer = {"devices": [asdict(Device("ibp1", ())), asdict(Device("mlx5_0", (ROCE,)))]}
    script = stand_in(tmp_path, f"echo '{json.dumps(answer)}'")
    monkeypatch.setattr(gathering, "_DISTRIBUTION_PYTHON", script)
    rdma = gather_rdma(tmp_path)
    assert (rdma.source, rdma.devices[1]) == ("pyverbs", Device("mlx5_0", (ROCE,)))

    stand_in(tmp_path, "exec sleep 30")
    monkeypatch.setattr(gathering, "_PYVERBS_S", 0.2)
    begin = time.monotonic()
    assert "said nothing within" in gather_rdma(tmp_path).source_note
    assert time.monotonic() - begin < 10


def test_a_machine_is_read_from_proc_and_sys(tmp_path: Path) -> None:
    cpu = "sys/devices/system/cpu/"
    clock = "sys/devices/system/clocksource/clocksource0/"
    write(
        tmp_path,
        {
            "proc/meminfo": "MemTotal: 9 kB\nMemAvailable:    2048 kB",
            "proc/self/status": "CapEff:\t0000000000004000",
            "proc/self/uid_map": "         0          0 4294967295",
            "proc/self/cgroup": "0::/pod/one",
            "sys/fs/cgroup/pod/cpu.max": "150000 100000",
            "sys/fs/cgroup/pod/one/cpu.max": "max 100000",
            "sys/fs/cgroup/pod/one/memory.max": "1048576",
            "proc/sys/kernel/random/boot_id": "boot-7",
            "sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never",
            "sys/kernel/mm/transparent_hugepage/shmem_enabled": "always within_size [advise] never deny force",
            cpu + "cpu0/cpufreq/scaling_governor": "powersave",
            cpu + "cpu10/cpufreq/scaling_governor": "performance",
            cpu + "smt/active": "1",
            clock + "current_clocksource": "hpet",
            clock + "available_clocksource": "hpet acpi_pm",
            "proc/sys/net/core/somaxconn": "17",
            "proc/sys/net/ipv4/tcp_rmem": "4096\t131072\t33",
        },
    )
    facts = gather(tmp_path)
    assert facts.host.boot_id == "boot-7"
    assert (facts.memory.available, facts.memory.cgroup_limit) == (2 * MB, MB)
    assert facts.memory.ipc_lock
    assert facts.memory.transparent_huge_pages == "madvise"
    assert facts.memory.shared_huge_pages == "advise"
    assert facts.cpu.quota == 1.5
    assert facts.cpu.governors == {"cpu0": "powersave", "cpu10": "performance"}
    assert (facts.cpu.smt, facts.cpu.clock_source, facts.cpu.clock_sources) == (True, "hpet", ("hpet", "acpi_pm"))
    assert facts.tcp == Tcp(17, 33, None)

    # In a container with users of its own, the capability does not count.
    write(tmp_path, {"proc/self/uid_map": "0 1000 1"})
    assert not gather(tmp_path).memory.ipc_lock


def test_facts_survive_json_and_what_does_not_fit_is_named() -> None:
    data = json.loads(json.dumps(asdict(GOOD)))
    assert read(Facts, data) == GOOD
    data["rdma"]["devices"][0]["ports"][0]["gids"][1]["index"] = "x"
    with pytest.raises(FactsError, match=r"devices\[0\]\.ports\[0\]\.gids\[1\]\.index is not of the type int"):
        read(Facts, data)
    del data["rdma"]["uverbs"]
    with pytest.raises(FactsError, match=r"facts\.rdma\.uverbs is missing"):
        read(Facts, data)


# ---------------------------------------------------------------------------------------------------- the command


def doctor(*arguments: str | Path, width: int = 200) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=ENVIRONMENT | {"COLUMNS": str(width)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_describes_this_machine() -> None:
    run = doctor("--json")
    report = json.loads(run.stdout)
    assert set(report) == {"schema", "derecho", "must_change", "facts", "needs", "findings", "between"}
    assert (report["schema"], report["derecho"]) == (SCHEMA, derecho.version())
    assert run.returncode == int(report["must_change"])
    assert report["must_change"] == any(f["severity"] == "must" for f in report["findings"])
    facts = read(Facts, report["facts"])
    assert facts.host.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert facts.cpu.usable == len(os.sched_getaffinity(0))
    assert 0 < facts.cpu.clock_read_ns < 100_000
    assert facts.memory.sealing_error is None

    shown = doctor()
    assert shown.returncode == run.returncode
    for finding in report["findings"]:
        assert finding["check"] in shown.stdout


def test_the_command_ends_with_code_1_when_something_must_be_changed() -> None:
    limited = ["bash", "-c", 'ulimit -n 64; exec "$@"', "bash", *COMMAND]
    run = subprocess.run(limited, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 1
    assert "must change  open files: soft 64, hard 64" in run.stdout
    assert "LimitNOFILE=65536" in run.stdout


def test_another_hosts_json_makes_the_choice_of_wire_exact(tmp_path: Path) -> None:
    report = json.loads(doctor("--json").stdout)
    here = report["facts"]["host"]["name"]
    report["facts"]["host"] |= {"name": "elsewhere", "boot_id": "other"}
    report["facts"]["rdma"] |= {"devices": []}
    other = tmp_path / "other.json"
    other.write_text(json.dumps(report))
    found = json.loads(doctor("--json", "--host", other, "--between", "localhost,elsewhere.invalid").stdout or "{}")
    assert found == {}  # a name that is not known is an error
    between = json.loads(doctor("--json", "--host", other, "--between", "localhost").stdout)["between"]
    assert [(p["a"], p["b"], p["wire"], bool(p["assumes"])) for p in between] == [
        (here, "elsewhere", "tcp", False),
        (here, "localhost", "shm", True),
    ]
    shown = doctor("--host", other, "--between", "localhost").stdout
    assert "Wires that auto uses" in shown
    assert "shm?" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--between", "a:b"], "'a:b' is not HOST or HOST:PORT"),
        (["--between", "nosuch.invalid"], "nosuch.invalid: "),
        (["--host", "FILE"], "is not JSON"),
        (["--nodes", "0"], "0 is not in the range"),
        (["missing.toml"], "'missing.toml' does not exist"),
    ],
)
def test_bad_arguments_are_errors_that_name_them(arguments: list[str], message: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("{")
    run = doctor(*(str(file) if argument == "FILE" else argument for argument in arguments))
    assert run.returncode == 2
    assert message in run.stderr


def test_json_that_is_no_report_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    for content, message in (
        ('{"schema": 99, "facts": {}}', "with schema 1"),
        ("[]", "is not what derecho doctor --json prints"),
        ('{"schema": 1, "facts": {}}', "facts.host is missing"),
    ):
        other.write_text(content)
        run = doctor("--host", other)
        assert (run.returncode, message in " ".join(run.stderr.split())) == (2, True), run.stderr
