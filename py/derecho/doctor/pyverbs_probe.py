"""Prints what pyverbs knows of this machine's RDMA devices, as JSON.

Run by ``gather_rdma`` with the distribution's Python, which has pyverbs where the virtual environment's has not; so it
imports nothing of derecho.
"""

from __future__ import annotations

import importlib
import ipaddress
import json
import socket
import sys
from typing import Any

# Of ibv_port_attr: codes of states, lanes and Gbit/s of a lane; of ibv_gid_entry: its type.
_STATES = {0: "NOP", 1: "DOWN", 2: "INIT", 3: "ARMED", 4: "ACTIVE", 5: "ACTIVE_DEFER"}
_LANES = {1: 1, 2: 4, 4: 8, 8: 12, 16: 2}
_LANE_GBIT = {1: 2.5, 2: 5, 4: 10, 8: 10, 16: 14, 32: 25, 64: 50, 128: 100, 256: 200}
_LINK_LAYERS = {1: "InfiniBand", 2: "Ethernet"}
_GID_TYPES = {0: "IB", 1: "RoCE v1", 2: "RoCE v2"}


def _netdev(index: int) -> str:
    try:
        return socket.if_indextoname(index) if index else ""
    except OSError:
        return ""


def _port(context: Any, number: int, gids: list[Any]) -> dict[str, Any]:
    attributes = context.query_port(number)
    return {
        "number": number,
        "state": _STATES.get(attributes.state, str(attributes.state)),
        "link_layer": _LINK_LAYERS.get(attributes.link_layer, "unspecified"),
        "gbit_per_s": _LANES.get(attributes.active_width, 0) * _LANE_GBIT.get(attributes.active_speed, 0),
        "gids": [
            {
                "index": gid.gid_index,
                "gid": str(ipaddress.IPv6Address(context.query_gid(number, gid.gid_index).gid)),
                "type": _GID_TYPES.get(gid.gid_type, str(gid.gid_type)),
                "netdev": _netdev(gid.ndev_ifindex),
            }
            for gid in gids
            if gid.port_num == number
        ],
    }


def devices() -> list[dict[str, Any]]:
    """Open and query every device; raises what pyverbs raises."""
    pyverbs = importlib.import_module("pyverbs.device")
    found = []
    for device in pyverbs.get_device_list():
        name = device.name.decode()
        context = pyverbs.Context(name=name)
        ports = range(1, context.query_device().phys_port_cnt + 1)
        gids = context.query_gid_table(sum(context.query_port(number).gid_tbl_len for number in ports))
        found.append({"name": name, "ports": [_port(context, number, gids) for number in ports]})
        context.close()
    return found


if __name__ == "__main__":
    try:
        json.dump({"devices": devices()}, sys.stdout)
    except Exception as error:
        json.dump({"error": " ".join(f"{type(error).__name__}: {error}".split())}, sys.stdout)
