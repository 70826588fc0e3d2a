package org.libderecho;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.net.URISyntaxException;
import java.nio.file.FileSystemNotFoundException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** Finds and loads libderecho, and refuses one that was built from another header. */
final class Library {
    /** Its file, and the name by which it was linked; then the one that a package for .NET or a user may give it. */
    private static final String FILE = "libderecho.so." + Native.ABI_VERSION;

    private static final List<String> FILES = List.of(FILE, "libderecho.so");

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

    /** Tries an explicit path, what lies beside the jar, what travels in a jar, then the loader's search path. */
    private static SymbolLookup load() {
        final String explicit = System.getProperty("derecho.library", System.getenv("DERECHO_LIBRARY"));
        if (explicit != null) return open(explicit).orElseThrow(() -> notFound(List.of(explicit)));
        final List<String> tried = new ArrayList<>(beside());
        final Optional<SymbolLookup> lying = firstOf(tried);
        if (lying.isPresent()) return lying.get();
        tried.add("the class path's " + resource());
        final Optional<SymbolLookup> travelling = travelling();
        if (travelling.isPresent()) return travelling.get();
        tried.addAll(FILES);
        return firstOf(FILES).orElseThrow(() -> notFound(tried));
    }

    private static Optional<SymbolLookup> firstOf(List<String> candidates) {
        return candidates.stream().map(Library::open).flatMap(Optional::stream).findFirst();
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
    private static List<String> beside() {
        final var source = Library.class.getProtectionDomain().getCodeSource();
        if (source == null) return List.of();
        try {
            final Path jar = Path.of(source.getLocation().toURI());
            return FILES.stream()
                    .map(file -> jar.resolveSibling(file).toString())
                    .toList();
        } catch (URISyntaxException | FileSystemNotFoundException | IllegalArgumentException error) {
            return List.of(); // no file: a jar in a jar
        }
    }

    /** Where the jar with the classifier of this system has the library. */
    private static String resource() {
        final String machine = System.getProperty("os.arch").equals("amd64") ? "x86_64" : System.getProperty("os.arch");
        final String system = System.getProperty("os.name").toLowerCase(Locale.ROOT);
        return "/org/libderecho/native/" + system + "-" + machine + "/" + FILE;
    }

    /** The library in a jar on the class path: copied to a file that is gone once it is loaded. */
    private static Optional<SymbolLookup> travelling() {
        try (InputStream stream = Library.class.getResourceAsStream(resource())) {
            if (stream == null) return Optional.empty();
            final Path folder = Files.createTempDirectory("libderecho"); // nobody else's: mode 700
            final Path copy = folder.resolve(FILE);
            try {
                Files.copy(stream, copy);
                final SymbolLookup found = SymbolLookup.libraryLookup(copy, Arena.global());
                path = "the class path's " + resource();
                return Optional.of(found);
            } finally {
                Files.deleteIfExists(copy);
                Files.delete(folder);
            }
        } catch (IOException error) {
            throw new UncheckedIOException("libderecho travels in a jar, but could not be unpacked", error);
        }
    }

    private static UnsatisfiedLinkError notFound(List<String> tried) {
        return new UnsatisfiedLinkError("libderecho could not be loaded; tried " + String.join(", ", tried)
                + ". Set the property derecho.library, or DERECHO_LIBRARY, to the path of libderecho.so");
    }

    private Library() {}
}
