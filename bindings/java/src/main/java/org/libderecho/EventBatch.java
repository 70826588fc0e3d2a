package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.Objects;

/**
 * What a {@link RawGroup#poll poll} fills: events, read in place by index, and the lease on their data. To be reused:
 * each poll releases what the batch held before.
 *
 * <p>Payloads are memory of the ring, without a copy. They are lent until the batch is released: a segment of them that
 * is used later throws IllegalStateException, so does any accessor. Whoever holds on to a batch holds back the senders.
 * A batch that was dropped is released once no segment of its data is reachable.
 *
 * <p>Threads: one at a time; the one that first asked for data is the only one to read it, and the one to release it.
 */
public final class EventBatch implements AutoCloseable, Iterable<Event> {
    private static final MemorySegment READABLE = Loan.MEMORY.asReadOnly();

    private final MemorySegment events;
    private final MemorySegment countOut;
    private final MemorySegment leaseOut;
    private final Lease lease = new Lease();
    private final Loan loan = new Loan(this, READABLE);
    private int count;

    /** @param capacity most events a poll gives; a few hundred are best */
    public EventBatch(int capacity) {
        if (capacity < 1) throw new InvalidArgument("a batch has room for at least one event, not " + capacity);
        final Arena arena = Arena.ofAuto();
        events = arena.allocate(capacity * Native.Event.BYTES, 64);
        countOut = arena.allocate(JAVA_LONG);
        leaseOut = arena.allocate(JAVA_LONG);
        Handle.CLEANER.register(this, lease);
    }

    /** Most events of one poll. */
    public int capacity() {
        return (int) (events.byteSize() / Native.Event.BYTES);
    }

    /** How many events there are; 0 after the release. */
    public int count() {
        return count;
    }

    /** A {@code DERECHO_EVENT_} as a number. */
    int kindCode(int i) {
        return events.get(JAVA_INT, at(i) + Native.Event.KIND);
    }

    public EventKind kind(int i) {
        return EventKind.of(kindCode(i));
    }

    public int node(int i) {
        return events.get(JAVA_INT, at(i) + Native.Event.NODE);
    }

    /** view &lt;&lt; 40 | sequence: grows with every ordered event of a shard. */
    public long version(int i) {
        return events.get(JAVA_LONG, at(i) + Native.Event.VERSION);
    }

    /** Hybrid logical time of the send, the same at every member. */
    public long timestampNs(int i) {
        return events.get(JAVA_LONG, at(i) + Native.Event.TIMESTAMP_NS);
    }

    /** Bytes of the data. */
    public long size(int i) {
        return events.get(JAVA_LONG, at(i) + Native.Event.SIZE_BYTES);
    }

    public long id(int i) {
        return events.get(JAVA_LONG, at(i) + Native.Event.ID);
    }

    public int method(int i) {
        return events.get(JAVA_INT, at(i) + Native.Event.METHOD);
    }

    /** Index of the service, in order of declaration. */
    public int shard(int i) {
        return events.get(JAVA_INT, at(i) + Native.Event.SHARD);
    }

    public Status status(int i) {
        return Status.of(events.get(JAVA_INT, at(i) + Native.Event.STATUS));
    }

    /** Of {@link Flags}. */
    public int flags(int i) {
        return events.get(JAVA_INT, at(i) + Native.Event.FLAGS);
    }

    /** The payload in place, read-only. */
    public MemorySegment data(int i) {
        return loan.segment(events.get(JAVA_LONG, at(i) + Native.Event.DATA), size(i));
    }

    /** The payload in place, as a read-only buffer in the machine's byte order. */
    public ByteBuffer buffer(int i) {
        return data(i).asByteBuffer().order(ByteOrder.nativeOrder());
    }

    /** A copy of the payload, to keep. */
    public byte[] bytes(int i) {
        return data(i).toArray(JAVA_BYTE);
    }

    /** All fields of an event; its data stays in place. */
    public Event event(int i) {
        return new Event(
                kind(i), node(i), version(i), timestampNs(i), data(i), id(i), method(i), shard(i), status(i), flags(i));
    }

    /** Give the events one by one. A loop over the index makes no objects. */
    @Override
    public Iterator<Event> iterator() {
        return new Iterator<>() {
            private int next;

            @Override
            public boolean hasNext() {
                return next < count;
            }

            @Override
            public Event next() {
                if (!hasNext()) throw new NoSuchElementException();
                return event(next++);
            }
        };
    }

    /** Give the data back, so that its room in the rings can be used again. A second time does nothing. */
    public void release() {
        count = 0;
        loan.takeBack();
        if (lease.number != 0) lease.run();
    }

    /** Same as {@link #release}: the batch can be filled again. */
    @Override
    public void close() {
        release();
    }

    int poll(long group, long timeoutNs) {
        release();
        final int status = Native.derecho_poll(group, events, capacity(), timeoutNs, countOut, leaseOut);
        if (status != Native.OK) return status;
        lease.group = group;
        lease.number = leaseOut.get(JAVA_LONG, 0);
        count = (int) countOut.get(JAVA_LONG, 0);
        return status;
    }

    private long at(int i) {
        if (i >= 0 && i < count) return i * Native.Event.BYTES;
        if (count == 0) throw new IllegalStateException("the batch is empty, or was released");
        return Objects.checkIndex(i, count);
    }

    /** What is held of which group; outlives the batch. */
    private static final class Lease implements Runnable {
        long group;
        long number;

        /** The group may be closed meanwhile, which answers CLOSED and releases all the same. */
        @Override
        public void run() {
            final long held = number;
            number = 0;
            if (held != 0) Native.derecho_release(group, held);
        }
    }
}
