package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.util.function.Function;

/**
 * Reads a message as docs/layout.md has it; for generated code. What it reads comes from a peer and is untrusted: it
 * follows the cursor of the only writer there could have been, and refuses everything else with {@link DecodeError}.
 *
 * <p>Positions count bytes from the start of the message. A {@code name} is what the error calls the value.
 */
public final class Decoder {
    private static final char REPLACEMENT = '\ufffd';

    private final MemorySegment message;
    private final boolean inPlace;
    private String where = "";
    private long cursor;
    private int count;

    /** @param inPlace whether views may look at the message itself instead of a copy */
    Decoder(MemorySegment message, boolean inPlace) {
        this.message = message;
        this.inPlace = inPlace;
    }

    /** The value of a whole message. */
    public static <T> T decode(byte[] message, Function<Decoder, T> read) {
        return read.apply(new Decoder(MemorySegment.ofArray(message), false));
    }

    /** Of a message without fields. */
    public static Void nothing(Decoder in) {
        in.begin("a reply without a value", 0);
        in.end();
        return null;
    }

    /** Start reading: {@code size} bytes of fixed part. */
    public void begin(String where, long size) {
        this.where = where;
        if (message.byteSize() < size) throw bad("needs " + size + " bytes, has " + message.byteSize());
        cursor = size;
    }

    /** Finish reading: nothing is left. */
    public void end() {
        if (cursor != message.byteSize()) throw bad("has " + (message.byteSize() - cursor) + " bytes too many");
    }

    /** Whether the value of an optional follows. */
    public boolean present(long at, String name) {
        final byte value = i8(at);
        if ((value & ~1) != 0) throw bad(name + " has a presence byte of " + (value & 0xff));
        return value != 0;
    }

    /** Follow a reference to elements; returns where the first lies, {@link #count} how many there are. */
    public long list(long at, long size, long alignment, String name) {
        cursor = (cursor + alignment - 1) & -alignment;
        final long first = cursor;
        final long length = u32(at + 4);
        final long left = message.byteSize() - first; // negative if the message ends within the padding
        if (u32(at) != first || left < 0 || length > left / size)
            throw bad(name + " does not lie where it must");
        cursor = first + length * size;
        count = (int) length;
        return first;
    }

    /** As {@link #list}, for numbers. */
    public long numbers(long at, long size, String name) {
        return list(at, size, size, name);
    }

    /** Of the list that was met last. */
    public int count() {
        return count;
    }

    /** Refuse a map that had a key twice. */
    public void distinct(int found, int expected, String name) {
        if (found != expected) throw bad(name + " has a key twice");
    }

    public String str(long at, String name) {
        final byte[] bytes = bytes(at, name);
        final String text = new String(bytes, StandardCharsets.UTF_8);
        if (text.indexOf(REPLACEMENT) >= 0) checkUtf8(bytes, name);
        return text;
    }

    public byte[] bytes(long at, String name) {
        return part(at, name).toArray(JAVA_BYTE);
    }

    /** Bytes in place, read-only: valid until the handler returns. Of an answer, which is gone by then, a copy. */
    public MemorySegment view(long at, String name) {
        final MemorySegment part = part(at, name);
        return (inPlace ? part : MemorySegment.ofArray(part.toArray(JAVA_BYTE))).asReadOnly();
    }

    /** Bytes as a key of a map: compared by content. */
    public ByteBuffer key(long at, String name) {
        return ByteBuffer.wrap(bytes(at, name)).asReadOnlyBuffer();
    }

    private MemorySegment part(long at, String name) {
        final long first = list(at, 1, 1, name);
        return message.asSlice(first, cursor - first);
    }

    public boolean bool(long at, String name) {
        final byte value = i8(at);
        if ((value & ~1) != 0) throw bad(name + " is a bool of " + (value & 0xff));
        return value != 0;
    }

    public boolean[] bools(long at, int count, String name) {
        final boolean[] values = new boolean[count];
        for (int i = 0; i < count; i++) values[i] = bool(at + i, name);
        return values;
    }

    public byte i8(long at) {
        return message.get(Wire.I8, at);
    }

    public byte[] i8s(long at, int count) {
        final byte[] values = new byte[count];
        MemorySegment.copy(message, Wire.I8, at, values, 0, count);
        return values;
    }

    public int u8(long at) {
        return message.get(Wire.I8, at) & 0xff;
    }

    public int[] u8s(long at, int count) {
        final int[] values = new int[count];
        for (int i = 0; i < count; i++) values[i] = u8(at + i);
        return values;
    }

    public short i16(long at) {
        return message.get(Wire.I16, at);
    }

    public short[] i16s(long at, int count) {
        final short[] values = new short[count];
        MemorySegment.copy(message, Wire.I16, at, values, 0, count);
        return values;
    }

    public int u16(long at) {
        return message.get(Wire.I16, at) & 0xffff;
    }

    public int[] u16s(long at, int count) {
        final int[] values = new int[count];
        for (int i = 0; i < count; i++) values[i] = u16(at + 2L * i);
        return values;
    }

    public int i32(long at) {
        return message.get(Wire.I32, at);
    }

    public int[] i32s(long at, int count) {
        final int[] values = new int[count];
        MemorySegment.copy(message, Wire.I32, at, values, 0, count);
        return values;
    }

    public long u32(long at) {
        return message.get(Wire.I32, at) & 0xffffffffL;
    }

    public long[] u32s(long at, int count) {
        final long[] values = new long[count];
        for (int i = 0; i < count; i++) values[i] = u32(at + 4L * i);
        return values;
    }

    public long i64(long at) {
        return message.get(Wire.I64, at);
    }

    public long[] i64s(long at, int count) {
        final long[] values = new long[count];
        MemorySegment.copy(message, Wire.I64, at, values, 0, count);
        return values;
    }

    /** All 64 bits: numbers from 2<sup>63</sup> on are negative. */
    public long u64(long at) {
        return message.get(Wire.I64, at);
    }

    public long[] u64s(long at, int count) {
        final long[] values = new long[count];
        MemorySegment.copy(message, Wire.I64, at, values, 0, count);
        return values;
    }

    public float f32(long at) {
        return message.get(Wire.F32, at);
    }

    public float[] f32s(long at, int count) {
        final float[] values = new float[count];
        MemorySegment.copy(message, Wire.F32, at, values, 0, count);
        return values;
    }

    public double f64(long at) {
        return message.get(Wire.F64, at);
    }

    public double[] f64s(long at, int count) {
        final double[] values = new double[count];
        MemorySegment.copy(message, Wire.F64, at, values, 0, count);
        return values;
    }

    /** The text has the sign for what could not be decoded: was it sent, or is it ours? */
    private void checkUtf8(byte[] bytes, String name) {
        try {
            StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes));
        } catch (CharacterCodingException error) {
            throw bad(name + " is not valid UTF-8");
        }
    }

    private DecodeError bad(String reason) {
        return new DecodeError(where + ": malformed message: " + reason);
    }
}
