package org.libderecho;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;

/**
 * The members that replicate one service, as receivers and senders. Lives as long as its group. Nothing here waits:
 * what does not go now throws {@link RingFull} or {@link ViewChanging} (poll, then retry), or is the status of a {@code
 * try} form, which makes no objects. Payloads are copied before a call returns; arrays are pinned for it, not copied
 * twice.
 *
 * <p>Every form also throws, or answers with the status of: {@link TooLarge}, {@link NotMember} (a client), {@link
 * Ejected}, {@link NoMajority}, {@link Closed}. Threads: any.
 */
public final class Shard {
    private final RawGroup group; // not collected, and so not closed, as long as somebody can send
    private final long handle;

    Shard(RawGroup group, long handle) {
        this.group = group;
        this.handle = handle;
    }

    /** The group it belongs to. */
    public RawGroup group() {
        return group;
    }

    /**
     * Queue one message for ordered delivery to every member.
     *
     * @return the ticket: the id of this message's own event
     */
    public long send(MemorySegment data) {
        final long[] ticket = new long[1];
        Status.check(Native.derecho_shard_send(handle, data, data.byteSize(), MemorySegment.ofArray(ticket)));
        return ticket[0];
    }

    public long send(byte[] data) {
        return send(MemorySegment.ofArray(data));
    }

    /** Send what remains of a buffer; its position stays. */
    public long send(ByteBuffer data) {
        return send(MemorySegment.ofBuffer(data));
    }

    /** As {@link #send}, without a ticket. */
    public Status trySend(MemorySegment data) {
        return Status.of(Native.derecho_shard_send(handle, data, data.byteSize(), MemorySegment.NULL));
    }

    public Status trySend(byte[] data) {
        return trySend(MemorySegment.ofArray(data));
    }

    public Status trySend(ByteBuffer data) {
        return trySend(MemorySegment.ofBuffer(data));
    }

    /**
     * Send the messages of a batch in their order, as many as there is room for; they are forgotten, the others wait in
     * it for the next time. Messages of other threads may come between them.
     *
     * @return the ticket of the last one that was sent
     * @throws RingFull when not even the first went
     */
    public long sendMany(MessageBatch batch) {
        final long[] ticket = new long[1];
        Status.check(batch.send(handle, MemorySegment.ofArray(ticket)));
        return ticket[0];
    }

    /** As {@link #sendMany}, without a ticket: OK when at least one went; {@link MessageBatch#count} wait still. */
    public Status trySendMany(MessageBatch batch) {
        return Status.of(batch.send(handle, MemorySegment.NULL));
    }

    /**
     * Call a method at every member, in order with all messages.
     *
     * @param flags {@link Flags#REPLY} when answers are wanted: one ORDERED event, then one REPLY a member
     * @return the call: the id of its events
     */
    public long call(int method, int flags, MemorySegment args) {
        final long[] call = new long[1];
        Status.check(callCode(method, flags, args, MemorySegment.ofArray(call)));
        return call[0];
    }

    public long call(int method, int flags, byte[] args) {
        return call(method, flags, MemorySegment.ofArray(args));
    }

    /** As {@link #call}; the call's id is stored in {@code callOut[0]}, unless that is null. */
    public Status tryCall(int method, int flags, MemorySegment args, long[] callOut) {
        final MemorySegment out = callOut == null ? MemorySegment.NULL : MemorySegment.ofArray(callOut);
        return Status.of(callCode(method, flags, args, out));
    }

    private int callCode(int method, int flags, MemorySegment args, MemorySegment callOut) {
        return Native.derecho_shard_call(handle, method, flags, args, args.byteSize(), callOut);
    }

    /** Claim room for a plain message, to be filled in place and committed. */
    public Claim claim(long sizeBytes) {
        return claim(0, Flags.MESSAGE, sizeBytes);
    }

    /** Claim room for a call; with {@link Flags#MESSAGE} and method 0 for a plain message. */
    public Claim claim(int method, int flags, long sizeBytes) {
        final Claim claim = newClaim();
        Status.check(claim.open(method, flags, sizeBytes));
        return claim;
    }

    /** A claim that is not open yet, for {@link #tryClaim}. */
    public Claim newClaim() {
        return Claim.guarded(handle);
    }

    /** Open a claim of this shard for a plain message. */
    public Status tryClaim(Claim claim, long sizeBytes) {
        return tryClaim(claim, 0, Flags.MESSAGE, sizeBytes);
    }

    /** Open a claim of this shard for a call. */
    public Status tryClaim(Claim claim, int method, int flags, long sizeBytes) {
        return Status.of(claim.open(method, flags, sizeBytes));
    }

    /** One that the caller commits or aborts without fail. */
    Claim unguardedClaim() {
        return Claim.unguarded(handle);
    }

    /**
     * Call a method at one node, out of order with messages; members and clients may. It gives one REPLY event.
     *
     * @return the call: the id of its event
     */
    public long query(int node, int method, MemorySegment args) {
        final long[] call = new long[1];
        Status.check(queryCode(node, method, args, call));
        return call[0];
    }

    public long query(int node, int method, byte[] args) {
        return query(node, method, MemorySegment.ofArray(args));
    }

    /** As {@link #query}; the call's id is stored in {@code callOut[0]}. */
    public Status tryQuery(int node, int method, MemorySegment args, long[] callOut) {
        return Status.of(queryCode(node, method, args, callOut));
    }

    int queryCode(int node, int method, MemorySegment args, long[] callOut) {
        return Native.derecho_shard_query(
                handle, node, method, args, args.byteSize(), MemorySegment.ofArray(callOut));
    }
}
