/* Values to messages, and back (docs/layout.md). */
#ifndef DERECHO_STUB_CODEC_H
#define DERECHO_STUB_CODEC_H

#include "values.h"

#ifdef __cplusplus
extern "C" {
#endif

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

#ifdef __cplusplus
}
#endif

#endif /* DERECHO_STUB_CODEC_H */
