// Service Cache through its stub DLL, libcache.so: Java 22, and no other class of libderecho.
// Written by `derecho stubs --dll` from cache.py; do not edit.
// An unsigned number is all bits of the signed one of its width. An optional value is null when absent. What is no
// number, text, bytes, list of numbers, or optional of these is the bytes of its message (docs/layout.md).
import static java.lang.foreign.ValueLayout.*;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.invoke.MethodHandle;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.lang.reflect.Array;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.Function;

/**
 * A member of a group with a replica of Cache. Leaving the block of a {@code try} leaves in good order. Any thread
 * may use it; used after its end, it throws {@link Failure}.
 */
public final class CacheDll implements AutoCloseable {
    /** Of the service: a DLL of another one is refused. */
    public static final long SCHEMA_HASH = 0xffa36669e67d256aL;

    private static final Duration TIMEOUT = Duration.ofSeconds(10);
    private static final Cleaner CLEANER = Cleaner.create();

    private final Library library;
    private final MemorySegment handle;
    private volatile boolean ended;

    /**
     * Join a group, through the DLL on the loader's search path.
     *
     * @param config options "key=value", separated by ";"
     */
    public CacheDll(String config) {
        this(config, "libcache.so");
    }

    /** @param path of the DLL */
    public CacheDll(String config, String path) {
        library = new Library(path);
        handle = library.open("open", config.getBytes(UTF_8));
    }

    /** Wait for a view of so many members, or more, that vote. */
    public void waitMembers(int count, Duration timeout) {
        library.call("wait_members", handle, count, timeout.toMillis());
    }

    /** Leave in good order. */
    public void leave() {
        ended = true;
        library.call("leave", handle);
    }

    /** Stop at once, as a crash would. */
    public void abandon() {
        ended = true;
        library.call("close", handle);
    }

    /** Leave, unless that was done. */
    @Override
    public void close() {
        if (!ended) leave();
    }

    /**
     * Store a value; return how many there are now.
     * <p>
     * At every member.
     */
    public Call<Long> put(String key, byte[] value) {
        return start(
                "put",
                library.number("put_result", false, JAVA_LONG, data -> data.get(JAVA_LONG, 0)),
                key,
                value);
    }

    /**
     * Forget a value; return whether there was one.
     * <p>
     * At every member.
     */
    public Call<Boolean> drop(String key) {
        return start(
                "drop",
                library.number("drop_result", false, JAVA_BYTE, data -> data.get(JAVA_BYTE, 0) != 0),
                key);
    }

    /**
     * Return a value, or nothing.
     * <p>
     * At one member.
     */
    public Call<byte[]> get(int node, String key) {
        return start(
                "get",
                library.block("get_result", true, JAVA_BYTE, data -> data.toArray(JAVA_BYTE)),
                node,
                key);
    }

    /**
     * Return the values' sizes in bytes, by key.
     * <p>
     * At one member.
     */
    public Call<long[]> sizes(int node) {
        return start(
                "sizes",
                library.block("sizes_result", false, JAVA_LONG, data -> data.toArray(JAVA_LONG)),
                node);
    }

    private <T> Call<T> start(String function, Function<MemorySegment, T> read, Object... arguments) {
        return new Call<>(library, library.start(function, handle, arguments), read);
    }

    /** A function of the DLL failed; the message says why. */
    public static final class Failure extends RuntimeException {
        private static final long serialVersionUID = 1;
        private final int status;

        private Failure(int status, String text) {
            super(text);
            this.status = status;
        }

        /** A derecho_status. */
        public int status() {
            return status;
        }
    }

    /** A call under way. Forgetting it, with or without an answer, closes it. */
    public static final class Call<T> {
        private final Library library;
        private final MemorySegment handle;
        private final Function<MemorySegment, T> read;

        private Call(Library library, MemorySegment handle, Function<MemorySegment, T> read) {
            this.library = library;
            this.handle = handle;
            this.read = read;
            CLEANER.register(this, () -> library.call("call_close", handle));
        }

        /** As {@link #result(Duration)}, for 10 s. */
        public T result() {
            return result(TIMEOUT);
        }

        /** Wait for the first answer. */
        public T result(Duration timeout) {
            return answer("wait", timeout);
        }

        /** As {@link #all(Duration)}, for 10 s. */
        public T all() {
            return all(TIMEOUT);
        }

        /** Wait until every member has answered; the first answer. */
        public T all(Duration timeout) {
            return answer("wait_all", timeout);
        }

        private T answer(String wait, Duration timeout) {
            try {
                library.call(wait, handle, timeout.toMillis());
                return read.apply(handle);
            } finally {
                Reference.reachabilityFence(this); // not closed meanwhile
            }
        }
    }

    /** The DLL's functions, by name without prefix. */
    private static final class Library {
        private final SymbolLookup symbols;
        private final Map<String, MethodHandle> functions = new ConcurrentHashMap<>();

        Library(String path) {
            symbols = SymbolLookup.libraryLookup(path, Arena.global());
            if ((long) invoke("schema_hash", JAVA_LONG) != SCHEMA_HASH)
                throw new UnsatisfiedLinkError(path + " was built from another Cache: make the stubs anew");
        }

        /** Call a function that gives a status. */
        void call(String function, Object... arguments) {
            final int status = (int) invoke(function, JAVA_INT, arguments);
            if (status == 0) return;
            final MemorySegment text = (MemorySegment) invoke("last_error", ADDRESS);
            throw new Failure(status, text.reinterpret(Long.MAX_VALUE).getString(0));
        }

        /** Open a member. */
        MemorySegment open(String function, byte[] config) {
            try (Arena arena = Arena.ofConfined()) {
                final MemorySegment out = arena.allocate(ADDRESS);
                final MemorySegment text = arena.allocate(config.length + 1);
                call(function, text.copyFrom(MemorySegment.ofArray(config)), out);
                return out.get(ADDRESS, 0);
            }
        }

        /** Start a call of a member. */
        MemorySegment start(String function, MemorySegment member, Object[] arguments) {
            try (Arena arena = Arena.ofConfined()) {
                final MemorySegment out = arena.allocate(ADDRESS);
                final List<Object> given = new ArrayList<>(List.of(member));
                for (Object argument : arguments) pass(argument, given, arena);
                given.add(out);
                call(function, given.toArray());
                return out.get(ADDRESS, 0);
            }
        }

        /** A number or flag is itself; text, bytes and numbers are pointer and count. */
        private static void pass(Object argument, List<Object> given, Arena arena) {
            final MemorySegment values =
                    switch (argument) {
                        case String text -> MemorySegment.ofArray(text.getBytes(UTF_8));
                        case byte[] bytes -> MemorySegment.ofArray(bytes);
                        case short[] numbers -> MemorySegment.ofArray(numbers);
                        case int[] numbers -> MemorySegment.ofArray(numbers);
                        case long[] numbers -> MemorySegment.ofArray(numbers);
                        case float[] numbers -> MemorySegment.ofArray(numbers);
                        case double[] numbers -> MemorySegment.ofArray(numbers);
                        default -> null;
                    };
            if (values == null) {
                given.add(argument instanceof Boolean flag ? (byte) (flag ? 1 : 0) : argument);
                return;
            }
            given.add(arena.allocate(values.byteSize(), Long.BYTES).copyFrom(values));
            given.add(argument instanceof String ? values.byteSize() : (long) Array.getLength(argument));
        }

        /** What reads a result that is a number. */
        <T> Function<MemorySegment, T> number(
                String function, boolean optional, MemoryLayout layout, Function<MemorySegment, T> copy) {
            return call -> {
                try (Arena arena = Arena.ofConfined()) {
                    final MemorySegment present = arena.allocateFrom(JAVA_BYTE, (byte) 1);
                    final MemorySegment value = arena.allocate(layout);
                    if (optional) call(function, call, present, value);
                    else call(function, call, value);
                    return present.get(JAVA_BYTE, 0) == 0 ? null : copy.apply(value);
                }
            };
        }

        /** What reads a result that is a pointer and a count. */
        <T> Function<MemorySegment, T> block(
                String function, boolean optional, MemoryLayout element, Function<MemorySegment, T> copy) {
            return call -> {
                try (Arena arena = Arena.ofConfined()) {
                    final MemorySegment present = arena.allocateFrom(JAVA_BYTE, (byte) 1);
                    final MemorySegment data = arena.allocate(ADDRESS);
                    final MemorySegment count = arena.allocate(JAVA_LONG);
                    if (optional) call(function, call, present, data, count);
                    else call(function, call, data, count);
                    if (present.get(JAVA_BYTE, 0) == 0) return null;
                    return copy.apply(data.get(ADDRESS, 0).reinterpret(count.get(JAVA_LONG, 0) * element.byteSize()));
                }
            };
        }

        private Object invoke(String function, MemoryLayout result, Object... arguments) {
            final MethodHandle found =
                    functions.computeIfAbsent(function, name -> link(name, result, arguments));
            try {
                return found.invoke(arguments);
            } catch (Throwable error) {
                throw new AssertionError(function, error);
            }
        }

        private MethodHandle link(String function, MemoryLayout result, Object[] arguments) {
            final MemoryLayout[] layouts = new MemoryLayout[arguments.length];
            for (int i = 0; i < layouts.length; i++)
                layouts[i] =
                        switch (arguments[i]) {
                            case Byte ignored -> JAVA_BYTE;
                            case Short ignored -> JAVA_SHORT;
                            case Integer ignored -> JAVA_INT;
                            case Long ignored -> JAVA_LONG;
                            case Float ignored -> JAVA_FLOAT;
                            case Double ignored -> JAVA_DOUBLE;
                            default -> ADDRESS;
                        };
            final MemorySegment symbol = symbols.find("cache_" + function)
                    .orElseThrow(() -> new UnsatisfiedLinkError("the DLL has no cache_" + function));
            return Linker.nativeLinker()
                    .downcallHandle(symbol, FunctionDescriptor.of(result, layouts))
                    .asSpreader(Object[].class, layouts.length);
        }
    }
}
