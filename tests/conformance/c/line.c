#define _POSIX_C_SOURCE 200809L
#include "line.h"

#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 32, SHOWN_BYTES = 32, SUM_MODULUS = 65521 };

void die(const char *what, const char *which) {
    fprintf(stderr, "executor: %s: %s\n", what, which);
    exit(2);
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size ? size : 1);
    if (!memory) die("out of memory", "");
    return memory;
}

// ------------------------------------------------------------------------------------------------- table of names

static Entry *table;
static uint64_t ids_sent;

static Entry *find(const char *name) {
    Entry *entry = table;
    while (entry && strcmp(entry->name, name) != 0) entry = entry->next;
    return entry;
}

Entry *entry_of(const char *name) {
    Entry *entry = find(name);
    if (!entry) die("no such name", name);
    return entry;
}

// The entry of a name, made if need be.
Entry *keep(const char *name) {
    Entry *entry = find(name);
    if (entry) return entry;
    entry = allocate(sizeof *entry);
    entry->name = strdup(name);
    entry->next = table;
    return table = entry;
}

void keep_sent(const char *name, uint64_t id) {
    Entry *entry = keep(name);
    entry->id = id;
    entry->sent_order = ++ids_sent;
}

void keep_lease(const char *name, uint64_t lease) {
    Entry *entry = keep(name);
    entry->leases = realloc(entry->leases, (entry->lease_count + 1) * sizeof *entry->leases);
    if (!entry->leases) die("out of memory", name);
    entry->leases[entry->lease_count++] = lease;
}

const char *name_of_sent(uint64_t id) {
    const Entry *latest = NULL;
    for (const Entry *entry = table; entry; entry = entry->next)
        if (entry->sent_order && entry->id == id && (!latest || entry->sent_order > latest->sent_order)) latest = entry;
    return latest ? latest->name : "?";
}

void free_table(void) {
    while (table) {
        Entry *next = table->next;
        free(table->leases);
        free(table->name);
        free(table);
        table = next;
    }
}

// ------------------------------------------------------------------------------------------------- a step's inputs

static struct { char *name, *value; } fields[FIELDS_MAX];
static size_t field_count;

static void decode(char *text) {
    char *to = text;
    for (const char *from = text; *from; ++from) {
        if (*from == '%') {
            const char digits[] = {from[1], from[2], 0};
            *to++ = (char)strtol(digits, NULL, 16);
            from += 2;
        } else {
            *to++ = *from;
        }
    }
    *to = 0;
}

// Returns the function's name.
char *read_step(char *line) {
    char *rest = NULL;
    char *function = strtok_r(line, "\t\n", &rest);
    field_count = 0;
    for (char *field; (field = strtok_r(NULL, "\t\n", &rest));) {
        char *equals = strchr(field, '=');
        if (!equals || field_count == FIELDS_MAX) die("bad field", field);
        *equals = 0;
        decode(equals + 1);
        fields[field_count].name = field;
        fields[field_count++].value = equals + 1;
    }
    return function;
}

char *optional(const char *name) {
    for (size_t i = 0; i < field_count; ++i)
        if (!strcmp(fields[i].name, name)) return fields[i].value;
    return NULL;
}

char *text(const char *name) {
    char *value = optional(name);
    if (!value) die("missing input", name);
    return value;
}

static uint64_t to_number(const char *value) {
    if (*value == '$') return entry_of(value + 1)->id;
    return *value == '-' ? (uint64_t)strtoll(value, NULL, 10) : strtoull(value, NULL, 10);
}

uint64_t number(const char *name) { return to_number(text(name)); }

uint64_t number_or(const char *name, uint64_t fallback) {
    const char *value = optional(name);
    return value ? to_number(value) : fallback;
}

void *handle(const char *name) {
    const char *value = text(name);
    if (!strcmp(value, "null")) return NULL;
    if (!strcmp(value, "garbage")) return (void *)1;
    return entry_of(value)->handle;
}

// ------------------------------------------------------------------------------------------------- payloads, flags

static struct {
    void *memory[PAYLOADS_MAX];  // what is to be freed after the step
    size_t count;
} payloads;

static derecho_bytes hex(const char *digits, char *memory) {
    const size_t size = strlen(digits) / 2;
    for (size_t i = 0; i < size; ++i) {
        const char pair[] = {digits[2 * i], digits[2 * i + 1], 0};
        memory[i] = (char)strtol(pair, NULL, 16);
    }
    return (derecho_bytes){memory, size};
}

derecho_bytes of_buffer(const char *name, uint64_t size) {
    void *data = NULL;
    uint64_t size_bytes = 0;
    if (derecho_buffer_data(entry_of(name)->handle, &data, &size_bytes) != DERECHO_OK || size > size_bytes)
        die("no such bytes in buffer", name);
    return (derecho_bytes){data, size};
}

derecho_bytes to_payload(char *value) {
    char *argument = strchr(value, ':');
    if (!argument || payloads.count == PAYLOADS_MAX) die("bad payload", value);
    *argument++ = 0;
    char *count = strchr(argument, ':');
    const uint64_t size = strtoull(count ? count + 1 : argument, NULL, 10);
    void **memory = &payloads.memory[payloads.count++];
    if (!strcmp(value, "text")) return (derecho_bytes){argument, strlen(argument)};
    if (!strcmp(value, "hex")) return hex(argument, *memory = allocate(strlen(argument)));
    if (!strcmp(value, "null")) return (derecho_bytes){NULL, size};
    if (!count) die("bad payload", value);
    *count = 0;
    if (!strcmp(value, "buffer")) return of_buffer(argument, size);
    if (strcmp(value, "repeat") != 0) die("bad payload", value);
    return (derecho_bytes){memset(*memory = allocate(size), (int)strtol(argument, NULL, 10), size), size};
}

derecho_bytes payload(const char *name) { return to_payload(text(name)); }

void free_payloads(void) {
    while (payloads.count > 0) {
        free(payloads.memory[--payloads.count]);
        payloads.memory[payloads.count] = NULL;
    }
}

static const Named call_flags[] = {{"REPLY", DERECHO_CALL_REPLY}, {"MESSAGE", DERECHO_CLAIM_MESSAGE}, {NULL, 0}};
static const Named accesses[] = {{"READ", DERECHO_MEMORY_READ}, {"WRITE", DERECHO_MEMORY_WRITE}, {NULL, 0}};
const Named event_flags[] = {
    {"REPLY", DERECHO_FLAG_REPLY},
    {"FIRST", DERECHO_FLAG_FIRST},
    {"LAST", DERECHO_FLAG_LAST},
    {"OWN", DERECHO_FLAG_OWN},
    {NULL, 0},
};
const Named kinds[] = {
    {"MESSAGE", DERECHO_EVENT_MESSAGE},       {"CALL", DERECHO_EVENT_CALL},
    {"QUERY", DERECHO_EVENT_QUERY},           {"ORDERED", DERECHO_EVENT_ORDERED},
    {"REPLY", DERECHO_EVENT_REPLY},           {"VIEW", DERECHO_EVENT_VIEW},
    {"STATE", DERECHO_EVENT_STATE},           {"STATE_REQUEST", DERECHO_EVENT_STATE_REQUEST},
    {"CLOSED", DERECHO_EVENT_CLOSED},         {"MEMORY", DERECHO_EVENT_MEMORY},
    {"DIFFERENCE", DERECHO_EVENT_DIFFERENCE}, {NULL, 0},
};

static uint32_t value_of(const Named *names, const char *name) {
    for (; names->name; ++names)
        if (!strcmp(names->name, name)) return names->value;
    die("unknown name", name);
    return 0;
}

static uint32_t bits_of(const char *input, const Named *names) {
    uint32_t bits = 0;
    char *rest = NULL;
    for (char *name = strtok_r(text(input), "|", &rest); name; name = strtok_r(NULL, "|", &rest))
        bits |= value_of(names, name);
    return bits;
}

uint32_t flags(void) { return bits_of("flags", call_flags); }
uint32_t access_flags(void) { return bits_of("access", accesses); }

// Events of which kinds are not counted, a bit each.
uint32_t skipped_kinds(void) {
    uint32_t bits = 0;
    char *rest = NULL, *skip = optional("skip");
    for (char *name = skip ? strtok_r(skip, "|", &rest) : NULL; name; name = strtok_r(NULL, "|", &rest))
        bits |= 1u << value_of(kinds, name);
    return bits;
}

const char *short_name(derecho_status status) { return derecho_status_name(status) + strlen("DERECHO_"); }

derecho_status status_input(void) {
    const char *name = text("status");
    for (derecho_status status = DERECHO_OK; status <= DERECHO_DIFFERS; ++status)
        if (!strcmp(name, short_name(status))) return status;
    return (derecho_status)to_number(name);
}

// ------------------------------------------------------------------------------------------------- a step's outputs

FILE *given;

void encode(FILE *out, const char *value) {
    for (; *value; ++value) fprintf(out, strchr("%\t\n\r", *value) ? "%%%02X" : "%c", (unsigned char)*value);
}

void give(const char *name, const char *value) {
    fprintf(given, "\t%s=", name);
    encode(given, value);
}

void give_number(const char *name, uint64_t value) { fprintf(given, "\t%s=%llu", name, (unsigned long long)value); }

void give_alignment(const void *data, size_t alignment) {
    if ((uintptr_t)data % alignment != 0) give("aligned", "BAD");
}

void write_bytes(const void *data, uint64_t size) {
    const unsigned char *bytes = data;
    uint64_t sum = 0;
    for (uint64_t i = 0; i < size; ++i) {
        if (i < SHOWN_BYTES) fprintf(given, "%02x", bytes[i]);
        sum += bytes[i];
    }
    fprintf(given, "+%llu", (unsigned long long)(sum % SUM_MODULUS));
}
