package org.libderecho;

import java.lang.foreign.MemorySegment;

/**
 * One event of a batch, with all its fields as values. The {@code data} stays where it is, in the ring, and is gone
 * when the batch is released.
 *
 * @param version view &lt;&lt; 40 | sequence: grows with every ordered event of a shard
 * @param timestampNs nanoseconds since 1970 by the members' clocks, the same at every member and never going back
 * @param shard index of the service, in order of declaration
 * @param flags of {@link Flags}
 */
public record Event(
        EventKind kind,
        int node,
        long version,
        long timestampNs,
        MemorySegment data,
        long id,
        int method,
        int shard,
        Status status,
        int flags) {}
