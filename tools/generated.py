#!/usr/bin/env python3
"""Files that are committed although a program writes them: each has one source and one generator, listed here.

python3 tools/generated.py            writes them all again
python3 tools/generated.py --check    fails when one of them is not what its generator would write now
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# The committed file, and the program that writes it; the program is run with Python, in the top folder, and is given
# the path to write as its last argument.
GENERATED: dict[str, list[str]] = {
    "py/derecho/ctypes_api.py": ["py/derecho/_native/build_ctypes.py"],
    "bindings/csharp/Derecho/Native.cs": ["tools/csharp_symbols.py"],
    "bindings/java/src/main/java/org/libderecho/Native.java": ["tools/java_symbols.py"],
}


def generate(program: list[str], output: Path) -> None:
    subprocess.run([sys.executable, *program, str(output)], cwd=ROOT, check=True)


def is_stale(committed: str, program: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / Path(committed).name
        generate(program, fresh)
        old = ROOT / committed
        return not old.exists() or old.read_bytes() != fresh.read_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        stale = [committed for committed, program in GENERATED.items() if is_stale(committed, program)]
        for committed in stale:
            print(f"{committed} is out of date: run python3 tools/generated.py")
        return 1 if stale else 0
    for committed, program in GENERATED.items():
        generate(program, ROOT / committed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
