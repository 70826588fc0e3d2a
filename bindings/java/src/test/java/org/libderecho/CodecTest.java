package org.libderecho;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.function.Function;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The bytes of docs/layout.md, and that each check of a reader is seen to fail. */
class CodecTest {
    private static byte[] hex(String text) {
        return HexFormat.of().parseHex(text.replace(" ", ""));
    }

    private static <T> T read(byte[] message, int fixed, Function<Decoder, T> fields) {
        return Decoder.decode(message, in -> {
            in.begin("T.m", fixed);
            final T value = fields.apply(in);
            in.end();
            return value;
        });
    }

    private static void refused(String reason, byte[] message, int fixed, Function<Decoder, Object> fields) {
        final var error = assertThrows(DecodeError.class, () -> read(message, fixed, fields));
        assertTrue(error.getMessage().contains(reason), error.getMessage());
        assertTrue(error.getMessage().startsWith("T.m: malformed message: "), error.getMessage());
    }

    private static void refusedToEncode(String reason, Encoder.Message message) {
        final var error = assertThrows(EncodeError.class, () -> Encoder.encode(message));
        assertTrue(error.getMessage().contains(reason), error.getMessage());
    }

    // ---------------------------------------------------------------------------------------- golden bytes

    private static byte[] put(String key, byte[] value) {
        return Encoder.encode(out -> {
            out.begin("Golden.put", 16);
            out.str(0, key, "key");
            out.bytes(8, value, "value");
        });
    }

    @Test
    void strings_and_bytes_follow_their_references() {
        assertArrayEquals(
                hex("10000000 03000000 13000000 05000000 6b6579 76616c7565"), put("key", "value".getBytes()));
    }

    @Test
    void numbers_are_naturally_aligned_and_padding_is_zero() {
        final byte[] target = new byte[20];
        java.util.Arrays.fill(target, (byte) 0xee); // what a ring may hold
        final Encoder.Message message = out -> {
            out.begin("Golden.mixed", 20);
            out.bool(0, true);
            out.u64(8, 0x0123456789abcdefL);
            out.u8(16, 0x7f, "small");
        };
        Encoder.measure(message).fill(message, MemorySegment.ofArray(target));
        assertArrayEquals(hex("01 00000000000000 efcdab8967452301 7f 000000"), target);
    }

    @Test
    void lists_lie_at_the_cursor_before_what_they_refer_to() {
        final byte[] message = Encoder.encode(out -> {
            out.begin("T.m", 16);
            long at = out.list(0, 2, 8, 4);
            for (String text : List.of("ab", "")) {
                out.str(at, text, "texts[]");
                at += 8;
            }
            final long[] numbers = {-1};
            out.i64s(out.numbers(8, numbers.length, 8), numbers);
        });
        assertArrayEquals(
                hex("10000000 02000000 28000000 01000000 20000000 02000000 22000000 00000000"
                        + "6162 000000000000 ffffffffffffffff"),
                message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "plain", "hä\u00df", "\u20ac", "\ud83d\ude00", "\ufffd", "a\0b"})
    void text_survives_the_trip(String text) {
        assertEquals(text, read(put(text, new byte[0]), 16, in -> {
            final String key = in.str(0, "key");
            in.bytes(8, "value");
            return key;
        }));
    }

    @Test
    void numbers_survive_at_their_limits() {
        final byte[] message = Encoder.encode(out -> {
            out.begin("T.m", 32);
            out.u8(0, 255, "a");
            out.u16(2, 65535, "b");
            out.u32(4, 0xffffffffL, "c");
            out.u64(8, -1);
            out.f32(16, Float.NaN);
            out.f64(24, -0.0);
        });
        read(message, 32, in -> {
            assertEquals(255, in.u8(0));
            assertEquals(65535, in.u16(2));
            assertEquals(0xffffffffL, in.u32(4));
            assertEquals(-1, in.u64(8));
            assertTrue(Float.isNaN(in.f32(16)));
            assertEquals(-0.0, in.f64(24));
            return null;
        });
    }

    // ---------------------------------------------------------------------------------------- what a reader checks

    private static Object key(Decoder in) {
        final String key = in.str(0, "key");
        in.bytes(8, "value");
        return key;
    }

    @Test
    void a_message_that_is_too_short_or_too_long_is_refused() {
        final byte[] good = put("abc", "def".getBytes());
        read(good, 16, CodecTest::key);
        for (int size = 0; size < good.length; size++) {
            final byte[] cut = java.util.Arrays.copyOf(good, size);
            assertThrows(DecodeError.class, () -> read(cut, 16, CodecTest::key));
        }
        refused("needs 16 bytes, has 3", new byte[3], 16, CodecTest::key);
        refused("has 1 bytes too many", java.util.Arrays.copyOf(good, good.length + 1), 16, CodecTest::key);
    }

    @ParameterizedTest
    @CsvSource({"16, 3, 16, 3", "17, 3, 20, 2", "19, 3, 16, 3", "16, 3, 0, 3", "16, 4294967295, 19, 3", "16, 7, 23, 0"})
    void a_reference_elsewhere_than_the_cursor_is_refused(long o1, long l1, long o2, long l2) {
        final byte[] message = ByteBuffer.allocate(22)
                .order(java.nio.ByteOrder.LITTLE_ENDIAN)
                .putInt((int) o1)
                .putInt((int) l1)
                .putInt((int) o2)
                .putInt((int) l2)
                .array();
        refused("does not lie where it must", message, 16, CodecTest::key);
    }

    @Test
    void a_small_message_cannot_claim_much_memory() {
        final byte[] bomb = hex("08000000 ffffffff");
        refused("does not lie where it must", bomb, 8, in -> in.i64s(in.numbers(0, 8, "p"), in.count()));
        refused("does not lie where it must", bomb, 8, in -> in.list(0, 24, 8, "p"));
    }

    @Test
    void a_bool_or_presence_byte_that_is_neither_is_refused() {
        refused("p is a bool of 2", hex("02"), 1, in -> in.bool(0, "p"));
        refused("p is a bool of 255", hex("01ff"), 2, in -> in.bools(0, 2, "p"));
        refused("p has a presence byte of 2", hex("0200"), 2, in -> in.present(0, "p"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"ff", "c0af", "eda080", "f4908080", "e282"})
    void text_that_is_not_utf8_is_refused(String bytes) {
        final byte[] text = hex(bytes);
        final byte[] message = Encoder.encode(out -> {
            out.begin("T.m", 8);
            out.bytes(0, text, "p");
        });
        refused("p is not valid UTF-8", message, 8, in -> in.str(0, "p"));
    }

    @Test
    void a_map_with_a_key_twice_is_refused() {
        refused("p has a key twice", new byte[0], 0, in -> {
            in.distinct(1, 2, "p");
            return null;
        });
    }

    @Test
    void keys_of_bytes_are_compared_by_content() {
        final byte[] message = put("", "abc".getBytes());
        final Function<Decoder, Object> value = in -> {
            in.str(0, "key");
            return in.key(8, "value");
        };
        assertEquals(read(message, 16, value), read(message, 16, value));
    }

    @Test
    void a_view_of_an_answer_is_a_copy_and_cannot_be_written() {
        final MemorySegment view = (MemorySegment) read(put("", "abc".getBytes()), 16, in -> {
            in.str(0, "key");
            return in.view(8, "value");
        });
        assertTrue(view.isReadOnly());
        assertEquals(3, view.byteSize());
    }

    // ---------------------------------------------------------------------------------------- what a writer refuses

    @Test
    void what_does_not_fit_is_named() {
        refusedToEncode("small: expected u8, got 256", out -> out.u8(0, 256, "small"));
        refusedToEncode("small: expected u16, got -1", out -> out.u16(0, -1, "small"));
        refusedToEncode("small: expected u32, got 4294967296", out -> out.u32(0, 1L << 32, "small"));
        refusedToEncode("list[]", out -> out.u8s(0, new int[] {1, 256}, "list[]"));
        refusedToEncode("key: is null", out -> out.str(0, null, "key"));
        refusedToEncode("value: is null", out -> out.bytes(0, (byte[]) null, "value"));
        refusedToEncode("box: expected 3 elements, got 2", out -> out.exactly(2, 3, "box"));
        refusedToEncode("key: not valid Unicode text", out -> out.str(0, "a\ud800", "key"));
        refusedToEncode("key: not valid Unicode text", out -> out.str(0, "\ude00\ud83d", "key"));
        final Integer missing = null;
        refusedToEncode("a value is null", out -> out.i32(0, missing));
    }

    @Test
    void a_value_that_changes_while_it_is_encoded_is_noticed() {
        final List<Integer> growing = new ArrayList<>();
        refusedToEncode("was changed while it was encoded", out -> {
            out.begin("T.m", 8);
            growing.add(1);
            out.list(0, growing.size(), 4, 4);
        });
    }
}
