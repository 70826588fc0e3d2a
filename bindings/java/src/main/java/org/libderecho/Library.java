package org.libderecho;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Finds and loads libderecho, and refuses one that was built from another header. */
final class Library {
    private static final String FILE = "libderecho.so";

    private static String path = FILE;
    private static final SymbolLookup SYMBOLS = load();

    static MemorySegment symbol(String name) {
        return SYMBOLS.find(name)
                .orElseThrow(() -> new UnsatisfiedLinkError(path + " has no " + name + ": it is of another version"));
    }

    static void check(long found, long expected) {
        if (found == expected) return;
        throw new UnsatisfiedLinkError(String.format(
                "%s has the ABI hash %016x, but this binding was made for %016x: they come from different versions of"
                        + " derecho.h; use the libderecho.so and the jar of one build",
                path, found, expected));
    }

    /** Tries an explicit path, what lies beside the jar, then the loader's search path. */
    private static SymbolLookup load() {
        final String explicit = System.getProperty("derecho.library", System.getenv("DERECHO_LIBRARY"));
        if (explicit != null) return open(explicit).orElseThrow(() -> notFound(List.of(explicit)));
        final List<String> tried = new ArrayList<>();
        beside().ifPresent(tried::add);
        tried.add(FILE);
        for (String candidate : tried) {
            final Optional<SymbolLookup> found = open(candidate);
            if (found.isPresent()) return found.get();
        }
        throw notFound(tried);
    }

    private static Optional<SymbolLookup> open(String candidate) {
        path = candidate;
        if (candidate.contains("/") && !Files.exists(Path.of(candidate))) return Optional.empty();
        try {
            return Optional.of(SymbolLookup.libraryLookup(candidate, Arena.global()));
        } catch (IllegalArgumentException error) {
            return Optional.empty();
        }
    }

    /** The library in the folder of this class's jar. */
    private static Optional<String> beside() {
        final var source = Library.class.getProtectionDomain().getCodeSource();
        if (source == null) return Optional.empty();
        try {
            return Optional.of(Path.of(source.getLocation().toURI()).resolveSibling(FILE).toString());
        } catch (URISyntaxException error) {
            return Optional.empty();
        }
    }

    private static UnsatisfiedLinkError notFound(List<String> tried) {
        return new UnsatisfiedLinkError("libderecho could not be loaded; tried " + String.join(", ", tried)
                + ". Set the property derecho.library, or DERECHO_LIBRARY, to the path of libderecho.so");
    }

    private Library() {}
}
