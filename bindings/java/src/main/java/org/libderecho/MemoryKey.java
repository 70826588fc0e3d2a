package org.libderecho;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.HexFormat;

/**
 * What opens one node's registered memory to one member: 32 bytes, to be sent to it in any way. It is of no use to any
 * other node, nor to that member after it left the view. Threads: any.
 */
public final class MemoryKey {
    private final byte[] bytes;

    private MemoryKey(byte[] bytes) {
        this.bytes = bytes;
    }

    /**
     * From the bytes that {@link #toBytes} gave.
     *
     * @throws InvalidArgument when they are not as many
     */
    public static MemoryKey of(byte[] bytes) {
        if (bytes.length != Native.MemoryKey.BYTES)
            throw new InvalidArgument("a key has " + Native.MemoryKey.BYTES + " bytes, not " + bytes.length);
        return new MemoryKey(bytes.clone());
    }

    /** A copy of its bytes. */
    public byte[] toBytes() {
        return bytes.clone();
    }

    MemorySegment segment(Arena arena) {
        final MemorySegment copy = arena.allocate(bytes.length, Long.BYTES);
        copy.copyFrom(MemorySegment.ofArray(bytes));
        return copy;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof MemoryKey key && Arrays.equals(bytes, key.bytes);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(bytes);
    }

    /** Which memory it is of, and not its secret. */
    @Override
    public String toString() {
        return "key of memory " + HexFormat.of().formatHex(bytes, 0, Long.BYTES);
    }
}
