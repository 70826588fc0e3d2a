"""What the checks on the repository itself share: where it is, and what is in it."""

import importlib.util
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


@pytest.fixture(scope="session")
def installed() -> Path:
    """The package as pip installed it, with library, header and CMake package inside; found without importing it."""
    package = importlib.util.find_spec("derecho")
    if package is None or package.origin is None:
        pytest.fail("the package is not installed: make setup")
    return Path(package.origin).parent
