"""Shows that Java runs beside Python in one process: a member of each in one group, over JPype."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import derecho.jvm

pytest.importorskip("jpype")

PROGRAM = """
    import pathlib, socket, sys
    import jpype, derecho, derecho.jvm

    derecho.jvm.JAR = pathlib.Path(sys.argv[1])

    def port():
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    java = derecho.jvm.start("-Xmx200m", classpath=["/nowhere"])
    assert str(java.Derecho.version()) == derecho.__version__
    contact = f"127.0.0.1:{port()}"
    with derecho.join(raw=["log"], node=1, listen=contact, initial_members=[contact], group="jvm", timeout=20) as mine:
        config = java.Config().node(2).listen("127.0.0.1:0").contacts(contact).group("jvm")
        seen = []
        handler = jpype.JProxy("java.util.function.Consumer", dict={"accept": seen.append})
        theirs = java.Group.with_(config).raw("log", handler).join()
        mine.wait_view(2, timeout=20)
        theirs.send(theirs.shard("log"), jpype.JArray(jpype.JByte)(b"from java"))
        message = next(mine.raw("log").messages(timeout=20))
        assert (message.sender, message.tobytes()) == (2, b"from java"), message
        theirs.close()
        mine.wait_view(exactly=1, timeout=20)
    print("ok")
"""


def test_java_and_python_are_members_of_one_group_in_one_process(jar: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(PROGRAM), str(jar)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "ok", done.stdout + done.stderr


def test_a_missing_jar_is_said_with_the_command_that_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(derecho.jvm, "JAR", Path("/nowhere/derecho.jar"))
    with pytest.raises(FileNotFoundError, match=r"bindings/java/build.py --output"):
        derecho.jvm.start()
