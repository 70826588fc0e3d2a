package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;

/** Running totals of a node since it joined, as {@code derecho_stats}. */
public record Stats(
        long steps,
        long deliveredMessages,
        long deliveredBytes,
        long sentMessages,
        long nullMessages,
        long views,
        long pushes,
        long wakes,
        long sleeps,
        long memoryBytes,
        long allocations,
        long workRequests,
        long doorbells,
        long completions,
        int holdupNode,
        int holdup,
        long holdupMs,
        long digests,
        long differences) {
    static Stats read(MemorySegment stats) {
        return new Stats(
                stats.get(JAVA_LONG, Native.Stats.STEPS),
                stats.get(JAVA_LONG, Native.Stats.DELIVERED_MESSAGES),
                stats.get(JAVA_LONG, Native.Stats.DELIVERED_BYTES),
                stats.get(JAVA_LONG, Native.Stats.SENT_MESSAGES),
                stats.get(JAVA_LONG, Native.Stats.NULL_MESSAGES),
                stats.get(JAVA_LONG, Native.Stats.VIEWS),
                stats.get(JAVA_LONG, Native.Stats.PUSHES),
                stats.get(JAVA_LONG, Native.Stats.WAKES),
                stats.get(JAVA_LONG, Native.Stats.SLEEPS),
                stats.get(JAVA_LONG, Native.Stats.MEMORY_BYTES),
                stats.get(JAVA_LONG, Native.Stats.ALLOCATIONS),
                stats.get(JAVA_LONG, Native.Stats.WORK_REQUESTS),
                stats.get(JAVA_LONG, Native.Stats.DOORBELLS),
                stats.get(JAVA_LONG, Native.Stats.COMPLETIONS),
                stats.get(JAVA_INT, Native.Stats.HOLDUP_NODE),
                stats.get(JAVA_INT, Native.Stats.HOLDUP),
                stats.get(JAVA_LONG, Native.Stats.HOLDUP_MS),
                stats.get(JAVA_LONG, Native.Stats.DIGESTS),
                stats.get(JAVA_LONG, Native.Stats.DIFFERENCES));
    }
}
