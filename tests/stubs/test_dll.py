"""A service in C++ as a DLL of untyped stubs: examples/cache_cpp, called from programs that know only its shim."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import selectors
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import cffi
import pytest

from derecho.stubs.model import read_services
from derecho.stubs.names import snake

EXAMPLE = Path("examples/cache_cpp")
Run = Callable[..., str]
CLOSED, REMOTE_ERROR, BAD_HANDLE, INVALID, TIMEOUT = 5, 17, 4, 3, 2


@pytest.fixture(scope="session")
def shim(root: Path) -> ModuleType:
    """The generated shim for Python, which needs nothing of libderecho."""
    spec = importlib.util.spec_from_file_location("cache_dll", root / EXAMPLE / "cache_dll.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pair(shim: ModuleType, library: Path, ports: list[int]) -> Any:
    """Two members of a group, in this process."""
    contact = f"initial_members=127.0.0.1:{ports[0]}"
    members = [shim.Cache(f"node={i + 1};listen=127.0.0.1:{ports[i]};{contact}", str(library)) for i in range(2)]
    for member in members:
        member.wait_members(2)
    yield members
    for member in members:
        try:
            member.close()
        except shim.CacheError as error:
            assert error.status == CLOSED


def test_what_is_committed_is_what_would_be_generated(root: Path, stubs: Any, tmp_path: Path) -> None:
    words = ["--lang", "cpp,python,java,csharp", "--dll", "--out", tmp_path]
    assert stubs(root / EXAMPLE / "cache.py", *words).returncode == 0
    fresh = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "cache_service.cpp"}
    assert fresh == {name: (root / EXAMPLE / name).read_text() for name in fresh}


def test_a_file_that_is_filled_in_is_kept(root: Path, stubs: Any, tmp_path: Path) -> None:
    mine = tmp_path / "cache_service.cpp"
    mine.write_text("// Yours to fill in: done\n")
    done = stubs(root / EXAMPLE / "cache.py", "--lang", "cpp", "--dll", "--out", tmp_path)
    assert "cache_service.cpp: kept" in done.stdout and mine.read_text() == "// Yours to fill in: done\n"


def test_a_method_that_every_dll_has_is_refused(stubs: Any, tmp_path: Path) -> None:
    service = "import derecho\n@derecho.service\nclass A:\n @derecho.query\n def close(self) -> int: ...\n"
    (tmp_path / "a.py").write_text(service)
    done = stubs(tmp_path / "a.py", "--lang", "cpp", "--dll", "--out", tmp_path)
    assert done.returncode == 1 and "A.close: a DLL has a_close already" in done.stderr


@pytest.mark.parametrize(
    "methods",
    [
        "call(self) -> None",
        "member(self) -> None",
        "put(self) -> int: ...\n @derecho.query\n def put_result(self) -> int",
    ],
)
def test_a_method_named_like_what_a_dll_has_is_refused(stubs: Any, methods: str, tmp_path: Path) -> None:
    service = f"import derecho\n@derecho.service\nclass A:\n @derecho.query\n def {methods}: ...\n"
    (tmp_path / "a.py").write_text(service)
    done = stubs(tmp_path / "a.py", "--lang", "c", "--dll", "--out", tmp_path)
    assert done.returncode == 1 and "already; rename the method" in done.stderr


@pytest.mark.parametrize("service", ["awkward.py", "clashing.py"])
def test_a_dll_of_any_names_compiles_and_so_does_its_shim(
    root: Path, installed: Path, stubs: Any, run: Run, service: str, tmp_path: Path
) -> None:
    source = root / "tests" / "stubs" / service
    for model in read_services(source):  # a project each
        name = model.schema.name
        done = stubs(source, "--service", name, "--lang", "cpp,python", "--dll", "--out", tmp_path / snake(name))
        assert done.returncode == 0, done.stderr
    flags = ["-std=c++20", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-fsyntax-only"]
    for source in tmp_path.glob("*/*.cpp"):
        run("g++", *flags, f"-I{installed / 'include'}", source)
    for shim in tmp_path.glob("*/*_dll.py"):
        compile(shim.read_text(), shim.name, "exec")


def test_an_installed_dll_brings_the_library_and_names_no_place_of_the_machine_that_built_it(
    library: Path, run: Run, tmp_path: Path
) -> None:
    run("cmake", "--install", library.parent, "--prefix", tmp_path)
    shipped = tmp_path / "lib" / "libcache.so"
    assert re.search(r"RUNPATH\s+\$ORIGIN\n", run("objdump", "-p", shipped))
    needed = run("env", "-u", "LD_LIBRARY_PATH", "ldd", shipped)
    assert re.search(rf"libderecho\.so\.\d+ => {tmp_path}/lib/libderecho\.so", needed)
    assert (tmp_path / "include" / "cache_dll.h").exists()


def test_the_library_exports_its_functions_and_nothing_else(root: Path, library: Path, run: Run) -> None:
    exported = set(re.findall(r" T (\w+)$", run("nm", "-D", "--defined-only", library), re.MULTILINE))
    declared = set(re.findall(r"\b(cache_\w+)\(", (root / EXAMPLE / "cache_dll.h").read_text()))
    assert exported == declared


def test_ctypes_calls_it_through_the_shim(pair: Any, shim: ModuleType) -> None:
    one, two = pair
    assert one.put("k", b"value").all() == 1
    assert two.get(2, "k").result() == b"value"
    assert two.get(1, "absent").result() is None
    assert one.put("ä", b"").all() == 2
    assert two.sizes(1).result() == [5, 0]
    assert [two.drop("ä").all(), two.drop("ä").all()] == [True, False]
    with pytest.raises(
        shim.CacheError, match="member 1 failed: invalid_argument: a key has at least one byte"
    ) as error:
        two.put("", b"").all()
    assert error.value.status == REMOTE_ERROR


def test_a_closed_member_is_an_error_never_a_crash(pair: Any, shim: ModuleType) -> None:
    one, _ = pair
    one.leave()
    for use in (lambda: one.put("k", b""), one.leave, one.close, lambda: one.wait_members(1)):
        with pytest.raises(shim.CacheError) as error:
            use()
        assert error.value.status == CLOSED


def test_misuse_of_handles_and_options_says_so(library: Path) -> None:
    dll = ctypes.CDLL(str(library))
    dll.cache_last_error.restype = ctypes.c_char_p
    nothing = ctypes.c_void_p()
    assert dll.cache_wait(nothing, ctypes.c_int64(1)) == BAD_HANDLE
    assert dll.cache_close(ctypes.c_void_p(123456789)) == BAD_HANDLE
    assert dll.cache_open(b"nodde=1", ctypes.byref(nothing)) == INVALID and b"nodde" in dll.cache_last_error()
    assert dll.cache_open(b"node", ctypes.byref(nothing)) == INVALID and b"key=value" in dll.cache_last_error()


def test_a_null_pointer_for_a_handle_is_an_error(library: Path, ports: list[int]) -> None:
    dll = ctypes.CDLL(str(library))
    dll.cache_last_error.restype = ctypes.c_char_p
    member, address = ctypes.c_void_p(), f"127.0.0.1:{ports[0]}"
    config = f"node=1;listen={address};initial_members={address}".encode()
    assert dll.cache_open(config, None) == INVALID and b"null pointer" in dll.cache_last_error()
    assert dll.cache_open(config, ctypes.byref(member)) == 0
    assert dll.cache_get(member, ctypes.c_uint32(1), b"k", ctypes.c_size_t(1), None) == INVALID
    assert dll.cache_close(member) == 0


@pytest.fixture(scope="module")
def untyped(root: Path, library: Path) -> tuple[Any, Any]:
    """The DLL by its header alone: what cffi makes of it, and its functions."""
    header = (root / EXAMPLE / "cache_dll.h").read_text()
    ffi = cffi.FFI()
    ffi.cdef(
        re.sub(r"#ifdef __cplusplus.*?#endif", "", re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL), flags=re.DOTALL)
        .replace("#include <stddef.h>", "")
        .replace("#include <stdint.h>", "")
        .replace("#ifndef CACHE_DLL_H", "")
        .replace("#define CACHE_DLL_H", "")
        .replace("#endif", "")
    )
    return ffi, ffi.dlopen(str(library))


def test_cffi_reads_the_header_as_it_is(untyped: Any, ports: list[int]) -> None:
    ffi, dll = untyped
    handle, call, total = ffi.new("cache_member **"), ffi.new("cache_call **"), ffi.new("int64_t *")
    address = f"127.0.0.1:{ports[0]}"
    assert dll.cache_open(f"node=1\nlisten={address}\ninitial_members={address}\n".encode(), handle) == 0
    assert dll.cache_put(handle[0], b"key", 3, b"value", 5, call) == 0
    assert dll.cache_put_result(call[0], total) in (0, TIMEOUT)  # it may have come, but nobody waited for it
    assert dll.cache_wait_all(call[0], 5000) == 0
    assert dll.cache_put_result(call[0], total) == 0 and total[0] == 1
    assert dll.cache_get_result(call[0], ffi.new("uint8_t *"), ffi.new("void **"), ffi.new("size_t *")) == INVALID
    assert b"another result" in ffi.string(dll.cache_last_error())
    assert dll.cache_call_close(call[0]) == 0
    assert dll.cache_call_close(call[0]) == CLOSED
    assert dll.cache_leave(handle[0]) == 0


def test_the_shim_refuses_a_library_of_another_schema(shim: ModuleType, library: Path) -> None:
    program = f"import cache_dll; cache_dll.SCHEMA_HASH = 1; cache_dll.Cache('node=1', {str(library)!r})"
    folder = Path(str(shim.__file__)).parent
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "was built from another Cache" in done.stderr


def opened(ffi: Any, dll: Any, port: int) -> Any:
    handle = ffi.new("cache_member **")
    address = f"127.0.0.1:{port}"
    assert dll.cache_open(f"node=1;listen={address};initial_members={address}".encode(), handle) == 0
    return handle[0]


def said_by(ffi: Any, function: Any, handle: Any) -> str:
    size = function(handle, ffi.NULL, 0)
    text = ffi.new("char[]", size + 1)
    assert function(handle, text, size + 1) == size
    return str(ffi.string(text).decode())


def in_a_thread(function: Callable[[], Any]) -> Any:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(function).result()


def test_a_failure_is_told_by_its_handle_whichever_thread_asks(untyped: Any, ports: list[int]) -> None:
    """Runtimes that move tasks between threads call and ask on two: the text is the handle's, not the thread's."""
    ffi, dll = untyped
    member, call = opened(ffi, dll, ports[0]), ffi.new("cache_call **")
    assert dll.cache_put(member, b"", 0, b"v", 1, call) == 0
    assert in_a_thread(lambda: dll.cache_wait(call[0], 5000)) != 0
    assert said_by(ffi, dll.cache_call_error, call[0]).endswith("a key has at least one byte")
    assert in_a_thread(lambda: dll.cache_get(member, 77, b"k", 1, call)) != 0
    assert "77" in said_by(ffi, dll.cache_member_error, member)
    short = ffi.new("char[4]")
    assert dll.cache_member_error(member, short, 4) > 4 and len(ffi.string(short)) == 3
    assert dll.cache_leave(member) == 0
    assert said_by(ffi, dll.cache_member_error, member) == "the handle was closed"
    text = ffi.new("char[200]")
    assert dll.cache_open_text(b"nodde=1", ffi.new("cache_member **"), text, 200) == INVALID
    assert b"nodde" in ffi.string(text)


def test_an_event_loop_waits_on_a_descriptor_and_polls(untyped: Any, ports: list[int]) -> None:
    ffi, dll = untyped
    member, call = opened(ffi, dll, ports[0]), ffi.new("cache_call **")
    fd, done, total = ffi.new("int32_t *"), ffi.new("uint8_t *"), ffi.new("int64_t *")
    assert dll.cache_member_fd(member, fd) == 0
    assert dll.cache_put(member, b"key", 3, b"v", 1, call) == 0
    loop = selectors.DefaultSelector()
    loop.register(fd[0], selectors.EVENT_READ)
    for everybody in (0, 1):
        while True:
            assert dll.cache_call_poll(call[0], everybody, done) == 0
            if done[0]:
                break
            assert loop.select(60), "nothing came in a minute"
            os.read(fd[0], 8)
    assert dll.cache_put_result(call[0], total) == 0 and total[0] == 1
    assert dll.cache_leave(member) == 0


def test_the_view_is_told_by_nodes(untyped: Any, ports: list[int]) -> None:
    ffi, dll = untyped
    member = opened(ffi, dll, ports[0])
    view, nodes, count = ffi.new("uint64_t *"), ffi.new("uint32_t[2]"), ffi.new("size_t *")
    assert dll.cache_wait_members_exactly(member, 1, 5000) == 0
    assert dll.cache_view_members(member, view, nodes, 2, count) == 0
    assert (count[0], nodes[0], view[0] > 0) == (1, 1, True)
    assert dll.cache_view_voters(member, view, nodes, 2, count) == 0
    assert (count[0], nodes[0], view[0] > 0) == (1, 1, True)
    assert dll.cache_view_members(member, ffi.NULL, ffi.NULL, 0, count) == 0 and count[0] == 1
    assert dll.cache_view_members(member, view, nodes, 2, ffi.NULL) == INVALID
    assert dll.cache_leave(member) == 0
