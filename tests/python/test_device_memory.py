"""Shows registered memory of devices: dma-bufs, with a stand-in for the driver of a GPU that is not there.

The members are in a process of their own, tests/devices/members.py, which says what became of every operation.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).parent.parent / "devices"
sys.path.insert(0, str(HERE))

import stand_in  # noqa: E402

#: In the machine of tests/rdma there is a device whose memory the kernel's own driver gives away.
KINDS = ["stand-in", "cuda", *(["vgem"] if "RDMA_VM" in os.environ else [])]
OPERATIONS = ("write", "small write", "read", "write from it", "read into it")
Told = dict[str, str]


@pytest.fixture(scope="session")
def use(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Told, str]]:
    """Run the members with the stand-ins; what they told, and their log."""
    stand_ins = stand_in.build(tmp_path_factory.mktemp("devices"))

    def run(wire: str, kind: str, **settings: str) -> tuple[Told, str]:
        done = subprocess.run(
            [sys.executable, str(HERE / "members.py"), wire, kind],
            env=os.environ | stand_ins | {"DERECHO_LOG": "warn"} | settings,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout), done.stderr

    return run


def check_what_is_wrong_is_told(told: Told) -> None:
    """The same, whatever way the operations go."""
    assert told["size"] == "True"
    assert told["nothing"] == "ok"
    assert "reaches beyond the end of the memory" in told["beyond"]
    assert "reaches beyond the end of the memory" in told["beyond, own"]
    assert told["deregistered"].startswith("InvalidArgument") and "the key opens nothing" in told["deregistered"]
    assert "was not registered for that" in told["may only be read"]
    assert "descriptor 0 is not a dma-buf" in told["not a dma-buf"]
    assert "descriptor 999: Bad file descriptor" in told["not open"]
    assert "beyond the end of the dma-buf, of 1048576 bytes" in told["too large"]


def check_all_was_moved(told: Told) -> None:
    for operation in OPERATIONS:
        assert told[operation] == "ok", told
    for seen in ("written", "was read", "written from it", "was read into it"):
        assert told[seen] == "same", told


@pytest.mark.parametrize("kind", KINDS)
def test_what_can_be_mapped_goes_every_way(use: Callable[..., tuple[Told, str]], wire: str, kind: str) -> None:
    told, _ = use(wire, kind)
    check_all_was_moved(told)
    assert told["its own"] == "ok"
    check_what_is_wrong_is_told(told)


def test_what_cannot_be_mapped_goes_by_an_rdma_device_that_takes_it(
    use: Callable[..., tuple[Told, str]], wire: str
) -> None:
    told, _ = use(wire, "unmapped", STAND_IN_REGISTERS="1")
    if wire == "verbs":
        check_all_was_moved(told)
    else:
        for operation in OPERATIONS:
            assert told[operation].startswith("Unreachable"), told
            assert "only an RDMA device reaches this memory" in told[operation]
    assert told["its own"].startswith("Unreachable"), "no device copies within a node"
    check_what_is_wrong_is_told(told)


def test_what_no_device_takes_and_nobody_can_map_is_out_of_reach(
    use: Callable[..., tuple[Told, str]], wire: str
) -> None:
    told, log = use(wire, "unmapped")  # Soft-RoCE itself takes no dma-buf
    for operation in OPERATIONS:
        assert told[operation].startswith("Unreachable"), told
    if wire == "verbs":
        assert "another device's, cannot be reached: the RDMA device does not take it: Operation not supported" in log
    check_what_is_wrong_is_told(told)
