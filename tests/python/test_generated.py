"""Shows that the committed generated file is what its generator writes now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def test_ctypes_api_is_what_ctypesgen_makes_of_the_header(tmp_path: Path) -> None:
    fresh = tmp_path / "ctypes_api.py"
    generator = ROOT / "py" / "derecho" / "_native" / "build_ctypes.py"
    subprocess.run([sys.executable, generator, fresh], check=True)
    committed = ROOT / "py" / "derecho" / "ctypes_api.py"
    assert fresh.read_text() == committed.read_text(), f"run: python3 {generator.relative_to(ROOT)} {committed}"
