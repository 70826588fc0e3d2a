// A member of the demo in C: README.md beside this file says what it reads and writes. One thread polls the group and
// runs the handlers, one sends the share, and the main thread reads.
#define _POSIX_C_SOURCE 200809L
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "file_store.h"

enum { WINDOW = 8, PIECE_BYTES = 128 << 10, DEADLINE_MS = 30000, EVENTS = 64, TASK_WORDS = 8 };

static void fail(const char *text) {
    char plain[512];
    size_t size = 0;
    for (; *text && size < sizeof plain - 1; ++text) plain[size++] = strchr("\"\\\n", *text) ? ' ' : *text;
    plain[size] = 0;
    printf("{\"event\": \"failed\", \"text\": \"%s\"}\n", plain);
    fflush(stdout);
    _Exit(1);
}

static void check(derecho_status status) {
    if (status != DERECHO_OK) fail(derecho_last_error());
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size + 1);
    if (!memory) fail("out of memory");
    return memory;
}

static double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void sleep_ms(long ms) { nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL); }

// ------------------------------------------------------------------------------------------------- the replica

typedef struct File {
    derecho_text path;
    char *content;
    uint64_t size;
    uint32_t pieces;  // that came so far; UINT32_MAX: complete
} File;

static struct {
    pthread_mutex_t lock;  // handlers run on one thread, reports on another
    File *files;           // sorted by path
    size_t count, capacity, complete;
    uint64_t stored_bytes;
} replica = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int compare(derecho_text a, derecho_text b) {
    const uint64_t shorter = a.size_bytes < b.size_bytes ? a.size_bytes : b.size_bytes;
    const int order = shorter ? memcmp(a.data, b.data, (size_t)shorter) : 0;
    return order ? order : a.size_bytes < b.size_bytes ? -1 : a.size_bytes > b.size_bytes;
}

static size_t position(derecho_text path) {
    size_t low = 0, high = replica.count;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (compare(replica.files[middle].path, path) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static File *find(derecho_text path) {
    const size_t at = position(path);
    return at < replica.count && !compare(replica.files[at].path, path) ? &replica.files[at] : NULL;
}

static File *find_or_make(derecho_text path) {
    File *found = find(path);
    if (found) return found;
    if (replica.count == replica.capacity) {
        replica.capacity = replica.capacity ? replica.capacity * 2 : 64;
        replica.files = realloc(replica.files, replica.capacity * sizeof(File));
        if (!replica.files) fail("out of memory");
    }
    const size_t at = position(path);
    memmove(&replica.files[at + 1], &replica.files[at], (replica.count++ - at) * sizeof(File));
    char *copy = allocate((size_t)path.size_bytes);
    memcpy(copy, path.data, (size_t)path.size_bytes);
    replica.files[at] = (File){{copy, path.size_bytes}, NULL, 0, 0};
    return &replica.files[at];
}

static void append(File *file, derecho_bytes piece) {
    file->content = realloc(file->content, (size_t)(file->size + piece.size_bytes + 1));
    if (!file->content) fail("out of memory");
    if (piece.size_bytes) memcpy(file->content + file->size, piece.data, (size_t)piece.size_bytes);
    file->size += piece.size_bytes;
}

static void complete(File *file) {
    file->pieces = UINT32_MAX;
    replica.complete++;
    replica.stored_bytes += file->size;
}

static void restart(File *file) {
    if (file->pieces == UINT32_MAX) {
        replica.complete--;
        replica.stored_bytes -= file->size;
    }
    file->size = file->pieces = 0;
}

static derecho_status on_put(void *context, derecho_text path, uint32_t index, uint32_t count, derecho_bytes piece,
                             bool *result_out, derecho_handling *handling) {
    (void)context;
    pthread_mutex_lock(&replica.lock);
    File *file = find_or_make(path);
    if (index == 0) restart(file);
    const bool due = index == file->pieces;
    if (due) {
        append(file, piece);
        file->pieces++;
        *result_out = file->pieces >= count;
        if (*result_out) complete(file);
    }
    pthread_mutex_unlock(&replica.lock);
    return due ? DERECHO_OK : derecho_fail(handling, "EINVAL", derecho_text_of("a piece is missing"));
}

static derecho_status on_get(void *context, derecho_text path, file_store_optional_bytes *result_out,
                             derecho_handling *handling) {
    (void)context, (void)handling;
    const File *file = find(path);
    if (file && file->pieces == UINT32_MAX)
        *result_out = (file_store_optional_bytes){true, {file->content, file->size}};
    return DERECHO_OK;
}

// ------------------------------------------------------------------------------------------------- the state

// The pieces of a file that is not complete have PIECE_BYTES each, so that its bytes are enough to know them.
static file_store_list_bytes pieces_of(const File *file, derecho_arena *arena) {
    derecho_bytes *pieces = derecho_arena_take(arena, file->pieces * sizeof *pieces);
    for (uint32_t i = 0; i < file->pieces; ++i)
        pieces[i] = (derecho_bytes){file->content + (size_t)i * PIECE_BYTES, PIECE_BYTES};
    return (file_store_list_bytes){pieces, file->pieces};
}

static void save_state(void *context, file_store_state *state_out, derecho_arena *arena) {
    (void)context;
    file_store_pair_str_bytes *files = derecho_arena_take(arena, replica.count * sizeof *files);
    file_store_pair_str_list_bytes *partial = derecho_arena_take(arena, replica.count * sizeof *partial);
    uint64_t file_count = 0, partial_count = 0;
    for (size_t i = 0; i < replica.count; ++i) {
        const File *file = &replica.files[i];
        if (file->pieces == UINT32_MAX)
            files[file_count++] = (file_store_pair_str_bytes){file->path, {file->content, file->size}};
        else
            partial[partial_count++] = (file_store_pair_str_list_bytes){file->path, pieces_of(file, arena)};
    }
    state_out->state = (file_store_stored){{files, file_count}, {partial, partial_count}};
}

static void load_state(void *context, const file_store_state *state) {
    (void)context;
    pthread_mutex_lock(&replica.lock);
    for (uint64_t i = 0; i < state->state.files.count; ++i) {
        File *file = find_or_make(state->state.files.items[i].key);
        append(file, state->state.files.items[i].value);
        complete(file);
    }
    for (uint64_t i = 0; i < state->state.partial.count; ++i) {
        const file_store_pair_str_list_bytes *entry = &state->state.partial.items[i];
        File *file = find_or_make(entry->key);
        for (uint64_t j = 0; j < entry->value.count; ++j) append(file, entry->value.items[j]);
        file->pieces = (uint32_t)entry->value.count;
    }
    pthread_mutex_unlock(&replica.lock);
}

static const file_store_handlers handlers = {NULL, on_put, on_get, save_state, load_state};

// ------------------------------------------------------------------------------------------------- the group

// A call that not all members have answered.
typedef struct {
    uint64_t id;
    uint32_t owed, answered;  // owed: 0 before the call is ordered
    double began, seconds;
    bool used, done;
} Call;

static struct {
    derecho_group *group;
    derecho_shard *shard;
    pthread_mutex_t lock;  // over what follows
    pthread_cond_t changed;
    Call calls[WINDOW];
    uint32_t voters;
    bool votes;
} member = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static Call *find_call(uint64_t id) {
    for (int i = 0; i < WINDOW; ++i)
        if (member.calls[i].used && member.calls[i].id == id) return &member.calls[i];
    return NULL;
}

static void on_answer(const derecho_event *event) {
    Call *call = find_call(event->id);
    if (!call) return;
    if (event->kind == DERECHO_EVENT_ORDERED) {
        call->owed = (uint32_t)(event->size_bytes / sizeof(uint32_t));
        return;
    }
    if (event->status == DERECHO_CLOSED) return; /* the end, and why, follows */
    if (event->status != DERECHO_OK && event->status != DERECHO_REMOVED) fail("a member could not apply a call");
    call->answered++;
    call->done = call->answered == call->owed;
    call->seconds = seconds_now() - call->began;
}

static void on_view(void) {
    derecho_view view = {.struct_bytes = sizeof view};
    check(derecho_group_view(member.group, &view));
    flockfile(stdout);
    printf("{\"event\": \"view\", \"id\": %" PRIu64 ", \"nodes\": [", view.id);
    for (uint32_t i = 0; i < view.member_count; ++i) printf("%s%u", i ? ", " : "", view.members[i].node);
    printf("]}\n");
    fflush(stdout);
    funlockfile(stdout);
    member.voters = 0;
    for (uint32_t i = 0; i < view.member_count; ++i)
        member.voters += (view.members[i].flags & DERECHO_MEMBER_VOTES) != 0;
}

static void on_event(derecho_replica *service, const derecho_event *event) {
    const derecho_status handled = derecho_replica_handle(service, event);
    if (handled != DERECHO_OK) fail(derecho_stub_error());
    if (event->kind == DERECHO_EVENT_ORDERED || event->kind == DERECHO_EVENT_REPLY) on_answer(event);
    if (event->kind == DERECHO_EVENT_VIEW) on_view();
    if (event->kind == DERECHO_EVENT_CLOSED && event->status != DERECHO_CLOSED)
        fail(derecho_status_name(event->status));
    member.votes = service->votes;
}

static void *poll_events(void *unused) {
    derecho_replica service = file_store_replica(member.group, 0, &handlers);
    derecho_event events[EVENTS];
    size_t count;
    uint64_t lease;
    while (derecho_poll(member.group, events, EVENTS, 10000000, &count, &lease) == DERECHO_OK) {
        pthread_mutex_lock(&member.lock);
        for (size_t i = 0; i < count; ++i) on_event(&service, &events[i]);
        pthread_cond_broadcast(&member.changed);
        pthread_mutex_unlock(&member.lock);
        derecho_release(member.group, lease);
        derecho_replica_retry(&service);
    }
    derecho_replica_free(&service);
    return unused;
}

// Wait for a condition; the lock is held before and after.
#define WAIT_UNTIL(condition, what)                                                                                 \
    do {                                                                                                            \
        struct timespec deadline;                                                                                   \
        clock_gettime(CLOCK_REALTIME, &deadline);                                                                   \
        deadline.tv_sec += DEADLINE_MS / 1000;                                                                      \
        while (!(condition))                                                                                        \
            if (pthread_cond_timedwait(&member.changed, &member.lock, &deadline)) fail("waited in vain for " what); \
    } while (0)

// ------------------------------------------------------------------------------------------------- the share

static char *task[TASK_WORDS];  // node, listen, initial_members, group, wire, members, root
static char **paths;
static size_t path_count;
static double *latencies;
static size_t latency_count;

static void take_latency(Call *call) {
    latencies = realloc(latencies, (latency_count + 1) * sizeof *latencies);
    if (!latencies) fail("out of memory");
    latencies[latency_count++] = call->seconds;
    call->used = false;
}

// Send a piece in the next slot of the window, whose call before is the oldest under way.
static void send_piece(size_t slot, const char *path, uint32_t index, uint32_t count, derecho_bytes piece) {
    Call *call = &member.calls[slot];
    pthread_mutex_lock(&member.lock);
    WAIT_UNTIL(!call->used || call->done, "the answers to a call");
    if (call->used) take_latency(call);
    *call = (Call){.used = true, .began = seconds_now()};
    derecho_status status;
    while ((status = file_store_put(member.shard, derecho_text_of(path), index, count, piece, &call->id)) ==
               DERECHO_AGAIN ||
           status == DERECHO_WEDGED) {
        pthread_mutex_unlock(&member.lock);  // so that the poller goes on
        sleep_ms(1);
        pthread_mutex_lock(&member.lock);
    }
    check(status);
    pthread_mutex_unlock(&member.lock);
}

static char *read_file(const char *path, size_t *size_out) {
    char whole[4096];
    snprintf(whole, sizeof whole, "%s/%s", task[6], path);
    FILE *file = fopen(whole, "rb");
    if (!file) fail(whole);
    fseek(file, 0, SEEK_END);
    *size_out = (size_t)ftell(file);
    rewind(file);
    char *content = allocate(*size_out);
    if (fread(content, 1, *size_out, file) != *size_out) fail(whole);
    fclose(file);
    return content;
}

static bool is_there(const char *path) {
    pthread_mutex_lock(&replica.lock);
    const File *file = find(derecho_text_of(path));
    const bool there = file && file->pieces == UINT32_MAX;
    pthread_mutex_unlock(&replica.lock);
    return there;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void write_quantile(const char *name, double share) {
    const size_t index = (size_t)((double)latency_count * share);
    if (!latency_count)
        printf(", \"%s\": null", name);
    else
        printf(", \"%s\": %.9f", name, latencies[index < latency_count ? index : latency_count - 1]);
}

static void send_share(void) {
    const double started = seconds_now();
    size_t sent_files = 0, sent_bytes = 0, slot = 0;
    for (size_t i = 0; i < path_count; ++i) {
        if (is_there(paths[i])) continue;  // the state came with it
        size_t size;
        char *content = read_file(paths[i], &size);
        const uint32_t count = size ? (uint32_t)((size + PIECE_BYTES - 1) / PIECE_BYTES) : 1;
        for (uint32_t index = 0; index < count; ++index, slot = (slot + 1) % WINDOW) {
            const size_t from = (size_t)index * PIECE_BYTES, left = size - from;
            send_piece(slot, paths[i], index, count,
                       (derecho_bytes){content + from, left < PIECE_BYTES ? left : PIECE_BYTES});
        }
        free(content);
        sent_files++;
        sent_bytes += size;
    }
    pthread_mutex_lock(&member.lock);
    for (int i = 0; i < WINDOW; ++i, slot = (slot + 1) % WINDOW) {
        WAIT_UNTIL(!member.calls[slot].used || member.calls[slot].done, "the answers to a call");
        if (member.calls[slot].used) take_latency(&member.calls[slot]);
    }
    pthread_mutex_unlock(&member.lock);
    qsort(latencies, latency_count, sizeof *latencies, by_value);
    flockfile(stdout);
    printf("{\"event\": \"sent\", \"sent_files\": %zu, \"sent_bytes\": %zu, \"seconds\": %.6f, \"calls\": %zu",
           sent_files, sent_bytes, seconds_now() - started, latency_count);
    write_quantile("p50_s", 0.5);
    write_quantile("p99_s", 0.99);
    printf("}\n");
    fflush(stdout);
    funlockfile(stdout);
}

static void join(void) {
    static const char *const options[] = {"node", "listen", "initial_members", "group", "wire"};
    derecho_config *config;
    check(derecho_config_create(&config));
    for (int i = 0; i < 5; ++i) check(derecho_config_set(config, options[i], task[i]));
    check(derecho_config_add_service(config, FILE_STORE_SERVICE, FILE_STORE_SCHEMA_HASH));
    check(derecho_group_join(config, DEADLINE_MS, &member.group));
    check(derecho_config_close(config));
    check(derecho_shard_open(member.group, FILE_STORE_SERVICE, &member.shard));
}

static void *tell_progress(void *unused) {
    for (uint64_t last = UINT64_MAX;; sleep_ms(20)) {
        pthread_mutex_lock(&replica.lock);
        const uint64_t now = replica.stored_bytes;
        pthread_mutex_unlock(&replica.lock);
        if (now == last) continue;
        last = now;
        printf("{\"event\": \"progress\", \"stored_bytes\": %" PRIu64 "}\n", now);
        fflush(stdout);
    }
    return unused;
}

static void *join_and_send(void *unused) {
    pthread_t poller, progress;
    join();
    pthread_create(&poller, NULL, poll_events, NULL);
    pthread_mutex_lock(&member.lock);
    WAIT_UNTIL(member.votes, "the state");
    pthread_mutex_unlock(&member.lock);
    pthread_mutex_lock(&replica.lock);
    printf("{\"event\": \"joined\", \"files\": %zu, \"bytes\": %" PRIu64 "}\n", replica.complete, replica.stored_bytes);
    fflush(stdout);
    pthread_mutex_unlock(&replica.lock);
    pthread_create(&progress, NULL, tell_progress, NULL);
    pthread_mutex_lock(&member.lock);
    WAIT_UNTIL(member.voters == strtoul(task[5], NULL, 10), "the other members");
    pthread_mutex_unlock(&member.lock);
    send_share();
    return unused;
}

// ------------------------------------------------------------------------------------------------- lines

// The digest is made by sha256sum, which every system has; C has no such function of its own.
static void report(void) {
    char name[] = "/tmp/derecho-demo-XXXXXX", command[128], digest[65] = "";
    const int descriptor = mkstemp(name);
    snprintf(command, sizeof command, "sha256sum > %s", name);
    FILE *sum = descriptor < 0 ? NULL : popen(command, "w");
    if (!sum) fail("sha256sum cannot be started");
    pthread_mutex_lock(&replica.lock);
    for (size_t i = 0; i < replica.count; ++i) {
        const File *file = &replica.files[i];
        if (file->pieces != UINT32_MAX) continue;
        fwrite(&file->path.size_bytes, 8, 1, sum);
        fwrite(file->path.data, 1, (size_t)file->path.size_bytes, sum);
        fwrite(&file->size, 8, 1, sum);
        fwrite(file->content, 1, (size_t)file->size, sum);
    }
    pclose(sum);
    FILE *result = fdopen(descriptor, "r");
    if (!result || fscanf(result, "%64s", digest) != 1) fail("sha256sum gave nothing");
    fclose(result);
    remove(name);
    printf("{\"event\": \"report\", \"files\": %zu, \"bytes\": %" PRIu64 ", \"digest\": \"%s\"}\n", replica.complete,
           replica.stored_bytes, digest);
    fflush(stdout);
    pthread_mutex_unlock(&replica.lock);
}

static void decode(char *word) {
    char *to = word;
    for (; *word; ++word) {
        if (*word == '%') {
            const char digits[] = {word[1], word[2], 0};
            *to++ = (char)strtol(digits, NULL, 16);
            word += 2;
        } else {
            *to++ = *word;
        }
    }
    *to = 0;
}

static void run(char *line) {
    char *rest = NULL, *what = strtok_r(line, " \n", &rest), *words[TASK_WORDS] = {NULL};
    if (!what) return;
    for (int i = 0; i < TASK_WORDS && (words[i] = strtok_r(NULL, " \n", &rest)); ++i) decode(words[i]);
    if (!strcmp(what, "member")) {
        for (int i = 0; i < TASK_WORDS && words[i]; ++i) task[i] = strdup(words[i]);
    } else if (!strcmp(what, "path")) {
        paths = realloc(paths, (path_count + 1) * sizeof *paths);
        paths[path_count++] = strdup(words[0]);
    } else if (!strcmp(what, "go")) {
        pthread_t sender;
        pthread_create(&sender, NULL, join_and_send, NULL);
    } else if (!strcmp(what, "report")) {
        report();
    } else if (!strcmp(what, "leave")) {
        derecho_group_leave(member.group, DEADLINE_MS);
        _Exit(0);
    }
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) run(line);
    _Exit(1);  // the supervisor is gone
}
