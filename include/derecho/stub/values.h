/* Texts, memory that is given back at once, and types as they lie in a message and in memory. */
#ifndef DERECHO_STUB_VALUES_H
#define DERECHO_STUB_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../derecho.h"

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

#ifdef __cplusplus
}
#endif

#endif /* DERECHO_STUB_VALUES_H */
