package org.libderecho;

import java.lang.ref.Cleaner;
import java.util.function.LongToIntFunction;

/** Owner of a handle of the core: closed once, by its owner or, when forgotten, by the collector. */
abstract class Handle implements AutoCloseable {
    static final Cleaner CLEANER = Cleaner.create();

    final long handle;
    private final Closing closing;
    private final Cleaner.Cleanable forgotten;

    Handle(long handle, LongToIntFunction closer) {
        this.handle = handle;
        closing = new Closing(handle, closer);
        forgotten = CLEANER.register(this, closing);
    }

    /** Close it; a second time does nothing. Safe while other threads use it: they get {@link Closed}. */
    @Override
    public void close() {
        tryClose();
    }

    /** As {@link #close}, but tell what came of it: {@link Status#CLOSED} when it was closed before. */
    public Status tryClose() {
        if (closing.done) return closeAgain();
        forgotten.clean();
        return closing.status;
    }

    Status closeAgain() {
        return Status.of(closing.closer.applyAsInt(handle));
    }

    boolean isClosed() {
        return closing.done;
    }

    private static final class Closing implements Runnable {
        final long handle;
        final LongToIntFunction closer;
        volatile boolean done;
        volatile Status status = Status.CLOSED;

        Closing(long handle, LongToIntFunction closer) {
            this.handle = handle;
            this.closer = closer;
        }

        @Override
        public void run() {
            done = true;
            status = Status.of(closer.applyAsInt(handle));
        }
    }
}
