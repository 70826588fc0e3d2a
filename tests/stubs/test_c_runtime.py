"""derecho_stub.h over a group that the test plays, so that what a real one seldom does happens every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = "#include <derecho_stub.h>\n#include <assert.h>\n#include <time.h>\n"

# Another's event with every poll, at once.
BUSY = """
derecho_status derecho_poll(derecho_group *g, derecho_event *e, size_t n, int64_t t, size_t *count, uint64_t *lease) {
    (void)g, (void)n, (void)t;
    memset(e, 0, sizeof *e);
    e->kind = DERECHO_EVENT_MESSAGE;
    e->shard = 9;
    *lease = 0;
    *count = 1;
    return DERECHO_OK;
}
derecho_status derecho_group_view(derecho_group *g, derecho_view *view) {
    (void)g;
    view->member_count = 1;
    return DERECHO_OK;
}
int main(void) {
    derecho_replica replica;
    memset(&replica, 0, sizeof replica);
    struct timespec began, ended;
    timespec_get(&began, TIME_UTC);
    assert(derecho_replica_await(&replica, 1, 300) == DERECHO_TIMEOUT);
    assert(derecho_replica_await_members(&replica, 2, 300) == DERECHO_TIMEOUT);
    timespec_get(&ended, TIME_UTC);
    assert((ended.tv_sec - began.tv_sec) * 1000 + (ended.tv_nsec - began.tv_nsec) / 1000000 >= 590);
    return 0;
}
"""

# A group with the least mail_bytes, 65536.
SMALL_MAIL = """
static size_t arrived;
derecho_status derecho_group_state(derecho_group *g, uint32_t n, uint64_t r, const void *d, size_t size, int32_t l) {
    (void)g, (void)n, (void)r, (void)d, (void)l;
    if (size > 65536 / 4 - 16) return DERECHO_TOO_LARGE;
    arrived += size;
    return DERECHO_OK;
}
static void *save(const void *handlers, uint64_t *size_out) {
    (void)handlers;
    return calloc(1, *size_out = 100000);
}
int main(void) {
    const derecho_replica_methods methods = {NULL, save, NULL};
    derecho_replica replica;
    memset(&replica, 0, sizeof replica);
    replica.methods = &methods;
    derecho_event request;
    memset(&request, 0, sizeof request);
    request.kind = DERECHO_EVENT_STATE_REQUEST;
    assert(derecho_replica_handle(&replica, &request) == DERECHO_OK);
    assert(arrived == 100000 && !replica.outgoing);
    return 0;
}
"""


@pytest.mark.parametrize("program", [BUSY, SMALL_MAIL], ids=["a wait lasts its time", "state fits the least mail"])
def test_a_replica(installed: Path, run: Callable[..., str], program: str, tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(HEAD + program)
    native = installed / "_native"  # has what the program does not play
    flags = ["-std=c11", f"-I{installed / 'include'}", f"-L{native}", f"-Wl,-rpath,{native}"]
    run("gcc", *flags, tmp_path / "program.c", "-o", tmp_path / "program", "-lderecho")
    run(tmp_path / "program")
