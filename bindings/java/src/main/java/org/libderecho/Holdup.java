package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;
import java.time.Duration;

/**
 * A member that holds others up.
 *
 * @param node its id; it may be this node's own
 * @param lasted for how long already
 * @param text all of it as a sentence
 */
public record Holdup(int node, Cause cause, Duration lasted, String text) {
    /** Why: {@code DERECHO_HOLDUP_*}. */
    public enum Cause {
        NONE,
        /** Its application takes nothing. */
        NOT_POLLING,
        /** Its application keeps what it took, and with it room in a ring. */
        NOT_RELEASING,
        /** Its state has not arrived yet. */
        NO_STATE,
        /** Its library stands still. */
        NOT_ACKNOWLEDGING
    }

    @Override
    public String toString() {
        return text;
    }

    /** Of a {@code derecho_holdup}; null for none. */
    static Holdup read(MemorySegment holdup) {
        final int cause = holdup.get(JAVA_INT, Native.Holdup.CAUSE);
        if (cause == Native.HOLDUP_NONE) return null;
        return new Holdup(
                holdup.get(JAVA_INT, Native.Holdup.NODE),
                Cause.values()[cause],
                Duration.ofMillis(holdup.get(JAVA_LONG, Native.Holdup.LASTED_MS)),
                holdup.getString(Native.Holdup.TEXT));
    }
}
