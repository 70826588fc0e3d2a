/* Calls, and their answers, which may have to wait for room. */
#ifndef DERECHO_STUB_CALLS_H
#define DERECHO_STUB_CALLS_H

#include "codec.h"
#include "failure.h"

#ifdef __cplusplus
extern "C" {
#endif

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

/** Whose call it is, and its place and time. Of an ordered call all three are the same at every member. */
typedef struct derecho_context {
    uint32_t caller;  /* the node that made the call: a member, or for a query perhaps a client */
    uint64_t version; /* grows with every ordered call; for a query: of the last ordered call that the state has */
    uint64_t time_ns; /* since the Unix epoch, by the clock of the sender, on which all members agree; of an ordered
                         call never less than that of a call before it. For a query: of the last ordered call that the
                         state has, so it stands still while there are none; 0 where there was none yet */
} derecho_context;

/** The context of the call that a handler handles. */
static inline derecho_context derecho_context_of(const derecho_handling *handling) {
    const derecho_event *event = handling->event;
    const derecho_context context = {event->node, event->version, event->timestamp_ns};
    return context;
}

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

#ifdef __cplusplus
}
#endif

#endif /* DERECHO_STUB_CALLS_H */
