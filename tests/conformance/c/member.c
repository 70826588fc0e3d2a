// The member program (tests/conformance/README.md) in C: Everything over its stub. One thread polls, dispatches, and
// takes the answers that the other threads wait for.
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "everything.h"

enum { WORDS_MAX = 16, NODES_MAX = DERECHO_MEMBERS_MAX, DEADLINE_S = 10 };

// ------------------------------------------------------------------------------------------------- words

typedef struct {
    char *data;
    size_t size;
} Blob;

static void *allocate(size_t size) {
    void *memory = calloc(1, size ? size : 1);
    if (!memory) abort();
    return memory;
}

static int digit(char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; }

static void decode(char *word) {
    char *to = word;
    if (!strcmp(word, "-")) *word = 0;
    for (const char *from = word; *from; ++from) {
        if (*from == '%') {
            *to++ = (char)(digit(from[1]) * 16 + digit(from[2]));
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

static void write_word(FILE *out, const char *text) {
    if (!*text) fputc('-', out);
    if (!strcmp(text, "-")) text = "%2D", fputs(text, out), text = "";
    for (; *text; ++text)
        fprintf(out, (unsigned char)*text <= ' ' || *text == '%' ? "%%%02X" : "%c", (unsigned char)*text);
}

static Blob from_hex(const char *text) {
    Blob blob = {allocate(strlen(text) / 2), strlen(text) / 2};
    for (size_t i = 0; i < blob.size; ++i) blob.data[i] = (char)(digit(text[2 * i]) * 16 + digit(text[2 * i + 1]));
    return blob;
}

static void write_hex(FILE *out, const void *data, size_t size) {
    if (!size) fputc('-', out);
    for (size_t i = 0; i < size; ++i) fprintf(out, "%02x", ((const unsigned char *)data)[i]);
}

// ------------------------------------------------------------------------------------------------- the replica

static everything_totals totals;  // `last` owns its bytes

static void remember(derecho_bytes value) {
    void *copy = allocate((size_t)value.size_bytes);
    if (value.size_bytes) memcpy(copy, value.data, (size_t)value.size_bytes);
    free((void *)(uintptr_t)totals.last.data);
    totals.last.data = copy;
    totals.last.size_bytes = value.size_bytes;
}

static derecho_status on_echo(void *context, const everything_values *values, everything_values *result_out,
                              derecho_handling *handling) {
    (void)context, (void)handling;
    *result_out = *values;
    return DERECHO_OK;
}

static derecho_status on_echo_bytes(void *context, derecho_bytes value, derecho_bytes *result_out,
                                    derecho_handling *handling) {
    (void)context, (void)handling;
    remember(value);
    totals.calls++;
    *result_out = value;
    return DERECHO_OK;
}

static derecho_status on_mix(void *context, int8_t a, derecho_text b, double c, bool d, const everything_list_i32 *e,
                             derecho_text *result_out, derecho_handling *handling) {
    (void)context;
    int64_t sum = 0;
    for (uint64_t i = 0; i < e->count; ++i) sum += e->items[i];
    const size_t room = 512 + (size_t)b.size_bytes;
    char *text = derecho_arena_take(&handling->arena, room);
    if (!text) return derecho_fail(handling, "MemoryError", derecho_text_of("no room for the result"));
    snprintf(text, room, "%d|%.*s|%.2f|%s|%" PRId64, a, (int)b.size_bytes, b.data, c, d ? "true" : "false", sum);
    *result_out = derecho_text_of(text);
    return DERECHO_OK;
}

static derecho_status on_add(void *context, int64_t amount, int64_t *result_out, derecho_handling *handling) {
    (void)context, (void)handling;
    totals.calls++;
    *result_out = totals.sum += amount;
    return DERECHO_OK;
}

static derecho_status on_total(void *context, int64_t *result_out, derecho_handling *handling) {
    (void)context, (void)handling;
    *result_out = totals.sum;
    return DERECHO_OK;
}

static bool is(derecho_text text, const char *word) {
    return text.size_bytes == strlen(word) && !memcmp(text.data, word, strlen(word));
}

static derecho_status on_fail(void *context, derecho_text kind, derecho_text text, derecho_handling *handling) {
    (void)context;
    if (is(kind, "argument")) return derecho_fail(handling, "EINVAL", text);
    if (is(kind, "state")) return derecho_fail(handling, "EBUSY", text);
    return DERECHO_OK;
}

static derecho_status on_moment(void *context, derecho_text *result_out, derecho_handling *handling) {
    (void)context;
    const derecho_context call = derecho_context_of(handling);
    char *text = derecho_arena_take(&handling->arena, 100);
    if (!text) return derecho_fail(handling, "MemoryError", derecho_text_of("no room for the result"));
    snprintf(text, 100, "%" PRIu32 ":%" PRIu64 ":%" PRIu64, call.caller, call.version, call.time_ns);
    *result_out = derecho_text_of(text);
    return DERECHO_OK;
}

static void save_state(void *context, everything_state *state_out, derecho_arena *arena) {
    (void)context, (void)arena;
    state_out->state = totals;
}

static void load_state(void *context, const everything_state *state) {
    (void)context;
    remember(state->state.last);
    totals.sum = state->state.sum;
    totals.calls = state->state.calls;
}

static const everything_handlers handlers = {NULL,      on_echo,    on_echo,   on_echo_bytes, on_mix,
                                             on_add,    on_total,   on_fail,   on_fail,       on_moment,
                                             on_moment, save_state, load_state};

// ------------------------------------------------------------------------------------------------- calls under way

typedef struct {
    uint32_t node;
    derecho_status status;
    Blob data;
} Answer;

typedef struct Call {
    struct Call *next;
    uint64_t id;
    uint32_t owed;  // answers; of an ordered call not known before its ORDERED event
    uint32_t count;
    derecho_status status;  // what it came to
    Answer answers[NODES_MAX];
} Call;

static struct {
    derecho_group *group;
    derecho_shard *shard;
    pthread_t poller;
    pthread_mutex_t lock;  // over what follows
    pthread_cond_t changed;
    Call *calls;
    bool ended, votes;
    derecho_status end;  // why it ended
    derecho_view view;
} member = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .end = DERECHO_CLOSED};

static Call *find(uint64_t id) {
    Call *call = member.calls;
    while (call && call->id != id) call = call->next;
    return call;
}

static void free_call(Call *call) {
    if (!call) return;
    pthread_mutex_lock(&member.lock);
    for (Call **at = &member.calls; *at; at = &(*at)->next) {
        if (*at == call) {
            *at = call->next;
            break;
        }
    }
    pthread_mutex_unlock(&member.lock);
    for (uint32_t i = 0; i < call->count; ++i) free(call->answers[i].data.data);
    free(call);
}

static void on_reply(const derecho_event *event) {
    Call *call = find(event->id);
    if (!call || call->count == NODES_MAX) return;
    Answer *answer = &call->answers[call->count];
    answer->node = event->node;
    answer->status = event->status;
    answer->data.size = (size_t)event->size_bytes;
    answer->data.data = allocate(answer->data.size + 1);
    memcpy(answer->data.data, event->data, answer->data.size);
    call->count++;
}

static void on_view(void) {
    derecho_view view = {.struct_bytes = sizeof view};
    if (derecho_group_view(member.group, &view) == DERECHO_OK) member.view = view;
}

static void on_event(derecho_replica *replica, const derecho_event *event) {
    const derecho_status handled = derecho_replica_handle(replica, event);
    if (handled != DERECHO_OK) fprintf(stderr, "member: %s\n", derecho_stub_error());
    pthread_mutex_lock(&member.lock);
    Call *call = event->kind == DERECHO_EVENT_ORDERED ? find(event->id) : NULL;
    if (call) call->owed = (uint32_t)(event->size_bytes / sizeof(uint32_t));
    if (event->kind == DERECHO_EVENT_REPLY) on_reply(event);
    if (event->kind == DERECHO_EVENT_VIEW) on_view();
    if (event->kind == DERECHO_EVENT_CLOSED) member.end = event->status;
    member.votes = replica->votes;
    pthread_mutex_unlock(&member.lock);
}

static void *poll_events(void *unused) {
    derecho_event events[64];
    derecho_replica replica = everything_replica(member.group, 0, &handlers);
    size_t count;
    uint64_t lease;
    while (derecho_poll(member.group, events, 64, 10000000, &count, &lease) == DERECHO_OK) {
        for (size_t i = 0; i < count; ++i) on_event(&replica, &events[i]);
        derecho_release(member.group, lease);
        derecho_replica_retry(&replica);
        pthread_cond_broadcast(&member.changed);
    }
    derecho_replica_free(&replica);
    pthread_mutex_lock(&member.lock);
    member.ended = true;
    pthread_mutex_unlock(&member.lock);
    pthread_cond_broadcast(&member.changed);
    return unused;
}

// ------------------------------------------------------------------------------------------------- waiting

typedef bool (*Done)(const void *what);

// Wait, at most the deadline: DERECHO_OK, DERECHO_TIMEOUT, DERECHO_CLOSED. The lock is held before and after.
static derecho_status wait_until(Done done, const void *what) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += DEADLINE_S;
    while (!done(what)) {
        if (member.ended) return member.end;
        if (pthread_cond_timedwait(&member.changed, &member.lock, &deadline) == ETIMEDOUT && !done(what))
            return DERECHO_TIMEOUT;
    }
    return DERECHO_OK;
}

static bool has_first(const void *call) { return ((const Call *)call)->count > 0; }
static bool has_all(const void *call) {
    return ((const Call *)call)->owed && ((const Call *)call)->count >= ((const Call *)call)->owed;
}
static uint32_t voters(void) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < member.view.member_count; ++i)
        count += (member.view.members[i].flags & DERECHO_MEMBER_VOTES) != 0;
    return count;
}
static bool has_members(const void *count) { return voters() >= *(const uint32_t *)count; }
static bool has_exactly(const void *count) {
    return voters() == *(const uint32_t *)count && member.view.member_count == voters();
}
static bool votes(const void *unused) { return (void)unused, member.votes; }

// A method of Everything that is called: its number, the node of a query (0: ordered), its arguments.
typedef struct {
    uint32_t method, node;
    const derecho_type *type;
    const void *arguments;
} Request;

// Call, until there is room. The lock is held after a call that was made.
static derecho_status start(Request what, uint64_t *id_out) {
    for (int tries = 0;; ++tries) {
        pthread_mutex_lock(&member.lock);  // the answers may come before the call returned
        const derecho_status status =
            what.node
                ? derecho_stub_query(member.shard, what.node, what.method, what.type, what.arguments, id_out)
                : derecho_stub_call(member.shard, what.method, DERECHO_CALL_REPLY, what.type, what.arguments, id_out);
        if (status == DERECHO_OK) return status;
        pthread_mutex_unlock(&member.lock);
        if ((status != DERECHO_AGAIN && status != DERECHO_WEDGED) || tries == DEADLINE_S * 1000) return status;
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
}

// Call, and wait for the first or all answers. To be freed, whatever came of it.
static Call *request(Request what, Done done) {
    Call *call = allocate(sizeof *call);
    call->status = start(what, &call->id);
    if (call->status != DERECHO_OK) return call;
    call->owed = what.node ? 1 : 0;
    call->next = member.calls;
    member.calls = call;
    call->status = wait_until(done, call);
    pthread_mutex_unlock(&member.lock);
    for (uint32_t i = 0; i < call->count && call->status == DERECHO_OK; ++i)
        if (call->answers[i].status != DERECHO_OK) call->status = call->answers[i].status;
    return call;
}

#define REQUEST(NUMBER, name, node, value) \
    ((Request){EVERYTHING_##NUMBER, node, &everything_##name##_arguments_type, value})

// ------------------------------------------------------------------------------------------------- lines

static void fail_with(const char *kind, const char *text) {
    printf("error ");
    write_word(stdout, kind);
    printf(" ");
    write_word(stdout, text);
}

// The name that every binding has for a status.
static const char *kind_of(derecho_status status) {
    static const char *const names[] = {
        [DERECHO_AGAIN] = "RingFull",          [DERECHO_TIMEOUT] = "Timeout",
        [DERECHO_CLOSED] = "Closed",           [DERECHO_TOO_LARGE] = "TooLarge",
        [DERECHO_NOT_MEMBER] = "NotMember",    [DERECHO_REMOVED] = "MemberRemoved",
        [DERECHO_INVALID] = "InvalidArgument", [DERECHO_UNKNOWN_METHOD] = "UnknownMethod",
        [DERECHO_NO_MAJORITY] = "NoMajority",  [DERECHO_INCOMPATIBLE] = "Incompatible",
        [DERECHO_DIFFERS] = "ReplicasDiffer",
    };
    return names[status] ? names[status] : derecho_status_name(status);
}

static void write_remote_error(const Answer *answer) {
    char *text = strstr(answer->data.data, ": ");
    if (text) *text = 0, text += 2;
    printf("error RemoteError %u ", answer->node);
    write_word(stdout, answer->data.data);
    printf(" ");
    write_word(stdout, text ? text : "");
}

// Writes why a request came to nothing; true if it did not.
static bool succeeded(const Call *call) {
    if (call->status == DERECHO_OK) return true;
    const Answer *worst = NULL;  // of those by rank, which is by node here
    for (uint32_t i = 0; i < call->count; ++i)
        if (call->answers[i].status == DERECHO_REMOTE_ERROR && (!worst || call->answers[i].node < worst->node))
            worst = &call->answers[i];
    if (worst)
        write_remote_error(worst);
    else
        fail_with(kind_of(call->status), derecho_last_error());
    return false;
}

static void write_nodes(void) {
    pthread_mutex_lock(&member.lock);
    printf("ok ");
    for (uint32_t i = 0; i < member.view.member_count; ++i) printf("%s%u", i ? "," : "", member.view.members[i].node);
    pthread_mutex_unlock(&member.lock);
}

static derecho_status join(char **words) {
    static const char *const options[] = {"node", "listen", "initial_members", "wire", "group"};
    derecho_config *config = NULL;
    derecho_status status = derecho_config_create(&config);
    for (int i = 0; i < 5 && status == DERECHO_OK; ++i) status = derecho_config_set(config, options[i], words[i]);
    if (status == DERECHO_OK) status = derecho_config_add_service(config, EVERYTHING_SERVICE, EVERYTHING_SCHEMA_HASH);
    if (status == DERECHO_OK) status = derecho_stub_describe(config, EVERYTHING_SERVICE, everything_schema);
    if (status == DERECHO_OK) status = derecho_group_join(config, DEADLINE_S * 1000, &member.group);
    derecho_config_close(config);
    if (status == DERECHO_OK) status = derecho_shard_open(member.group, EVERYTHING_SERVICE, &member.shard);
    if (status != DERECHO_OK) return status;
    pthread_create(&member.poller, NULL, poll_events, NULL);
    pthread_mutex_lock(&member.lock);
    status = wait_until(votes, NULL);
    pthread_mutex_unlock(&member.lock);
    return status;
}

static void do_join(char **words) {
    const derecho_status status = join(words);
    if (status == DERECHO_OK)
        write_nodes();
    else
        fail_with(kind_of(status), derecho_last_error());
}

static void wait_for_members(const char *number, bool (*there)(const void *)) {
    const uint32_t count = (uint32_t)strtoul(number, NULL, 10);
    pthread_mutex_lock(&member.lock);
    const derecho_status status = wait_until(there, &count);
    pthread_mutex_unlock(&member.lock);
    if (status == DERECHO_OK)
        write_nodes();
    else
        fail_with(kind_of(status), "no such view");
}
static void do_wait(char **words) { wait_for_members(words[0], has_members); }
static void do_wait_exactly(char **words) { wait_for_members(words[0], has_exactly); }

// Values in hex, by way of the struct: read, written again.
static void write_values(const Blob *message) {
    derecho_arena arena = {NULL};
    everything_echo_reply reply;
    const char *why = derecho_message_read(&everything_echo_reply_type, message->data, message->size, &reply, &arena);
    if (why) fprintf(stderr, "member: values are refused: %s\n", why);
    const uint64_t size = why ? 0 : everything_values_bytes(&reply.result);
    char *whole = allocate((size_t)size);
    if (!why) everything_values_write(&reply.result, whole);
    write_hex(stdout, whole, (size_t)size);
    free(whole);
    derecho_arena_free(&arena);
}

static int by_node(const void *one, const void *other) {
    const uint32_t a = ((const Answer *)one)->node, b = ((const Answer *)other)->node;
    return a < b ? -1 : a > b;
}

static void echo(const char *hex, uint32_t node) {
    Blob message = from_hex(hex);
    derecho_arena arena = {NULL};
    everything_echo_arguments arguments;
    const char *why = everything_values_read(message.data, message.size, &arguments.values, &arena);
    Call *call = NULL;
    if (why) {
        fail_with("DecodeError", why);
    } else if (node) {
        call = request(REQUEST(ECHO_HERE, echo_here, node, &arguments), has_all);
        if (succeeded(call)) {
            printf("ok ");
            write_values(&call->answers[0].data);
        }
    } else if (succeeded(call = request(REQUEST(ECHO, echo, 0, &arguments), has_all))) {
        qsort(call->answers, call->count, sizeof(Answer), by_node);
        printf("ok ");
        for (uint32_t i = 0; i < call->count; ++i) {
            printf("%s%u=", i ? "," : "", call->answers[i].node);
            write_values(&call->answers[i].data);
        }
    }
    free_call(call);
    free(message.data);
    derecho_arena_free(&arena);
}

static void do_echo(char **words) { echo(words[0], 0); }
static void do_ask(char **words) { echo(words[1], (uint32_t)strtoul(words[0], NULL, 10)); }

// The first answer as an event, for the stub's readers.
static derecho_event first_event(const Call *call) {
    const derecho_event event = {.data = call->answers[0].data.data, .size_bytes = call->answers[0].data.size};
    return event;
}

static void do_bytes(char **words) {
    Blob value = from_hex(words[0]);
    const everything_echo_bytes_arguments arguments = {{value.data, value.size}};
    Call *call = request(REQUEST(ECHO_BYTES, echo_bytes, 0, &arguments), has_first);
    if (succeeded(call)) {
        const derecho_event event = first_event(call);
        derecho_arena arena = {NULL};
        derecho_bytes result = {NULL, 0};
        everything_echo_bytes_result(&event, &result, &arena);
        printf("ok ");
        write_hex(stdout, result.data, (size_t)result.size_bytes);
        derecho_arena_free(&arena);
    }
    free_call(call);
    free(value.data);
}

static void do_mixed(char **words) {
    int32_t numbers[256];
    uint64_t count = 0;
    char *rest = NULL;
    for (char *one = strtok_r(words[4], ",", &rest); one; one = strtok_r(NULL, ",", &rest))
        numbers[count++] = (int32_t)strtol(one, NULL, 10);
    const everything_mix_arguments arguments = {(int8_t)strtol(words[0], NULL, 10),
                                                derecho_text_of(words[1]),
                                                strtod(words[2], NULL),
                                                !strcmp(words[3], "true"),
                                                {numbers, count}};
    Call *call = request(REQUEST(MIX, mix, 0, &arguments), has_first);
    if (succeeded(call)) {
        const derecho_event event = first_event(call);
        derecho_arena arena = {NULL};
        derecho_text result = {NULL, 0};
        everything_mix_result(&event, &result, &arena);
        char *text = strndup(result.data, (size_t)result.size_bytes);
        printf("ok ");
        write_word(stdout, text);
        free(text);
        derecho_arena_free(&arena);
    }
    free_call(call);
}

// The sum that `add` or `total` gives.
static bool sum(Request what, Done done, int64_t *sum_out) {
    Call *call = request(what, done);
    const bool good = succeeded(call);
    if (good) {
        const derecho_event event = first_event(call);
        derecho_arena arena = {NULL};
        everything_add_result(&event, sum_out, &arena);  // that of total has the same layout
        derecho_arena_free(&arena);
    }
    free_call(call);
    return good;
}

static void do_add(char **words) {
    const everything_add_arguments arguments = {strtoll(words[0], NULL, 10)};
    int64_t result = 0;
    if (sum(REQUEST(ADD, add, 0, &arguments), has_first, &result)) printf("ok %" PRId64, result);
}

static void do_total(char **words) {
    (void)words;
    int64_t result = 0;
    const uint32_t self = member.view.members[member.view.self_rank].node;
    if (sum(REQUEST(TOTAL, total, self, NULL), has_first, &result)) printf("ok %" PRId64, result);
}

static void send_until_room(derecho_status (*send)(const void *), const void *what) {
    while (true) {
        const derecho_status status = send(what);
        if (status != DERECHO_AGAIN && status != DERECHO_WEDGED) return;
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
}

static derecho_status send_add(const void *amount) {
    return everything_add(member.shard, *(const int64_t *)amount, NULL);
}
static derecho_status send_bytes(const void *value) {
    return everything_echo_bytes(member.shard, *(const derecho_bytes *)value, NULL);
}

static void do_send(char **words) {
    const int64_t amount = strtoll(words[0], NULL, 10);
    send_until_room(send_add, &amount);
    printf("ok");
}

static void do_addall(char **words) { (void)words, printf("skip"); }  // the program collects the answers itself

static void do_spoil(char **words) {
    (void)words;
    totals.sum++;  // becomes another than the other replicas
    printf("ok");
}

static void do_fail(char **words) {
    const everything_fail_arguments arguments = {derecho_text_of(words[0]), derecho_text_of(words[1])};
    Call *call = request(REQUEST(FAIL, fail, 0, &arguments), has_all);
    if (succeeded(call)) printf("ok");
    free_call(call);
}

static void do_failat(char **words) {
    const everything_fail_here_arguments arguments = {derecho_text_of(words[1]), derecho_text_of(words[2])};
    const uint32_t node = (uint32_t)strtoul(words[0], NULL, 10);
    Call *call = request(REQUEST(FAIL_HERE, fail_here, node, &arguments), has_all);
    if (succeeded(call)) printf("ok");
    free_call(call);
}

// Of the ordered call each member's, of the query the one.
static void write_moments(Call *call, bool with_nodes) {
    const uint32_t count = succeeded(call) ? call->count : 0;
    qsort(call->answers, count, sizeof *call->answers, by_node);
    for (uint32_t i = 0; i < count; ++i) {
        const derecho_event event = {.data = call->answers[i].data.data, .size_bytes = call->answers[i].data.size};
        derecho_arena arena = {NULL};
        derecho_text text = {"", 0};
        everything_moment_result(&event, &text, &arena);  // that of moment_here has the same layout
        printf("%s", i ? "," : "ok ");
        if (with_nodes) printf("%" PRIu32 "=", call->answers[i].node);
        printf("%.*s", (int)text.size_bytes, text.data);
        derecho_arena_free(&arena);
    }
    free_call(call);
}

static void do_moment(char **words) {
    (void)words;
    write_moments(request(REQUEST(MOMENT, moment, 0, NULL), has_all), true);
}

static void do_moment_at(char **words) {
    const uint32_t node = (uint32_t)strtoul(words[0], NULL, 10);
    write_moments(request(REQUEST(MOMENT_HERE, moment_here, node, NULL), has_all), false);
}

static void do_moment_of_none(char **words) { (void)words, printf("skip"); }  // there is no handling then

static void do_troubles(char **words) {
    (void)words;
    printf("ok");
    derecho_trouble trouble = {.struct_bytes = sizeof trouble, .count = 1};
    for (uint32_t i = 0; derecho_group_trouble(member.group, i, &trouble) == DERECHO_OK && i < trouble.count; ++i) {
        printf(" ");
        write_word(stdout, trouble.text);
    }
}

static void do_unknown(char **words) {
    (void)words;
    const Request unknown = {999, 0, &everything_total_arguments_type, NULL};
    Call *call = request(unknown, has_all);
    if (succeeded(call)) printf("ok");
    free_call(call);
}

static void do_flood(char **words) {
    const int count = atoi(words[0]);
    const size_t size = strtoull(words[1], NULL, 10);
    char *data = allocate(size);
    for (int i = 0; i < count; ++i) {
        memset(data, i % 256, size);
        const derecho_bytes value = {data, size};
        send_until_room(send_bytes, &value);
    }
    free(data);
    const everything_add_arguments none = {0};
    int64_t result;
    if (sum(REQUEST(ADD, add, 0, &none), has_all, &result)) printf("ok");
}

typedef struct {
    pthread_t thread;
    int64_t amount;
    int times;
    derecho_status status;
} Adder;

static void *add_often(void *argument) {
    Adder *adder = argument;
    const everything_add_arguments arguments = {adder->amount};
    for (int i = 0; i < adder->times && adder->status == DERECHO_OK; ++i) {
        Call *call = request(REQUEST(ADD, add, 0, &arguments), has_first);
        adder->status = call->status;
        free_call(call);
    }
    return NULL;
}

// Start adders, do something meanwhile, wait for them. Returns how many ended with `status`.
static int run_adders(int count, int64_t amount, int times, void (*meanwhile)(void), derecho_status status) {
    Adder *adders = allocate((size_t)count * sizeof *adders);
    for (int i = 0; i < count; ++i) {
        adders[i].amount = amount;
        adders[i].times = times;
        pthread_create(&adders[i].thread, NULL, add_often, &adders[i]);
    }
    if (meanwhile) meanwhile();
    int found = 0;
    for (int i = 0; i < count; ++i) {
        pthread_join(adders[i].thread, NULL);
        found += adders[i].status == status;
    }
    free(adders);
    return found;
}

static void close_group(void) {
    if (!member.group) return;
    derecho_group_close(member.group);
    if (!member.ended || member.poller) pthread_join(member.poller, NULL);
    member.poller = 0;
}

static void do_threads(char **words) {
    const int count = atoi(words[0]);
    const int good = run_adders(count, 1, atoi(words[1]), NULL, DERECHO_OK);
    if (good == count)
        printf("ok");
    else
        fail_with("RuntimeError", "a thread failed");
}

static void do_pending(char **words) {
    const int count = atoi(words[0]);
    const int closed = run_adders(count, 0, 1, close_group, DERECHO_CLOSED);
    printf("ok %d %d", count - closed, closed);
}

static void do_leave(char **words) {
    (void)words;
    const derecho_status status = derecho_group_leave(member.group, DEADLINE_S * 1000);
    const char *why = derecho_last_error();
    if (status == DERECHO_OK)
        printf("ok");
    else
        fail_with(kind_of(status), why);
    close_group();
}

static void do_close(char **words) {
    (void)words;
    close_group();
    printf("ok");
}

static const struct {
    const char *name;
    void (*run)(char **words);
} lines[] = {
#define LINE(name) \
    { #name, do_##name }
    LINE(join),      LINE(wait),           LINE(wait_exactly), LINE(echo),    LINE(ask),   LINE(bytes), LINE(mixed),
    LINE(add),       LINE(addall),         LINE(spoil),        LINE(send),    LINE(total), LINE(fail),  LINE(failat),
    LINE(unknown),   LINE(flood),          LINE(threads),      LINE(pending), LINE(leave), LINE(close), LINE(moment),
    LINE(moment_at), LINE(moment_of_none), LINE(troubles),
};

static void run(char *line) {
    char *words[WORDS_MAX] = {NULL}, *rest = NULL;
    size_t count = 0;
    for (char *word = strtok_r(line, " \n", &rest); word && count < WORDS_MAX; word = strtok_r(NULL, " \n", &rest)) {
        decode(word);
        words[count++] = word;
    }
    for (size_t i = 0; count && i < sizeof lines / sizeof *lines; ++i)
        if (!strcmp(lines[i].name, words[0])) lines[i].run(words + 1);
    printf("\n");
    fflush(stdout);
}

int main(void) {
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) run(line);
    close_group();
    free(line);
    free((void *)(uintptr_t)totals.last.data);
    return 0;
}
