"""Writes the C source of the extension module ``derecho._native._lib``: ``python build_native.py OUT.c``.

cffi in API mode declares what is in ``include/derecho.h``, which is preprocessed here; the message path in ``fast.c``
is compiled into the same file. Whoever compiles OUT.c gives the folders of ``Python.h`` and ``derecho.h``, and links it
to ``libderecho.so``. It uses all of CPython's API (types with buffers), so it serves the Python that it is built for.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import cffi

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
HEADER = ROOT / "include" / "derecho.h"

SOURCE = """
#include <derecho.h>
#define DERECHO_BUILT_AGAINST 0x{abi_hash:016x}ull
#include "{fast}"
"""

#: The build passes Py_LIMITED_API for cffi's own needs; fast.c needs more, and both share a file.
HEAD = """\
/* Written by py/derecho/_native/build_native.py from include/derecho.h; do not edit. */
#undef Py_LIMITED_API
#define _CFFI_NO_LIMITED_API
"""


def declarations(header: str) -> str:
    """Reduce the header to what cffi's parser takes: no comments, no preprocessor but integer constants."""
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.DOTALL)
    lines, skipping = [], 0
    for line in text.splitlines():
        word = line.strip()
        if word.startswith("#if"):  # guards, C++ and compiler attributes: nothing inside concerns cffi ...
            skipping += 0 if word == "#ifndef DERECHO_H" else 1
        elif word.startswith("#endif"):
            skipping = max(0, skipping - 1)
        elif re.fullmatch(r"#define\s+DERECHO_\w+\s+\w+", word) and not skipping:  # ... constants do
            lines.append(word)
        elif not word.startswith("#") and not skipping:
            lines.append(line.replace("DERECHO_API ", ""))
    return "\n".join(lines)


def abi_hash(header: str) -> int:
    """Hash the header as the library's build does (tools/abi_hash.py)."""
    spec = importlib.util.spec_from_file_location("abi_hash", ROOT / "tools" / "abi_hash.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return int(module.abi_hash(header))


def main() -> None:
    """Write the file named on the command line."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    output = Path(sys.argv[1])
    header = HEADER.read_text(encoding="utf-8")
    ffi = cffi.FFI()
    ffi.cdef(declarations(header))
    source = SOURCE.format(abi_hash=abi_hash(header), fast=(HERE / "fast.c").as_posix())
    ffi.set_source("derecho._native._lib", source)
    output.parent.mkdir(parents=True, exist_ok=True)
    ffi.emit_c_code(str(output))
    output.write_text(HEAD + output.read_text(encoding="utf-8"), encoding="utf-8")


if __name__ == "__main__":
    main()
