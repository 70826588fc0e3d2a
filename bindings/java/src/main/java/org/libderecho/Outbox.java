package org.libderecho;

import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * Answers and pieces of state that found no room, in order by destination, tried again whenever the group is driven.
 * Used by the thread that drives.
 */
final class Outbox {
    private static final System.Logger LOG = System.getLogger("derecho");
    private static final int ENTRIES_MAX = 1 << 16; // for one node; the core holds back 64 MB more

    /** Something for one node. */
    private interface Entry {
        /** Send what can be sent; AGAIN when there is something left. */
        Status send();
    }

    private final RawGroup group;
    private final long pieceBytes;
    private final Map<Integer, Deque<Entry>> waiting = new LinkedHashMap<>();

    /** @param pieceBytes most bytes in a piece of state */
    Outbox(RawGroup group, long pieceBytes) {
        this.group = group;
        this.pieceBytes = pieceBytes;
    }

    /** Answer a call or query of a node, now or later; not at all when this node closed the group meanwhile. */
    void answer(int node, long call, Status status, byte[] data) {
        final Answer answer = new Answer(node, call, status, data);
        if (!waiting.containsKey(node)) {
            final Status sent = answer.trySend();
            if (sent == Status.OK || sent == Status.CLOSED) return;
            if (sent != Status.AGAIN) throw sent.error();
        }
        keep(node, answer);
    }

    /** Send the state to a joiner, in pieces; it is kept until it is sent. */
    void state(int node, long request, byte[] data) {
        keep(node, new State(node, request, data));
        retry();
    }

    /** Send again; whether something is left. */
    boolean retry() {
        final Iterator<Deque<Entry>> queues = waiting.values().iterator();
        while (queues.hasNext()) {
            final Deque<Entry> queue = queues.next();
            while (!queue.isEmpty() && sent(queue.getFirst())) queue.removeFirst();
            if (queue.isEmpty()) queues.remove();
        }
        return !waiting.isEmpty();
    }

    private static boolean sent(Entry entry) {
        final Status status = entry.send();
        if (status == Status.AGAIN) return false;
        if (status != Status.OK) // the group ended, or what is meant for a joiner is refused: nothing can be done
            LOG.log(System.Logger.Level.WARNING, "an answer is dropped: {0}", status.error().getMessage());
        return true;
    }

    private void keep(int node, Entry entry) {
        final Deque<Entry> queue = waiting.computeIfAbsent(node, ignored -> new ArrayDeque<>());
        if (queue.size() < ENTRIES_MAX) queue.add(entry);
        else
            LOG.log(
                    System.Logger.Level.ERROR,
                    "member {0} does not take its answers: {1} wait, one more is dropped",
                    Integer.toUnsignedString(node),
                    queue.size());
    }

    private final class Answer implements Entry {
        private final int node;
        private final long call;
        private Status status;
        private MemorySegment data;

        Answer(int node, long call, Status status, byte[] data) {
            this.node = node;
            this.call = call;
            this.status = status;
            this.data = MemorySegment.ofArray(data);
        }

        Status trySend() {
            return group.tryReply(node, call, status, data);
        }

        @Override
        public Status send() {
            final Status sent = trySend();
            if (sent != Status.TOO_LARGE) return sent;
            data = MemorySegment.ofArray(ServiceHost.text(sent.error())); // found late: its caller still waits
            status = Status.REMOTE_ERROR;
            return trySend();
        }
    }

    private final class State implements Entry {
        private final int node;
        private final long request;
        private MemorySegment rest;

        State(int node, long request, byte[] data) {
            this.node = node;
            this.request = request;
            rest = MemorySegment.ofArray(data);
        }

        @Override
        public Status send() {
            while (true) {
                final long size = Math.min(pieceBytes, rest.byteSize());
                final boolean last = size == rest.byteSize();
                final Status status = group.tryState(node, request, rest.asSlice(0, size), last);
                if (status != Status.OK || last) return status;
                rest = rest.asSlice(size);
            }
        }
    }
}
