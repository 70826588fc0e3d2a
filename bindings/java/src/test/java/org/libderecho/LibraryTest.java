package org.libderecho;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** How the library is found, and what is said when it is not. */
class LibraryTest {
    /** A JVM of its own, as the library is loaded once. */
    public static final class Program {
        public static void main(String[] arguments) {
            System.out.println(Derecho.version());
        }
    }

    private static String run(String library) throws IOException {
        final Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-Dderecho.library=" + library,
                        "-cp",
                        System.getProperty("java.class.path"),
                        Program.class.getName())
                .redirectErrorStream(true)
                .start();
        return new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    }

    @Test
    void a_library_that_is_not_there_is_named() throws IOException {
        final String said = run("/nowhere/libderecho.so");
        assertTrue(said.contains("libderecho could not be loaded; tried /nowhere/libderecho.so"), said);
    }

    @Test
    void a_library_of_another_version_is_refused_with_both_hashes() {
        final var error = assertThrows(UnsatisfiedLinkError.class, () -> Library.check(1, 2));
        assertTrue(error.getMessage().contains("0000000000000001"), error.getMessage());
        assertTrue(error.getMessage().contains("0000000000000002"), error.getMessage());
    }

    @Test
    void statuses_and_kinds_are_those_of_the_header() {
        assertEquals(Native.INTERNAL, Status.INTERNAL.code());
        assertEquals(Native.STATE_LOST, Status.STATE_LOST.code());
        assertEquals(EventKind.CLOSED, EventKind.of(Native.EVENT_CLOSED));
        assertEquals(EventKind.UNKNOWN, EventKind.of(99));
        for (Status status : Status.values()) {
            final String name = Native.derecho_status_name(status.code()).reinterpret(64).getString(0);
            assertEquals("DERECHO_" + status, name);
        }
    }
}
