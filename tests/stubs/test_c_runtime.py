"""derecho_stub.h over a group that the test plays, so that what a real one seldom does happens every time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = """
#include <derecho_stub.h>
#include <assert.h>
#include <time.h>
derecho_status derecho_group_holdup(derecho_group *g, uint32_t n, derecho_holdup *holdup) {
    (void)g, (void)n;
    holdup->text[0] = 0;
    return DERECHO_OK;
}
derecho_status derecho_group_state_size(derecho_group *g, uint32_t n, uint64_t r, uint64_t size) {
    (void)g, (void)n, (void)r, (void)size;
    return DERECHO_OK;
}
derecho_status derecho_group_state_fail(derecho_group *g, uint32_t n, uint64_t r, const void *t, size_t size) {
    (void)g, (void)n, (void)r, (void)t, (void)size;
    return DERECHO_OK;
}
"""

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
    view->members[0].flags = DERECHO_MEMBER_HAS_STATE | DERECHO_MEMBER_VOTES;
    return DERECHO_OK;
}
int main(void) {
    derecho_replica replica;
    memset(&replica, 0, sizeof replica);
    struct timespec began, ended;
    timespec_get(&began, TIME_UTC);
    assert(derecho_replica_await(&replica, 1, 300) == DERECHO_TIMEOUT);
    assert(!strcmp(derecho_stub_error(), "the call was not ordered within 300 ms"));
    assert(derecho_replica_await_members(&replica, 2, 300) == DERECHO_TIMEOUT);
    assert(!strcmp(derecho_stub_error(), "the view has 1 members, of which 1 vote, after 300 ms, not 2 or more"));
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

# Every option is refused.
REFUSED = """
static int open_configs;
derecho_status derecho_config_create(derecho_config **config_out) {
    *config_out = (derecho_config *)&open_configs;
    ++open_configs;
    return DERECHO_OK;
}
derecho_status derecho_config_set(derecho_config *config, const char *key, const char *value) {
    (void)config, (void)key, (void)value;
    return DERECHO_INVALID;
}
const char *derecho_last_error(void) { return open_configs ? "there is no nodde" : "a later call"; }
derecho_status derecho_config_close(derecho_config *config) {
    (void)config;
    --open_configs;
    return DERECHO_OK;
}
int main(void) {
    const char *const options[] = {"nodde", "1", NULL}, *const odd[] = {"node", NULL}, *const schema[] = {NULL};
    derecho_replica replica;
    memset(&replica, 0, sizeof replica);
    assert(derecho_stub_join("Cache", 1, schema, options, 0, &replica) == DERECHO_INVALID);
    assert(!strcmp(derecho_stub_error(), "there is no nodde"));
    assert(derecho_stub_join("Cache", 1, schema, odd, 0, &replica) == DERECHO_INVALID);
    assert(!strcmp(derecho_stub_error(), "option node has no value"));
    assert(open_configs == 0 && !replica.group && !replica.shard);
    return 0;
}
"""

# The call is ordered, member 2 fails; after that the group ends, and says so once.
ENDS = """
static int polls;
derecho_status derecho_poll(derecho_group *g, derecho_event *e, size_t n, int64_t t, size_t *count, uint64_t *lease) {
    (void)g, (void)n, (void)t;
    memset(e, 0, 4 * sizeof *e);
    *lease = 0;
    *count = 0;
    if (polls++ == 0) {
        e[0].kind = DERECHO_EVENT_ORDERED;
        e[0].size_bytes = 4;
        e[1].kind = DERECHO_EVENT_REPLY;
        e[1].node = 2;
        e[1].status = DERECHO_REMOTE_ERROR;
        e[1].data = "ENOSPC: the cache is full";
        e[1].size_bytes = 25;
        e[0].id = e[1].id = 7;
        *count = 2;
    } else if (polls == 3) {
        e[0].kind = DERECHO_EVENT_CLOSED;
        e[0].status = DERECHO_EJECTED;
        *count = 1;
    }
    return polls > 3 ? DERECHO_CLOSED : DERECHO_OK;
}
derecho_status derecho_group_view(derecho_group *g, derecho_view *view) {
    (void)g, (void)view;
    return DERECHO_CLOSED;
}
int main(void) {
    const char *ejected = "the group has ended for this node: DERECHO_EJECTED";
    derecho_replica replica;
    memset(&replica, 0, sizeof replica);
    assert(derecho_replica_await(&replica, 7, 5000) == DERECHO_REMOTE_ERROR);
    assert(!strcmp(derecho_stub_error(), "member 2 failed: DERECHO_REMOTE_ERROR: ENOSPC: the cache is full"));
    assert(derecho_replica_await(&replica, 8, 5000) == DERECHO_EJECTED);
    assert(!strcmp(derecho_stub_error(), ejected));
    assert(derecho_replica_await_members(&replica, 2, 5000) == DERECHO_EJECTED);
    assert(!strcmp(derecho_stub_error(), ejected));
    return 0;
}
"""

# A text that is not UTF-8, in arguments and in the state.
UNFIT = """
static void *save(const void *handlers, uint64_t *size_out) {
    (void)handlers;
    *size_out = UINT64_MAX;
    return NULL;
}
int main(void) {
    const derecho_type_field fields[] = {{&derecho_type_str, 0, 0}};
    const derecho_type type = {DERECHO_TYPE_STRUCT, true, 4, 8, 16, 1, NULL, 0, fields};
    const derecho_text text = {"\\xff", 1};
    assert(derecho_stub_call(NULL, 0, 0, &type, &text, NULL) == DERECHO_INVALID);
    assert(strstr(derecho_stub_error(), "the arguments cannot travel: a text is not UTF-8"));
    assert(derecho_stub_query(NULL, 1, 0, &type, &text, NULL) == DERECHO_INVALID);
    assert(strstr(derecho_stub_error(), "the arguments cannot travel: a text is not UTF-8"));
    const derecho_replica_methods methods = {NULL, save, NULL};
    derecho_replica replica;
    memset(&replica, 0, sizeof replica);
    replica.methods = &methods;
    derecho_event request;
    memset(&request, 0, sizeof request);
    request.kind = DERECHO_EVENT_STATE_REQUEST;
    assert(derecho_replica_handle(&replica, &request) == DERECHO_INVALID);
    assert(strstr(derecho_stub_error(), "the state cannot travel: a text is not UTF-8"));
    return 0;
}
"""

# Two times 3 GB, which nobody reads: they are measured only.
HUGE_MESSAGE = """
int main(void) {
    const derecho_type_field fields[] = {{&derecho_type_bytes, 0, 0}, {&derecho_type_bytes, 8, 16}};
    const derecho_type type = {DERECHO_TYPE_STRUCT, true, 4, 16, 32, 2, NULL, 0, fields};
    const derecho_bytes value[2] = {{NULL, (uint64_t)3 << 30}, {NULL, (uint64_t)3 << 30}};
    assert(derecho_message_bytes(&type, value) == UINT64_MAX);
    return 0;
}
"""

# The caller's mail is full at first, and takes 100 bytes an answer.
TOO_LARGE_LATER = """
static bool full = true;
static derecho_status status_sent;
static char sent[101];
derecho_status derecho_group_reply(derecho_group *g, uint32_t n, uint64_t c, derecho_status s, const void *d,
                                   size_t z) {
    (void)g, (void)n, (void)c;
    if (full) return DERECHO_AGAIN;
    if (z > 100) return DERECHO_TOO_LARGE;
    memcpy(sent, d, z);
    status_sent = s;
    return DERECHO_OK;
}
const char *derecho_last_error(void) { return "200 bytes are more than the 100 that fit"; }
int main(void) {
    const char large[200] = {0};
    derecho_answers answers = {NULL, NULL};
    derecho_event call;
    memset(&call, 0, sizeof call);
    call.flags = DERECHO_FLAG_REPLY;
    assert(derecho_answer(NULL, &call, DERECHO_OK, large, 10, &answers) == DERECHO_OK);
    assert(derecho_answer(NULL, &call, DERECHO_OK, large, 200, &answers) == DERECHO_OK);
    full = false;
    derecho_answers_retry(NULL, &answers);
    assert(!answers.first && !answers.last);
    assert(status_sent == DERECHO_REMOTE_ERROR);
    assert(!strcmp(sent, "TooLarge: 200 bytes are more than the 100 that fit"));
    return 0;
}
"""

PROGRAMS = {
    "a wait tells which member failed, and what ended the group": ENDS,
    "what cannot travel is invalid": UNFIT,
    "a too large answer queued behind others is told to its caller": TOO_LARGE_LATER,
    "a wait lasts its time": BUSY,
    "state fits the least mail": SMALL_MAIL,
    "a join that fails keeps nothing": REFUSED,
    "a message of more than 4 GB is refused": HUGE_MESSAGE,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_replica(installed: Path, run: Callable[..., str], program: str, tmp_path: Path) -> None:
    (tmp_path / "program.c").write_text(HEAD + program)
    native = installed / "_native"  # has what the program does not play
    flags = ["-std=c11", f"-I{installed / 'include'}", f"-L{native}", f"-Wl,-rpath,{native}"]
    run("gcc", *flags, tmp_path / "program.c", "-o", tmp_path / "program", "-lderecho")
    run(tmp_path / "program")
