package org.libderecho;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Path;

/**
 * What a node is to be: options as text (docs/options.md), and the services. Used by one thread at a time; may be
 * closed, or forgotten, as soon as a group was joined with it.
 */
public final class Config extends Handle {
    /** Every option at its default. */
    public Config() {
        super(create(), Native::derecho_config_close);
    }

    private int serviceCount; // of addService

    private static long create() {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = arena.allocate(JAVA_LONG);
            Status.check(Native.derecho_config_create(out));
            return out.get(JAVA_LONG, 0);
        }
    }

    /**
     * Set one option.
     *
     * @throws InvalidArgument for an unknown key or a bad value; the text says what is accepted
     */
    public Config set(String key, String value) {
        try (Arena arena = Arena.ofConfined()) {
            Status.check(Native.derecho_config_set(handle, text(arena, key), text(arena, value)));
        }
        return this;
    }

    /** Read one option back. */
    public String get(String key) {
        try (Arena arena = Arena.ofConfined()) {
            final MemorySegment out = arena.allocate(ADDRESS);
            Status.check(Native.derecho_config_get(handle, text(arena, key), out));
            return out.get(ADDRESS, 0).reinterpret(Long.MAX_VALUE).getString(0);
        }
    }

    /** This node's id, unique in the group. */
    public Config node(int node) {
        return set("node", Integer.toUnsignedString(node));
    }

    /** {@code "host:port"} where the others reach this node. */
    public Config listen(String address) {
        return set("listen", address);
    }

    /** Nodes that found the group together, as host:port, the same at all of them; docs/founding.md. */
    public Config initialMembers(String... addresses) {
        return set("initial_members", String.join(",", addresses));
    }

    /** This node founds the group, alone. */
    public Config found() {
        return set("found", "true");
    }

    /** Nodes that know the group, as host:port. */
    public Config contacts(String... addresses) {
        return set("contacts", String.join(",", addresses));
    }

    /** The group's name. */
    public Config group(String name) {
        return set("group", name);
    }

    /** {@code "auto"}, {@code "shm"}, {@code "tcp"} or {@code "verbs"}. */
    public Config wire(String wire) {
        return set("wire", wire);
    }

    /** Set options from a TOML file. */
    public Config load(Path file) {
        try (Arena arena = Arena.ofConfined()) {
            Status.check(Native.derecho_config_load(handle, text(arena, file.toString())));
        }
        return this;
    }

    /**
     * Add a service. Every node of a group adds the same ones in the same order; the first is shard 0.
     *
     * @param schemaHash of its methods and types; 0: plain messages only
     */
    public Config addService(String name, long schemaHash) {
        try (Arena arena = Arena.ofConfined()) {
            Status.check(Native.derecho_config_add_service(handle, text(arena, name), schemaHash));
        }
        serviceCount++;
        return this;
    }

    /** Tell what a service's hash is of: for the error of a node that is refused for another one. */
    public Config describeService(String name, String schema) {
        try (Arena arena = Arena.ofConfined()) {
            Status.check(Native.derecho_config_describe_service(handle, text(arena, name), text(arena, schema)));
        }
        return this;
    }

    int serviceCount() {
        return serviceCount;
    }

    /** A C string, which cannot hold a NUL. */
    static MemorySegment text(Arena arena, String value) {
        if (value.indexOf('\0') >= 0) {
            throw new InvalidArgument("text contains a NUL character: " + value.replace("\0", "\\0"));
        }
        return arena.allocateFrom(value);
    }
}
