package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;

/**
 * Memory of the application's own that members who were given a key may read and write one-sidedly. Made by
 * {@link RawGroup#register} and {@link Group#register}, or a device's. What peers write shows in it at any time.
 *
 * <p>Its segment is kept from the collector until it is deregistered or the group was closed, even if this object is
 * forgotten. An arena that is closed by hand must stay open until then. Threads: any.
 */
public final class RegisteredMemory implements AutoCloseable {
    /** A part of registered memory, for reads and writes. */
    public record Part(RegisteredMemory memory, long offset, long sizeBytes) {}

    private static final Duration TIMEOUT = Duration.ofSeconds(10);

    final long handle;
    private final RawGroup group;
    private final MemorySegment segment;
    private final long sizeBytes;

    RegisteredMemory(RawGroup group, long handle, MemorySegment segment, long sizeBytes) {
        this.group = group;
        this.handle = handle;
        this.segment = segment;
        this.sizeBytes = sizeBytes;
    }

    /**
     * The key that opens it to one member; the same when asked for again.
     *
     * @throws NotMember when the node is not in the view
     * @throws InvalidArgument when it was registered for no peer's access
     */
    public MemoryKey keyFor(int node) {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment key = arena.allocate(Native.MemoryKey.BYTES, Long.BYTES);
            Status.check(Native.derecho_memory_key_for(handle, node, key));
            return MemoryKey.of(key.toArray(JAVA_BYTE));
        }
    }

    /** The memory, the application's own; null if it is a device's. */
    public MemorySegment segment() {
        return segment;
    }

    /** All of it. */
    public Part part() {
        return part(0, sizeBytes);
    }

    /** Some of it. */
    public Part part(long offset, long sizeBytes) {
        return new Part(this, offset, sizeBytes);
    }

    /**
     * Take it back: waits for this node's own reads and writes that use it. Afterwards nothing lands in it any more.
     *
     * @throws Timeout naming how many are pending, and with whom; it is still registered
     * @throws Closed when it was deregistered before, or its group was closed
     */
    public void deregister(Duration timeout) {
        final int status = Native.derecho_memory_deregister(handle, timeout.toMillis());
        if (status == Native.OK || status == Native.CLOSED) group.forget(this);
        Status.check(status);
    }

    /** As {@link #deregister}, with 10 s; a second time does nothing. */
    @Override
    public void close() {
        try {
            deregister(TIMEOUT);
        } catch (Closed error) { // it ended with its group
        }
    }
}
