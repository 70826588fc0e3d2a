"""The README's first example is a file of its own, and it runs: three processes, one Enter each."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "python" / "cache.py"


def test_the_readme_shows_the_example_as_it_is() -> None:
    shown = (ROOT / "README.md").read_text().split("```python\n")[1].split("```")[0]
    assert shown == EXAMPLE.read_text()


def test_three_processes_replicate_the_cache(tmp_path: Path) -> None:
    ports = f"127.0.0.1:{random.randint(1100, 3200)}"  # and one digit for the node
    program = tmp_path / "cache.py"
    program.write_text(EXAMPLE.read_text().replace("127.0.0.1:700", ports))
    members = [
        subprocess.Popen(
            [sys.executable, str(program), str(node)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for node in (1, 2, 3)
    ]
    try:
        for member in members:
            assert member.stdout is not None
            assert "every member says" in member.stdout.readline()
        said = [member.communicate("\n", timeout=60)[0] for member in members]
    finally:
        for member in members:
            member.kill()
    for node, text in enumerate(said, start=1):
        assert f"node {node} has" in text
        for other in (1, 2, 3):
            assert f"'from {other}': b'hello'" in text
