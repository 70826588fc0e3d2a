"""examples/c is what a stranger writing C starts from: it builds against what pip installed, and its members agree."""

import re
import socket
import subprocess
from pathlib import Path

import pytest

STRICT = "-pedantic -Wall -Wextra -Wconversion -Werror"
MEMBERS = 3
MESSAGES = 5


@pytest.fixture(scope="session")
def member(root: Path, installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built as a project of its own that knows nothing but find_package(derecho)."""
    build = tmp_path_factory.mktemp("example")
    package = installed / "lib" / "cmake" / "derecho"
    run("cmake", "-S", root / "examples" / "c", "-B", build, f"-Dderecho_DIR={package}", f"-DCMAKE_C_FLAGS={STRICT}")
    run("cmake", "--build", build)
    return build / "member"


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def test_it_compiles_as_strict_c99_against_the_header_alone(root: Path, tmp_path: Path) -> None:
    source = root / "examples" / "c" / "member.c"
    run("gcc", "-std=c99", *STRICT.split(), f"-I{root / 'include'}", "-c", source, "-o", tmp_path / "member.o")


def test_pkg_config_finds_what_pip_installed_and_its_program_starts(
    installed: Path, root: Path, tmp_path: Path
) -> None:
    flags = run(
        "env", f"PKG_CONFIG_PATH={installed / 'lib' / 'pkgconfig'}", "pkg-config", "--cflags", "--libs", "derecho"
    )
    source = root / "examples" / "c" / "member.c"
    run("gcc", "-std=c99", source, "-o", tmp_path / "member", *flags.split())
    done = subprocess.run([tmp_path / "member", "nodde=1"], capture_output=True, text=True, timeout=20)
    assert "nodde" in done.stderr, done.stderr


@pytest.mark.parametrize("languages", ["CXX", "C", "C CXX"])
def test_a_cmake_project_needs_to_say_no_more_than_that_it_links_the_library(
    installed: Path, tmp_path: Path, languages: str
) -> None:
    """`derecho::derecho` brings the C++ standard that its headers need to C++, and nothing of it to C."""
    source = tmp_path / ("main.cpp" if "CXX" in languages else "main.c")
    header = "derecho.hpp" if "CXX" in languages else "derecho.h"
    source.write_text(f"#include <{header}>\nint main(void) {{ return derecho_abi_version() == 0; }}\n")
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.16)\nproject(small LANGUAGES {languages})\nfind_package(derecho REQUIRED)\n"
        f"add_executable(small {source.name})\ntarget_link_libraries(small PRIVATE derecho::derecho)\n"
    )
    build = tmp_path / "build"
    run("cmake", "-S", tmp_path, "-B", build, f"-Dderecho_DIR={installed / 'lib' / 'cmake' / 'derecho'}")
    run("cmake", "--build", build)
    run(build / "small")


def test_three_members_deliver_the_same(member: Path) -> None:
    ports = free_ports(MEMBERS)
    processes = []
    for node, port in enumerate(ports):
        options = [f"node={node}", f"listen=127.0.0.1:{port}", f"initial_members=127.0.0.1:{ports[0]}"]
        options += [f"members={MEMBERS}", f"messages={MESSAGES}", "patience_s=40"]
        processes.append(
            subprocess.Popen([member, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        )
    try:
        outputs = [process.communicate(timeout=90)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()

    assert [process.returncode for process in processes] == [0] * MEMBERS, "\n---\n".join(outputs)
    states = [line for output in outputs for line in re.findall(r"^state: .*$", output, re.MULTILINE)]
    assert len(states) == MEMBERS and len(set(states)) == 1, states
    assert f"state: {MEMBERS * MESSAGES} messages" in states[0]


def test_a_wrong_option_is_refused_by_name(member: Path) -> None:
    done = subprocess.run([member, "nodde=1"], capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert "nodde" in done.stderr and "DERECHO_INVALID" in done.stderr
