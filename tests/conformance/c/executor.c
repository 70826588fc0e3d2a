// The reference executor of conformance scripts (tests/conformance/README.md): each step is one call of derecho.h, and
// what it gave is one line. It judges nothing.
#define _POSIX_C_SOURCE 200809L
#include <derecho.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "line.h"

enum { EVENTS_MAX = 256 };

// ------------------------------------------------------------------------------------------------- events

// Whether it is greater than that of the event before in its shard, which this remembers.
static int version_grows(const derecho_group *group, const derecho_event *event) {
    enum { SHARDS_MAX = 256 };
    static struct {
        const derecho_group *group;
        uint32_t shard;
        uint64_t version;
    } seen[SHARDS_MAX];
    static size_t count;
    if (event->kind != DERECHO_EVENT_MESSAGE && event->kind != DERECHO_EVENT_CALL) return 1;
    size_t i = 0;
    while (i < count && (seen[i].group != group || seen[i].shard != event->shard)) ++i;
    if (i == SHARDS_MAX) die("too many shards", "");
    if (i == count) {
        seen[count].group = group;
        seen[count++].shard = event->shard;
    }
    const int grows = event->version > seen[i].version;
    seen[i].version = event->version;
    return grows;
}

static uint32_t has_sent_id(const derecho_event *event) {
    if (event->kind == DERECHO_EVENT_MESSAGE) return event->flags & DERECHO_FLAG_OWN;
    return (event->kind >= DERECHO_EVENT_CALL && event->kind <= DERECHO_EVENT_REPLY) ||
           event->kind == DERECHO_EVENT_MEMORY;
}

static void write_flags(uint32_t bits) {
    const char *separator = "";
    for (const Named *flag = event_flags; flag->name; ++flag) {
        if (!(bits & flag->value)) continue;
        fprintf(given, "%s%s", separator, flag->name);
        separator = "|";
    }
}

static void give_event(const derecho_group *group, size_t index, const derecho_event *event) {
    const Named *kind = kinds;
    while (kind->name && kind->value != event->kind) ++kind;
    fprintf(given, "\te%zu=%s;node=%u;method=%u;shard=%u;status=%s;flags=", index, kind->name, event->node,
            event->method, event->shard, short_name(event->status));
    write_flags(event->flags);
    fprintf(given, ";size=%llu;data=", (unsigned long long)event->size_bytes);
    write_bytes(event->data, event->size_bytes);
    if (has_sent_id(event)) fprintf(given, ";id=%s", name_of_sent(event->id));
    if (!version_grows(group, event)) fprintf(given, ";version=BAD");
    const size_t alignment = event->kind == DERECHO_EVENT_ORDERED ? 4 : 8;
    if (event->size_bytes > 0 && (uintptr_t)event->data % alignment != 0) fprintf(given, ";aligned=BAD");
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

// One derecho_poll(); what is counted is given and added to *counted.
static derecho_status poll_once(derecho_group *group, int64_t timeout_ns, size_t wanted, uint32_t skipped, char **ids,
                                size_t *counted) {
    derecho_event events[EVENTS_MAX];
    size_t count = 0;
    uint64_t lease = 0;
    const size_t missing = wanted - *counted;
    const size_t capacity = missing < EVENTS_MAX ? missing : EVENTS_MAX;
    const derecho_status status = derecho_poll(group, events, capacity, timeout_ns, &count, &lease);
    for (size_t i = 0; i < count; ++i) {
        if (skipped & 1u << events[i].kind) continue;
        char *name = *ids ? strtok_r(NULL, ",", ids) : NULL;
        if (name) keep(name)->id = events[i].id;
        give_event(group, (*counted)++, &events[i]);
    }
    if (lease && optional("lease_out"))
        keep_lease(text("lease_out"), lease);
    else
        derecho_release(group, lease);
    return status;
}

typedef struct {
    derecho_group *group;
    uint64_t after_ns;
} Waker;

static void *wake_later(void *argument) {
    const Waker *waker = argument;
    const struct timespec time = {(time_t)(waker->after_ns / 1000000000), (long)(waker->after_ns % 1000000000)};
    nanosleep(&time, NULL);
    derecho_wake(waker->group);
    return NULL;
}

static derecho_status poll_woken(derecho_group *group, uint64_t timeout_ns) {
    Waker waker = {group, number("wake_after_ms") * 1000000};
    pthread_t thread;
    if (pthread_create(&thread, NULL, wake_later, &waker) != 0) die("no thread", "wake_after_ms");
    const uint64_t begin = now_ns();
    size_t counted = 0;
    char *no_ids = NULL;
    const derecho_status status = poll_once(group, (int64_t)timeout_ns, 1, 0, &no_ids, &counted);
    give("woken", counted == 0 && now_ns() - begin < timeout_ns ? "yes" : "no");
    pthread_join(thread, NULL);
    return status;
}

static derecho_status do_poll(void) {
    derecho_group *group = handle("group");
    const uint64_t timeout_ns = number_or("timeout_ms", 0) * 1000000, begin = now_ns(), wanted = number_or("until", 1);
    if (optional("wake_after_ms")) return poll_woken(group, timeout_ns);
    const uint32_t skipped = skipped_kinds();
    char *ids = optional("ids");
    size_t counted = 0;
    derecho_status status;
    uint64_t waited = 0;
    do {
        status = poll_once(group, (int64_t)(timeout_ns - waited), wanted, skipped, &ids, &counted);
        waited = now_ns() - begin;
    } while (status == DERECHO_OK && counted < wanted && waited < timeout_ns);
    return status;
}

static derecho_status do_release(void) {
    derecho_group *group = handle("group");
    const Entry *entry = entry_of(text("lease"));
    derecho_status status = DERECHO_OK;
    for (size_t i = 0; i < entry->lease_count && status == DERECHO_OK; ++i)
        status = derecho_release(group, entry->leases[i]);
    return status;
}

static derecho_status do_wake(void) { return derecho_wake(handle("group")); }

// ------------------------------------------------------------------------------------------------- no status

static derecho_status result(const char *value) {
    give("result", value);
    return DERECHO_OK;
}

static derecho_status result_number(uint64_t value) {
    give_number("result", value);
    return DERECHO_OK;
}

static derecho_status do_status_name(void) { return result(derecho_status_name(status_input())); }
static derecho_status do_last_error(void) { return result(derecho_last_error()); }
static derecho_status do_abi_version(void) { return result_number(derecho_abi_version()); }
static derecho_status do_abi_hash(void) { return result_number(derecho_abi_hash()); }
static derecho_status do_version(void) { return result(derecho_version()); }

// ------------------------------------------------------------------------------------------------- configuration

static derecho_status do_config_create(void) {
    return derecho_config_create((derecho_config **)&keep(text("config_out"))->handle);
}

static derecho_status do_config_set(void) { return derecho_config_set(handle("config"), text("key"), text("value")); }

static derecho_status do_config_get(void) {
    const char *value = NULL;
    const derecho_status status = derecho_config_get(handle("config"), text("key"), &value);
    if (status == DERECHO_OK) give("value", value);
    return status;
}

static derecho_status do_config_load(void) { return derecho_config_load(handle("config"), text("path")); }

static derecho_status do_config_add_service(void) {
    return derecho_config_add_service(handle("config"), text("name"), number("schema_hash"));
}

static derecho_status do_config_close(void) { return derecho_config_close(handle("config")); }

// ------------------------------------------------------------------------------------------------- group

static derecho_status do_group_join(void) {
    derecho_group *group = NULL;
    const derecho_status status = derecho_group_join(handle("config"), (int64_t)number("timeout_ms"), &group);
    if (status == DERECHO_OK) keep(text("group_out"))->handle = group;
    return status;
}

static derecho_status do_group_leave(void) {
    return derecho_group_leave(handle("group"), (int64_t)number("timeout_ms"));
}

static derecho_status do_group_close(void) { return derecho_group_close(handle("group")); }

static derecho_status do_group_fd(void) {
    int fd = -1;
    return derecho_group_fd(handle("group"), &fd);
}

static derecho_status do_group_view(void) {
    derecho_view view = {.struct_bytes = (uint32_t)number_or("struct_bytes", sizeof view)};
    const derecho_status status = derecho_group_view(handle("group"), &view);
    if (status != DERECHO_OK) return status;
    give_number("id", view.id);
    give_number("self_rank", view.self_rank);
    fprintf(given, "\tmembers=");
    for (uint32_t rank = 0; rank < view.member_count; ++rank) {
        const uint32_t flags = view.members[rank].flags;
        fprintf(given, "%s%u:%s", rank ? "," : "", view.members[rank].node,
                flags & DERECHO_MEMBER_VOTES       ? "VOTES"
                : flags & DERECHO_MEMBER_HAS_STATE ? "HAS_STATE"
                                                   : "");
    }
    return status;
}

static derecho_status do_group_stats(void) {
    derecho_stats stats = {.struct_bytes = (uint32_t)number_or("struct_bytes", sizeof stats)};
    const derecho_status status = derecho_group_stats(handle("group"), &stats);
    if (status != DERECHO_OK) return status;
    give_number("delivered_messages", stats.delivered_messages);
    give_number("delivered_bytes", stats.delivered_bytes);
    give_number("sent_messages", stats.sent_messages);
    give_number("views", stats.views);
    return status;
}

static derecho_status do_group_holdup(void) {
    static const char *const causes[] = {"NONE", "NOT_POLLING", "NOT_RELEASING", "NO_STATE", "NOT_ACKNOWLEDGING"};
    derecho_holdup holdup = {.struct_bytes = sizeof holdup};
    const derecho_status status = derecho_group_holdup(handle("group"), (uint32_t)number("node"), &holdup);
    if (status != DERECHO_OK) return status;
    fprintf(given, "\tcause=%s", causes[holdup.cause]);
    if (holdup.cause != DERECHO_HOLDUP_NONE) give_number("node", holdup.node);
    return status;
}

static derecho_status do_group_reply(void) {
    const derecho_bytes data = payload("data");
    return derecho_group_reply(handle("group"), (uint32_t)number("node"), number("call"), status_input(), data.data,
                               data.size_bytes);
}

static derecho_status do_group_state_size(void) {
    return derecho_group_state_size(handle("group"), (uint32_t)number("node"), number("request"),
                                    number("total_bytes"));
}

static derecho_status do_group_state_fail(void) {
    const derecho_bytes text = payload("text");
    return derecho_group_state_fail(handle("group"), (uint32_t)number("node"), number("request"), text.data,
                                    text.size_bytes);
}

static derecho_status do_group_state(void) {
    const derecho_bytes data = payload("data");
    return derecho_group_state(handle("group"), (uint32_t)number("node"), number("request"), data.data, data.size_bytes,
                               (int32_t)number("last"));
}

// ------------------------------------------------------------------------------------------------- shard, claim

static derecho_status do_shard_open(void) {
    derecho_shard *shard = NULL;
    const derecho_status status = derecho_shard_open(handle("group"), text("service"), &shard);
    if (status == DERECHO_OK) keep(text("shard_out"))->handle = shard;
    return status;
}

// The id of what was sent, under the name that the step gives.
static derecho_status sent(const char *output, derecho_status status, uint64_t id) {
    const char *name = optional(output);
    if (name && status == DERECHO_OK) keep_sent(name, id);
    return status;
}

static derecho_status do_shard_send(void) {
    const derecho_bytes data = payload("data");
    uint64_t ticket = 0;
    const derecho_status status = derecho_shard_send(handle("shard"), data.data, data.size_bytes, &ticket);
    return sent("ticket_out", status, ticket);
}

static derecho_status do_shard_send_many(void) {
    derecho_bytes messages[PAYLOADS_MAX];
    size_t count = 0, sent_count = 0;
    uint64_t ticket = 0;
    char *rest = NULL;
    for (char *one = strtok_r(text("messages"), ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        messages[count++] = to_payload(one);
    }
    const derecho_status status = derecho_shard_send_many(handle("shard"), messages, count, &sent_count, &ticket);
    give_number("sent", sent_count);
    return sent("ticket_out", status, ticket);
}

static derecho_status do_shard_call(void) {
    const derecho_bytes args = payload("args");
    uint64_t call = 0;
    const derecho_status status = derecho_shard_call(handle("shard"), (uint32_t)number("method"), flags(), args.data,
                                                     args.size_bytes, optional("call_out") ? &call : NULL);
    return sent("call_out", status, call);
}

static derecho_status do_shard_query(void) {
    const derecho_bytes args = payload("args");
    uint64_t call = 0;
    const derecho_status status = derecho_shard_query(handle("shard"), (uint32_t)number("node"),
                                                      (uint32_t)number("method"), args.data, args.size_bytes, &call);
    return sent("call_out", status, call);
}

static derecho_status do_shard_claim(void) {
    derecho_claim claim;
    derecho_shard *shard = handle("shard");
    const derecho_status status =
        derecho_shard_claim(shard, (uint32_t)number("method"), flags(), number("size_bytes"), &claim);
    if (status != DERECHO_OK) return status;
    Entry *entry = keep(text("claim_out"));
    entry->handle = shard;
    entry->claim = claim;
    give_number("size_bytes", claim.size_bytes);
    give_alignment(claim.data, 8);
    return status;
}

static derecho_shard *shard_of(const Entry *claim) { return optional("shard") ? handle("shard") : claim->handle; }

static derecho_status do_claim_fill(void) {
    const derecho_bytes data = payload("data");
    const derecho_claim *claim = &entry_of(text("claim"))->claim;
    if (data.size_bytes > claim->size_bytes) die("more than was claimed", text("claim"));
    if (data.size_bytes > 0) memcpy(claim->data, data.data, data.size_bytes);
    return DERECHO_OK;
}

static derecho_status do_claim_commit(void) {
    Entry *entry = entry_of(text("claim"));
    const derecho_status status = derecho_claim_commit(shard_of(entry), &entry->claim, number("used_bytes"));
    return sent("claim", status, entry->claim.id);
}

static derecho_status do_claim_abort(void) {
    Entry *entry = entry_of(text("claim"));
    return derecho_claim_abort(shard_of(entry), &entry->claim);
}

// ------------------------------------------------------------------------------------------------- buffer, log

static derecho_status do_buffer_create(void) {
    derecho_buffer *buffer = NULL;
    const derecho_status status = derecho_buffer_create(number("size_bytes"), &buffer);
    if (status == DERECHO_OK) keep(text("buffer_out"))->handle = buffer;
    return status;
}

static derecho_status do_buffer_data(void) {
    void *data = NULL;
    uint64_t size = 0;
    const derecho_status status = derecho_buffer_data(handle("buffer"), &data, &size);
    if (status != DERECHO_OK) return status;
    give_number("size_bytes", size);
    give_alignment(data, 4096);
    return status;
}

static derecho_status do_buffer_retain(void) { return derecho_buffer_retain(handle("buffer")); }
static derecho_status do_buffer_release(void) { return derecho_buffer_release(handle("buffer")); }

// The buffer's memory from `offset`, of which the step uses `size` bytes.
static char *buffer_part(uint64_t size) {
    const uint64_t offset = number("offset");
    return (char *)(uintptr_t)of_buffer(text("buffer"), offset + size).data + offset;
}

static derecho_status do_buffer_fill(void) {
    const derecho_bytes data = payload("data");
    char *part = buffer_part(data.size_bytes);
    if (data.size_bytes > 0) memcpy(part, data.data, data.size_bytes);
    return DERECHO_OK;
}

static derecho_status do_buffer_read(void) {
    const uint64_t size = number("size_bytes");
    const char *part = buffer_part(size);
    fprintf(given, "\tdata=");
    write_bytes(part, size);
    return DERECHO_OK;
}

// ------------------------------------------------------------------------------------------------- memory

static derecho_status do_memory_register(void) {
    void *data = NULL;
    uint64_t size = 0;
    derecho_status status = derecho_buffer_data(handle("buffer"), &data, &size);
    if (status != DERECHO_OK) return status;
    derecho_memory *memory = NULL;
    status = derecho_memory_register(handle("group"), data, size, access_flags(), &memory);
    if (status == DERECHO_OK) keep(text("memory_out"))->handle = memory;
    return status;
}

static derecho_status do_memory_register_dmabuf(void) {
    derecho_memory *memory = NULL;
    const derecho_status status = derecho_memory_register_dmabuf(handle("group"), (int)number("fd"), number("offset"),
                                                                 number("size_bytes"), access_flags(), &memory);
    if (status == DERECHO_OK) keep(text("memory_out"))->handle = memory;
    return status;
}

static derecho_status do_memory_key_for(void) {
    derecho_memory_key key;
    const derecho_status status = derecho_memory_key_for(handle("memory"), (uint32_t)number("node"), &key);
    if (status == DERECHO_OK) keep(text("key_out"))->key = key;
    return status;
}

typedef derecho_status Transfer(derecho_group *group, uint32_t node, const derecho_memory_key *key, uint64_t offset,
                                const derecho_piece *pieces, size_t count, uint64_t *operation_out);

static derecho_status transfer(Transfer *begin) {
    derecho_piece pieces[PAYLOADS_MAX];
    size_t count = 0;
    char *rest = NULL;
    for (char *one = strtok_r(text("pieces"), ",", &rest); one; one = strtok_r(NULL, ",", &rest)) {
        char *parts = NULL;
        derecho_piece *piece = &pieces[count++];
        const char *name = strtok_r(one, ":", &parts);
        piece->memory = strcmp(name, "null") ? entry_of(name)->handle : NULL;
        piece->offset = strtoull(strtok_r(NULL, ":", &parts), NULL, 10);
        piece->size_bytes = strtoull(strtok_r(NULL, ":", &parts), NULL, 10);
    }
    const char *key = text("key");
    uint64_t id = 0;
    const derecho_status status =
        begin(handle("group"), (uint32_t)number("node"), strcmp(key, "null") ? &entry_of(key)->key : NULL,
              number("offset"), pieces, count, &id);
    return sent("operation_out", status, id);
}

static derecho_status do_memory_read(void) { return transfer(derecho_memory_read); }
static derecho_status do_memory_write(void) { return transfer(derecho_memory_write); }

static derecho_status do_memory_deregister(void) {
    return derecho_memory_deregister(handle("memory"), (int64_t)number("timeout_ms"));
}

static derecho_status do_log_to(void) { return derecho_log_to((int)number("fd"), (int32_t)number("level")); }

// ------------------------------------------------------------------------------------------------- steps

static const struct {
    const char *name;
    derecho_status (*run)(void);
} steps[] = {
#define STEP(name) \
    { #name, do_##name }
    STEP(status_name),
    STEP(last_error),
    STEP(abi_version),
    STEP(abi_hash),
    STEP(version),
    STEP(config_create),
    STEP(config_set),
    STEP(config_get),
    STEP(config_load),
    STEP(config_add_service),
    STEP(config_close),
    STEP(group_join),
    STEP(group_leave),
    STEP(group_close),
    STEP(group_fd),
    STEP(group_view),
    STEP(group_stats),
    STEP(group_holdup),
    STEP(group_reply),
    STEP(group_state),
    STEP(group_state_size),
    STEP(group_state_fail),
    STEP(shard_open),
    STEP(shard_send),
    STEP(shard_send_many),
    STEP(shard_call),
    STEP(shard_query),
    STEP(shard_claim),
    STEP(claim_fill),
    STEP(claim_commit),
    STEP(claim_abort),
    STEP(poll),
    STEP(release),
    STEP(wake),
    STEP(buffer_create),
    STEP(buffer_data),
    STEP(buffer_retain),
    STEP(buffer_release),
    STEP(buffer_fill),
    STEP(buffer_read),
    STEP(log_to),
    STEP(memory_register),
    STEP(memory_register_dmabuf),
    STEP(memory_key_for),
    STEP(memory_read),
    STEP(memory_write),
    STEP(memory_deregister),
};

static derecho_status run(const char *function) {
    for (size_t i = 0; i < sizeof steps / sizeof *steps; ++i)
        if (!strcmp(steps[i].name, function)) return steps[i].run();
    die("unknown function", function);
    return DERECHO_OK;
}

static void run_line(char *line) {
    char *fields_text = NULL;
    size_t size = 0;
    given = open_memstream(&fields_text, &size);
    if (!given) die("out of memory", line);
    const derecho_status status = run(read_step(line));
    fclose(given);
    printf("%s", short_name(status));
    if (status == DERECHO_OK) {
        printf("%s", fields_text);
    } else {
        printf("\terror=");
        encode(stdout, derecho_last_error());
    }
    printf("\n");
    fflush(stdout);
    free(fields_text);
    free_payloads();
}

int main(int argc, char **argv) {
    if (argc != 2) die("usage", "executor SCRIPT");
    FILE *script = fopen(argv[1], "r");
    if (!script) die("cannot read", argv[1]);
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, script) > 0) run_line(line);
    free(line);
    fclose(script);
    free_table();
    return 0;
}
