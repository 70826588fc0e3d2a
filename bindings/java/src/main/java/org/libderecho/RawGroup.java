package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.function.LongToIntFunction;

/**
 * This process's part in one group, as the C ABI has it: no thread, no queue, no dispatch. {@link Group} is the one
 * with services. Every method throws {@link Closed} once the group was closed. Threads: any, for all.
 */
public final class RawGroup extends Handle {
    private final Map<Long, MemorySegment> registered; // kept from the collector until the group was closed

    private RawGroup(long handle, Map<Long, MemorySegment> registered) {
        super(handle, closing(registered));
        this.registered = registered;
    }

    /** Not a lambda of the constructor's, which would keep the group from being forgotten. */
    private static LongToIntFunction closing(Map<Long, MemorySegment> registered) {
        return handle -> {
            final int status = Native.derecho_group_close(handle);
            registered.clear();
            return status;
        };
    }

    /**
     * Come into a group: join it, or found it, as the options say (docs/founding.md). Returns once a view that
     * holds this node is installed (for a client: once a contact answered). State arrives later, as events.
     *
     * @throws InvalidArgument for options that do not fit together
     * @throws Timeout naming what was waited for
     * @throws Closed when the thread was interrupted, which it then still is
     */
    public static RawGroup join(Config config, Duration timeout) {
        final var joining = new FutureTask<>(() -> joinHere(config, timeout));
        Thread.ofPlatform().name("derecho-join").daemon().start(joining);
        while (true) {
            try {
                return joining.get();
            } catch (InterruptedException error) {
                Native.derecho_join_cancel(config.handle);
                return givenUp(joining);
            } catch (ExecutionException error) {
                if (error.getCause() instanceof DerechoError cause) throw cause;
                if (error.getCause() instanceof Error cause) throw cause;
                throw new IllegalStateException(error.getCause());
            }
        }
    }

    private static RawGroup joinHere(Config config, Duration timeout) {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = arena.allocate(JAVA_LONG);
            Status.check(Native.derecho_group_join(config.handle, timeout.toMillis(), out));
            return new RawGroup(out.get(JAVA_LONG, 0), new ConcurrentHashMap<>());
        }
    }

    /** The join ends within some milliseconds, one way or the other. */
    private static RawGroup givenUp(FutureTask<RawGroup> joining) {
        while (true) {
            try (RawGroup late = joining.get()) {
                late.leave(Duration.ofSeconds(1));
                break;
            } catch (InterruptedException again) {
                continue;
            } catch (ExecutionException | DerechoError expected) {
                break;
            }
        }
        Thread.currentThread().interrupt();
        throw new Closed("joining was interrupted");
    }

    /**
     * Leave in good order: what was sent before is delivered, nobody suspects anyone. Poll goes on giving what was
     * delivered, then a CLOSED event.
     */
    public void leave(Duration timeout) {
        final int status = Native.derecho_group_leave(handle, timeout.toMillis());
        Reference.reachabilityFence(this);
        Status.check(status);
    }

    /** A descriptor, readable when {@link #poll} has something; armed by a poll that had nothing. Never close it. */
    public int fd() {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = arena.allocate(JAVA_INT);
            Status.check(Native.derecho_group_fd(handle, out));
            return out.get(JAVA_INT, 0);
        }
    }

    /** The view whose events poll is giving now. */
    public View view() {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = sized(arena, Native.View.BYTES);
            Status.check(Native.derecho_group_view(handle, out));
            return View.read(out);
        }
    }

    /** A member that holds others up, the one that does so the longest; null when nobody does. */
    public Holdup holdup() {
        return holdup(Native.ANY_NODE);
    }

    /** Whether a member holds others up; null if not. */
    public Holdup holdup(int node) {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = sized(arena, Native.Holdup.BYTES);
            Status.check(Native.derecho_group_holdup(handle, node, out));
            return Holdup.read(out);
        }
    }

    /** What this node found out that no call can report, a sentence each. */
    public List<String> troubles() {
        final List<String> found = new ArrayList<>();
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = sized(arena, Native.Trouble.BYTES);
            while (true) {
                Status.check(Native.derecho_group_trouble(handle, found.size(), out));
                if (found.size() >= out.get(JAVA_INT, Native.Trouble.COUNT)) return found;
                found.add(out.getString(Native.Trouble.TEXT));
            }
        }
    }

    /** The running totals of this node. */
    public Stats stats() {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = sized(arena, Native.Stats.BYTES);
            Status.check(Native.derecho_group_stats(handle, out));
            return Stats.read(out);
        }
    }

    /** A struct that starts with its own size. */
    private static MemorySegment sized(Arena arena, long bytes) {
        final MemorySegment struct = arena.allocate(bytes, 8);
        struct.set(JAVA_INT, 0, (int) bytes);
        return struct;
    }

    /**
     * The shard of a service.
     *
     * @throws InvalidArgument when there is none; the text lists them
     */
    public Shard shard(String service) {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = arena.allocate(JAVA_LONG);
            Status.check(Native.derecho_shard_open(handle, Config.text(arena, service), out));
            return new Shard(this, out.get(JAVA_LONG, 0));
        }
    }

    /**
     * Take completions, waiting for the first; whoever waits drives the protocol.
     *
     * @param batch released first, if it still holds something
     * @param timeoutNs how long to wait for the first event; 0 drives one step and returns, negative waits without end
     * @return how many events it has now; 0 when the time passed
     * @throws RingFull when too many batches are held
     */
    public int poll(EventBatch batch, long timeoutNs) {
        final int status = batch.poll(handle, timeoutNs);
        Reference.reachabilityFence(this); // forgotten or not, it is in use until here
        Status.check(status);
        return batch.count();
    }

    public int poll(EventBatch batch, Duration timeout) {
        return poll(batch, timeout.toNanos());
    }

    /** Make a poll that waits on another thread return now, with what it has. */
    public void wake() {
        Status.check(Native.derecho_wake(handle));
    }

    /** As {@link #wake}; of a closed group nobody polls any more. */
    void wakeIfOpen() {
        Native.derecho_wake(handle);
    }

    // ---------------------------------------------------------------------------------------- registered memory

    /**
     * Register memory, so that members who are given a key may read or write it, one-sidedly.
     *
     * @param segment native: a collector may move all others
     * @param read whether peers may read it
     * @param write whether they may write it; neither: it is for this node's own operations
     */
    public RegisteredMemory register(MemorySegment segment, boolean read, boolean write) {
        if (!segment.isNative()) throw new InvalidArgument("the segment is on the heap, where the collector moves it");
        if (segment.isReadOnly()) throw new InvalidArgument("the segment is read-only");
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = arena.allocate(JAVA_LONG);
            final long size = segment.byteSize();
            Status.check(Native.derecho_memory_register(handle, segment, size, access(read, write), out));
            return registered(out.get(JAVA_LONG, 0), segment, size);
        }
    }

    /**
     * Register memory of another device, a GPU's above all, by its dma-buf.
     *
     * @param fd of the dma-buf; duplicated: it may be closed afterwards
     * @param offset of the part of it that is registered; its first byte is the memory's
     * @param read whether peers may read it
     * @param write whether they may write it
     * @throws InvalidArgument when it is not a dma-buf, or shorter than that
     */
    public RegisteredMemory registerDmabuf(int fd, long offset, long sizeBytes, boolean read, boolean write) {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = arena.allocate(JAVA_LONG);
            Status.check(
                    Native.derecho_memory_register_dmabuf(handle, fd, offset, sizeBytes, access(read, write), out));
            return registered(out.get(JAVA_LONG, 0), null, sizeBytes);
        }
    }

    private static int access(boolean read, boolean write) {
        return (read ? Native.MEMORY_READ : 0) | (write ? Native.MEMORY_WRITE : 0);
    }

    private RegisteredMemory registered(long memory, MemorySegment segment, long sizeBytes) {
        if (segment != null) registered.put(memory, segment);
        return new RegisteredMemory(this, memory, segment, sizeBytes);
    }

    void forget(RegisteredMemory memory) {
        registered.remove(memory.handle);
    }

    /**
     * Begin to copy a run of a member's memory into parts of this node's, one after the other; ends in one MEMORY event.
     *
     * @param offset of the run's first byte in that memory
     * @return the operation, which its event names
     * @throws RingFull when too many operations have not ended, or their events were not taken
     */
    public long read(int node, MemoryKey key, long offset, List<RegisteredMemory.Part> parts) {
        final long[] operation = new long[1];
        Status.check(readCode(node, key, offset, parts, operation));
        return operation[0];
    }

    /** Begin to copy parts of this node's memory to a run of a member's. As {@link #read}. */
    public long write(int node, MemoryKey key, long offset, List<RegisteredMemory.Part> parts) {
        final long[] operation = new long[1];
        Status.check(writeCode(node, key, offset, parts, operation));
        return operation[0];
    }

    int readCode(int node, MemoryKey key, long offset, List<RegisteredMemory.Part> parts, long[] operation) {
        return begin(Native::derecho_memory_read, node, key, offset, parts, operation);
    }

    int writeCode(int node, MemoryKey key, long offset, List<RegisteredMemory.Part> parts, long[] operation) {
        return begin(Native::derecho_memory_write, node, key, offset, parts, operation);
    }

    private interface Begin {
        int call(
                long group, int node, MemorySegment key, long offset, MemorySegment pieces, long count,
                MemorySegment operationOut);
    }

    private int begin(
            Begin function, int node, MemoryKey key, long offset, List<RegisteredMemory.Part> parts, long[] operation) {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = arena.allocate(JAVA_LONG);
            final MemorySegment raw = key.segment(arena);
            final int status = function.call(handle, node, raw, offset, pieces(arena, parts), parts.size(), out);
            operation[0] = out.get(JAVA_LONG, 0);
            return status;
        }
    }

    private static MemorySegment pieces(Arena arena, List<RegisteredMemory.Part> parts) {
        final MemorySegment pieces = arena.allocate(Native.Piece.BYTES * Math.max(parts.size(), 1), Long.BYTES);
        long at = 0;
        for (RegisteredMemory.Part part : parts) {
            pieces.set(JAVA_LONG, at + Native.Piece.MEMORY, part.memory().handle);
            pieces.set(JAVA_LONG, at + Native.Piece.OFFSET, part.offset());
            pieces.set(JAVA_LONG, at + Native.Piece.SIZE_BYTES, part.sizeBytes());
            at += Native.Piece.BYTES;
        }
        return pieces;
    }

    // ---------------------------------------------------------------------------------------- answers

    /**
     * Answer a CALL event with {@link Flags#REPLY}, or a QUERY event; exactly one answer each.
     *
     * @param status OK with the result as data, REMOTE_ERROR with "Type: text", or UNKNOWN_METHOD
     * @throws RingFull too many answers await a slow caller: poll, then retry
     */
    public void reply(int node, long call, Status status, MemorySegment data) {
        Status.check(Native.derecho_group_reply(handle, node, call, status.code(), data, data.byteSize()));
    }

    public void reply(int node, long call, Status status, byte[] data) {
        reply(node, call, status, MemorySegment.ofArray(data));
    }

    /** As {@link #reply}, with the status instead of an exception. */
    public Status tryReply(int node, long call, Status status, MemorySegment data) {
        return Status.of(Native.derecho_group_reply(handle, node, call, status.code(), data, data.byteSize()));
    }

    /**
     * Answer a STATE_REQUEST event, in as many pieces as convenient: the state as of that very event.
     *
     * @param data a piece, at most mail_bytes / 4 - 16 bytes
     * @throws RingFull poll, then retry this piece
     */
    public void state(int node, long request, MemorySegment data, boolean last) {
        final Status status = tryState(node, request, data, last);
        if (status != Status.OK) throw status.error();
    }

    /** Tell a joiner how long its state will be, before its first piece. */
    public void stateSize(int node, long request, long totalBytes) {
        Status.check(Native.derecho_group_state_size(handle, node, request, totalBytes));
    }

    /** Tell a joiner why there will be no state; AGAIN when there is no room. */
    public Status tryStateFail(int node, long request, MemorySegment text) {
        return Status.of(Native.derecho_group_state_fail(handle, node, request, text, text.byteSize()));
    }

    /** As {@link #state}, with the status instead of an exception. */
    public Status tryState(int node, long request, MemorySegment data, boolean last) {
        return Status.of(Native.derecho_group_state(handle, node, request, data, data.byteSize(), last ? 1 : 0));
    }
}
