package org.libderecho;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;

/**
 * Memory of the core that Java code may look at until it is taken back. Whoever touches a segment of it afterwards gets
 * an IllegalStateException instead of what has become of the memory. A confined arena does that, made when
 * first asked for: some 30 ns a loan.
 *
 * <p>The thread that first asked for a segment is the only one that may use segments, and the one to take them back.
 */
final class Loan {
    /** All memory, without bounds: for slices whose place the core told. */
    static final MemorySegment MEMORY = MemorySegment.NULL.reinterpret(Long.MAX_VALUE);

    private final Object lender;
    private final MemorySegment all;
    private Arena arena;
    private MemorySegment memory;

    /**
     * @param lender not collected, and so not cleaned up, while a segment is reachable
     * @param all what it may lend: {@link #MEMORY}, perhaps read-only
     */
    Loan(Object lender, MemorySegment all) {
        this.lender = lender;
        this.all = all;
    }

    MemorySegment segment(long address, long sizeBytes) {
        if (arena == null) open();
        return memory.asSlice(address, sizeBytes);
    }

    private void open() {
        arena = Arena.ofConfined();
        memory = lend(all, arena, lender);
    }

    /** The same memory for as long as the arena is open; whatever is made of it keeps the lender reachable. */
    static MemorySegment lend(MemorySegment memory, Arena arena, Object lender) {
        return memory.reinterpret(arena, ignored -> Reference.reachabilityFence(lender));
    }

    void takeBack() {
        if (arena == null) return;
        arena.close();
        arena = null;
        memory = null;
    }
}
