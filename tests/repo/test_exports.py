"""The header, the export map and the library name the same functions; the hash counts only what matters."""

import ctypes
import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def declared(header: Path) -> set[str]:
    return set(re.findall(r"\b(derecho_\w+)\s*\(", COMMENT.sub("", header.read_text())))


def mapped(root: Path) -> set[str]:
    text = COMMENT.sub("", (root / "libderecho/capi/exports.map").read_text())
    return set(re.findall(r"\b(derecho_\w+);", text))


@pytest.fixture(scope="session")
def library(installed: Path) -> Path:
    return next((installed / "_native").glob("libderecho.so.*"))


@pytest.fixture(scope="session")
def abi_hash(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("abi_hash", root / "tools" / "abi_hash.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_export_map_lists_exactly_the_functions_of_the_header(root: Path, header: Path) -> None:
    assert mapped(root) == declared(header)


def test_library_exports_exactly_the_functions_of_the_header(library: Path, header: Path) -> None:
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    exported = {line.split()[-1].partition("@")[0] for line in lines.splitlines() if " A " not in line}
    assert exported == declared(header)


def test_a_wheel_and_an_install_have_one_name_for_the_library(
    root: Path, library: Path, header: Path, tmp_path: Path
) -> None:
    """The file and its SONAME end in the version of the ABI, in the wheel and where `cmake --install` puts it."""
    found = re.search(r"#define DERECHO_ABI_VERSION (\d+)", header.read_text())
    assert found is not None
    name = f"libderecho.so.{found[1]}"
    assert (library.name, soname(library)) == (name, name)
    subprocess.run(["cmake", "-S", root, "-B", tmp_path / "build"], check=True, capture_output=True)
    described = (tmp_path / "build" / "cmake_install.cmake").read_text()
    assert set(re.findall(r"libderecho\.so[.\d]*", described)) == {name, "libderecho.so"}


def test_every_symbol_has_the_version_of_the_abi(library: Path, header: Path) -> None:
    lines = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    versions = {line.rpartition("@")[2] for line in lines.splitlines() if " T " in line}
    found = re.search(r"#define DERECHO_ABI_VERSION (\d+)", header.read_text())
    assert found is not None
    assert versions == {f"DERECHO_{found[1]}"}


def soname(library: Path) -> str:
    lines = subprocess.run(["objdump", "-p", library], check=True, capture_output=True, text=True).stdout
    found = re.search(r"SONAME\s+(\S+)", lines)
    return found[1] if found else ""


def test_library_needs_nothing_that_a_machine_may_lack(library: Path) -> None:
    lines = subprocess.run(["objdump", "-p", library], check=True, capture_output=True, text=True).stdout
    needed = set(re.findall(r"NEEDED\s+(\S+?)\.so", lines))
    assert needed <= {
        "libstdc++",
        "libgcc_s",
        "libc",
        "libm",
        "libcrypto",
        "libssl",
        "ld-linux-x86-64",
        "ld-linux-aarch64",
    }


def test_library_says_the_version_and_hash_it_was_built_from(
    root: Path, library: Path, header: Path, abi_hash: ModuleType
) -> None:
    lib = ctypes.CDLL(str(library))
    lib.derecho_version.restype = ctypes.c_char_p
    lib.derecho_abi_hash.restype = ctypes.c_uint64
    assert lib.derecho_version().decode() == (root / "VERSION").read_text().strip()
    assert lib.derecho_abi_hash() == abi_hash.abi_hash(header.read_text())


def test_hash_ignores_comments_and_layout(abi_hash: ModuleType) -> None:
    plain = abi_hash.abi_hash("int32_t f(void *p);")
    assert plain == abi_hash.abi_hash("/* about f */\nint32_t  f( void* p ) ; // more\n")


@pytest.mark.parametrize("other", ["int32_t g(void *p);", "int64_t f(void *p);", "int32_t f(void *p, int n);"])
def test_hash_changes_with_every_declaration(abi_hash: ModuleType, other: str) -> None:
    assert abi_hash.abi_hash("int32_t f(void *p);") != abi_hash.abi_hash(other)
