/*
 * What C stubs made by `derecho stubs --lang c` stand on: values to messages and back (docs/layout.md), memory for what
 * was read, and answers that wait for room. C99, static functions only; nothing of it is in libderecho.so.
 *
 * In C a value lies as the message has it, except that a reference (text, bytes, list, map) is a pointer and a count.
 * So what has no references is read in place or copied as it is, and the stub is tables: a derecho_type for every type.
 */
#ifndef DERECHO_STUB_H
#define DERECHO_STUB_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "derecho.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Some UTF-8, without a NUL. Laid out as derecho_bytes. */
typedef struct derecho_text {
    const char *data;
    uint64_t size_bytes;
} derecho_text;

/** A C string as a derecho_text, which points to it. */
static inline derecho_text derecho_text_of(const char *string) {
    const derecho_text made = {string, strlen(string)};
    return made;
}

/** Whether two texts have the same bytes. */
static inline bool derecho_text_same(derecho_text a, derecho_text b) {
    return a.size_bytes == b.size_bytes && (a.size_bytes == 0 || !memcmp(a.data, b.data, (size_t)a.size_bytes));
}

/** A copy of one's own, to be given to free(): `data` is NULL when there is no memory. */
static inline derecho_bytes derecho_bytes_copy(derecho_bytes bytes) {
    derecho_bytes made = {malloc(bytes.size_bytes ? (size_t)bytes.size_bytes : 1), bytes.size_bytes};
    if (made.data && bytes.size_bytes) memcpy((void *)(uintptr_t)made.data, bytes.data, (size_t)bytes.size_bytes);
    return made;
}

/** As derecho_bytes_copy(). */
static inline derecho_text derecho_text_copy(derecho_text text) {
    const derecho_bytes bytes = {text.data, text.size_bytes};
    const derecho_text made = {(const char *)derecho_bytes_copy(bytes).data, text.size_bytes};
    return made;
}

/* ------------------------------------------------------------------------------------------------- failures */

/* What a function of this header found out itself, on this thread; "" when it was the library that failed. Weak: the
 * files of a program share it. */
__extension__ __attribute__((weak)) __thread char derecho_stub_said[512];

/** Why the function of this header, or of a stub, that this thread called last has failed: a sentence, its own or the
 * library's. Valid until the next call. */
static inline const char *derecho_stub_error(void) {
    return *derecho_stub_said ? derecho_stub_said : derecho_last_error();
}

/** Note why a function of this header fails. @return status. */
__attribute__((format(printf, 2, 3))) static inline derecho_status derecho_stub_fail(derecho_status status,
                                                                                     const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(derecho_stub_said, sizeof derecho_stub_said, format, values);
    va_end(values);
    return status;
}

/** Forget what was noted: from here on it is the library that fails. */
static inline void derecho_stub_begin(void) { *derecho_stub_said = 0; }

static inline derecho_status derecho_stub_no_memory(uint64_t size_bytes) {
    return derecho_stub_fail(DERECHO_NO_MEMORY, "there is no memory for %llu bytes", (unsigned long long)size_bytes);
}

static inline derecho_status derecho_stub_unfit(const char *what) {
    return derecho_stub_fail(DERECHO_INVALID, "%s: a text is not UTF-8, or it is more than 4 GB", what);
}

/* ------------------------------------------------------------------------------------------------- arena */

/** Memory that is given back at once: what was read, or what a handler made for its result. Zero it before first use.
 */
typedef struct derecho_arena {
    void *newest; /* chunks, each beginning with a pointer to the one before */
} derecho_arena;

/** Take zeroed memory, aligned to 8. NULL when there is none. */
static inline void *derecho_arena_take(derecho_arena *arena, uint64_t size_bytes) {
    void **chunk = size_bytes <= SIZE_MAX - sizeof(void *) ? (void **)calloc(1, sizeof(void *) + size_bytes) : NULL;
    if (!chunk) return NULL;
    *chunk = arena->newest;
    arena->newest = chunk;
    return chunk + 1;
}

/** Give all of it back. */
static inline void derecho_arena_free(derecho_arena *arena) {
    while (arena->newest) {
        void **chunk = (void **)arena->newest;
        arena->newest = *chunk;
        free(chunk);
    }
}

/* ------------------------------------------------------------------------------------------------- types */

typedef enum derecho_type_kind {
    DERECHO_TYPE_NUMBER,
    DERECHO_TYPE_BOOL,
    DERECHO_TYPE_TEXT, /* a reference to UTF-8 */
    DERECHO_TYPE_LIST, /* a reference to elements; bytes are a list of u8 */
    DERECHO_TYPE_MAP,  /* a reference to structs whose first field is the key */
    DERECHO_TYPE_ARRAY,
    DERECHO_TYPE_OPTIONAL, /* bool present, then the value at its alignment */
    DERECHO_TYPE_STRUCT
} derecho_type_kind;

struct derecho_type_field;

/** A type as it lies in a message and in memory. */
typedef struct derecho_type {
    derecho_type_kind kind;
    bool refers;                        /* has parts in the tail, or is a reference itself */
    uint32_t align, size, memory_bytes; /* align and size of the message's layout */
    uint32_t count;                     /* an array's elements, a struct's fields */
    const struct derecho_type *element; /* of a list, map, array, optional */
    uint32_t value_memory_offset;       /* of an optional's value in memory */
    const struct derecho_type_field *fields;
} derecho_type;

/** A field of a struct, and where it lies. */
typedef struct derecho_type_field {
    const derecho_type *type;
    uint32_t offset, memory_offset;
} derecho_type_field;

/* Numbers and bool, text and bytes, which every service has in common. */
#define DERECHO_PLAIN_TYPE(kind, bytes) \
    { kind, false, bytes, bytes, bytes, 0, NULL, 0, NULL }
static const derecho_type derecho_type_i8 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 1);
static const derecho_type derecho_type_u8 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 1);
static const derecho_type derecho_type_i16 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 2);
static const derecho_type derecho_type_u16 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 2);
static const derecho_type derecho_type_i32 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 4);
static const derecho_type derecho_type_u32 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 4);
static const derecho_type derecho_type_i64 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 8);
static const derecho_type derecho_type_u64 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 8);
static const derecho_type derecho_type_f32 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 4);
static const derecho_type derecho_type_f64 = DERECHO_PLAIN_TYPE(DERECHO_TYPE_NUMBER, 8);
static const derecho_type derecho_type_bool = DERECHO_PLAIN_TYPE(DERECHO_TYPE_BOOL, 1);
#undef DERECHO_PLAIN_TYPE
static const derecho_type derecho_type_str = {DERECHO_TYPE_TEXT, true, 4, 8, 16, 0, &derecho_type_u8, 0, NULL};
static const derecho_type derecho_type_bytes = {DERECHO_TYPE_LIST, true, 4, 8, 16, 0, &derecho_type_u8, 0, NULL};

/** How a reference lies in memory, whatever it refers to. */
typedef struct derecho_list {
    const void *items;
    uint64_t count;
} derecho_list;

static inline uint64_t derecho_align_up(uint64_t position, uint32_t alignment) {
    return (position + alignment - 1) & ~(uint64_t)(alignment - 1);
}

static inline bool derecho_is_reference(const derecho_type *type) {
    return type->kind == DERECHO_TYPE_TEXT || type->kind == DERECHO_TYPE_LIST || type->kind == DERECHO_TYPE_MAP;
}

/** Whether a value lies in memory byte for byte as in a message. */
static inline bool derecho_is_plain(const derecho_type *type) {
    return type->kind == DERECHO_TYPE_NUMBER || type->kind == DERECHO_TYPE_BOOL;
}

/** Whether bytes are UTF-8: shortest forms, no surrogates, at most U+10FFFF. */
static inline bool derecho_is_utf8(const void *data, uint64_t size) {
    const unsigned char *at = (const unsigned char *)data;
    for (uint64_t left = size; left > 0;) {
        const unsigned lead = at[0];
        const unsigned length = lead < 0x80   ? 1
                                : lead < 0xC2 ? 0
                                : lead < 0xE0 ? 2
                                : lead < 0xF0 ? 3
                                : lead < 0xF5 ? 4
                                              : 0;
        if (length == 0 || left < length) return false;
        const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
        const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
        if (length > 1 && (at[1] < low || at[1] > high)) return false;
        for (unsigned i = 2; i < length; ++i)
            if ((at[i] & 0xC0) != 0x80) return false;
        at += length;
        left -= length;
    }
    return true;
}

/* ------------------------------------------------------------------------------------------------- writing */

/**
 * Move the end of a message to where a value's parts would move it.
 * @param value    in memory.
 * @param cursor   the end so far.
 * @return UINT64_MAX for a text that is not UTF-8, or a part of more than 2^32 - 1 elements.
 */
static inline uint64_t derecho_measure(const derecho_type *type, const void *value, uint64_t cursor) {
    const char *memory = (const char *)value;
    if (cursor == UINT64_MAX || !type->refers) return cursor;
    if (derecho_is_reference(type)) {
        const derecho_list *list = (const derecho_list *)value;
        if (list->count > UINT32_MAX) return UINT64_MAX;
        if (type->kind == DERECHO_TYPE_TEXT && !derecho_is_utf8(list->items, list->count)) return UINT64_MAX;
        cursor = derecho_align_up(cursor, type->element->align) + list->count * type->element->size;
        for (uint64_t i = 0; type->element->refers && i < list->count; ++i)
            cursor =
                derecho_measure(type->element, (const char *)list->items + i * type->element->memory_bytes, cursor);
    } else if (type->kind == DERECHO_TYPE_ARRAY) {
        for (uint32_t i = 0; i < type->count; ++i)
            cursor = derecho_measure(type->element, memory + (size_t)i * type->element->memory_bytes, cursor);
    } else if (type->kind == DERECHO_TYPE_OPTIONAL) {
        if (*memory) cursor = derecho_measure(type->element, memory + type->value_memory_offset, cursor);
    } else {
        for (uint32_t i = 0; i < type->count; ++i)
            cursor = derecho_measure(type->fields[i].type, memory + type->fields[i].memory_offset, cursor);
    }
    return cursor;
}

/** Write the fixed part of a value to `to`, whose bytes are 0, and its parts to the tail. @return the new end. */
static inline uint64_t derecho_write(const derecho_type *type, const void *value, char *base, char *to,
                                     uint64_t cursor) {
    const char *memory = (const char *)value;
    if (derecho_is_reference(type)) {
        const derecho_list *list = (const derecho_list *)value;
        const derecho_type *element = type->element;
        const uint64_t offset = derecho_align_up(cursor, element->align), end = offset + list->count * element->size;
        const uint32_t reference[2] = {(uint32_t)offset, (uint32_t)list->count};
        memcpy(to, reference, sizeof reference);
        memset(base + cursor, 0, (size_t)(end - cursor));
        cursor = end;
        if (derecho_is_plain(element)) {
            if (list->count) memcpy(base + offset, list->items, (size_t)(end - offset));
            return cursor;
        }
        for (uint64_t i = 0; i < list->count; ++i)
            cursor = derecho_write(element, (const char *)list->items + i * element->memory_bytes, base,
                                   base + offset + i * element->size, cursor);
        return cursor;
    }
    if (type->kind == DERECHO_TYPE_ARRAY) {
        for (uint32_t i = 0; i < type->count; ++i)
            cursor = derecho_write(type->element, memory + (size_t)i * type->element->memory_bytes, base,
                                   to + (size_t)i * type->element->size, cursor);
    } else if (type->kind == DERECHO_TYPE_OPTIONAL) {
        *to = *memory;
        if (*memory)
            cursor = derecho_write(type->element, memory + type->value_memory_offset, base, to + type->align, cursor);
    } else if (type->kind == DERECHO_TYPE_STRUCT) {
        for (uint32_t i = 0; i < type->count; ++i)
            cursor = derecho_write(type->fields[i].type, memory + type->fields[i].memory_offset, base,
                                   to + type->fields[i].offset, cursor);
    } else {
        memcpy(to, value, type->size);
    }
    return cursor;
}

/** Bytes of the message whose fields are those of a struct. UINT64_MAX: more than 4 GB, or see derecho_measure(). */
static inline uint64_t derecho_message_bytes(const derecho_type *type, const void *value) {
    const uint64_t size = derecho_measure(type, value, type->size);
    return size > UINT32_MAX ? UINT64_MAX : size;
}

/** Write that message to memory of its size. */
static inline void derecho_message_write(const derecho_type *type, const void *value, void *to) {
    memset(to, 0, type->size);
    derecho_write(type, value, (char *)to, (char *)to, type->size);
}

/* ------------------------------------------------------------------------------------------------- reading */

/** A message of a peer being taken apart; `why` is set when it is refused. */
typedef struct derecho_reader {
    const char *base;
    uint64_t size, cursor; /* cursor: where the next part of the tail must be */
    derecho_arena *arena;
    const char *why;
} derecho_reader;

static inline bool derecho_refuse(derecho_reader *reader, const char *why) {
    reader->why = why;
    return false;
}

/** Whether no two entries of a map have the same key; by a hash table, as a peer may send very many. */
static inline bool derecho_keys_differ(const derecho_type *pair, const char *entries, uint64_t count,
                                       derecho_reader *reader) {
    const derecho_type *key = pair->fields[0].type;
    uint64_t slots = 16;
    while (slots < count * 2) slots *= 2;
    const char **table = (const char **)derecho_arena_take(reader->arena, slots * sizeof *table);
    if (!table) return derecho_refuse(reader, "out of memory");
    for (uint64_t i = 0; i < count; ++i) {
        const char *entry = entries + i * pair->memory_bytes;
        const derecho_list *list = (const derecho_list *)entry;
        const char *bytes = derecho_is_reference(key) ? (const char *)list->items : entry;
        const uint64_t size = derecho_is_reference(key) ? list->count : key->size;
        uint64_t hash = 1469598103934665603u;
        for (uint64_t b = 0; b < size; ++b) hash = (hash ^ (unsigned char)bytes[b]) * 1099511628211u;
        for (uint64_t slot = (hash ^ hash >> 32) & (slots - 1);; slot = (slot + 1) & (slots - 1)) {
            const char *other = table[slot];
            if (!other) {
                table[slot] = entry;
                break;
            }
            const derecho_list *others = (const derecho_list *)other;
            const bool same = derecho_is_reference(key)
                                  ? others->count == size && (size == 0 || !memcmp(others->items, bytes, (size_t)size))
                                  : !memcmp(other, bytes, (size_t)size);
            if (same) return derecho_refuse(reader, "a map has a key twice");
        }
    }
    return true;
}

static inline bool derecho_read(const derecho_type *type, const char *from, void *value, derecho_reader *reader);

static inline bool derecho_read_reference(const derecho_type *type, const char *from, derecho_list *list,
                                          derecho_reader *reader) {
    const derecho_type *element = type->element;
    uint32_t reference[2];
    memcpy(reference, from, sizeof reference);
    reader->cursor = derecho_align_up(reader->cursor, element->align);
    if (reference[0] != reader->cursor) return derecho_refuse(reader, "a reference does not point at its place");
    if (reader->cursor > reader->size || (uint64_t)reference[1] * element->size > reader->size - reader->cursor)
        return derecho_refuse(reader, "a part passes the end of the message");
    const char *items = reader->base + reader->cursor;
    reader->cursor += (uint64_t)reference[1] * element->size;
    list->items = items;
    list->count = reference[1];
    if (type->kind == DERECHO_TYPE_TEXT && !derecho_is_utf8(items, list->count))
        return derecho_refuse(reader, "a text is not UTF-8");
    if (element->kind == DERECHO_TYPE_NUMBER) return true; /* in place */
    char *memory = list->count ? (char *)derecho_arena_take(reader->arena, list->count * element->memory_bytes) : NULL;
    if (list->count && !memory) return derecho_refuse(reader, "out of memory");
    list->items = memory;
    for (uint64_t i = 0; i < list->count; ++i)
        if (!derecho_read(element, items + i * element->size, memory + i * element->memory_bytes, reader)) return false;
    return type->kind != DERECHO_TYPE_MAP || derecho_keys_differ(element, memory, list->count, reader);
}

/** Read the value whose fixed part is at `from`. @return false, and why, when it is malformed. */
static inline bool derecho_read(const derecho_type *type, const char *from, void *value, derecho_reader *reader) {
    char *memory = (char *)value;
    switch (type->kind) {
        case DERECHO_TYPE_NUMBER:
            memcpy(value, from, type->size);
            return true;
        case DERECHO_TYPE_BOOL:
            if ((unsigned char)*from > 1) return derecho_refuse(reader, "a bool is neither 0 nor 1");
            *memory = *from;
            return true;
        case DERECHO_TYPE_ARRAY:
            for (uint32_t i = 0; i < type->count; ++i)
                if (!derecho_read(type->element, from + (size_t)i * type->element->size,
                                  memory + (size_t)i * type->element->memory_bytes, reader))
                    return false;
            return true;
        case DERECHO_TYPE_OPTIONAL:
            if ((unsigned char)*from > 1) return derecho_refuse(reader, "a presence byte is neither 0 nor 1");
            *memory = *from;
            return !*from ||
                   derecho_read(type->element, from + type->align, memory + type->value_memory_offset, reader);
        case DERECHO_TYPE_STRUCT:
            for (uint32_t i = 0; i < type->count; ++i)
                if (!derecho_read(type->fields[i].type, from + type->fields[i].offset,
                                  memory + type->fields[i].memory_offset, reader))
                    return false;
            return true;
        default:
            return derecho_read_reference(type, from, (derecho_list *)value, reader);
    }
}

/**
 * Read a message into a struct whose fields are the message's.
 * @param value      set only on success; text, bytes and lists of numbers in it point into the message, others into the
 *                   arena.
 * @param arena      to be freed when the value is no longer needed, also after a failure.
 * @return NULL, or why the message is refused. Static.
 */
static inline const char *derecho_message_read(const derecho_type *type, const void *data, uint64_t size, void *value,
                                               derecho_arena *arena) {
    derecho_reader reader = {(const char *)data, size, type->size, arena, NULL};
    if (size < type->size) return "the message is shorter than its fixed part";
    if (!derecho_read(type, reader.base, value, &reader)) return reader.why;
    return reader.cursor == size ? NULL : "the message is longer than its values";
}

/* ------------------------------------------------------------------------------------------------- calling */

/** derecho_shard_call() with the fields of `arguments`, written straight into the ring. */
static inline derecho_status derecho_stub_call(derecho_shard *shard, uint32_t method, uint32_t flags,
                                               const derecho_type *type, const void *arguments, uint64_t *call_out) {
    derecho_stub_begin();
    const uint64_t size = derecho_message_bytes(type, arguments);
    if (size == UINT64_MAX) return derecho_stub_unfit("the arguments cannot travel");
    derecho_claim claim;
    derecho_status status = derecho_shard_claim(shard, method, flags, (size_t)size, &claim);
    if (status != DERECHO_OK) return status;
    derecho_message_write(type, arguments, claim.data);
    status = derecho_claim_commit(shard, &claim, (size_t)size);
    if (status != DERECHO_OK) derecho_claim_abort(shard, &claim);
    if (status == DERECHO_OK && call_out) *call_out = claim.id;
    return status;
}

/** derecho_shard_query() with the fields of `arguments`. */
static inline derecho_status derecho_stub_query(derecho_shard *shard, uint32_t node, uint32_t method,
                                                const derecho_type *type, const void *arguments, uint64_t *call_out) {
    derecho_stub_begin();
    const uint64_t size = derecho_message_bytes(type, arguments);
    if (size == UINT64_MAX) return derecho_stub_unfit("the arguments cannot travel");
    void *message = malloc(size ? (size_t)size : 1);
    if (!message) return derecho_stub_no_memory(size);
    derecho_message_write(type, arguments, message);
    const derecho_status status = derecho_shard_query(shard, node, method, message, (size_t)size, call_out);
    free(message);
    return status;
}

/* ------------------------------------------------------------------------------------------------- answering */

/** An answer that found no room; its bytes lie right behind it. */
typedef struct derecho_late_answer {
    struct derecho_late_answer *next;
    uint32_t node;
    derecho_status status;
    uint64_t call, size;
} derecho_late_answer;

/** Answers that wait for room, in order. Zero it before first use. */
typedef struct derecho_answers {
    derecho_late_answer *first, *last;
} derecho_answers;

/** What a handler has beside its arguments. */
typedef struct derecho_handling {
    const derecho_event *event;
    derecho_arena arena; /* for what its result points to */
    char failure[4097];  /* "Type: text", when it returns DERECHO_REMOTE_ERROR */
} derecho_handling;

/** Note why a handler fails. @return DERECHO_REMOTE_ERROR, to be returned by it. */
static inline derecho_status derecho_fail(derecho_handling *handling, const char *type, derecho_text text) {
    const int shown = text.size_bytes < sizeof handling->failure ? (int)text.size_bytes : (int)sizeof handling->failure;
    snprintf(handling->failure, sizeof handling->failure, "%s: %.*s", type, shown, text.data ? text.data : "");
    return DERECHO_REMOTE_ERROR;
}

/** Send answers that waited, as far as there is room now: call it in every turn of the loop. */
static inline void derecho_answers_retry(derecho_group *group, derecho_answers *answers) {
    while (answers->first) {
        derecho_late_answer *late = answers->first;
        const derecho_status sent =
            derecho_group_reply(group, late->node, late->call, late->status, late + 1, (size_t)late->size);
        if (sent == DERECHO_AGAIN) return;
        if (sent == DERECHO_TOO_LARGE && late->status == DERECHO_OK) { /* found late, but its caller still waits */
            late->status = DERECHO_REMOTE_ERROR;
            late->size = (uint64_t)snprintf((char *)(late + 1), (size_t)late->size, "TooLarge: %s",
                                            derecho_last_error()); /* what is too large has room for its failure */
            continue;
        }
        answers->first = late->next;
        if (!late->next) answers->last = NULL;
        free(late);
    }
}

/** Answer a call now, or as soon as there is room. Takes `data` of size bytes, copied. */
static inline derecho_status derecho_answer(derecho_group *group, const derecho_event *event, derecho_status status,
                                            const void *data, uint64_t size, derecho_answers *answers) {
    if (!(event->flags & DERECHO_FLAG_REPLY)) return DERECHO_OK;
    if (!answers->first) {
        const derecho_status sent = derecho_group_reply(group, event->node, event->id, status, data, (size_t)size);
        if (sent != DERECHO_AGAIN) return sent;
    }
    derecho_late_answer *late = (derecho_late_answer *)malloc(sizeof *late + (size_t)size);
    if (!late) return derecho_stub_no_memory(size);
    late->next = NULL;
    late->node = event->node;
    late->status = status;
    late->call = event->id;
    late->size = size;
    if (size) memcpy(late + 1, data, (size_t)size);
    if (answers->last)
        answers->last->next = late;
    else
        answers->first = late;
    answers->last = late;
    return DERECHO_OK;
}

/** Answer with the result of a handler. @return DERECHO_REMOTE_ERROR when it cannot travel, with the failure noted. */
static inline derecho_status derecho_answer_value(derecho_group *group, derecho_handling *handling,
                                                  const derecho_type *type, const void *result,
                                                  derecho_answers *answers) {
    const uint64_t size = derecho_message_bytes(type, result);
    if (size == UINT64_MAX)
        return derecho_fail(handling, "EncodeError", derecho_text_of("the result has a text that is not UTF-8"));
    void *message = malloc(size ? (size_t)size : 1);
    if (!message) return derecho_fail(handling, "NoMemory", derecho_text_of("no room for the answer"));
    derecho_message_write(type, result, message);
    const derecho_status sent = derecho_answer(group, handling->event, DERECHO_OK, message, size, answers);
    free(message);
    if (sent == DERECHO_TOO_LARGE) return derecho_fail(handling, "TooLarge", derecho_text_of(derecho_last_error()));
    return sent;
}

/** Answer with what a handler came to: its result, or its failure. Frees what the handling holds. */
static inline derecho_status derecho_answer_result(derecho_group *group, derecho_handling *handling,
                                                   derecho_status status, const derecho_type *type, const void *result,
                                                   derecho_answers *answers) {
    if (status == DERECHO_OK && (handling->event->flags & DERECHO_FLAG_REPLY))
        status = derecho_answer_value(group, handling, type, result, answers);
    if (status == DERECHO_REMOTE_ERROR)
        status = derecho_answer(group, handling->event, DERECHO_REMOTE_ERROR, handling->failure,
                                strlen(handling->failure), answers);
    derecho_arena_free(&handling->arena);
    return status;
}

/* ------------------------------------------------------------------------------------------------- replicas */

/** What a stub knows of its service, for a derecho_replica. */
typedef struct derecho_replica_methods {
    derecho_status (*dispatch)(derecho_group *group, const derecho_event *event, const void *handlers,
                               derecho_answers *answers);
    void *(*save)(const void *handlers, uint64_t *size_out); /* malloc'ed; NULL: no memory, or size UINT64_MAX */
    const char *(*load)(const void *handlers, const void *message, uint64_t size); /* NULL, or why it is refused */
} derecho_replica_methods;

/** An event that came before the state did, copied; its data lie right behind it. */
typedef struct derecho_held_event {
    struct derecho_held_event *next;
    derecho_event event;
} derecho_held_event;

/** A state on its way to a joiner. */
typedef struct derecho_outgoing_state {
    struct derecho_outgoing_state *next;
    uint32_t node;
    uint64_t request, size, sent;
    void *data;
} derecho_outgoing_state;

/** The replica of one service in one group; it belongs to the thread that polls. Made by a stub. */
typedef struct derecho_replica {
    derecho_group *group;
    derecho_shard *shard; /* to call by; of a replica that joined */
    uint32_t number;      /* of the shard, in events */
    const derecho_replica_methods *methods;
    const void *handlers;
    derecho_answers answers;
    bool seen_view, loading;
    derecho_status ended; /* why there is no group any more */
    char *incoming;       /* pieces of the state so far */
    uint64_t incoming_bytes;
    derecho_held_event *held, *held_last;
    derecho_outgoing_state *outgoing;
} derecho_replica;

static const uint64_t derecho_state_piece_bytes = 8 << 10; /* an eighth of the least mail_bytes: fits every group */

/** Send what waits for room: answers, and pieces of state. Call it in every turn of the loop. */
static inline void derecho_replica_retry(derecho_replica *replica) {
    derecho_answers_retry(replica->group, &replica->answers);
    while (replica->outgoing) {
        derecho_outgoing_state *state = replica->outgoing;
        const uint64_t left = state->size - state->sent;
        const uint64_t piece = left < derecho_state_piece_bytes ? left : derecho_state_piece_bytes;
        const derecho_status status =
            derecho_group_state(replica->group, state->node, state->request, (const char *)state->data + state->sent,
                                (size_t)piece, piece == left);
        if (status == DERECHO_AGAIN) return;
        state->sent += piece;
        if (status == DERECHO_OK && state->sent < state->size) continue;
        replica->outgoing = state->next; /* all of it is sent, or the joiner is gone */
        free(state->data);
        free(state);
    }
}

static inline derecho_status derecho_replica_save(derecho_replica *replica, const derecho_event *request) {
    derecho_outgoing_state *state = (derecho_outgoing_state *)calloc(1, sizeof *state);
    if (!state) return derecho_stub_no_memory(sizeof *state);
    state->node = request->node;
    state->request = request->id;
    state->data = replica->methods->save(replica->handlers, &state->size);
    if (!state->data) {
        const uint64_t size = state->size;
        free(state);
        return size == UINT64_MAX ? derecho_stub_unfit("the state cannot travel") : derecho_stub_no_memory(size);
    }
    derecho_outgoing_state **end = &replica->outgoing;
    while (*end) end = &(*end)->next;
    *end = state;
    derecho_replica_retry(replica);
    return DERECHO_OK;
}

static inline derecho_status derecho_replica_hold(derecho_replica *replica, const derecho_event *event) {
    derecho_held_event *held = (derecho_held_event *)malloc(sizeof *held + (size_t)event->size_bytes);
    if (!held) return derecho_stub_no_memory(event->size_bytes);
    held->next = NULL;
    held->event = *event;
    held->event.data = held + 1;
    if (event->size_bytes) memcpy(held + 1, event->data, (size_t)event->size_bytes);
    if (replica->held_last)
        replica->held_last->next = held;
    else
        replica->held = held;
    replica->held_last = held;
    return DERECHO_OK;
}

/** Take a piece of state; after the last one, what was held back is handled. */
static inline derecho_status derecho_replica_load(derecho_replica *replica, const derecho_event *piece) {
    if (piece->flags & DERECHO_FLAG_FIRST) replica->incoming_bytes = 0;
    char *whole = (char *)realloc(replica->incoming, (size_t)(replica->incoming_bytes + piece->size_bytes + 1));
    if (!whole) return derecho_stub_no_memory(replica->incoming_bytes + piece->size_bytes);
    replica->incoming = whole;
    if (piece->size_bytes) memcpy(whole + replica->incoming_bytes, piece->data, (size_t)piece->size_bytes);
    replica->incoming_bytes += piece->size_bytes;
    if (!(piece->flags & DERECHO_FLAG_LAST)) return DERECHO_OK;
    const char *refused = replica->methods->load(replica->handlers, whole, replica->incoming_bytes);
    free(whole);
    replica->incoming = NULL;
    replica->loading = false;
    derecho_status status = DERECHO_OK;
    while (replica->held) {
        derecho_held_event *first = replica->held;
        if (status == DERECHO_OK)
            status = replica->methods->dispatch(replica->group, &first->event, replica->handlers, &replica->answers);
        replica->held = first->next;
        free(first);
    }
    replica->held_last = NULL;
    return refused ? derecho_stub_fail(DERECHO_INTERNAL, "the state is refused: %s", refused) : status;
}

/**
 * Handle an event, if it is one for the replica: a call, a query, a request for its state, its state, the first view.
 * Others are left alone, so every event may be passed.
 * @return DERECHO_OK; DERECHO_NO_MEMORY; DERECHO_INTERNAL: the state was refused; DERECHO_INVALID: the own state cannot
 *         travel; what ended the group. derecho_stub_error() has the details.
 */
static inline derecho_status derecho_replica_handle(derecho_replica *replica, const derecho_event *event) {
    derecho_stub_begin();
    if (event->kind == DERECHO_EVENT_CLOSED) replica->ended = event->status;
    if (event->kind == DERECHO_EVENT_VIEW && !replica->seen_view) {
        derecho_view view;
        view.struct_bytes = sizeof view;
        const derecho_status status = derecho_group_view(replica->group, &view);
        if (status != DERECHO_OK) return status;
        replica->seen_view = true;
        replica->loading =
            view.self_rank < view.member_count && !(view.members[view.self_rank].flags & DERECHO_MEMBER_HAS_STATE);
    }
    if (event->shard != replica->number) return DERECHO_OK;
    switch (event->kind) {
        case DERECHO_EVENT_CALL:
        case DERECHO_EVENT_QUERY:
            if (replica->loading) return derecho_replica_hold(replica, event);
            return replica->methods->dispatch(replica->group, event, replica->handlers, &replica->answers);
        case DERECHO_EVENT_STATE_REQUEST:
            return derecho_replica_save(replica, event);
        case DERECHO_EVENT_STATE:
            return derecho_replica_load(replica, event);
        default:
            return DERECHO_OK;
    }
}

/**
 * One turn of a member's loop: poll, handle what came, send what waited for room.
 * @param see          shown every event after it was handled, with `context`; may be NULL. Its data are gone
 * afterwards.
 * @param timeout_ns   as derecho_poll().
 * @return as derecho_poll() and derecho_replica_handle(); once the group has ended what ended it, in every turn.
 */
static inline derecho_status derecho_replica_turn(derecho_replica *replica, int64_t timeout_ns,
                                                  void (*see)(void *context, const derecho_event *event),
                                                  void *context) {
    derecho_stub_begin();
    derecho_event events[64];
    size_t count = 0;
    uint64_t lease = 0;
    derecho_status status = derecho_poll(replica->group, events, 64, timeout_ns, &count, &lease);
    for (size_t i = 0; i < count && status == DERECHO_OK; ++i) {
        status = derecho_replica_handle(replica, &events[i]);
        if (see) see(context, &events[i]);
    }
    if (lease) derecho_release(replica->group, lease);
    if (replica->ended)
        return derecho_stub_fail(replica->ended, "the group has ended for this node: %s",
                                 derecho_status_name(replica->ended));
    if (status == DERECHO_OK) derecho_replica_retry(replica);
    return status;
}

/** Milliseconds of the day's clock: C99 has no other. */
static inline int64_t derecho_now_ms(void) {
    struct timeval now;
    gettimeofday(&now, NULL);
    return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

/** What derecho_replica_await() waits for. */
typedef struct derecho_awaited {
    uint64_t call;
    uint32_t owed, answered; /* owed: not known before the call is ordered */
    derecho_status status;
    char why[400]; /* when it is not OK */
} derecho_awaited;

static inline void derecho_awaited_see(void *context, const derecho_event *event) {
    derecho_awaited *awaited = (derecho_awaited *)context;
    if (event->id != awaited->call) return;
    if (event->kind == DERECHO_EVENT_ORDERED) awaited->owed = (uint32_t)(event->size_bytes / sizeof(uint32_t));
    if (event->kind != DERECHO_EVENT_REPLY) return;
    awaited->answered++;
    if (event->status == DERECHO_OK || event->status == DERECHO_REMOVED) return;
    awaited->status = event->status;
    const int shown = event->size_bytes < sizeof awaited->why ? (int)event->size_bytes : (int)sizeof awaited->why;
    snprintf(awaited->why, sizeof awaited->why, "member %u failed: %s%s%.*s", (unsigned)event->node,
             derecho_status_name(event->status), shown ? ": " : "", shown, shown ? (const char *)event->data : "");
}

/**
 * Take turns until every member has answered an ordered call. Call it before the next turn, and so before the next
 * call is made that is to be awaited: answers that came earlier are not seen.
 * @return DERECHO_OK, how one of them failed, DERECHO_TIMEOUT, or what ended the group.
 */
static inline derecho_status derecho_replica_await(derecho_replica *replica, uint64_t call, int64_t timeout_ms) {
    derecho_awaited awaited = {call, 0, 0, DERECHO_OK, ""};
    for (const int64_t began = derecho_now_ms(); awaited.owed == 0 || awaited.answered < awaited.owed;) {
        if (derecho_now_ms() - began >= timeout_ms)
            return awaited.owed
                       ? derecho_stub_fail(DERECHO_TIMEOUT, "%u of %u members answered within %lld ms",
                                           (unsigned)awaited.answered, (unsigned)awaited.owed, (long long)timeout_ms)
                       : derecho_stub_fail(DERECHO_TIMEOUT, "the call was not ordered within %lld ms",
                                           (long long)timeout_ms);
        const derecho_status status = derecho_replica_turn(replica, 1000000, derecho_awaited_see, &awaited);
        if (status != DERECHO_OK) return status;
    }
    return awaited.status ? derecho_stub_fail(awaited.status, "%s", awaited.why) : DERECHO_OK;
}

/** Take turns until the view has so many members. */
static inline derecho_status derecho_replica_await_members(derecho_replica *replica, uint32_t count,
                                                           int64_t timeout_ms) {
    derecho_view view;
    memset(&view, 0, sizeof view);
    view.struct_bytes = sizeof view;
    for (const int64_t began = derecho_now_ms(); derecho_now_ms() - began < timeout_ms;) {
        derecho_status status = derecho_group_view(replica->group, &view);
        if (status == DERECHO_OK && replica->seen_view && !replica->loading && view.member_count == count)
            return DERECHO_OK;
        status = derecho_replica_turn(replica, 1000000, NULL, NULL);
        if (status != DERECHO_OK) return status;
    }
    if (replica->loading)
        return derecho_stub_fail(DERECHO_TIMEOUT, "no state came within %lld ms", (long long)timeout_ms);
    return derecho_stub_fail(DERECHO_TIMEOUT, "the view has %u members after %lld ms, not %u",
                             (unsigned)view.member_count, (long long)timeout_ms, (unsigned)count);
}

/**
 * Join a group with one service.
 * @param options   key, value, key, value ..., NULL: docs/options.md.
 * @param replica   made by a stub; its group and shard are set on DERECHO_OK.
 */
static inline derecho_status derecho_stub_join(const char *service, uint64_t schema_hash, const char *const *options,
                                               int64_t timeout_ms, derecho_replica *replica) {
    derecho_stub_begin();
    derecho_config *config = NULL;
    derecho_group *group = NULL;
    derecho_status status = derecho_config_create(&config);
    for (; options[0] && status == DERECHO_OK; options += 2)
        status = options[1] ? derecho_config_set(config, options[0], options[1])
                            : derecho_stub_fail(DERECHO_INVALID, "option %s has no value", options[0]);
    if (status == DERECHO_OK) status = derecho_config_add_service(config, service, schema_hash);
    if (status == DERECHO_OK) status = derecho_group_join(config, timeout_ms, &group);
    if (status == DERECHO_OK) status = derecho_shard_open(group, service, &replica->shard);
    if (status == DERECHO_OK) replica->group = group;
    if (status != DERECHO_OK && !*derecho_stub_said) derecho_stub_fail(status, "%s", derecho_last_error());
    if (status != DERECHO_OK && group) derecho_group_close(group);
    if (config) derecho_config_close(config);
    return status;
}

/** Free what the replica holds. */
static inline void derecho_replica_free(derecho_replica *replica) {
    while (replica->held) {
        derecho_held_event *first = replica->held;
        replica->held = first->next;
        free(first);
    }
    while (replica->outgoing) {
        derecho_outgoing_state *first = replica->outgoing;
        replica->outgoing = first->next;
        free(first->data);
        free(first);
    }
    while (replica->answers.first) {
        derecho_late_answer *first = replica->answers.first;
        replica->answers.first = first->next;
        free(first);
    }
    free(replica->incoming);
}

/** Leave the group of a replica that joined, and free both. @return as derecho_group_leave(). */
static inline derecho_status derecho_replica_leave(derecho_replica *replica, int64_t timeout_ms) {
    derecho_stub_begin();
    const derecho_status status = derecho_group_leave(replica->group, timeout_ms);
    if (status != DERECHO_OK) derecho_stub_fail(status, "%s", derecho_last_error());
    derecho_group_close(replica->group);
    derecho_replica_free(replica);
    return status;
}

#ifdef __cplusplus
}
#endif

#endif /* DERECHO_STUB_H */
