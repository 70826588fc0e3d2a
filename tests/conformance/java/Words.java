// What lines of tests/conformance/README.md are made of: words that are percent-encoded, bytes in hex.

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;

final class Words {
    private static final int SHOWN_BYTES = 32;
    private static final int SUM_MODULUS = 65521;

    /** Encode control characters, '%', and what {@code also} names. */
    static String encode(String text, String also) {
        final StringBuilder word = new StringBuilder();
        text.codePoints().forEach(c -> {
            if (c >= ' ' && c != '%' && also.indexOf(c) < 0) word.appendCodePoint(c);
            else word.append(String.format("%%%02X", c));
        });
        return word.toString();
    }

    static String decode(String word) {
        return URLDecoder.decode(word.replace("+", "%2B"), StandardCharsets.UTF_8);
    }

    /** The parts of a list; none of an empty text. */
    static List<String> split(String text, String separator) {
        return text.isEmpty() ? List.of() : List.of(text.split(separator));
    }

    static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    static byte[] unhex(String hex) {
        return HexFormat.of().parseHex(hex);
    }

    /** The hex of the first bytes, then the sum of all. */
    static String shown(MemorySegment data) {
        final byte[] bytes = data.toArray(ValueLayout.JAVA_BYTE);
        long sum = 0;
        for (byte each : bytes) sum += each & 0xff;
        return hex(Arrays.copyOf(bytes, Math.min(bytes.length, SHOWN_BYTES))) + "+" + sum % SUM_MODULUS;
    }

    private Words() {}
}
