package org.libderecho;

import java.io.ByteArrayOutputStream;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Answers and pieces of state that found no room, in order by destination, tried again whenever the group is driven.
 * Used by the thread that drives.
 */
final class Outbox {
    private static final System.Logger LOG = System.getLogger("derecho");
    private static final byte[] NOTHING = {};
    private static final int ENTRIES_MAX = 1 << 16; // for one node; the core holds back 64 MB more

    /** Something for one node. */
    private interface Entry {
        /** Send what can be sent; AGAIN when there is something left. */
        Status send();

        /** It cannot be sent, or nobody wants it any more. */
        default void drop() {}
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
        group.stateSize(node, request, data.length);
        keep(node, new State(node, request, List.of(data).iterator(), () -> {}));
        retry();
    }

    /** ... as the pieces are made; `done` is run once the last one was. Returns what makes the rest of them at once. */
    Runnable state(int node, long request, Iterator<byte[]> pieces, Runnable done) {
        final State state = new State(node, request, pieces, done);
        keep(node, state);
        retry();
        return state::collect;
    }

    /** Tell a joiner why there will be none. */
    void noState(int node, long request, Throwable error) {
        final State state = new State(node, request, List.<byte[]>of().iterator(), () -> {});
        state.fail(error);
        keep(node, state);
        retry();
    }

    /** Send again; whether something is left. */
    boolean retry() {
        for (int node : List.copyOf(waiting.keySet())) { // what is done meanwhile may add to it
            final Deque<Entry> queue = waiting.get(node);
            while (!queue.isEmpty() && sent(queue.getFirst())) queue.removeFirst().drop();
            if (queue.isEmpty()) waiting.remove(node);
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
        private final Runnable done;
        private Iterator<byte[]> pieces; // null: the last one was made
        private MemorySegment due = MemorySegment.ofArray(NOTHING);
        private boolean failed; // why is due

        State(int node, long request, Iterator<byte[]> pieces, Runnable done) {
            this.node = node;
            this.request = request;
            this.pieces = pieces;
            this.done = done;
        }

        void fail(Throwable error) {
            failed = true;
            due = MemorySegment.ofArray(ServiceHost.text(error));
            pieces = null;
        }

        /** Make the rest now. */
        void collect() {
            final List<byte[]> rest = new ArrayList<>();
            while (pieces != null) {
                final byte[] piece = next();
                if (piece != null) rest.add(piece);
            }
            if (!failed && !rest.isEmpty()) pieces = rest.iterator();
        }

        /** The next piece; null, and it is over, if there is none. */
        private byte[] next() {
            try {
                if (pieces.hasNext()) return pieces.next();
                pieces = null;
            } catch (Throwable error) {
                LOG.log(System.Logger.Level.ERROR, "the state cannot be saved", error);
                fail(error);
            }
            done.run();
            return null;
        }

        /** Gather small pieces. */
        private void fill() {
            final ByteArrayOutputStream gathered = new ByteArrayOutputStream();
            byte[] only = null;
            while (pieces != null && gathered.size() < pieceBytes) {
                final byte[] piece = next();
                if (piece == null) break;
                if (gathered.size() == 0 && piece.length >= pieceBytes) {
                    only = piece;
                    break;
                }
                gathered.writeBytes(piece);
            }
            if (!failed) due = MemorySegment.ofArray(only != null ? only : gathered.toByteArray());
        }

        @Override
        public void drop() {
            if (pieces == null) return;
            pieces = null;
            done.run();
        }

        @Override
        public Status send() {
            while (true) {
                if (due.byteSize() == 0 && pieces != null) fill();
                if (failed) return group.tryStateFail(node, request, due);
                final long size = Math.min(pieceBytes, due.byteSize());
                final boolean last = size == due.byteSize() && pieces == null;
                final Status status = group.tryState(node, request, due.asSlice(0, size), last);
                if (status != Status.OK || last) return status;
                due = due.asSlice(size);
            }
        }
    }
}
