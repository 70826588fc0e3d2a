"""What the checks on the repository itself share: where it is, and what is in it."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def tracked_files(root: Path) -> list[Path]:
    """Every file that git would give to a clone, and those that are about to be added."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.split("\0")
    return [root / name for name in names if name and (root / name).is_file()]


@pytest.fixture(scope="session")
def header(root: Path) -> Path:
    return root / "include" / "derecho.h"
