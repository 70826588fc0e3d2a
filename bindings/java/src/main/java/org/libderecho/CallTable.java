package org.libderecho;

import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.locks.ReadWriteLock;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import java.util.function.IntSupplier;
import java.util.function.LongSupplier;

/**
 * The calls under way, by id. A call gets its id when it is sent, and its first event may be dispatched before the
 * sending thread has written it down here: so sending and writing down are one step, which a driver that misses an id
 * waits for.
 */
final class CallTable {
    /** Who waits for the events of a call; told by the thread that drives. */
    interface Answers {
        /** An ORDERED event. */
        void order(EventBatch events, int i);

        /** A REPLY event; whether it was the last one. */
        boolean take(EventBatch events, int i);

        /** Nothing will come any more. */
        void fail(DerechoError error);
    }

    private final Map<Long, Answers> calls = new ConcurrentHashMap<>();
    private final ReadWriteLock sending = new ReentrantReadWriteLock(); // shared by senders, alone for who misses an id

    /**
     * Send a call and remember who waits for it.
     *
     * @param send never blocks; returns a status
     * @param id of the call, once it was sent
     */
    int send(IntSupplier send, LongSupplier id, Answers answers) {
        sending.readLock().lock();
        try {
            final int status = send.getAsInt();
            if (status == Native.OK) calls.put(id.getAsLong(), answers);
            return status;
        } finally {
            sending.readLock().unlock();
        }
    }

    /** Null for a call that nobody waits for any more. */
    Answers find(long id) {
        final Answers found = calls.get(id);
        if (found != null) return found;
        sending.writeLock().lock();
        sending.writeLock().unlock();
        return calls.get(id);
    }

    void remove(long id) {
        calls.remove(id);
    }

    void failAll(DerechoError error) {
        calls.keySet().forEach(id -> {
            final Answers answers = calls.remove(id);
            if (answers != null) answers.fail(error);
        });
    }
}
