package org.libderecho;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/** What takes the events of one shard of a group; told by the thread that drives. */
abstract class Host {
    final String name;
    final Outbox outbox;
    private final ByteArrayOutputStream pieces = new ByteArrayOutputStream();
    private volatile boolean loading;
    private long arrivedBytes; // of its state, and since when
    private long arriving;

    Host(String name, Outbox outbox) {
        this.name = name;
        this.outbox = outbox;
    }

    /** Whether its state is under way. */
    final boolean isLoading() {
        return loading;
    }

    final void expectState() {
        loading = true;
    }

    final void arrive(long now) {
        arrivedBytes = 0;
        arriving = now;
    }

    final Progress arrived(long bytes, long totalBytes, long now) {
        arrivedBytes += bytes;
        return new Progress(name, arrivedBytes, totalBytes, Duration.ofNanos(now - arriving));
    }

    /** A piece of the state came; a first one discards pieces before it. */
    final void onState(EventBatch events, int i) {
        if (events.status(i) != Status.OK) {
            final String why = new String(events.bytes(i), StandardCharsets.UTF_8);
            noState(new StateError("member " + Integer.toUnsignedString(events.node(i)) + " cannot give the state of "
                    + name + ": " + why));
            loading = false;
            loaded(new CallContext(0, 0, 0));
            return;
        }
        if ((events.flags(i) & Flags.FIRST) != 0) pieces.reset();
        pieces.writeBytes(events.bytes(i));
        if ((events.flags(i) & Flags.LAST) == 0) return;
        final byte[] whole = pieces.toByteArray();
        pieces.reset();
        load(whole);
        loading = false;
        loaded(new CallContext(0, events.id(i), events.timestampNs(i)));
    }

    abstract void onMessage(EventBatch events, int i);

    abstract void onCall(EventBatch events, int i);

    abstract void onStateRequest(EventBatch events, int i);

    abstract void load(byte[] state);

    /** There will be none. */
    void noState(StateError error) {}

    /** The state is there, as of an ordered call: events that were held back can be applied. */
    abstract void loaded(CallContext asOf);
}
