"""What is wrong in a C++ program is refused by a concept that is named for it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

PROGRAM = """
#include <derecho.hpp>
struct Cache {
    int64_t put(std::string_view key, derecho::BytesView value);
    std::optional<derecho::Bytes> get(std::string_view key) const;
    void helper();
    %s
    static constexpr auto derecho_service = derecho::service(
        "Cache", derecho::ordered<&Cache::put>("put", "key", "value"), derecho::query<&Cache::get>("get", "key"));
};
void use(derecho::Replicated<Cache> calls, derecho::Config& config, Cache& cache) { %s; }
"""
STATE = "derecho::Bytes save_state() const; void load_state(derecho::Bytes state);"


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
@pytest.mark.parametrize(
    ("state", "statement", "said"),
    [
        (STATE, 'calls.ordered<&Cache::get>("k")', "OrderedMethod"),
        (STATE, 'calls.query<&Cache::put>(1, "k", derecho::Bytes())', "QueryMethod"),
        (STATE, "calls.ordered<&Cache::helper>()", "OrderedMethod"),
        (STATE, 'calls.ordered<&Cache::put>("k")', "ArgumentsOf"),
        (STATE, "calls.ordered<&Cache::put>(1, derecho::Bytes())", "ArgumentsOf"),
        ("", "derecho::Group::join(config, cache)", "SavesState"),
        (STATE, 'derecho::ordered<&Cache::put>("put", "key")', "one name for each parameter"),
        (STATE, "derecho::Message<derecho::Map<std::string, void*>>::encode({})", "Travels"),
    ],
)
def test_a_mistake_is_named(
    installed: Path, compiler: str, state: str, statement: str, said: str, tmp_path: Path
) -> None:
    source = tmp_path / "mistake.cpp"
    source.write_text(PROGRAM % (state, statement))
    command = [compiler, "-std=c++20", "-fsyntax-only", f"-I{installed / 'include'}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert said in done.stderr


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_the_same_program_without_a_mistake_compiles(installed: Path, compiler: str, tmp_path: Path) -> None:
    source = tmp_path / "right.cpp"
    source.write_text(
        PROGRAM % (STATE, 'derecho::Group::join(config, cache); calls.ordered<&Cache::put>("k", derecho::Bytes())')
    )
    command = [compiler, "-std=c++20", "-fsyntax-only", f"-I{installed / 'include'}", str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
