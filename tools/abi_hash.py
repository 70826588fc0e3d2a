#!/usr/bin/env python3
"""The hash of the C ABI: over the tokens of include/derecho.h, so that comments and layout do not count.

    python3 tools/abi_hash.py include/derecho.h                     prints it
    python3 tools/abi_hash.py include/derecho.h --output FILE.hpp   writes the header the core includes

Needs nothing but Python: every C++ build runs it.
"""

import argparse
import hashlib
import re
from pathlib import Path

HEADER = """\
// The hash of the C ABI. Written by tools/abi_hash.py at build time; do not edit.
#pragma once

#include <cstdint>

namespace libderecho {{
inline constexpr uint64_t kAbiHash = 0x{hash:016x}ull;
}}  // namespace libderecho
"""

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|\w+|\S')


def abi_hash(header_text: str) -> int:
    """The first 64 bits of the SHA-256 over the header's tokens, one a line."""
    tokens = TOKEN.findall(COMMENT.sub(" ", header_text))
    return int.from_bytes(hashlib.sha256("\n".join(tokens).encode()).digest()[:8], "big")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("header", type=Path)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()

    value = abi_hash(arguments.header.read_text(encoding="utf-8"))
    if arguments.output is None:
        print(f"0x{value:016x}")
        return
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(HEADER.format(hash=value), encoding="utf-8")


if __name__ == "__main__":
    main()
