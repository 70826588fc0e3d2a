/* The replica of one service: its events, its state on the way to joiners, and a loop for programs that have none. */
#ifndef DERECHO_STUB_REPLICA_H
#define DERECHO_STUB_REPLICA_H

#include <sys/time.h>

#include "calls.h"

#ifdef __cplusplus
extern "C" {
#endif

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
    bool seen_view, loading, votes;
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
        const char *why = size == UINT64_MAX ? "EncodeError: the state cannot travel" : "NoMemory: no memory for it";
        free(state);
        derecho_group_state_fail(replica->group, request->node, request->id, why, strlen(why));
        return size == UINT64_MAX ? derecho_stub_unfit("the state cannot travel") : derecho_stub_no_memory(size);
    }
    derecho_group_state_size(replica->group, request->node, request->id, state->size);
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
    if (piece->status != DERECHO_OK)
        return derecho_stub_fail(piece->status, "member %u cannot give the state: %.*s", (unsigned)piece->node,
                                 (int)(piece->size_bytes < 300 ? piece->size_bytes : 300), (const char *)piece->data);
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
        if (first->event.version < piece->id) { /* a query, which now sees this state */
            first->event.version = piece->id;
            first->event.timestamp_ns = piece->timestamp_ns;
        }
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
    if (event->kind == DERECHO_EVENT_VIEW && !replica->votes) {
        derecho_view view;
        view.struct_bytes = sizeof view;
        const derecho_status status = derecho_group_view(replica->group, &view);
        if (status != DERECHO_OK) return status;
        const uint32_t flags = view.self_rank < view.member_count ? view.members[view.self_rank].flags
                                                                  : DERECHO_MEMBER_HAS_STATE | DERECHO_MEMBER_VOTES;
        if (!replica->seen_view) replica->loading = !(flags & DERECHO_MEMBER_HAS_STATE);
        replica->seen_view = true;
        replica->votes = flags & DERECHO_MEMBER_VOTES;
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
    if (event->kind != DERECHO_EVENT_REPLY || event->status == DERECHO_CLOSED) return; /* the end, and why, follows */
    awaited->answered++;
    if (event->status == DERECHO_OK || event->status == DERECHO_REMOVED) return;
    awaited->status = event->status;
    const int shown = event->size_bytes < sizeof awaited->why ? (int)event->size_bytes : (int)sizeof awaited->why;
    snprintf(awaited->why, sizeof awaited->why, "member %u failed: %s%s%.*s", (unsigned)event->node,
             derecho_status_name(event->status), shown ? ": " : "", shown, shown ? (const char *)event->data : "");
}

/* Who holds others up, to be added to an error. */
static inline const char *derecho_stub_because(const derecho_replica *replica, derecho_holdup *holdup) {
    memset(holdup, 0, sizeof *holdup);
    holdup->struct_bytes = sizeof *holdup;
    return derecho_group_holdup(replica->group, DERECHO_ANY_NODE, holdup) == DERECHO_OK ? holdup->text : "";
}

/**
 * Take turns until every member has answered an ordered call. Call it before the next turn, and so before the next
 * call is made that is to be awaited: answers that came earlier are not seen.
 * @return DERECHO_OK, how one of them failed, DERECHO_TIMEOUT, or what ended the group.
 */
static inline derecho_status derecho_replica_await(derecho_replica *replica, uint64_t call, int64_t timeout_ms) {
    derecho_awaited awaited = {call, 0, 0, DERECHO_OK, ""};
    for (const int64_t began = derecho_now_ms(); awaited.owed == 0 || awaited.answered < awaited.owed;) {
        if (derecho_now_ms() - began >= timeout_ms) {
            derecho_holdup holdup;
            const char *because = derecho_stub_because(replica, &holdup);
            return awaited.owed ? derecho_stub_fail(DERECHO_TIMEOUT, "%u of %u members answered within %lld ms%s%s",
                                                    (unsigned)awaited.answered, (unsigned)awaited.owed,
                                                    (long long)timeout_ms, *because ? "; " : "", because)
                                : derecho_stub_fail(DERECHO_TIMEOUT, "the call was not ordered within %lld ms%s%s",
                                                    (long long)timeout_ms, *because ? "; " : "", because);
        }
        const derecho_status status = derecho_replica_turn(replica, 1000000, derecho_awaited_see, &awaited);
        if (status != DERECHO_OK) return status;
    }
    return awaited.status ? derecho_stub_fail(awaited.status, "%s", awaited.why) : DERECHO_OK;
}

static inline derecho_status derecho_replica_await_count(derecho_replica *replica, uint32_t least, uint32_t most,
                                                         int64_t timeout_ms) {
    derecho_view view;
    memset(&view, 0, sizeof view);
    view.struct_bytes = sizeof view;
    uint32_t voters = 0;
    for (const int64_t began = derecho_now_ms(); derecho_now_ms() - began < timeout_ms;) {
        derecho_status status = derecho_group_view(replica->group, &view);
        voters = 0;
        for (uint32_t rank = 0; rank < view.member_count; ++rank)
            voters += (view.members[rank].flags & DERECHO_MEMBER_VOTES) != 0;
        const bool as_many = voters >= least && (most > least || view.member_count == most);
        if (status == DERECHO_OK && replica->votes && as_many) return DERECHO_OK;
        status = derecho_replica_turn(replica, 1000000, NULL, NULL);
        if (status != DERECHO_OK) return status;
    }
    if (replica->loading)
        return derecho_stub_fail(DERECHO_TIMEOUT, "no state came within %lld ms", (long long)timeout_ms);
    return derecho_stub_fail(DERECHO_TIMEOUT, "the view has %u members, of which %u vote, after %lld ms, not %u%s",
                             (unsigned)view.member_count, (unsigned)voters, (long long)timeout_ms, (unsigned)least,
                             most > least ? " or more" : "");
}

/** Take turns until the view has so many members, or more, that vote. */
static inline derecho_status derecho_replica_await_members(derecho_replica *replica, uint32_t count,
                                                           int64_t timeout_ms) {
    return derecho_replica_await_count(replica, count, UINT32_MAX, timeout_ms);
}

/** Take turns until the view has so many members, no more and no fewer, all of which vote. */
static inline derecho_status derecho_replica_await_members_exactly(derecho_replica *replica, uint32_t count,
                                                                   int64_t timeout_ms) {
    return derecho_replica_await_count(replica, count, count, timeout_ms);
}

/** Take turns until the state is loaded and this node votes. The time-out counts from the last piece that came. */
static inline derecho_status derecho_replica_await_state(derecho_replica *replica, int64_t began_ms,
                                                         int64_t timeout_ms) {
    for (uint64_t came = 0; !replica->votes;) {
        if (replica->incoming_bytes != came) began_ms = derecho_now_ms();
        came = replica->incoming_bytes;
        if (derecho_now_ms() - began_ms >= timeout_ms) {
            derecho_holdup holdup;
            const char *because = derecho_stub_because(replica, &holdup);
            return derecho_stub_fail(DERECHO_TIMEOUT, "%s for %lld ms%s%s",
                                     !replica->seen_view || replica->loading
                                         ? "the state did not come: nothing of it"
                                         : "the state is loaded, but no view came in which this node votes",
                                     (long long)timeout_ms, *because ? "; " : "", because);
        }
        const derecho_status status = derecho_replica_turn(replica, 1000000, NULL, NULL);
        if (status != DERECHO_OK) return status;
    }
    return DERECHO_OK;
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
    replica->incoming = NULL;
}

/* Tell what a service's hash is of: for the error of a node that is refused. Without memory for it, it is left out. */
static inline derecho_status derecho_stub_describe(derecho_config *config, const char *service,
                                                   const char *const *lines) {
    size_t size = 1;
    for (const char *const *line = lines; *line; ++line) size += strlen(*line) + 1;
    char *text = (char *)malloc(size);
    if (!text) return DERECHO_OK;
    char *end = text;
    for (; *lines; ++lines) end += sprintf(end, "%s\n", *lines);
    const derecho_status status = derecho_config_describe_service(config, service, text);
    free(text);
    return status;
}

/**
 * Join a group with one service; on DERECHO_OK this node is in a view, the service has its state, and this node votes.
 * @param options   key, value, key, value ..., NULL: docs/options.md.
 * @param replica   made by a stub; its group and shard are set on DERECHO_OK.
 */
static inline derecho_status derecho_stub_join(const char *service, uint64_t schema_hash, const char *const *schema,
                                               const char *const *options, int64_t timeout_ms,
                                               derecho_replica *replica) {
    derecho_stub_begin();
    const int64_t began_ms = derecho_now_ms();
    derecho_config *config = NULL;
    derecho_group *group = NULL;
    derecho_status status = derecho_config_create(&config);
    for (; options[0] && status == DERECHO_OK; options += 2)
        status = options[1] ? derecho_config_set(config, options[0], options[1])
                            : derecho_stub_fail(DERECHO_INVALID, "option %s has no value", options[0]);
    if (status == DERECHO_OK) status = derecho_config_add_service(config, service, schema_hash);
    if (status == DERECHO_OK) status = derecho_stub_describe(config, service, schema);
    if (status == DERECHO_OK) status = derecho_group_join(config, timeout_ms, &group);
    if (status == DERECHO_OK) status = derecho_shard_open(group, service, &replica->shard);
    replica->group = group;
    if (status == DERECHO_OK) status = derecho_replica_await_state(replica, began_ms, timeout_ms);
    if (status != DERECHO_OK && !*derecho_stub_said) derecho_stub_fail(status, "%s", derecho_last_error());
    if (status != DERECHO_OK) {
        if (group) derecho_group_close(group);
        derecho_replica_free(replica);
        replica->group = NULL;
        replica->shard = NULL;
    }
    if (config) derecho_config_close(config);
    return status;
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

#endif /* DERECHO_STUB_REPLICA_H */
