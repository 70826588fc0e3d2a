package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.ref.WeakReference;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Registered memory: members read and write each other's segments. */
class MemoryTest {
    private static final int LARGE = 32 << 20;

    private final Nodes nodes = new Nodes();
    private final Group a = join();
    private final Group b = join();

    private Group join() {
        return Group.with(nodes.next()).services(new Counter()).timeout(Nodes.PATIENCE).join();
    }

    @AfterEach
    void close() {
        a.abandon();
        b.abandon();
    }

    private static MemorySegment segment(long size) {
        return Arena.ofAuto().allocate(size);
    }

    private static void refused(Class<? extends DerechoError> type, String text, Runnable run) {
        final DerechoError error = assertThrows(type, run::run);
        assertTrue(error.getMessage().contains(text), error.getMessage());
    }

    @Test
    void a_segment_is_read_and_written() {
        a.waitView(2);
        final MemorySegment there = segment(LARGE);
        final MemorySegment here = segment(LARGE);
        there.fill((byte) 7);
        final RegisteredMemory memory = b.register(there, true, true);
        final RegisteredMemory mine = a.register(here, false, false);
        final MemoryKey key = MemoryKey.of(memory.keyFor(1).toBytes());
        assertEquals(LARGE, a.read(2, key, 0, mine.part()).result());
        assertEquals(-1, here.mismatch(there));
        here.asSlice(10, 3).fill((byte) 9);
        assertEquals(4, a.write(2, key, 100, mine.part(10, 2), mine.part(0, 0), mine.part(12, 2)).join());
        assertArrayEquals(new byte[] {7, 9, 9, 9, 7}, there.asSlice(99, 5).toArray(JAVA_BYTE));
        mine.close();
        mine.close();
    }

    @Test
    void many_transfers_are_under_way_at_once() {
        final MemorySegment there = segment(2000);
        final MemorySegment here = segment(2000);
        final MemoryKey key = a.register(there, false, true).keyFor(1); // one's own is used alike
        final RegisteredMemory mine = a.register(here, false, false);
        final List<Transfer> transfers = new ArrayList<>();
        for (int i = 0; i < 2000; i++) {
            here.set(JAVA_BYTE, i, (byte) i);
            transfers.add(a.write(1, key, i, mine.part(i, 1)));
        }
        CompletableFuture.allOf(transfers.toArray(Transfer[]::new)).orTimeout(10, java.util.concurrent.TimeUnit.SECONDS)
                .join();
        assertEquals(-1, here.mismatch(there));
    }

    @Test
    void what_is_wrong_is_said() {
        a.waitView(2);
        final MemorySegment there = segment(100);
        final RegisteredMemory memory = b.register(there, true, false);
        final RegisteredMemory mine = a.register(segment(100), false, false);
        final MemoryKey key = memory.keyFor(1);
        refused(InvalidArgument.class, "on the heap", () -> a.register(MemorySegment.ofArray(new byte[5]), true, true));
        refused(InvalidArgument.class, "read-only", () -> a.register(there.asReadOnly(), true, false));
        refused(InvalidArgument.class, "32 bytes, not 3", () -> MemoryKey.of(new byte[3]));
        refused(InvalidArgument.class, "no peer's access", () -> mine.keyFor(2));
        refused(NotMember.class, "node 9", () -> memory.keyFor(9));
        refused(NotMember.class, "node 9", () -> a.read(9, key, 0));
        refused(InvalidArgument.class, "piece 1 reaches", () -> a.read(2, key, 0, mine.part(), mine.part(99, 2)));
        refused(InvalidArgument.class, "reaches beyond", () -> a.read(2, key, 1, mine.part()).result());
        refused(InvalidArgument.class, "not registered for that", () -> a.write(2, key, 0, mine.part()).result());
        refused(InvalidArgument.class, "opens nothing", () -> a.read(2, memory.keyFor(2), 0, mine.part()).result());
        memory.deregister(Duration.ZERO);
        refused(InvalidArgument.class, "opens nothing", () -> a.read(2, key, 0, mine.part()).result());
        refused(Closed.class, "", () -> memory.deregister(Duration.ZERO));
    }

    @Test
    void deregistering_waits_for_what_is_pending_or_says_what_is() {
        a.waitView(2);
        final MemoryKey key = b.register(segment(LARGE), false, true).keyFor(1);
        final RegisteredMemory mine = a.register(segment(LARGE), false, false);
        Transfer last = null;
        for (int i = 0; i < 30; i++) last = a.write(2, key, 0, mine.part());
        final Transfer transfer = last;
        refused(Timeout.class, "with node 2", () -> mine.deregister(Duration.ZERO));
        mine.deregister(Nodes.PATIENCE);
        assertEquals(LARGE, transfer.result());
    }

    @Test
    void a_forgotten_segment_stays_as_long_as_peers_may_write_to_it() throws InterruptedException {
        a.waitView(2);
        MemorySegment there = segment(1000);
        final WeakReference<MemorySegment> alive = new WeakReference<>(there);
        final MemoryKey key = b.register(there, false, true).keyFor(1);
        there = null;
        for (int i = 0; i < 5; i++) {
            System.gc();
            Thread.sleep(10);
        }
        assertTrue(alive.get() != null);
        assertEquals(1000, a.write(2, key, 0, a.register(segment(1000), false, false).part()).result());
    }

    @Test
    void a_member_that_goes_ends_what_is_under_way() {
        a.waitView(2);
        final Group c = join();
        a.waitView(3);
        b.waitView(3);
        final MemoryKey key = c.register(segment(LARGE), false, true).keyFor(1);
        final RegisteredMemory mine = a.register(segment(LARGE), false, false);
        final List<Transfer> transfers = new ArrayList<>();
        for (int i = 0; i < 10; i++) transfers.add(a.write(3, key, 0, mine.part()));
        c.abandon();
        refused(MemberRemoved.class, "member 3 left the view first", () -> transfers.get(9).result());
    }
}
