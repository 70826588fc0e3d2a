package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;

/**
 * Zeroed, page-aligned memory that no collector moves, registered with the group's wires. It is freed when every object
 * that refers to it was closed, or dropped together with all segments and buffers made of it. Use after the close
 * throws IllegalStateException. Threads: any.
 */
public final class Buffer extends Handle {
    private final Arena arena = Arena.ofShared();
    private final MemorySegment segment;

    /** @param handle one reference of which becomes this object's */
    private Buffer(long handle) {
        super(handle, Native::derecho_buffer_release);
        try (Arena scratch = Arena.ofConfined()) {
            final MemorySegment data = scratch.allocate(JAVA_LONG);
            final MemorySegment size = scratch.allocate(JAVA_LONG);
            Status.check(Native.derecho_buffer_data(handle, data, size));
            segment = Loan.lend(Loan.MEMORY.asSlice(data.get(JAVA_LONG, 0), size.get(JAVA_LONG, 0)), arena, this);
        }
    }

    /** @throws NoMemory when the system gives none */
    public static Buffer allocate(long sizeBytes) {
        try (Arena scratch = Arena.ofConfined()) {
            final MemorySegment out = scratch.allocate(JAVA_LONG);
            Status.check(Native.derecho_buffer_create(sizeBytes, out));
            return new Buffer(out.get(JAVA_LONG, 0));
        }
    }

    /** All of it; any thread may use it until the close. */
    public MemorySegment segment() {
        if (isClosed()) throw new Closed("this handle was closed");
        return segment;
    }

    /** All of it as a direct buffer, in the machine's byte order. */
    public ByteBuffer buffer() {
        return segment().asByteBuffer().order(ByteOrder.nativeOrder());
    }

    /** Bytes. */
    public long size() {
        return segment.byteSize();
    }

    /** A second object for the same memory, to be closed on its own. */
    public Buffer retain() {
        Status.check(Native.derecho_buffer_retain(handle));
        return new Buffer(handle);
    }

    /**
     * Give this object's reference back.
     *
     * @throws IllegalStateException while a call of this library on another thread is using it
     */
    @Override
    public synchronized Status tryClose() {
        if (!isClosed()) arena.close();
        return super.tryClose();
    }

    /** Others may still hold references, which are not ours to give back. */
    @Override
    Status closeAgain() {
        try (Arena scratch = Arena.ofConfined()) {
            final MemorySegment out = scratch.allocate(JAVA_LONG, 2);
            final int status = Native.derecho_buffer_data(handle, out, out.asSlice(8));
            return status == Native.OK ? Status.CLOSED : Status.of(status);
        }
    }
}
