/*
 * libderecho: strongly consistent state replication at the speed of the memory bus, the socket or the RDMA NIC.
 *
 * This header is the whole C ABI and the specification of every binding. Conventions:
 *
 *   - Handles are opaque and checked: a closed or foreign handle yields DERECHO_CLOSED or DERECHO_BAD_HANDLE, never a
 *     crash. They are identifiers in the guise of pointers: never dereference or free one.
 *   - Every call returns a derecho_status; derecho_last_error() has the details, for the calling thread.
 *   - Times are in nanoseconds when the name ends in _ns, in milliseconds when it ends in _ms. A timeout of 0 means "do
 *     not wait", a negative one "no deadline".
 *   - Structs that may grow start with struct_bytes, which the caller sets to sizeof before the call.
 *   - Strings are UTF-8 and NUL-terminated. Numbers in buffers are little-endian.
 *   - Completions are pulled with derecho_poll(), on the caller's own thread. The library calls nobody back.
 *   - A process is one member. In a child of fork() every call on what the parent opened with a group answers
 *     DERECHO_CLOSED, with a sentence that says so; nothing that the child does, its end included, touches the parent's
 *     group. What was leased or claimed at the fork may still be read. The child may join as a node of its own.
 */
#ifndef DERECHO_H
#define DERECHO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define DERECHO_API __attribute__((visibility("default")))
#else
#define DERECHO_API
#endif

/** Raised whenever a program built against an older header could misbehave with a newer library. */
#define DERECHO_ABI_VERSION 1

/** Most members a view may have. */
#define DERECHO_MEMBERS_MAX 64

/** Longest "host:port", with its NUL. */
#define DERECHO_ADDRESS_BYTES 64

/** Longest name of a group or service, with its NUL. */
#define DERECHO_NAME_BYTES 64

/** Text of a group's id, a UUID, with its NUL, and room to spare. */
#define DERECHO_GROUP_ID_BYTES 40

/* ------------------------------------------------------------------------------------------------- status */

/** What a call, or a remote call, came to. */
typedef int32_t derecho_status;
enum {
    DERECHO_OK = 0,
    DERECHO_AGAIN = 1,           /* no room right now: poll and release, then retry */
    DERECHO_TIMEOUT = 2,         /* the deadline passed; the detail names what was waited for */
    DERECHO_INVALID = 3,         /* an argument is wrong; the detail names it and what is accepted */
    DERECHO_BAD_HANDLE = 4,      /* not a handle of this kind */
    DERECHO_CLOSED = 5,          /* the handle, or the group behind it, was closed, or ended before an answer came */
    DERECHO_TOO_LARGE = 6,       /* longer than the limit; the detail names both */
    DERECHO_NOT_MEMBER = 7,      /* that node is not in the view, or this one is not */
    DERECHO_WEDGED = 8,          /* the view is changing: poll, then retry */
    DERECHO_EJECTED = 9,         /* the others removed this node; join again */
    DERECHO_NO_MAJORITY = 10,    /* half or more of the members that vote are lost: this node stopped */
    DERECHO_UNREACHABLE = 11,    /* no contact answered; no device reaches the memory */
    DERECHO_INCOMPATIBLE = 12,   /* the group runs something else; the detail names the difference */
    DERECHO_DUPLICATE = 13,      /* a live member has this node id */
    DERECHO_ADDRESS_IN_USE = 14, /* the listen address is taken */
    DERECHO_NO_MEMORY = 15,      /* the system gave no memory or descriptors */
    DERECHO_REMOVED = 16,        /* reply status: the member left the view before it answered */
    DERECHO_REMOTE_ERROR = 17,   /* reply status: the handler failed; data is its error text */
    DERECHO_UNKNOWN_METHOD = 18, /* reply status: the member's service has no such method */
    DERECHO_STATE_LOST = 19,     /* every member that had the state is gone */
    DERECHO_INTERNAL = 20,       /* a bug in libderecho */
    DERECHO_DIFFERS = 21         /* replicas of a service differ; the detail names them */
};

/** The name of a status, such as "DERECHO_AGAIN"; "DERECHO_?" for an unknown one. Static. Threads: any. */
DERECHO_API const char *derecho_status_name(derecho_status status);

/**
 * What the last failed call of this thread had to say, in a sentence; "" if none failed. Valid until this thread's next
 * call into the library. Threads: any.
 */
DERECHO_API const char *derecho_last_error(void);

/** DERECHO_ABI_VERSION of the library at hand. Threads: any. */
DERECHO_API uint32_t derecho_abi_version(void);

/** A hash over every declaration of this header as the library was built with it: loaders compare it. Threads: any. */
DERECHO_API uint64_t derecho_abi_hash(void);

/** The library's version, such as "0.1.0". Static. Threads: any. */
DERECHO_API const char *derecho_version(void);

/* ------------------------------------------------------------------------------------------------- configuration */

/** What a node is to be. Options are text, so that every language and file sets them the same way; docs/options.md. */
typedef struct derecho_config derecho_config;

/**
 * Make a configuration with every option at its default.
 * @param config_out   to be closed with derecho_config_close(), which may be done right after derecho_group_join().
 * @return DERECHO_OK, DERECHO_NO_MEMORY.
 * Threads: any; one configuration belongs to one thread at a time.
 */
DERECHO_API derecho_status derecho_config_create(derecho_config **config_out);

/**
 * Set one option.
 * @param key          such as "node", "listen", "contacts"; an unknown key is refused with the list of known ones.
 * @param value        its text; durations and sizes are plain numbers in the unit that ends the key.
 * @return DERECHO_OK, DERECHO_INVALID, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 */
DERECHO_API derecho_status derecho_config_set(derecho_config *config, const char *key, const char *value);

/**
 * Read one option back.
 * @param value_out    valid until the configuration's next call.
 * @return DERECHO_OK, DERECHO_INVALID (unknown key), DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 */
DERECHO_API derecho_status derecho_config_get(derecho_config *config, const char *key, const char **value_out);

/**
 * Set options from a TOML file of `key = value` lines.
 * @return DERECHO_OK, DERECHO_INVALID (the detail has file, line and reason), DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 */
DERECHO_API derecho_status derecho_config_load(derecho_config *config, const char *path);

/**
 * Add a service. Every node of the group declares the same services in the same order; the first declared is shard 0.
 * @param name         unique in the group.
 * @param schema_hash  of the service's methods and types (0: raw messages only); nodes must agree.
 * @return DERECHO_OK, DERECHO_INVALID, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 */
DERECHO_API derecho_status derecho_config_add_service(derecho_config *config, const char *name, uint64_t schema_hash);

/**
 * Tell what a service's schema_hash is of, so that a node that is refused for a different one reads which methods
 * differ. Optional; generated stubs and bindings do it.
 * @param name         of a service that was added.
 * @param schema       the canonical text, a line a method: docs/layout.md. Copied.
 * @return DERECHO_OK, DERECHO_INVALID (no such service; text that cannot be shown), DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 */
DERECHO_API derecho_status derecho_config_describe_service(derecho_config *config, const char *name,
                                                           const char *schema);

/** Release a configuration. @return DERECHO_OK, DERECHO_CLOSED, DERECHO_BAD_HANDLE. */
DERECHO_API derecho_status derecho_config_close(derecho_config *config);

/* ------------------------------------------------------------------------------------------------- group */

/** This process's part in one group: a member, or a client that only queries. */
typedef struct derecho_group derecho_group;

/**
 * Come into a group: join it, or found it, alone (option found) or with others (initial_members); never because nobody
 * answers: docs/founding.md. Returns once a view that holds this node is installed (for a client: once a contact
 * answered). State arrives later, as events, and a node that joins a group does not vote yet: it does in views that
 * began after it had the state (DERECHO_MEMBER_VOTES).
 * @param config       copied.
 * @param timeout_ms   for the whole of it.
 * @param group_out    to be closed with derecho_group_close(); set only on DERECHO_OK.
 * @return DERECHO_OK, DERECHO_INVALID, DERECHO_TIMEOUT, DERECHO_UNREACHABLE, DERECHO_INCOMPATIBLE, DERECHO_DUPLICATE,
 *         DERECHO_ADDRESS_IN_USE, DERECHO_NO_MEMORY, DERECHO_CLOSED (also after derecho_join_cancel()),
 *         DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_join(derecho_config *config, int64_t timeout_ms, derecho_group **group_out);

/**
 * Make every derecho_group_join() with this configuration, in progress on other threads or yet to come, return
 * DERECHO_CLOSED within some milliseconds: for programs that are interrupted while they join.
 * @return DERECHO_OK, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_join_cancel(derecho_config *config);

/**
 * Leave in good order: what was sent before is delivered, the others install a view without this node, and nobody
 * suspects anyone. From the call on sending answers DERECHO_CLOSED. Poll goes on giving what was delivered, then a
 * DERECHO_EVENT_CLOSED. Returns when the others installed that view.
 * @return DERECHO_OK, DERECHO_TIMEOUT, DERECHO_EJECTED, DERECHO_NO_MAJORITY, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_leave(derecho_group *group, int64_t timeout_ms);

/**
 * Stop at once, as a crash would, and free everything. Calls in progress on other threads return DERECHO_CLOSED. Event
 * data and claims that are still held stay readable until released.
 * @return DERECHO_OK, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_close(derecho_group *group);

/**
 * A descriptor that becomes readable when derecho_poll() has events, for epoll, asyncio, NIO. It is armed by a
 * derecho_poll() that found none. Owned by the group; never read or close it.
 * @return DERECHO_OK, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_fd(derecho_group *group, int *fd_out);

/** One member of a view. */
typedef struct derecho_member {
    uint32_t node;
    uint32_t flags; /* DERECHO_MEMBER_* */
    char address[DERECHO_ADDRESS_BYTES];
    uint32_t holdup; /* DERECHO_HOLDUP_*: whether it holds others up just now, and why */
    uint32_t reserved;
    uint64_t holdup_ms; /* ... and for how long already */
} derecho_member;

/** Why a member holds others up. */
enum {
    DERECHO_HOLDUP_NONE = 0,
    DERECHO_HOLDUP_NOT_POLLING = 1,      /* its application does not take what there is */
    DERECHO_HOLDUP_NOT_RELEASING = 2,    /* its application keeps what it took, and perhaps handles it still */
    DERECHO_HOLDUP_NO_STATE = 3,         /* it joined, and has not got its state yet */
    DERECHO_HOLDUP_NOT_ACKNOWLEDGING = 4 /* its library does not move: it is removed if that goes on */
};

#define DERECHO_MEMBER_HAS_STATE 1u /* holds the state: it has released the last piece of it */
#define DERECHO_MEMBER_VOTES 2u     /* counts towards a majority: in views that began after it had the state */

/** The current view, as far as events told the application. */
typedef struct derecho_view {
    uint32_t struct_bytes; /* in: sizeof(derecho_view) */
    uint32_t self_rank;    /* of this node in members; UINT32_MAX for a client */
    uint64_t id;
    uint32_t member_count;
    uint32_t reserved;
    derecho_member members[DERECHO_MEMBERS_MAX]; /* by rank */
    char group_id[DERECHO_GROUP_ID_BYTES];       /* a UUID, made when the group was founded */
} derecho_view;

/**
 * The view whose events derecho_poll() is giving now: a new one appears here with its DERECHO_EVENT_VIEW.
 * @return DERECHO_OK, DERECHO_INVALID (struct_bytes), DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_view(derecho_group *group, derecho_view *view_out);

/** Running totals of this node since it joined. */
typedef struct derecho_stats {
    uint32_t struct_bytes; /* in: sizeof(derecho_stats) */
    uint32_t reserved;
    uint64_t steps;              /* of the protocol */
    uint64_t delivered_messages; /* given to the application, nulls not counted */
    uint64_t delivered_bytes;
    uint64_t sent_messages;
    uint64_t null_messages; /* rounds this node skipped as a sender */
    uint64_t views;         /* installed */
    uint64_t pushes;        /* posted to the fabric */
    uint64_t wakes;         /* of sleeping peers */
    uint64_t sleeps;        /* of this node's threads */
    uint64_t memory_bytes;  /* rows, rings and mirrors mapped now */
    uint64_t allocations;   /* by the core since the group was joined; constant in steady state */
    uint64_t work_requests; /* posted to the RDMA device; these three are 0 on other wires */
    uint64_t doorbells;     /* that posted them, several at a time */
    uint64_t completions;   /* polled from the device */
    uint32_t holdup_node;   /* who holds others up the longest just now; these three are 0 when nobody does */
    uint32_t holdup;        /* why: DERECHO_HOLDUP_* */
    uint64_t holdup_ms;     /* for how long already */
    uint64_t digests;       /* compared with those of other members, by option digest */
    uint64_t differences;   /* found by that: DERECHO_EVENT_DIFFERENCE */
} derecho_stats;

/** Read the totals. @return DERECHO_OK, DERECHO_INVALID, DERECHO_CLOSED, DERECHO_BAD_HANDLE. Threads: any. */
DERECHO_API derecho_status derecho_group_stats(derecho_group *group, derecho_stats *stats_out);

#define DERECHO_HOLDUP_TEXT_BYTES 256
#define DERECHO_ANY_NODE 0xffffffffu

/** A member that holds others up. */
typedef struct derecho_holdup {
    uint32_t struct_bytes; /* in: sizeof(derecho_holdup) */
    uint32_t node;
    uint32_t cause; /* DERECHO_HOLDUP_* */
    uint32_t reserved;
    uint64_t lasted_ms;
    char text[DERECHO_HOLDUP_TEXT_BYTES]; /* all of it as a sentence; "" for DERECHO_HOLDUP_NONE */
} derecho_holdup;

/**
 * Whether a member holds others up, for how long and why: what to add to the error of a wait that came to nothing. Told
 * from its counters once a heartbeat, and when it lasts for a quarter of suspect_ms. It may be this node itself.
 * @param node         a member: also told is that it keeps messages whose room nobody waits for, which may be why an
 *                     answer does not come; DERECHO_ANY_NODE: the one that holds others up the longest.
 * @return DERECHO_OK (also with DERECHO_HOLDUP_NONE), DERECHO_INVALID (struct_bytes), DERECHO_CLOSED,
 *         DERECHO_BAD_HANDLE.
 * Threads: any. Never waits.
 */
DERECHO_API derecho_status derecho_group_holdup(derecho_group *group, uint32_t node, derecho_holdup *holdup_out);

#define DERECHO_TROUBLE_TEXT_BYTES 1024

/** Something that the library cannot mend, and that somebody should know of. */
typedef struct derecho_trouble {
    uint32_t struct_bytes;                 /* in: sizeof(derecho_trouble) */
    uint32_t count;                        /* how many there are to be told */
    char text[DERECHO_TROUBLE_TEXT_BYTES]; /* a sentence; "" when there are not so many */
} derecho_trouble;

/**
 * What this node found out that no call can report, above all that there is another group of this name
 * (docs/founding.md). Also logged as warnings. Each is told once, the last 16 are kept.
 * @param index        from 0, the oldest, to count - 1.
 * @return DERECHO_OK (also when there are not so many), DERECHO_INVALID (struct_bytes), DERECHO_CLOSED,
 *         DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_trouble(derecho_group *group, uint32_t index, derecho_trouble *trouble_out);

/* ------------------------------------------------------------------------------------------------- shards, sending */

/** The members that replicate one service. Lives as long as its group; needs no close. */
typedef struct derecho_shard derecho_shard;

/**
 * Find the shard of a service.
 * @return DERECHO_OK, DERECHO_INVALID (no such service; the detail lists them), DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_shard_open(derecho_group *group, const char *service, derecho_shard **shard_out);

/**
 * Queue one message for ordered delivery to every member of the shard. Never blocks.
 * @param data         size_bytes bytes, copied before return; may be NULL when size_bytes is 0.
 * @param ticket_out   names the message in its own DERECHO_EVENT_MESSAGE (field id); may be NULL.
 * @return DERECHO_OK, DERECHO_AGAIN (ring full), DERECHO_WEDGED (view changing: poll, then retry), DERECHO_TOO_LARGE,
 *         DERECHO_NOT_MEMBER (a client), DERECHO_EJECTED, DERECHO_NO_MAJORITY, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_shard_send(derecho_shard *shard, const void *data, size_t size_bytes,
                                              uint64_t *ticket_out);

/** Some bytes of the application's. */
typedef struct derecho_bytes {
    const void *data;
    uint64_t size_bytes;
} derecho_bytes;

/**
 * derecho_shard_send() for each of several messages, in their order, at a fraction of the cost when they are small.
 * Stops at the first that does not go.
 * @param sent_out     how many were sent.
 * @param ticket_out   names the last message that was sent, in its own event; may be NULL. Several of one call may bear
 *                     the same ticket; one that comes later in order never bears a lesser.
 * @return DERECHO_OK when at least one was sent, or count is 0; else what derecho_shard_send() of the first would
 * return. Threads: any. Messages of other threads may come between them.
 */
DERECHO_API derecho_status derecho_shard_send_many(derecho_shard *shard, const derecho_bytes *messages, size_t count,
                                                   size_t *sent_out, uint64_t *ticket_out);

/**
 * A method call to every member of the shard, in order with all messages. Each member gets a DERECHO_EVENT_CALL. With
 * DERECHO_CALL_REPLY the caller gets one DERECHO_EVENT_ORDERED, then one DERECHO_EVENT_REPLY a member, whatever happens
 * to that member: DERECHO_REMOVED if it left the view before it answered, DERECHO_CLOSED if this node's own part in the
 * group ended before (DERECHO_EVENT_CLOSED, which follows, says why).
 * @param args         size_bytes bytes, copied before return.
 * @param call_out     names the call in its events (field id); may be NULL without DERECHO_CALL_REPLY.
 * @return as derecho_shard_send(); also DERECHO_AGAIN when too many calls await replies.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_shard_call(derecho_shard *shard, uint32_t method, uint32_t flags, const void *args,
                                              size_t size_bytes, uint64_t *call_out);

#define DERECHO_CALL_REPLY 1u /* replies are wanted */

/** Room for one message in this node's ring, being filled in place. */
typedef struct derecho_claim {
    void *data; /* size_bytes writable bytes, 8-byte aligned */
    uint64_t size_bytes;
    uint64_t id; /* the ticket, or the call */
    uint64_t internal[3];
} derecho_claim;

/**
 * Claim room for a message, to be filled in place and committed. Claims are delivered in the order they were made. One
 * that stays open while others wait for it is set aside after a short while: it is then delivered as of its commit, at
 * the price of a copy, and its id may change at the commit.
 * @param method, flags   as derecho_shard_call(); method 0 with flags DERECHO_CLAIM_MESSAGE claims a plain message.
 * @return as derecho_shard_call().
 * Threads: any; a claim belongs to one thread at a time.
 */
DERECHO_API derecho_status derecho_shard_claim(derecho_shard *shard, uint32_t method, uint32_t flags, size_t size_bytes,
                                               derecho_claim *claim_out);

#define DERECHO_CLAIM_MESSAGE 0x80000000u

/**
 * Send a claimed message. The view may have changed since the claim: it is then sent in the new one.
 * @param used_bytes   at most the claimed size.
 * @return DERECHO_OK, DERECHO_AGAIN (it has lost its place and there is no room for it now; it is still open, its bytes
 *         may have moved with `data`: poll, retry), DERECHO_INVALID (not an open claim of this shard, or used_bytes too
 *         large), DERECHO_EJECTED, DERECHO_NO_MAJORITY, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 */
DERECHO_API derecho_status derecho_claim_commit(derecho_shard *shard, derecho_claim *claim, size_t used_bytes);

/** Give a claim back unsent. @return DERECHO_OK, DERECHO_INVALID, DERECHO_CLOSED, DERECHO_BAD_HANDLE. */
DERECHO_API derecho_status derecho_claim_abort(derecho_shard *shard, derecho_claim *claim);

/* ------------------------------------------------------------------------------------------------- queries, replies */

/**
 * A method call to one node, out of order with messages. Works for members and clients. The node gets a
 * DERECHO_EVENT_QUERY; the caller gets one DERECHO_EVENT_REPLY, as for derecho_shard_call().
 * @param node         a member; this node itself is allowed.
 * @return DERECHO_OK, DERECHO_AGAIN, DERECHO_TOO_LARGE, DERECHO_NOT_MEMBER, DERECHO_EJECTED, DERECHO_NO_MAJORITY,
 *         DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_shard_query(derecho_shard *shard, uint32_t node, uint32_t method, const void *args,
                                               size_t size_bytes, uint64_t *call_out);

/**
 * Answer a DERECHO_EVENT_CALL that has DERECHO_FLAG_REPLY, or a DERECHO_EVENT_QUERY. Exactly one answer each.
 * @param node, call   fields node and id of the event.
 * @param status       DERECHO_OK with the result as data, DERECHO_REMOTE_ERROR with "Type: text", or
 *                     DERECHO_UNKNOWN_METHOD.
 * @return DERECHO_OK (also when the caller is gone), DERECHO_AGAIN (too many answers await a slow caller: poll, retry),
 *         DERECHO_TOO_LARGE, DERECHO_INVALID, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_reply(derecho_group *group, uint32_t node, uint64_t call,
                                               derecho_status status, const void *data, size_t size_bytes);

/**
 * Answer a DERECHO_EVENT_STATE_REQUEST, in as many pieces as convenient. The state must be the one at the request:
 * before any later event is applied (take a snapshot, then send at leisure).
 * @param node, request   fields node and id of the event.
 * @param data         copied before return; a piece is at most "mail_bytes" / 4 - 16 bytes.
 * @param last         nonzero with the last piece, which may be empty.
 * @return DERECHO_OK (also when the joiner is gone), DERECHO_AGAIN (poll, retry this piece), DERECHO_TOO_LARGE,
 *         DERECHO_INVALID, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_state(derecho_group *group, uint32_t node, uint64_t request, const void *data,
                                               size_t size_bytes, int32_t last);

/**
 * Tell a joiner how long its state will be, all pieces together, so that it can say how far it has come. Optional;
 * before the first piece.
 * @param node, request   fields node and id of the DERECHO_EVENT_STATE_REQUEST.
 * @return DERECHO_OK (also when the joiner is gone), DERECHO_INVALID, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_state_size(derecho_group *group, uint32_t node, uint64_t request,
                                                    uint64_t total_bytes);

/**
 * Tell a joiner that there will be no state, and why, instead of any further piece. It gets a DERECHO_EVENT_STATE with
 * DERECHO_REMOTE_ERROR and this text, and can but leave. A state that option digest wanted (DERECHO_FLAG_OWN) becomes a
 * trouble of this node's, derecho_group_trouble(), and is asked for no more in this view.
 * @param node, request   fields node and id of the DERECHO_EVENT_STATE_REQUEST.
 * @param text         "Type: text", size_bytes bytes; copied before return.
 * @return DERECHO_OK (also when the joiner is gone), DERECHO_AGAIN (poll, retry), DERECHO_INVALID, DERECHO_CLOSED,
 *         DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_group_state_fail(derecho_group *group, uint32_t node, uint64_t request,
                                                    const void *text, size_t size_bytes);

/* ------------------------------------------------------------------------------------------------- events */

enum {
    /** An ordered message. node: sender; data; version; timestamp_ns; id: ticket, if the sender is this node. */
    DERECHO_EVENT_MESSAGE = 1,
    /** An ordered call. As MESSAGE, with method; id: call; flags: DERECHO_FLAG_REPLY if an answer is due. */
    DERECHO_EVENT_CALL = 2,
    /** A query to this node. node: caller; method; data; id: call; flags: DERECHO_FLAG_REPLY; version, timestamp_ns: of
        the shard's last ordered event that was given before, here or to the donor of the state; 0 if there was none. */
    DERECHO_EVENT_QUERY = 3,
    /** This node's call was ordered. id: call; data: uint32_t ids of the members that owe a reply. */
    DERECHO_EVENT_ORDERED = 4,
    /** One reply. node: who; id: call; status; data: result, or error text; version, if the call is an ordered one: a
        digest of the answer. Replicas that answer one call alike have the same; all that failed have the same, too. */
    DERECHO_EVENT_REPLY = 5,
    /** A view was installed: derecho_group_view() has it. id: view. Later events are of this view. A join brings two:
        the first has the node, in the second it votes. */
    DERECHO_EVENT_VIEW = 6,
    /** A joiner needs the service's state, as of this very event. node: joiner; id: request; shard; version,
        timestamp_ns: as of QUERY. With option digest = state it may be this node itself, flags: DERECHO_FLAG_OWN: the
        state is hashed and goes nowhere. */
    DERECHO_EVENT_STATE_REQUEST = 7,
    /** A piece of the state for this node. data; shard; flags: FIRST, LAST; node: who gives it; version: bytes of all
        pieces together, 0 if that is not known; id, timestamp_ns: version and time of the last ordered event that is in
        the state. A FIRST discards pieces before it. When the LAST is released this node counts as holding the state.
        With another status than DERECHO_OK it will not come: data is why, as text. */
    DERECHO_EVENT_STATE = 8,
    /** The end. status: DERECHO_CLOSED (left), DERECHO_EJECTED, DERECHO_NO_MAJORITY, DERECHO_STATE_LOST,
        DERECHO_NO_MEMORY (this node lacks memory or descriptors), DERECHO_DIFFERS (option digest_policy = stop). */
    DERECHO_EVENT_CLOSED = 9,
    /** An operation on registered memory ended. node: whose memory; id: operation; status: DERECHO_OK (all bytes
        were moved), DERECHO_REMOVED (the member left the view first), DERECHO_CLOSED (this node's part in the group
        ended first), DERECHO_INVALID (data: why, as text),
        DERECHO_UNREACHABLE (as text, too: no RDMA device carries out what only one can). */
    DERECHO_EVENT_MEMORY = 10,
    /** Option digest: a member's replica differs from those of a majority; told once for each member. node: that
        member, or DERECHO_ANY_NODE when they differ and none of them are a majority; flags: DERECHO_FLAG_OWN if it is
        this one; shard; version: the last call that was looked at; data: all of it as a sentence. */
    DERECHO_EVENT_DIFFERENCE = 11
};

#define DERECHO_FLAG_REPLY 1u
#define DERECHO_FLAG_FIRST 2u
#define DERECHO_FLAG_LAST 4u
#define DERECHO_FLAG_OWN 8u /* this node sent it */

/** One completion. 64 bytes; data points into a ring and is valid until the lease that came with it is released. */
typedef struct derecho_event {
    uint32_t kind; /* DERECHO_EVENT_* */
    uint32_t node;
    uint64_t version;      /* view << 40 | sequence: grows with every ordered event of a shard */
    uint64_t timestamp_ns; /* ns since 1970, by the members' clocks: the same at all, and never going back */
    const void *data;
    uint64_t size_bytes;
    uint64_t id;
    uint32_t method;
    uint32_t shard; /* of MESSAGE, CALL, QUERY, STATE...: index of the service, in order of declaration; else 0 */
    derecho_status status;
    uint32_t flags; /* DERECHO_FLAG_* */
} derecho_event;

/**
 * Take completions, waiting for the first; whoever waits drives the protocol.
 * @param events       capacity entries.
 * @param timeout_ns   how long to wait for the first event; 0 drives one step and returns.
 * @param count_out    events filled in; 0 when the time passed (which is DERECHO_OK).
 * @param lease_out    to be given to derecho_release() when the data of these events is no longer needed; 0 when
 *                     nothing is held. Unreleased leases hold back the senders.
 * @return DERECHO_OK, DERECHO_INVALID, DERECHO_AGAIN (too many leases are held: release some), DERECHO_CLOSED,
 *         DERECHO_BAD_HANDLE.
 * Threads: any; two threads get different events, and only one of them at a time waits by driving.
 */
DERECHO_API derecho_status derecho_poll(derecho_group *group, derecho_event *events, size_t capacity,
                                        int64_t timeout_ns, size_t *count_out, uint64_t *lease_out);

/**
 * Give back the data of one derecho_poll(). Any order; each lease once.
 * @return DERECHO_OK (also for lease 0), DERECHO_INVALID (not held), DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_release(derecho_group *group, uint64_t lease);

/** Make a derecho_poll() that waits on another thread return now, with what it has. Threads: any. */
DERECHO_API derecho_status derecho_wake(derecho_group *group);

/* ------------------------------------------------------------------------------------------------- buffers */

/** Memory that no collector moves, page-aligned, registered with the group's wires. Reference-counted. */
typedef struct derecho_buffer derecho_buffer;

/**
 * Allocate a zeroed buffer with one reference.
 * @return DERECHO_OK, DERECHO_INVALID (size 0), DERECHO_NO_MEMORY.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_buffer_create(size_t size_bytes, derecho_buffer **buffer_out);

/** Its address and size. @return DERECHO_OK, DERECHO_CLOSED, DERECHO_BAD_HANDLE. Threads: any. */
DERECHO_API derecho_status derecho_buffer_data(derecho_buffer *buffer, void **data_out, uint64_t *size_bytes_out);

/** Take one more reference. @return DERECHO_OK, DERECHO_CLOSED, DERECHO_BAD_HANDLE. Threads: any. */
DERECHO_API derecho_status derecho_buffer_retain(derecho_buffer *buffer);

/** Give one reference back; the last frees it. @return DERECHO_OK, DERECHO_CLOSED, DERECHO_BAD_HANDLE. Threads: any. */
DERECHO_API derecho_status derecho_buffer_release(derecho_buffer *buffer);

/* ----------------------------------------------------------------------------------------------- registered memory */

/**
 * A buffer of the application's own that members may read and write one-sidedly: the application of the node whose
 * memory it is takes no part, only its library does. docs/memory.md.
 */
typedef struct derecho_memory derecho_memory;

#define DERECHO_MEMORY_READ 1u  /* peers that were given a key may read it */
#define DERECHO_MEMORY_WRITE 2u /* ... and write it */

/** What opens one node's memory to one member. Plain bytes, to be sent to it in any message; nobody else can use it. */
typedef struct derecho_memory_key {
    uint64_t words[4];
} derecho_memory_key;

/** A part of this node's registered memory. */
typedef struct derecho_piece {
    derecho_memory *memory;
    uint64_t offset;
    uint64_t size_bytes;
} derecho_piece;

/**
 * Register a buffer, so that this node's operations may use it and those of peers that are given a key to it.
 * @param data         size_bytes bytes, neither freed nor moved before derecho_memory_deregister() succeeded or the
 *                     group was closed. Peers' writes land in it at any time.
 * @param access       what peers may do: DERECHO_MEMORY_* or'ed; 0: nothing, it is for this node's operations only.
 * @param memory_out   ends with its group; set only on DERECHO_OK.
 * @return DERECHO_OK, DERECHO_INVALID, DERECHO_NO_MEMORY, DERECHO_CLOSED, DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_memory_register(derecho_group *group, void *data, size_t size_bytes, uint32_t access,
                                                   derecho_memory **memory_out);

/**
 * Register memory of another device, a GPU's above all, which its driver gives away as a Linux dma-buf: CUDA's by
 * cuMemGetHandleForAddressRange(), ROCm's by hsa_amd_portable_export_dmabuf(). RDMA devices read and write it in place.
 * What the driver lets be mapped goes by shared memory and TCP, too; other memory is moved by RDMA devices only, and
 * operations that would have to go another way end as DERECHO_UNREACHABLE.
 * @param fd           of the dma-buf; duplicated: it may be closed afterwards.
 * @param offset, size_bytes   the part of it. Peers' offsets count from there.
 * @param access, memory_out   as derecho_memory_register().
 * @return DERECHO_OK, DERECHO_INVALID (fd is not a dma-buf, or shorter than that), DERECHO_NO_MEMORY, DERECHO_CLOSED,
 *         DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_memory_register_dmabuf(derecho_group *group, int fd, uint64_t offset,
                                                          uint64_t size_bytes, uint32_t access,
                                                          derecho_memory **memory_out);

/**
 * The key that opens this memory to one member, in its present life and while it is in the view. Asked for again, it is
 * the same one.
 * @param node         a member; this node itself is allowed.
 * @return DERECHO_OK, DERECHO_INVALID (registered with access 0), DERECHO_NOT_MEMBER, DERECHO_CLOSED,
 *         DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_memory_key_for(derecho_memory *memory, uint32_t node, derecho_memory_key *key_out);

/**
 * Copy a run of a member's memory into pieces of this node's, one after the other. Ends in one DERECHO_EVENT_MEMORY;
 * until then the pieces' bytes are undefined. Operations on one member's memory are carried out in the order they were
 * begun.
 * @param node           whose memory it is; this node itself is allowed.
 * @param key            made by that node for this one; copied.
 * @param offset         of the run's first byte in that memory.
 * @param pieces         count pieces of memory registered with this group; copied; may be NULL when count is 0. The run
 *                       is as long as all of them together.
 * @param operation_out  names the operation in its event (field id); no call has the same id.
 * @return DERECHO_OK, DERECHO_AGAIN (too many operations have not ended, or their events were not taken),
 *         DERECHO_INVALID (a piece is not inside of its memory, or of another group), DERECHO_NOT_MEMBER,
 *         DERECHO_EJECTED, DERECHO_NO_MAJORITY, DERECHO_STATE_LOST, DERECHO_CLOSED, DERECHO_BAD_HANDLE. That the key is
 *         of no use, or the run not inside of that memory, is for the event to say.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_memory_read(derecho_group *group, uint32_t node, const derecho_memory_key *key,
                                               uint64_t offset, const derecho_piece *pieces, size_t count,
                                               uint64_t *operation_out);

/**
 * Copy pieces of this node's memory, one after the other, to a run of a member's. As derecho_memory_read(); the pieces'
 * bytes must not change before the event. When it says DERECHO_OK they are in that member's memory, and what is sent
 * afterwards is delivered after them. After any other status a part of them may be.
 * @return as derecho_memory_read().
 * Threads: any.
 */
DERECHO_API derecho_status derecho_memory_write(derecho_group *group, uint32_t node, const derecho_memory_key *key,
                                                uint64_t offset, const derecho_piece *pieces, size_t count,
                                                uint64_t *operation_out);

/**
 * Take a buffer back. Waits until this node's own operations that use it have ended; whoever waits, drives. Once it
 * returned DERECHO_OK, all keys to it are dead and nothing is read from it or written to it any more.
 * @return DERECHO_OK, DERECHO_TIMEOUT (it is still registered; the detail tells how many operations are pending, and
 *         with whom), DERECHO_CLOSED (deregistered already, or the group was closed), DERECHO_BAD_HANDLE.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_memory_deregister(derecho_memory *memory, int64_t timeout_ms);

/* ------------------------------------------------------------------------------------------------- log */

/**
 * Write the library's log lines to a descriptor; nothing is printed otherwise (or set DERECHO_LOG=debug|info|warn).
 * @param level        0 nothing, 1 warnings, 2 views and connections, 3 everything.
 * @return DERECHO_OK, DERECHO_INVALID.
 * Threads: any.
 */
DERECHO_API derecho_status derecho_log_to(int fd, int32_t level);

#ifdef __cplusplus
}
#endif

#endif /* DERECHO_H */
