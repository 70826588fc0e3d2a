#!/usr/bin/env bash
# Puts right what a program can: formatting of Python and C++, order of imports. `--check` only looks at the C++.
set -euo pipefail
cd "$(dirname "$0")/.."

cpp_files() {
    find include libderecho tests bench examples \( -name '*.cpp' -o -name '*.hpp' -o -name '*.c' -o -name '*.h' \) -print0
}

if [ "${1:-}" = --check ]; then
    cpp_files | xargs -0 .venv/bin/clang-format --dry-run -Werror
    exit
fi
cpp_files | xargs -0 .venv/bin/clang-format -i
.venv/bin/ruff check -q --fix .
.venv/bin/ruff format -q .
