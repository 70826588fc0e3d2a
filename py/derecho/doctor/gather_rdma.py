"""Reads what there is of RDMA: through pyverbs where the distribution's Python has it, from sysfs otherwise."""

from __future__ import annotations

import ctypes
import ipaddress
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from .facts import Device, FactsError, Gid, Port, Rdma, Uverbs, read

__all__ = ["gather_rdma", "sysfs_devices"]

_DISTRIBUTION_PYTHON = Path("/usr/bin/python3")
_PYVERBS_S = 20.0  # importing pyverbs takes more than a second in an emulated machine


def gather_rdma(root: Path = Path("/")) -> Rdma:
    """Collect devices, the library and its drivers, and the device files, of the machine whose ``/`` is `root`."""
    devices = sysfs_devices(root)
    source, note = "sysfs", "there is no RDMA device to ask pyverbs about"
    if devices:
        asked = _ask_pyverbs()
        if isinstance(asked, str):
            note = asked
        elif missing := {d.name for d in devices} - {d.name for d in asked}:
            note = f"pyverbs does not find {', '.join(sorted(missing))}"
        else:
            source, note, devices = "pyverbs", "", asked
    seen, error = _ask_library()
    return Rdma(source, note, devices, error, seen, _uverbs(root))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # an entry of a table that is not used answers EINVAL
        return ""


def _numbered(folder: Path) -> list[Path]:
    return sorted((p for p in folder.glob("*") if p.name.isdecimal()), key=lambda p: int(p.name))


def sysfs_devices(root: Path) -> tuple[Device, ...]:
    """Read ``/sys/class/infiniband``, which needs no library and no right."""
    return tuple(
        Device(device.name, tuple(_port(port) for port in _numbered(device / "ports")))
        for device in sorted((root / "sys/class/infiniband").glob("*"))
    )


def _port(folder: Path) -> Port:
    link_layer = _text(folder / "link_layer")
    rate = re.match(r"[\d.]+", _text(folder / "rate"))
    return Port(
        number=int(folder.name),
        state=_text(folder / "state").partition(":")[2].strip(),  # "4: ACTIVE"
        link_layer=link_layer,
        gbit_per_s=float(rate[0]) if rate else 0.0,
        gids=tuple(_gids(folder, link_layer)),
    )


def _gids(folder: Path, link_layer: str) -> list[Gid]:
    found = []
    for entry in _numbered(folder / "gids"):
        address = _text(entry)
        if not address.strip("0:"):
            continue
        kind = _text(folder / "gid_attrs/types" / entry.name)
        if kind == "IB/RoCE v1":
            kind = "IB" if link_layer == "InfiniBand" else "RoCE v1"
        netdev = _text(folder / "gid_attrs/ndevs" / entry.name)
        found.append(Gid(int(entry.name), str(ipaddress.IPv6Address(address)), kind, netdev))
    return found


def _ask_pyverbs() -> tuple[Device, ...] | str:
    """The devices, or why pyverbs does not tell."""
    command = [str(_DISTRIBUTION_PYTHON), "-I", str(Path(__file__).with_name("pyverbs_probe.py"))]
    try:
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PYVERBS_S, check=False)
        answer: dict[str, Any] = json.loads(run.stdout)
        if "error" in answer:
            return f"pyverbs of {_DISTRIBUTION_PYTHON}: {answer['error']}"
        found: tuple[Device, ...] = read(tuple[Device, ...], answer.get("devices"), "pyverbs")
        return found
    except subprocess.TimeoutExpired:
        return f"pyverbs of {_DISTRIBUTION_PYTHON} said nothing within {_PYVERBS_S:.0f} s"
    except (OSError, ValueError, FactsError) as error:
        return f"pyverbs of {_DISTRIBUTION_PYTHON} could not be asked: {error}"


def _ask_library() -> tuple[tuple[str, ...], str | None]:
    """The devices that libibverbs has a driver for; or why it cannot be loaded."""
    try:
        library = ctypes.CDLL("libibverbs.so.1")
    except OSError as error:
        return (), str(error)
    library.ibv_get_device_list.restype = ctypes.POINTER(ctypes.c_void_p)
    library.ibv_free_device_list.argtypes = [ctypes.POINTER(ctypes.c_void_p)]
    library.ibv_get_device_name.restype = ctypes.c_char_p
    library.ibv_get_device_name.argtypes = [ctypes.c_void_p]
    count = ctypes.c_int(0)
    listed = library.ibv_get_device_list(ctypes.byref(count))
    if not listed:
        return (), None
    names = tuple(library.ibv_get_device_name(listed[i]).decode() for i in range(count.value))
    library.ibv_free_device_list(listed)
    return names, None


def _uverbs(root: Path) -> tuple[Uverbs, ...]:
    found = []
    for path in sorted((root / "dev/infiniband").glob("uverbs*")):
        error = None
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except OSError as reason:
            error = os.strerror(reason.errno or 0)
        device = _text(root / "sys/class/infiniband_verbs" / path.name / "ibdev")
        found.append(Uverbs(f"/{path.relative_to(root)}", error, device))
    return tuple(found)
