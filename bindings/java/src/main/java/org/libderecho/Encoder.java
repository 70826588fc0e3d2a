package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * Writes a message as docs/layout.md has it; for generated code. It walks a message twice: first to learn its size,
 * then to write it to where it is to lie, such as a claim. So there is one way of going through a value, and no copy.
 *
 * <p>Positions count bytes from the start of the message. A {@code name} is what an {@link EncodeError} calls the
 * value.
 */
public final class Encoder {
    private static final long MESSAGE_BYTES_MAX = 0xffffffffL;

    private final List<byte[]> texts = new ArrayList<>();
    private int nextText;
    private String where = "";
    private MemorySegment memory; // null while measuring
    private long cursor;

    /** A message that knows how to write itself, the same way each time. */
    @FunctionalInterface
    public interface Message {
        /** Starts with {@link Encoder#begin}, then puts the fields in order. */
        void write(Encoder out);
    }

    private Encoder() {}

    /** The bytes of a message. */
    public static byte[] encode(Message message) {
        final Encoder encoder = measure(message);
        if (encoder.size() > Integer.MAX_VALUE) throw encoder.refusal("has " + encoder.size() + " bytes");
        final byte[] bytes = new byte[(int) encoder.size()];
        encoder.fill(message, MemorySegment.ofArray(bytes));
        return bytes;
    }

    /** Walk a message once. */
    static Encoder measure(Message message) {
        final Encoder encoder = new Encoder();
        try {
            message.write(encoder);
        } catch (NullPointerException error) { // a null in a map, or among boxed numbers
            throw encoder.refusal("a value is null");
        }
        if (encoder.cursor > MESSAGE_BYTES_MAX) throw encoder.refusal("has " + encoder.cursor + " bytes");
        return encoder;
    }

    /** Bytes of the message. */
    long size() {
        return cursor;
    }

    /** Write the message that was measured. */
    void fill(Message message, MemorySegment target) {
        final long measured = cursor;
        memory = target.asSlice(0, measured);
        nextText = 0;
        boolean same = false;
        try {
            message.write(this);
            same = cursor == measured;
        } catch (IndexOutOfBoundsException error) {
            same = false;
        }
        if (!same) throw refusal("was changed while it was encoded");
    }

    /** Start a message: {@code size} bytes of fixed part. */
    public void begin(String where, long size) {
        this.where = where;
        cursor = 0;
        reserve(size);
    }

    /** The value itself, which may not be null. */
    public <T> T given(T value, String name) {
        if (value == null) throw refusal(name + ": is null");
        return value;
    }

    /** Refuse an array that has not the length of its type. */
    public void exactly(int length, int expected, String name) {
        if (length != expected) throw refusal(name + ": expected " + expected + " elements, got " + length);
    }

    /** Write the presence byte of an optional; whether its value follows. */
    public boolean present(long at, Object value) {
        if (value != null) put(at, (byte) 1);
        return value != null;
    }

    /** Write a reference to {@code count} elements; returns where the first lies. All their bytes are 0. */
    public long list(long at, int count, long size, long alignment) {
        align(alignment);
        refer(at, count);
        return reserve(count * size);
    }

    /** As {@link #list}, for numbers, which leave no byte unwritten. */
    public long numbers(long at, int count, long size) {
        align(size);
        refer(at, count);
        final long first = cursor;
        cursor += count * size;
        return first;
    }

    public void str(long at, String value, String name) {
        final byte[] text;
        if (memory == null) {
            text = utf8(given(value, name), name);
            texts.add(text);
        } else {
            text = texts.get(nextText++);
        }
        tail(at, MemorySegment.ofArray(text));
    }

    public void bytes(long at, byte[] value, String name) {
        tail(at, MemorySegment.ofArray(given(value, name)));
    }

    public void bytes(long at, MemorySegment value, String name) {
        tail(at, given(value, name));
    }

    /** What remains of a buffer. */
    public void bytes(long at, ByteBuffer value, String name) {
        tail(at, MemorySegment.ofBuffer(given(value, name)));
    }

    public void bool(long at, boolean value) {
        put(at, (byte) (value ? 1 : 0));
    }

    public void bools(long at, boolean[] values) {
        if (memory == null) return;
        for (int i = 0; i < values.length; i++) bool(at + i, values[i]);
    }

    public void i8(long at, byte value) {
        if (memory != null) memory.set(Wire.I8, at, value);
    }

    public void i8s(long at, byte[] values) {
        if (memory != null) MemorySegment.copy(values, 0, memory, Wire.I8, at, values.length);
    }

    public void u8(long at, int value, String name) {
        final byte number = (byte) range("u8", value, 0xff, name);
        if (memory != null) memory.set(Wire.I8, at, number);
    }

    public void u8s(long at, int[] values, String name) {
        for (int i = 0; i < values.length; i++) u8(at + i, values[i], name);
    }

    public void i16(long at, short value) {
        if (memory != null) memory.set(Wire.I16, at, value);
    }

    public void i16s(long at, short[] values) {
        if (memory != null) MemorySegment.copy(values, 0, memory, Wire.I16, at, values.length);
    }

    public void u16(long at, int value, String name) {
        final short number = (short) range("u16", value, 0xffff, name);
        if (memory != null) memory.set(Wire.I16, at, number);
    }

    public void u16s(long at, int[] values, String name) {
        for (int i = 0; i < values.length; i++) u16(at + 2L * i, values[i], name);
    }

    public void i32(long at, int value) {
        if (memory != null) memory.set(Wire.I32, at, value);
    }

    public void i32s(long at, int[] values) {
        if (memory != null) MemorySegment.copy(values, 0, memory, Wire.I32, at, values.length);
    }

    public void u32(long at, long value, String name) {
        final int number = (int) range("u32", value, 0xffffffffL, name);
        if (memory != null) memory.set(Wire.I32, at, number);
    }

    public void u32s(long at, long[] values, String name) {
        for (int i = 0; i < values.length; i++) u32(at + 4L * i, values[i], name);
    }

    public void i64(long at, long value) {
        if (memory != null) memory.set(Wire.I64, at, value);
    }

    public void i64s(long at, long[] values) {
        if (memory != null) MemorySegment.copy(values, 0, memory, Wire.I64, at, values.length);
    }

    /** All 64 bits: negative numbers are those from 2<sup>63</sup> on. */
    public void u64(long at, long value) {
        if (memory != null) memory.set(Wire.I64, at, value);
    }

    public void u64s(long at, long[] values) {
        if (memory != null) MemorySegment.copy(values, 0, memory, Wire.I64, at, values.length);
    }

    public void f32(long at, float value) {
        if (memory != null) memory.set(Wire.F32, at, value);
    }

    public void f32s(long at, float[] values) {
        if (memory != null) MemorySegment.copy(values, 0, memory, Wire.F32, at, values.length);
    }

    public void f64(long at, double value) {
        if (memory != null) memory.set(Wire.F64, at, value);
    }

    public void f64s(long at, double[] values) {
        if (memory != null) MemorySegment.copy(values, 0, memory, Wire.F64, at, values.length);
    }

    private void put(long at, byte value) {
        if (memory != null) memory.set(JAVA_BYTE, at, value);
    }

    private void refer(long at, long length) {
        if (memory == null) return;
        memory.set(Wire.I32, at, (int) cursor);
        memory.set(Wire.I32, at + 4, (int) length);
    }

    private void tail(long at, MemorySegment part) {
        refer(at, part.byteSize());
        if (memory != null) MemorySegment.copy(part, 0, memory, cursor, part.byteSize());
        cursor += part.byteSize();
    }

    private void align(long alignment) {
        reserve(-cursor & (alignment - 1));
    }

    /** Zeroes at the cursor. */
    private long reserve(long size) {
        if (memory != null) memory.asSlice(cursor, size).fill((byte) 0);
        final long first = cursor;
        cursor += size;
        return first;
    }

    private byte[] utf8(String value, String name) {
        for (int i = 0; i < value.length(); i++) {
            final char unit = value.charAt(i);
            if (!Character.isSurrogate(unit)) continue;
            final boolean pair = i + 1 < value.length() && Character.isSurrogatePair(unit, value.charAt(i + 1));
            if (!pair) throw refusal(name + ": not valid Unicode text: half of a surrogate pair at " + i);
            i++;
        }
        return value.getBytes(StandardCharsets.UTF_8);
    }

    private long range(String type, long value, long max, String name) {
        if (value < 0 || value > max) throw refusal(name + ": expected " + type + ", got " + value);
        return value;
    }

    private EncodeError refusal(String reason) {
        return new EncodeError(where + ": " + reason);
    }
}
