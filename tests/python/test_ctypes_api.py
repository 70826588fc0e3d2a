"""Shows a member that uses nothing but the ctypes module, in one group with a member of the Python package."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from pathlib import Path

import pytest

import derecho
from derecho._native import fast


def test_a_member_through_ctypes_alone() -> None:
    with derecho.Group.join(raw=["echo"], node=1, listen="127.0.0.1:0", found=True, timeout=20.0) as group:
        echo = group.raw("echo")
        script = Path(__file__).with_name("ctypes_member.py")
        api = Path(derecho.__file__).with_name("ctypes_api.py")
        contact = group.view.members[0].address
        child = subprocess.Popen([sys.executable, script, api, contact], stdout=subprocess.PIPE, text=True)
        try:
            group.wait_view([1, 2])
            received = [m.tobytes() for _, m in zip(range(2), echo.messages(timeout=10.0), strict=False)]
            assert received == [b"", b"from ctypes"]
            assert query(group, b"abc") == b"cba"
            echo.send(b"stop")
            output, _ = child.communicate(timeout=20)
        finally:
            child.kill()
        assert child.returncode == 0
        assert output == "members: [1, 2]\nmessages: 3\n"
        group.wait_view([1])


def query(group: derecho.Group, data: bytes) -> bytes:
    """Ask node 2 with plain bytes: a raw shard has no methods, its other members may."""
    reply: derecho.Reply[bytes] = derecho.Reply(group._engine, "echo", bytes, 2)
    shard = group.raw("echo")._shard
    fast.query(shard, 2, 0, (data,), group._engine.pending, reply)
    return reply.result()


ENDS_WITHOUT_CLOSING = """
import ctypes, sys
from derecho import ctypes_api as api
config, group = ctypes.POINTER(api.derecho_config)(), ctypes.POINTER(api.derecho_group)()
assert api.derecho_config_create(ctypes.byref(config)) == 0
for key, value in ((b"node", b"1"), (b"listen", b"127.0.0.1:0"), (b"found", b"true")):
    assert api.derecho_config_set(config, api.String(key), api.String(value)) == 0
assert api.derecho_config_add_service(config, api.String(b"raw"), 0) == 0
assert api.derecho_group_join(config, 10000, ctypes.byref(group)) == 0
print("joined")
"""


def test_a_process_that_ends_without_closing_its_group_ends() -> None:
    """The library's threads are still inside then: what they use must not be destroyed under them."""
    done = subprocess.run([sys.executable, "-c", ENDS_WITHOUT_CLOSING], capture_output=True, text=True, timeout=30)
    assert done.stdout == "joined\n", done.stderr
    assert done.returncode == 0


def test_a_string_with_a_nul_is_refused() -> None:
    from derecho import ctypes_api

    with pytest.raises((ValueError, ctypes.ArgumentError), match="NUL"):
        ctypes_api.derecho_config_set(None, b"group", b"a\0")
