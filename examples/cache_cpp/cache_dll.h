/**
 * Service Cache: untyped functions of a member, for any language to load. Written by `derecho stubs --dll` from
 * cache.py; do not edit.
 *
 * Every int32_t is a derecho_status, 0 for success. Handles are checked: a closed one is an error. Arguments are copied
 * before a function returns. What a result points to lives until its call is closed. A value that is no number, text,
 * bytes, list of numbers, or optional of these passes as the message of one field that docs/layout.md describes. With
 * call_out NULL an ordered call wants no answers. Any thread may call anything.
 */
#ifndef CACHE_DLL_H
#define CACHE_DLL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cache_member cache_member; /* an open member */
typedef struct cache_call cache_call;     /* a call under way */

/** Of the service: a shim compares it with its own. */
uint64_t cache_schema_hash(void);

/**
 * What the last failed function of this thread had to say. Runtimes that move their tasks from thread to thread ask by
 * handle instead.
 */
const char *cache_last_error(void);

/**
 * What the last failed function of this handle had to say, whichever thread called it. @return its bytes, as
 * snprintf().
 */
size_t cache_member_error(cache_member *handle, char *text_out, size_t text_bytes);

/** The same of a call. */
size_t cache_call_error(cache_call *call, char *text_out, size_t text_bytes);

/**
 * Join a group with a replica. @param config pairs key=value, each on a line or ended by ';': options of
 * docs/options.md, config, a TOML file, and timeout_ms, of joining and of every later wait (10000).
 */
int32_t cache_open(const char *config, cache_member **handle_out);

/** The same; a failure, which leaves no handle, puts into text_out what it has to say. */
int32_t cache_open_text(const char *config, cache_member **handle_out, char *text_out, size_t text_bytes);

/** Leave in good order, and close the handle. */
int32_t cache_leave(cache_member *handle);

/** Stop at once, as a crash would, and close the handle. */
int32_t cache_close(cache_member *handle);

/** Wait for a view of so many members, or more, that vote. */
int32_t cache_wait_members(cache_member *handle, uint32_t count, int64_t timeout_ms);

/** Wait for a view of so many members, no more and no fewer, all of which vote. */
int32_t cache_wait_members_exactly(cache_member *handle, uint32_t count, int64_t timeout_ms);

/** The view: its id, which grows, and its members' nodes by rank, as many as there is room for. */
int32_t cache_view_members(cache_member *handle, uint64_t *view_out, uint32_t *nodes_out, size_t room,
    size_t *count_out);

/** As view_members, of the members that vote only: the others are still joining. */
int32_t cache_view_voters(cache_member *handle, uint64_t *view_out, uint32_t *nodes_out, size_t room,
    size_t *count_out);

/**
 * A descriptor for poll, epoll and event loops: readable when an answer or a view has come since it was read last (read
 * 8 bytes). It is closed with the handle.
 */
int32_t cache_member_fd(cache_member *handle, int32_t *fd_out);

/** Whether a wait for the first answer (all: for every one) would end at once. Never waits. */
int32_t cache_call_poll(cache_call *call, uint8_t all, uint8_t *done_out);

/** Wait for the first answer to a call. */
int32_t cache_wait(cache_call *call, int64_t timeout_ms);

/** Wait for every member's answer. */
int32_t cache_wait_all(cache_call *call, int64_t timeout_ms);

/** Forget a call; what its result points to is freed. */
int32_t cache_call_close(cache_call *call);

/**
 * Store a value; return how many there are now.
 *
 * At every member.
 */
int32_t cache_put(cache_member *handle, const char *key, size_t key_bytes, const void *value, size_t value_bytes,
    cache_call **call_out);
int32_t cache_put_result(cache_call *call, int64_t *result_out);

/**
 * Forget a value; return whether there was one.
 *
 * At every member.
 */
int32_t cache_drop(cache_member *handle, const char *key, size_t key_bytes, cache_call **call_out);
int32_t cache_drop_result(cache_call *call, uint8_t *result_out);

/**
 * Return a value, or nothing.
 *
 * At one member.
 */
int32_t cache_get(cache_member *handle, uint32_t node, const char *key, size_t key_bytes, cache_call **call_out);
int32_t cache_get_result(cache_call *call, uint8_t *present_out, const void **result_out, size_t *result_bytes_out);

/**
 * Return the values' sizes in bytes, by key.
 *
 * At one member.
 */
int32_t cache_sizes(cache_member *handle, uint32_t node, cache_call **call_out);
int32_t cache_sizes_result(cache_call *call, const uint64_t **result_out, size_t *result_count_out);

#ifdef __cplusplus
}
#endif

#endif /* CACHE_DLL_H */
