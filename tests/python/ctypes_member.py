"""A member written against derecho.ctypes_api alone, loaded by path: no cffi, nothing else of the package. Not a test.

ctypes_member.py PATH_OF_CTYPES_API CONTACT: joins as node 2, answers calls of shard 0 with their arguments reversed,
until a message "stop" came; then leaves.
"""

from __future__ import annotations

import importlib.util
import sys
from ctypes import byref, c_size_t, c_uint64, c_void_p, pointer, sizeof, string_at
from typing import Any


def load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("ctypes_api", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def check(api: Any, status: int) -> None:
    if status != api.DERECHO_OK:
        raise RuntimeError(f"{api.derecho_status_name(status).decode()}: {api.derecho_last_error().decode()}")


def join(api: Any, contact: str) -> Any:
    config = api.POINTER(api.derecho_config)()
    check(api, api.derecho_config_create(byref(config)))
    for key, value in {"node": "2", "listen": "127.0.0.1:0", "contacts": contact}.items():
        check(api, api.derecho_config_set(config, key.encode(), value.encode()))
    check(api, api.derecho_config_add_service(config, b"echo", 0))
    group = api.POINTER(api.derecho_group)()
    check(api, api.derecho_group_join(config, 20_000, byref(group)))
    check(api, api.derecho_config_close(config))
    return group


def send(api: Any, group: Any, shard: Any, data: Any, nbytes: int) -> None:
    """A newcomer may send when the state has come: with an event, so poll meanwhile. Nobody else sends yet."""
    events = (api.derecho_event * 8)()
    count, lease = c_size_t(), c_uint64()
    while (status := api.derecho_shard_send(shard, data, nbytes, None)) == api.DERECHO_WEDGED:
        check(api, api.derecho_poll(group, events, 8, 10**8, byref(count), byref(lease)))
        check(api, api.derecho_release(group, lease))
    check(api, status)


def serve(api: Any, group: Any) -> int:
    """Answer calls until "stop"; return how many messages came."""
    events = (api.derecho_event * 64)()
    count, lease, messages = c_size_t(), c_uint64(), 0
    while True:
        check(api, api.derecho_poll(group, events, 64, 10**9, byref(count), byref(lease)))
        for event in events[: count.value]:
            data = string_at(event.data, event.size_bytes) if event.size_bytes else b""
            if event.kind == api.DERECHO_EVENT_MESSAGE:
                messages += 1
                if data == b"stop":
                    check(api, api.derecho_release(group, lease))
                    return messages
            elif event.kind in (api.DERECHO_EVENT_CALL, api.DERECHO_EVENT_QUERY):
                answer = data[::-1]
                check(api, api.derecho_group_reply(group, event.node, event.id, api.DERECHO_OK, answer, len(answer)))
        check(api, api.derecho_release(group, lease))


def main() -> None:
    api = load(sys.argv[1])
    group = join(api, sys.argv[2])
    view = api.derecho_view()
    view.struct_bytes = sizeof(view)
    events = (api.derecho_event * 8)()
    count, lease = c_size_t(), c_uint64()
    while view.member_count < 2:
        check(api, api.derecho_poll(group, events, 8, 10**8, pointer(count), pointer(lease)))
        check(api, api.derecho_release(group, lease))
        check(api, api.derecho_group_view(group, byref(view)))
    print("members:", [m.node for m in view.members[: view.member_count]], flush=True)
    shard = api.POINTER(api.derecho_shard)()
    check(api, api.derecho_shard_open(group, b"echo", byref(shard)))
    send(api, group, shard, c_void_p(), 0)
    send(api, group, shard, b"from ctypes", 11)
    print("messages:", serve(api, group), flush=True)
    check(api, api.derecho_group_leave(group, 10_000))
    check(api, api.derecho_group_close(group))
    assert api.derecho_group_close(group) == api.DERECHO_CLOSED


if __name__ == "__main__":
    main()
