#!/usr/bin/env bash
# Makes this clone ready: system packages, a Python environment in .venv, and libderecho built and installed in it.
# Run it as often as you like: each step remembers what it was done for, so that a second run takes a moment.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(git make cmake ninja-build ccache g++ clang libclang-rt-14-dev binutils pkg-config util-linux
          libgtest-dev libtomlplusplus-dev python3 python3-venv python3-dev
          maven mono-mcs mono-runtime libmono-system-core4.0-cil libmono-system-numerics4.0-cil)
# The machine in which tests/rdma run. Who may not install packages builds and tests everything else without.
mapfile -t rdma_packages <tests/rdma/packages.txt
[ "$(uname -m)" = x86_64 ] || rdma_packages=()

say() { printf '== %s\n' "$*"; }

# Those of its arguments that are not installed.
missing_of() {
    local package
    for package in "$@"; do
        grep -qx "$package installed" <<<"$installed" || echo "$package"
    done
}

install_system_packages() {
    local missing wanted=("${packages[@]}")
    command -v dpkg-query >/dev/null || return 0 # not Debian: whoever builds here knows what he does
    if [ "$(id -u)" -eq 0 ]; then
        wanted+=("${rdma_packages[@]}")
    elif [ -n "$(missing_of "${rdma_packages[@]}")" ]; then
        echo "The tests of RDMA will be skipped; they want:" $(missing_of "${rdma_packages[@]}") >&2
    fi
    mapfile -t missing < <(missing_of "${wanted[@]}")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        echo "Some packages are missing. Install them, then run this again:" >&2
        echo "    sudo apt-get update && sudo apt-get install -y ${missing[*]}" >&2
        exit 1
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q >/dev/null
    apt-get install -y -q --no-install-recommends "${missing[@]}" </dev/null >build/setup-apt.log 2>&1 ||
        { tail -n 40 build/setup-apt.log >&2; exit 1; }
}

# A step is done when its stamp holds what the step depends on.
done_for() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

make_venv() {
    local python=${PYTHON:-python3} stamp=.venv/.requirements want
    if ! .venv/bin/python -c '' 2>/dev/null; then
        say "making .venv with $($python --version)"
        "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
            { echo "libderecho needs Python 3.10 or newer; name one with PYTHON=..." >&2; exit 1; }
        rm -rf .venv
        "$python" -m venv .venv
    fi
    want=$(sha256sum <pyproject.toml)
    done_for $stamp "$want" && return
    say "installing the Python packages"
    .venv/bin/python -m pip install -q --disable-pip-version-check --upgrade 'pip>=25.1'
    .venv/bin/python -m pip install -q --disable-pip-version-check --group dev
    echo "$want" >$stamp
}

install_libderecho() {
    local stamp=.venv/.libderecho want
    want=$(find . \( -name '.[!.]*' -o -name __pycache__ -o -path ./build -o -path ./dist -o -path ./tests -o -path ./docs \) \
        -prune -o -type f -printf '%p %s %T@\n')
    want=$(LC_ALL=C sort <<<"$want" | sha256sum)
    done_for $stamp "$want" && return
    say "building and installing libderecho (build/wheel)"
    .venv/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation . \
        -C cmake.define.DERECHO_BENCH=ON -C cmake.define.DERECHO_JAVA=ON -C cmake.define.DERECHO_CSHARP=ON \
        -C build-dir=build/wheel -C cmake.define.DERECHO_TESTS=ON -C cmake.define.DERECHO_WERROR=ON
    echo "$want" >$stamp
}

mkdir -p build
installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "${packages[@]}" "${rdma_packages[@]}" 2>/dev/null || true)
install_system_packages
make_venv
install_libderecho
