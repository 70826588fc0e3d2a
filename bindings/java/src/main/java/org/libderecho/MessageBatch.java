package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Messages to be sent in one call, at half the cost of one by one when they are small. They are written one behind the
 * other into memory that the batch owns and uses again once all were sent. One thread at a time.
 */
public final class MessageBatch {
    private static final long ALIGNMENT = 8;

    private final MemorySegment memory;
    private final MemorySegment entries; // derecho_bytes
    private final MemorySegment sentOut;
    private final int capacity;
    private long used;
    private int count;
    private int sent;

    /**
     * @param messages most messages it holds
     * @param bytes most bytes they have together, each rounded up to a multiple of 8
     */
    public MessageBatch(int messages, long bytes) {
        if (messages < 1 || bytes < 1) throw new InvalidArgument("a batch holds at least one message of one byte");
        final Arena arena = Arena.ofAuto();
        capacity = messages;
        memory = arena.allocate(bytes, ALIGNMENT);
        entries = arena.allocate(messages * Native.Bytes.BYTES, ALIGNMENT);
        sentOut = arena.allocate(JAVA_LONG);
    }

    /** How many messages wait to be sent. */
    public int count() {
        return count - sent;
    }

    /** Add a copy of a message; false when there is no room for it. */
    public boolean add(byte[] message) {
        final long at = reserve(message.length);
        if (at < 0) return false;
        MemorySegment.copy(message, 0, memory, java.lang.foreign.ValueLayout.JAVA_BYTE, at, message.length);
        return true;
    }

    /** Add a copy of a message; false when there is no room for it. */
    public boolean add(MemorySegment message) {
        final long at = reserve(message.byteSize());
        if (at < 0) return false;
        MemorySegment.copy(message, 0, memory, at, message.byteSize());
        return true;
    }

    /**
     * Add a message that the caller writes into {@link #memory} itself.
     *
     * @return its offset there, a multiple of 8; -1 when there is no room for it
     */
    public long reserve(long size) {
        if (size < 0 || count == capacity || used + size > memory.byteSize()) return -1;
        final long at = used;
        final long entry = count * Native.Bytes.BYTES;
        entries.set(JAVA_LONG, entry + Native.Bytes.DATA, memory.address() + at);
        entries.set(JAVA_LONG, entry + Native.Bytes.SIZE_BYTES, size);
        used = (at + size + ALIGNMENT - 1) & -ALIGNMENT;
        count++;
        return at;
    }

    /** Where messages are written, see {@link #reserve}. */
    public MemorySegment memory() {
        return memory;
    }

    /** Forget all messages. */
    public void clear() {
        used = 0;
        count = 0;
        sent = 0;
    }

    /** Send what waits, as far as there is room for it; forget what was sent. */
    int send(long shard, MemorySegment ticketOut) {
        final MemorySegment waiting = entries.asSlice(sent * Native.Bytes.BYTES);
        final int status = Native.derecho_shard_send_many(shard, waiting, count(), sentOut, ticketOut);
        if (status != Native.OK) return status;
        sent += (int) sentOut.get(JAVA_LONG, 0);
        if (sent == count) clear();
        return status;
    }
}
