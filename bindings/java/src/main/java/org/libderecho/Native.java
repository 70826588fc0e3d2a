// What include/derecho.h declares: functions, structs, constants. Written by tools/java_symbols.py; do not edit.
// Again: python3 tools/generated.py
package org.libderecho;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.invoke.MethodHandle;

final class Native {
    /** Of the header that this file was written from. */
    static final long ABI_HASH = 0xfa0e03fbccaa4d40L;

    static final int ABI_VERSION = 1;
    static final int MEMBERS_MAX = 64;
    static final int ADDRESS_BYTES = 64;
    static final int NAME_BYTES = 64;
    static final int GROUP_ID_BYTES = 40;
    static final int MEMBER_HAS_STATE = 1;
    static final int MEMBER_VOTES = 2;
    static final int HOLDUP_TEXT_BYTES = 256;
    static final int ANY_NODE = 0xffffffff;
    static final int TROUBLE_TEXT_BYTES = 1024;
    static final int CALL_REPLY = 1;
    static final int CLAIM_MESSAGE = 0x80000000;
    static final int FLAG_REPLY = 1;
    static final int FLAG_FIRST = 2;
    static final int FLAG_LAST = 4;
    static final int FLAG_OWN = 8;
    static final int MEMORY_READ = 1;
    static final int MEMORY_WRITE = 2;
    static final int OK = 0;
    static final int AGAIN = 1;
    static final int TIMEOUT = 2;
    static final int INVALID = 3;
    static final int BAD_HANDLE = 4;
    static final int CLOSED = 5;
    static final int TOO_LARGE = 6;
    static final int NOT_MEMBER = 7;
    static final int WEDGED = 8;
    static final int EJECTED = 9;
    static final int NO_MAJORITY = 10;
    static final int UNREACHABLE = 11;
    static final int INCOMPATIBLE = 12;
    static final int DUPLICATE = 13;
    static final int ADDRESS_IN_USE = 14;
    static final int NO_MEMORY = 15;
    static final int REMOVED = 16;
    static final int REMOTE_ERROR = 17;
    static final int UNKNOWN_METHOD = 18;
    static final int STATE_LOST = 19;
    static final int INTERNAL = 20;
    static final int DIFFERS = 21;
    static final int HOLDUP_NONE = 0;
    static final int HOLDUP_NOT_POLLING = 1;
    static final int HOLDUP_NOT_RELEASING = 2;
    static final int HOLDUP_NO_STATE = 3;
    static final int HOLDUP_NOT_ACKNOWLEDGING = 4;
    static final int EVENT_MESSAGE = 1;
    static final int EVENT_CALL = 2;
    static final int EVENT_QUERY = 3;
    static final int EVENT_ORDERED = 4;
    static final int EVENT_REPLY = 5;
    static final int EVENT_VIEW = 6;
    static final int EVENT_STATE_REQUEST = 7;
    static final int EVENT_STATE = 8;
    static final int EVENT_CLOSED = 9;
    static final int EVENT_MEMORY = 10;
    static final int EVENT_DIFFERENCE = 11;

    /** struct derecho_member: where its fields lie. */
    static final class Member {
        static final long BYTES = 88;
        static final long NODE = 0;
        static final long FLAGS = 4;
        static final long ADDRESS = 8;
        static final long HOLDUP = 72;
        static final long RESERVED = 76;
        static final long HOLDUP_MS = 80;

        private Member() {}
    }

    /** struct derecho_view: where its fields lie. */
    static final class View {
        static final long BYTES = 5696;
        static final long STRUCT_BYTES = 0;
        static final long SELF_RANK = 4;
        static final long ID = 8;
        static final long MEMBER_COUNT = 16;
        static final long RESERVED = 20;
        static final long MEMBERS = 24;
        static final long GROUP_ID = 5656;

        private View() {}
    }

    /** struct derecho_stats: where its fields lie. */
    static final class Stats {
        static final long BYTES = 152;
        static final long STRUCT_BYTES = 0;
        static final long RESERVED = 4;
        static final long STEPS = 8;
        static final long DELIVERED_MESSAGES = 16;
        static final long DELIVERED_BYTES = 24;
        static final long SENT_MESSAGES = 32;
        static final long NULL_MESSAGES = 40;
        static final long VIEWS = 48;
        static final long PUSHES = 56;
        static final long WAKES = 64;
        static final long SLEEPS = 72;
        static final long MEMORY_BYTES = 80;
        static final long ALLOCATIONS = 88;
        static final long WORK_REQUESTS = 96;
        static final long DOORBELLS = 104;
        static final long COMPLETIONS = 112;
        static final long HOLDUP_NODE = 120;
        static final long HOLDUP = 124;
        static final long HOLDUP_MS = 128;
        static final long DIGESTS = 136;
        static final long DIFFERENCES = 144;

        private Stats() {}
    }

    /** struct derecho_holdup: where its fields lie. */
    static final class Holdup {
        static final long BYTES = 280;
        static final long STRUCT_BYTES = 0;
        static final long NODE = 4;
        static final long CAUSE = 8;
        static final long RESERVED = 12;
        static final long LASTED_MS = 16;
        static final long TEXT = 24;

        private Holdup() {}
    }

    /** struct derecho_trouble: where its fields lie. */
    static final class Trouble {
        static final long BYTES = 1032;
        static final long STRUCT_BYTES = 0;
        static final long COUNT = 4;
        static final long TEXT = 8;

        private Trouble() {}
    }

    /** struct derecho_bytes: where its fields lie. */
    static final class Bytes {
        static final long BYTES = 16;
        static final long DATA = 0;
        static final long SIZE_BYTES = 8;

        private Bytes() {}
    }

    /** struct derecho_claim: where its fields lie. */
    static final class Claim {
        static final long BYTES = 48;
        static final long DATA = 0;
        static final long SIZE_BYTES = 8;
        static final long ID = 16;
        static final long INTERNAL = 24;

        private Claim() {}
    }

    /** struct derecho_event: where its fields lie. */
    static final class Event {
        static final long BYTES = 64;
        static final long KIND = 0;
        static final long NODE = 4;
        static final long VERSION = 8;
        static final long TIMESTAMP_NS = 16;
        static final long DATA = 24;
        static final long SIZE_BYTES = 32;
        static final long ID = 40;
        static final long METHOD = 48;
        static final long SHARD = 52;
        static final long STATUS = 56;
        static final long FLAGS = 60;

        private Event() {}
    }

    /** struct derecho_memory_key: where its fields lie. */
    static final class MemoryKey {
        static final long BYTES = 32;
        static final long WORDS = 0;

        private MemoryKey() {}
    }

    /** struct derecho_piece: where its fields lie. */
    static final class Piece {
        static final long BYTES = 24;
        static final long MEMORY = 0;
        static final long OFFSET = 8;
        static final long SIZE_BYTES = 16;

        private Piece() {}
    }

    private static final MethodHandle STATUS_NAME_FUNCTION =
            link("derecho_status_name", ADDRESS, JAVA_INT);

    /** The name of a status, such as "DERECHO_AGAIN"; "DERECHO_?" for an unknown one. */
    static MemorySegment derecho_status_name(int status) {
        try {
            return (MemorySegment) STATUS_NAME_FUNCTION.invokeExact(status);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle LAST_ERROR_FUNCTION =
            link("derecho_last_error", ADDRESS);

    /** What the last failed call of this thread had to say, in a sentence; "" if none failed. */
    static MemorySegment derecho_last_error() {
        try {
            return (MemorySegment) LAST_ERROR_FUNCTION.invokeExact();
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle ABI_VERSION_FUNCTION =
            linkCritical("derecho_abi_version", JAVA_INT);

    /** DERECHO_ABI_VERSION of the library at hand. */
    static int derecho_abi_version() {
        try {
            return (int) ABI_VERSION_FUNCTION.invokeExact();
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle ABI_HASH_FUNCTION =
            link("derecho_abi_hash", JAVA_LONG);

    /** A hash over every declaration of this header as the library was built with it: loaders compare it. */
    static long derecho_abi_hash() {
        try {
            return (long) ABI_HASH_FUNCTION.invokeExact();
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle VERSION_FUNCTION =
            link("derecho_version", ADDRESS);

    /** The library's version, such as "0.1.0". */
    static MemorySegment derecho_version() {
        try {
            return (MemorySegment) VERSION_FUNCTION.invokeExact();
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle CONFIG_CREATE_FUNCTION =
            link("derecho_config_create", JAVA_INT, ADDRESS);

    /** Make a configuration with every option at its default. */
    static int derecho_config_create(MemorySegment configOut) {
        try {
            return (int) CONFIG_CREATE_FUNCTION.invokeExact(configOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle CONFIG_SET_FUNCTION =
            link("derecho_config_set", JAVA_INT, JAVA_LONG, ADDRESS, ADDRESS);

    /** Set one option. */
    static int derecho_config_set(long config, MemorySegment key, MemorySegment value) {
        try {
            return (int) CONFIG_SET_FUNCTION.invokeExact(config, key, value);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle CONFIG_GET_FUNCTION =
            link("derecho_config_get", JAVA_INT, JAVA_LONG, ADDRESS, ADDRESS);

    /** Read one option back. */
    static int derecho_config_get(long config, MemorySegment key, MemorySegment valueOut) {
        try {
            return (int) CONFIG_GET_FUNCTION.invokeExact(config, key, valueOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle CONFIG_LOAD_FUNCTION =
            link("derecho_config_load", JAVA_INT, JAVA_LONG, ADDRESS);

    /** Set options from a TOML file of `key = value` lines. */
    static int derecho_config_load(long config, MemorySegment path) {
        try {
            return (int) CONFIG_LOAD_FUNCTION.invokeExact(config, path);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle CONFIG_ADD_SERVICE_FUNCTION =
            link("derecho_config_add_service", JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG);

    /** Add a service. */
    static int derecho_config_add_service(long config, MemorySegment name, long schemaHash) {
        try {
            return (int) CONFIG_ADD_SERVICE_FUNCTION.invokeExact(config, name, schemaHash);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle CONFIG_DESCRIBE_SERVICE_FUNCTION =
            link("derecho_config_describe_service", JAVA_INT, JAVA_LONG, ADDRESS, ADDRESS);

    /**
     * Tell what a service's schema_hash is of, so that a node that is refused for a different one reads which methods
     * differ.
     */
    static int derecho_config_describe_service(long config, MemorySegment name, MemorySegment schema) {
        try {
            return (int) CONFIG_DESCRIBE_SERVICE_FUNCTION.invokeExact(config, name, schema);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle CONFIG_CLOSE_FUNCTION =
            link("derecho_config_close", JAVA_INT, JAVA_LONG);

    /** Release a configuration. */
    static int derecho_config_close(long config) {
        try {
            return (int) CONFIG_CLOSE_FUNCTION.invokeExact(config);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_JOIN_FUNCTION =
            link("derecho_group_join", JAVA_INT, JAVA_LONG, JAVA_LONG, ADDRESS);

    /**
     * Come into a group: join it, or found it, alone (option found) or with others (initial_members); never because
     * nobody answers: docs/founding.md.
     */
    static int derecho_group_join(long config, long timeoutMs, MemorySegment groupOut) {
        try {
            return (int) GROUP_JOIN_FUNCTION.invokeExact(config, timeoutMs, groupOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle JOIN_CANCEL_FUNCTION =
            link("derecho_join_cancel", JAVA_INT, JAVA_LONG);

    /**
     * Make every derecho_group_join() with this configuration, in progress on other threads or yet to come, return
     * DERECHO_CLOSED within some milliseconds: for programs that are interrupted while they join.
     */
    static int derecho_join_cancel(long config) {
        try {
            return (int) JOIN_CANCEL_FUNCTION.invokeExact(config);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_LEAVE_FUNCTION =
            link("derecho_group_leave", JAVA_INT, JAVA_LONG, JAVA_LONG);

    /**
     * Leave in good order: what was sent before is delivered, the others install a view without this node, and nobody
     * suspects anyone.
     */
    static int derecho_group_leave(long group, long timeoutMs) {
        try {
            return (int) GROUP_LEAVE_FUNCTION.invokeExact(group, timeoutMs);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_CLOSE_FUNCTION =
            link("derecho_group_close", JAVA_INT, JAVA_LONG);

    /** Stop at once, as a crash would, and free everything. */
    static int derecho_group_close(long group) {
        try {
            return (int) GROUP_CLOSE_FUNCTION.invokeExact(group);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_FD_FUNCTION =
            link("derecho_group_fd", JAVA_INT, JAVA_LONG, ADDRESS);

    /** A descriptor that becomes readable when derecho_poll() has events, for epoll, asyncio, NIO. */
    static int derecho_group_fd(long group, MemorySegment fdOut) {
        try {
            return (int) GROUP_FD_FUNCTION.invokeExact(group, fdOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_VIEW_FUNCTION =
            link("derecho_group_view", JAVA_INT, JAVA_LONG, ADDRESS);

    /** The view whose events derecho_poll() is giving now: a new one appears here with its DERECHO_EVENT_VIEW. */
    static int derecho_group_view(long group, MemorySegment viewOut) {
        try {
            return (int) GROUP_VIEW_FUNCTION.invokeExact(group, viewOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_STATS_FUNCTION =
            link("derecho_group_stats", JAVA_INT, JAVA_LONG, ADDRESS);

    /** Read the totals. */
    static int derecho_group_stats(long group, MemorySegment statsOut) {
        try {
            return (int) GROUP_STATS_FUNCTION.invokeExact(group, statsOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_HOLDUP_FUNCTION =
            link("derecho_group_holdup", JAVA_INT, JAVA_LONG, JAVA_INT, ADDRESS);

    /**
     * Whether a member holds others up, for how long and why: what to add to the error of a wait that came to nothing.
     */
    static int derecho_group_holdup(long group, int node, MemorySegment holdupOut) {
        try {
            return (int) GROUP_HOLDUP_FUNCTION.invokeExact(group, node, holdupOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_TROUBLE_FUNCTION =
            link("derecho_group_trouble", JAVA_INT, JAVA_LONG, JAVA_INT, ADDRESS);

    /**
     * What this node found out that no call can report, above all that there is another group of this name
     * (docs/founding.md).
     */
    static int derecho_group_trouble(long group, int index, MemorySegment troubleOut) {
        try {
            return (int) GROUP_TROUBLE_FUNCTION.invokeExact(group, index, troubleOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle SHARD_OPEN_FUNCTION =
            link("derecho_shard_open", JAVA_INT, JAVA_LONG, ADDRESS, ADDRESS);

    /** Find the shard of a service. */
    static int derecho_shard_open(long group, MemorySegment service, MemorySegment shardOut) {
        try {
            return (int) SHARD_OPEN_FUNCTION.invokeExact(group, service, shardOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle SHARD_SEND_FUNCTION =
            linkCritical("derecho_shard_send", JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS);

    /** Queue one message for ordered delivery to every member of the shard. */
    static int derecho_shard_send(long shard, MemorySegment data, long sizeBytes, MemorySegment ticketOut) {
        try {
            return (int) SHARD_SEND_FUNCTION.invokeExact(shard, data, sizeBytes, ticketOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle SHARD_SEND_MANY_FUNCTION =
            linkCritical("derecho_shard_send_many", JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS, ADDRESS);

    /**
     * derecho_shard_send() for each of several messages, in their order, at a fraction of the cost when they are small.
     */
    static int derecho_shard_send_many(
            long shard, MemorySegment messages, long count, MemorySegment sentOut, MemorySegment ticketOut) {
        try {
            return (int) SHARD_SEND_MANY_FUNCTION.invokeExact(shard, messages, count, sentOut, ticketOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle SHARD_CALL_FUNCTION =
            linkCritical("derecho_shard_call", JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS);

    /** A method call to every member of the shard, in order with all messages. */
    static int derecho_shard_call(
            long shard, int method, int flags, MemorySegment args, long sizeBytes, MemorySegment callOut) {
        try {
            return (int) SHARD_CALL_FUNCTION.invokeExact(shard, method, flags, args, sizeBytes, callOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle SHARD_CLAIM_FUNCTION =
            linkCritical("derecho_shard_claim", JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, JAVA_LONG, ADDRESS);

    /** Claim room for a message, to be filled in place and committed. */
    static int derecho_shard_claim(long shard, int method, int flags, long sizeBytes, MemorySegment claimOut) {
        try {
            return (int) SHARD_CLAIM_FUNCTION.invokeExact(shard, method, flags, sizeBytes, claimOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle CLAIM_COMMIT_FUNCTION =
            linkCritical("derecho_claim_commit", JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG);

    /** Send a claimed message. */
    static int derecho_claim_commit(long shard, MemorySegment claim, long usedBytes) {
        try {
            return (int) CLAIM_COMMIT_FUNCTION.invokeExact(shard, claim, usedBytes);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle CLAIM_ABORT_FUNCTION =
            linkCritical("derecho_claim_abort", JAVA_INT, JAVA_LONG, ADDRESS);

    /** Give a claim back unsent. */
    static int derecho_claim_abort(long shard, MemorySegment claim) {
        try {
            return (int) CLAIM_ABORT_FUNCTION.invokeExact(shard, claim);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle SHARD_QUERY_FUNCTION =
            linkCritical("derecho_shard_query", JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS);

    /** A method call to one node, out of order with messages. */
    static int derecho_shard_query(
            long shard, int node, int method, MemorySegment args, long sizeBytes, MemorySegment callOut) {
        try {
            return (int) SHARD_QUERY_FUNCTION.invokeExact(shard, node, method, args, sizeBytes, callOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_REPLY_FUNCTION =
            linkCritical("derecho_group_reply", JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG);

    /** Answer a DERECHO_EVENT_CALL that has DERECHO_FLAG_REPLY, or a DERECHO_EVENT_QUERY. */
    static int derecho_group_reply(long group, int node, long call, int status, MemorySegment data, long sizeBytes) {
        try {
            return (int) GROUP_REPLY_FUNCTION.invokeExact(group, node, call, status, data, sizeBytes);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_STATE_FUNCTION =
            linkCritical("derecho_group_state", JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_INT);

    /** Answer a DERECHO_EVENT_STATE_REQUEST, in as many pieces as convenient. */
    static int derecho_group_state(long group, int node, long request, MemorySegment data, long sizeBytes, int last) {
        try {
            return (int) GROUP_STATE_FUNCTION.invokeExact(group, node, request, data, sizeBytes, last);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_STATE_SIZE_FUNCTION =
            link("derecho_group_state_size", JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG);

    /** Tell a joiner how long its state will be, all pieces together, so that it can say how far it has come. */
    static int derecho_group_state_size(long group, int node, long request, long totalBytes) {
        try {
            return (int) GROUP_STATE_SIZE_FUNCTION.invokeExact(group, node, request, totalBytes);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle GROUP_STATE_FAIL_FUNCTION =
            linkCritical("derecho_group_state_fail", JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG);

    /** Tell a joiner that there will be no state, and why, instead of any further piece. */
    static int derecho_group_state_fail(long group, int node, long request, MemorySegment text, long sizeBytes) {
        try {
            return (int) GROUP_STATE_FAIL_FUNCTION.invokeExact(group, node, request, text, sizeBytes);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle POLL_FUNCTION =
            link("derecho_poll", JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_LONG, ADDRESS, ADDRESS);

    /** Take completions, waiting for the first; whoever waits drives the protocol. */
    static int derecho_poll(
            long group, MemorySegment events, long capacity, long timeoutNs, MemorySegment countOut, MemorySegment
            leaseOut) {
        try {
            return (int) POLL_FUNCTION.invokeExact(group, events, capacity, timeoutNs, countOut, leaseOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle RELEASE_FUNCTION =
            linkCritical("derecho_release", JAVA_INT, JAVA_LONG, JAVA_LONG);

    /** Give back the data of one derecho_poll(). */
    static int derecho_release(long group, long lease) {
        try {
            return (int) RELEASE_FUNCTION.invokeExact(group, lease);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle WAKE_FUNCTION =
            link("derecho_wake", JAVA_INT, JAVA_LONG);

    /** Make a derecho_poll() that waits on another thread return now, with what it has. */
    static int derecho_wake(long group) {
        try {
            return (int) WAKE_FUNCTION.invokeExact(group);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle BUFFER_CREATE_FUNCTION =
            link("derecho_buffer_create", JAVA_INT, JAVA_LONG, ADDRESS);

    /** Allocate a zeroed buffer with one reference. */
    static int derecho_buffer_create(long sizeBytes, MemorySegment bufferOut) {
        try {
            return (int) BUFFER_CREATE_FUNCTION.invokeExact(sizeBytes, bufferOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle BUFFER_DATA_FUNCTION =
            link("derecho_buffer_data", JAVA_INT, JAVA_LONG, ADDRESS, ADDRESS);

    /** Its address and size. */
    static int derecho_buffer_data(long buffer, MemorySegment dataOut, MemorySegment sizeBytesOut) {
        try {
            return (int) BUFFER_DATA_FUNCTION.invokeExact(buffer, dataOut, sizeBytesOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle BUFFER_RETAIN_FUNCTION =
            link("derecho_buffer_retain", JAVA_INT, JAVA_LONG);

    /** Take one more reference. */
    static int derecho_buffer_retain(long buffer) {
        try {
            return (int) BUFFER_RETAIN_FUNCTION.invokeExact(buffer);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle BUFFER_RELEASE_FUNCTION =
            link("derecho_buffer_release", JAVA_INT, JAVA_LONG);

    /** Give one reference back; the last frees it. */
    static int derecho_buffer_release(long buffer) {
        try {
            return (int) BUFFER_RELEASE_FUNCTION.invokeExact(buffer);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle MEMORY_REGISTER_FUNCTION =
            link("derecho_memory_register", JAVA_INT, JAVA_LONG, ADDRESS, JAVA_LONG, JAVA_INT, ADDRESS);

    /** Register a buffer, so that this node's operations may use it and those of peers that are given a key to it. */
    static int derecho_memory_register(
            long group, MemorySegment data, long sizeBytes, int access, MemorySegment memoryOut) {
        try {
            return (int) MEMORY_REGISTER_FUNCTION.invokeExact(group, data, sizeBytes, access, memoryOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle MEMORY_REGISTER_DMABUF_FUNCTION =
            link(
                    "derecho_memory_register_dmabuf", JAVA_INT, JAVA_LONG, JAVA_INT, JAVA_LONG, JAVA_LONG, JAVA_INT,
                    ADDRESS);

    /**
     * Register memory of another device, a GPU's above all, which its driver gives away as a Linux dma-buf: CUDA's by
     * cuMemGetHandleForAddressRange(), ROCm's by hsa_amd_portable_export_dmabuf().
     */
    static int derecho_memory_register_dmabuf(
            long group, int fd, long offset, long sizeBytes, int access, MemorySegment memoryOut) {
        try {
            return (int) MEMORY_REGISTER_DMABUF_FUNCTION.invokeExact(group, fd, offset, sizeBytes, access, memoryOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle MEMORY_KEY_FOR_FUNCTION =
            link("derecho_memory_key_for", JAVA_INT, JAVA_LONG, JAVA_INT, ADDRESS);

    /** The key that opens this memory to one member, in its present life and while it is in the view. */
    static int derecho_memory_key_for(long memory, int node, MemorySegment keyOut) {
        try {
            return (int) MEMORY_KEY_FOR_FUNCTION.invokeExact(memory, node, keyOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle MEMORY_READ_FUNCTION =
            link("derecho_memory_read", JAVA_INT, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG, ADDRESS);

    /** Copy a run of a member's memory into pieces of this node's, one after the other. */
    static int derecho_memory_read(
            long group, int node, MemorySegment key, long offset, MemorySegment pieces, long count, MemorySegment
            operationOut) {
        try {
            return (int) MEMORY_READ_FUNCTION.invokeExact(group, node, key, offset, pieces, count, operationOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle MEMORY_WRITE_FUNCTION =
            link(
                    "derecho_memory_write", JAVA_INT, JAVA_LONG, JAVA_INT, ADDRESS, JAVA_LONG, ADDRESS, JAVA_LONG,
                    ADDRESS);

    /** Copy pieces of this node's memory, one after the other, to a run of a member's. */
    static int derecho_memory_write(
            long group, int node, MemorySegment key, long offset, MemorySegment pieces, long count, MemorySegment
            operationOut) {
        try {
            return (int) MEMORY_WRITE_FUNCTION.invokeExact(group, node, key, offset, pieces, count, operationOut);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle MEMORY_DEREGISTER_FUNCTION =
            link("derecho_memory_deregister", JAVA_INT, JAVA_LONG, JAVA_LONG);

    /** Take a buffer back. */
    static int derecho_memory_deregister(long memory, long timeoutMs) {
        try {
            return (int) MEMORY_DEREGISTER_FUNCTION.invokeExact(memory, timeoutMs);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static final MethodHandle LOG_TO_FUNCTION =
            link("derecho_log_to", JAVA_INT, JAVA_INT, JAVA_INT);

    /**
     * Write the library's log lines to a descriptor; nothing is printed otherwise (or set DERECHO_LOG=debug|info|warn).
     */
    static int derecho_log_to(int fd, int level) {
        try {
            return (int) LOG_TO_FUNCTION.invokeExact(fd, level);
        } catch (Throwable error) {
            throw refused(error);
        }
    }

    private static MethodHandle link(String name, MemoryLayout result, MemoryLayout... parameters) {
        return Linker.nativeLinker()
                .downcallHandle(Library.symbol(name), FunctionDescriptor.of(result, parameters));
    }

    /** As link, for a function that returns at once, and takes arrays of Java's. */
    private static MethodHandle linkCritical(String name, MemoryLayout result, MemoryLayout... parameters) {
        return Linker.nativeLinker()
                .downcallHandle(
                        Library.symbol(name),
                        FunctionDescriptor.of(result, parameters),
                        Linker.Option.critical(true));
    }

    /** No function of C throws: what came is the JVM's, or an argument's that the JVM refused. */
    private static RuntimeException refused(Throwable error) {
        if (error instanceof RuntimeException refusal) return refusal;
        if (error instanceof Error fatal) throw fatal;
        return new IllegalStateException(error);
    }

    static {
        Library.check(derecho_abi_hash(), ABI_HASH);
    }

    private Native() {}
}
