// Reads messages in hex, a line each: writes "ok" and what they are when encoded again, or "refused".

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.HexFormat;
import org.libderecho.DecodeError;

public final class Reencode {
    public static void main(String[] arguments) throws IOException {
        final var input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) System.out.println(answer(line));
    }

    private static String answer(String hex) {
        try {
            final byte[] message = HexFormat.of().parseHex(hex);
            return "ok " + HexFormat.of().formatHex(Everything.Values.decode(message).encode());
        } catch (DecodeError error) {
            return "refused";
        }
    }
}
