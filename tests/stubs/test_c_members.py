"""C stubs in a real group: what a program may rely on when `join` has returned, and what it may pass."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import derecho

Run = Callable[..., str]

SERVICE = """
from dataclasses import dataclass

import derecho


@dataclass
class Point:
    x: int
    y: int


@derecho.service(state=dict[str, bytes])
class Shelf:
    def __init__(self) -> None:
        self.items = {}
        self.last = None

    @derecho.ordered
    def put(self, key: str, value: bytes) -> int:
        self.items[key] = value
        return len(self.items)

    @derecho.ordered
    def move(self, to: Point | None, path: list[Point]) -> bool:
        self.last = to
        return to is not None

    def __derecho_save__(self):
        return self.items

    def __derecho_load__(self, state):
        self.items = dict(state)
"""

PROGRAM = """
#include "shelf.h"

static uint64_t count;

static derecho_status on_put(void *x, derecho_text key, derecho_bytes value, int64_t *result, derecho_handling *h) {
    (void)x, (void)key, (void)value, (void)h;
    *result = (int64_t)++count;
    return DERECHO_OK;
}
static derecho_status on_move(void *x, const shelf_optional_point *to, const shelf_list_point *path, bool *result,
                              derecho_handling *h) {
    (void)x, (void)path, (void)h;
    *result = to->present;
    return DERECHO_OK;
}
static void save(void *x, shelf_state *state, derecho_arena *arena) { (void)x, (void)state, (void)arena; }
static void load(void *x, const shelf_state *state) {
    (void)x;
    count = state->state.count;
}

int main(int argc, char **argv) {
    (void)argc;
    const char *const options[] = {"node", "2", "listen", "127.0.0.1:0", "contacts", argv[1], NULL};
    const shelf_handlers handlers = {NULL, on_put, on_move, save, load};
    derecho_replica shelf;
    uint64_t call;
    if (shelf_join(options, 20000, &handlers, &shelf)) return fprintf(stderr, "%s\\n", derecho_stub_error()), 1;
    printf("joined with %d\\n", (int)count);
    if (shelf_move(shelf.shard, NULL, NULL, &call) != DERECHO_INVALID) return 2;
    printf("%s\\n", derecho_stub_error());
    const shelf_list_point none = {NULL, 0};
    if (shelf_move(shelf.shard, NULL, &none, &call) || derecho_replica_await(&shelf, call, 10000))
        return fprintf(stderr, "%s\\n", derecho_stub_error()), 3;
    puts("moved nowhere");
    return derecho_replica_leave(&shelf, 10000) != DERECHO_OK;
}
"""


@pytest.fixture
def shelf(tmp_path: Path) -> Any:
    """The service's class."""
    (tmp_path / "shelf.py").write_text(SERVICE)
    spec = importlib.util.spec_from_file_location("shelf", tmp_path / "shelf.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shelf"] = module
    spec.loader.exec_module(module)
    return module.Shelf


def test_join_returns_with_the_state_and_null_is_an_absent_optional(
    installed: Path, stubs: Any, run: Run, shelf: Any, tmp_path: Path
) -> None:
    """A Python member holds 300 values of 10,000 bytes; the C program prints what it has as soon as it has joined."""
    assert stubs(tmp_path / "shelf.py", "--lang", "c", "--out", tmp_path).returncode == 0
    (tmp_path / "program.c").write_text(PROGRAM)
    native = installed / "_native"
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{installed / 'include'}", f"-I{tmp_path}"]
    link = [f"-L{native}", "-lderecho", f"-Wl,-rpath,{native}"]
    run("gcc", *flags, tmp_path / "program.c", "-o", tmp_path / "program", *link)
    with derecho.join([shelf()], node=1, listen="127.0.0.1:0", found=True, timeout=20) as group:
        for i in range(300):
            group[shelf].put(f"key {i}", bytes(10_000)).result()
        said = run(tmp_path / "program", group.view.members[0].address)
        assert group.local(shelf).last is None
    assert said.splitlines() == ["joined with 300", "argument path is NULL", "moved nowhere"]
