package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.MemorySegment;
import java.lang.ref.WeakReference;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.Test;

/** Registered memory: shapes, references, and that its end is noticed. */
class BufferTest {
    @Test
    void it_is_zeroed_page_aligned_and_seen_the_same_in_every_shape() {
        try (Buffer buffer = Buffer.allocate(5000)) {
            assertEquals(0, buffer.segment().address() % 4096);
            assertEquals(0, buffer.segment().get(JAVA_BYTE, 4999));
            buffer.buffer().put(7, (byte) 9);
            assertEquals(9, buffer.segment().get(JAVA_BYTE, 7));
            assertEquals(5000, buffer.size());
        }
    }

    @Test
    void use_after_close_is_an_error() {
        final Buffer buffer = Buffer.allocate(100);
        final MemorySegment segment = buffer.segment();
        final ByteBuffer bytes = buffer.buffer();
        buffer.close();
        buffer.close();
        assertEquals(Status.CLOSED, buffer.tryClose());
        assertThrows(IllegalStateException.class, () -> segment.get(JAVA_BYTE, 0));
        assertThrows(IllegalStateException.class, () -> bytes.get(0));
        assertThrows(Closed.class, buffer::segment);
        assertThrows(Closed.class, buffer::retain);
    }

    @Test
    void each_reference_is_closed_on_its_own() {
        final Buffer first = Buffer.allocate(100);
        final Buffer second = first.retain();
        first.segment().set(JAVA_BYTE, 0, (byte) 5);
        first.close();
        assertEquals(Status.CLOSED, first.tryClose());
        assertEquals(5, second.segment().get(JAVA_BYTE, 0));
        second.close();
        assertThrows(Closed.class, second::segment);
    }

    @Test
    void a_view_keeps_a_dropped_buffer_and_a_dropped_view_does_not() throws InterruptedException {
        final MemorySegment view = Buffer.allocate(100).segment();
        collect();
        view.set(JAVA_BYTE, 99, (byte) 1); // still there
        final WeakReference<Buffer> dropped = new WeakReference<>(Buffer.allocate(100));
        for (int i = 0; i < 200 && dropped.get() != null; i++) collect();
        assertEquals(null, dropped.get());
    }

    private static void collect() throws InterruptedException {
        System.gc();
        Thread.sleep(10);
    }

    @Test
    void nothing_cannot_be_allocated() {
        assertThrows(InvalidArgument.class, () -> Buffer.allocate(0));
    }
}
