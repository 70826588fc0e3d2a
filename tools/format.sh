#!/usr/bin/env bash
# Puts right what a program can: formatting of Python and C++, order of imports. `--check` only looks at the C++.
set -euo pipefail
cd "$(dirname "$0")/.."

# Not what a program wrote: it says "do not edit".
cpp_files() {
    find include libderecho py/derecho/demo tests bench examples \( -name '*.cpp' -o -name '*.hpp' -o -name '*.c' -o -name '*.h' \) \
        -print0 | xargs -0 grep -LZ 'do not edit'
}

if [ "${1:-}" = --check ]; then
    cpp_files | xargs -0 .venv/bin/clang-format --dry-run -Werror
    exit
fi
cpp_files | xargs -0 .venv/bin/clang-format -i
.venv/bin/ruff check -q --fix .
.venv/bin/ruff format -q .
