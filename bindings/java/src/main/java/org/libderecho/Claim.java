package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;
import static java.lang.foreign.ValueLayout.JAVA_LONG_UNALIGNED;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Objects;

/**
 * Room for one message in this node's ring, to be filled in place and committed. Reusable: {@link Shard#tryClaim} opens
 * it again, without making an object. One that is closed or dropped while open is aborted.
 *
 * <p>Threads: one at a time; the one that first asked for the data is the one to fill it, and to commit or abort.
 */
public final class Claim implements AutoCloseable {
    private static final int DATA = (int) (Native.Claim.DATA / 8);
    private static final int SIZE = (int) (Native.Claim.SIZE_BYTES / 8);
    private static final int ID = (int) (Native.Claim.ID / 8);

    private final Place place;
    private final Loan loan = new Loan(this, Loan.MEMORY);

    private Claim(Place place) {
        this.place = place;
    }

    /** One that the collector aborts when it is dropped open. */
    static Claim guarded(long shard) {
        final Claim claim = new Claim(new Place(shard));
        Handle.CLEANER.register(claim, claim.place);
        return claim;
    }

    /** One whose user sees to it that it is committed or aborted. */
    static Claim unguarded(long shard) {
        return new Claim(new Place(shard));
    }

    int open(int method, int flags, long sizeBytes) {
        if (place.open) throw new IllegalStateException("this claim is open: commit or abort it first");
        final int status = Native.derecho_shard_claim(place.shard, method, flags, sizeBytes, place.struct);
        place.open = status == Native.OK;
        return status;
    }

    /** Whether it waits for its commit. */
    public boolean isOpen() {
        return place.open;
    }

    /** The claimed memory: 8-byte aligned, writable until the commit. */
    public MemorySegment data() {
        checkOpen();
        return loan.segment(place.words[DATA], place.words[SIZE]);
    }

    /** The claimed memory as a buffer, in the machine's byte order. */
    public ByteBuffer buffer() {
        return data().asByteBuffer().order(ByteOrder.nativeOrder());
    }

    /** Write a number, in the machine's byte order. This and its like make no objects, unlike {@link #data}. */
    public void putInt(long offset, int value) {
        Loan.MEMORY.set(JAVA_INT_UNALIGNED, at(offset, Integer.BYTES), value);
    }

    public void putLong(long offset, long value) {
        Loan.MEMORY.set(JAVA_LONG_UNALIGNED, at(offset, Long.BYTES), value);
    }

    public void putDouble(long offset, double value) {
        Loan.MEMORY.set(JAVA_DOUBLE_UNALIGNED, at(offset, Double.BYTES), value);
    }

    public void put(long offset, byte[] value) {
        MemorySegment.copy(value, 0, Loan.MEMORY, JAVA_BYTE, at(offset, value.length), value.length);
    }

    public void put(long offset, MemorySegment value) {
        MemorySegment.copy(value, 0, Loan.MEMORY, at(offset, value.byteSize()), value.byteSize());
    }

    private long at(long offset, long bytes) {
        checkOpen();
        return place.words[DATA] + Objects.checkFromIndexSize(offset, bytes, size());
    }

    /** The claimed memory, for code that uses it only while the claim is open. */
    MemorySegment memory() {
        return Loan.MEMORY.asSlice(place.words[DATA], place.words[SIZE]);
    }

    /** Bytes claimed. */
    public long size() {
        return place.words[SIZE];
    }

    /** The ticket, or the call. May change at the commit, when the claim was open for long. */
    public long id() {
        return place.words[ID];
    }

    /**
     * Send it.
     *
     * @param usedBytes at most the claimed size
     * @throws RingFull the claim was open for so long that it lost its place; it is still open, {@link #data} anew:
     *     poll, then retry
     */
    public void commit(long usedBytes) {
        Status.check(commitCode(usedBytes));
    }

    /** Send all of it. */
    public void commit() {
        commit(size());
    }

    /** As {@link #commit}, with the status instead of an exception. */
    public Status tryCommit(long usedBytes) {
        return Status.of(commitCode(usedBytes));
    }

    int commitCode(long usedBytes) {
        checkOpen();
        if (usedBytes < 0) throw new InvalidArgument("used_bytes is negative: " + usedBytes);
        loan.takeBack();
        final int status = Native.derecho_claim_commit(place.shard, place.struct, usedBytes);
        place.open = status == Native.AGAIN || status == Native.INVALID;
        Reference.reachabilityFence(this); // not to be aborted by the collector meanwhile
        return status;
    }

    /** Give it back unsent; does nothing when it is not open. */
    public void abort() {
        loan.takeBack();
        place.run();
    }

    /** Same as {@link #abort}: leaving the block without a commit gives it back. */
    @Override
    public void close() {
        abort();
    }

    private void checkOpen() {
        if (!place.open) throw new IllegalStateException("this claim is not open: it was committed or aborted");
    }

    /** The core's word for the claim; outlives the object. */
    private static final class Place implements Runnable {
        final long shard;
        final long[] words = new long[(int) (Native.Claim.BYTES / 8)];
        final MemorySegment struct = MemorySegment.ofArray(words);
        boolean open;

        Place(long shard) {
            this.shard = shard;
        }

        @Override
        public void run() {
            if (!open) return;
            open = false;
            Native.derecho_claim_abort(shard, struct);
        }
    }
}
