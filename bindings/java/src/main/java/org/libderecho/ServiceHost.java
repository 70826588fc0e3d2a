package org.libderecho;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A service's shard: dispatches calls to the local replica, and answers them. */
final class ServiceHost extends Host {
    private static final System.Logger LOG = System.getLogger("derecho");
    private static final int ERROR_BYTES_MAX = 4096;
    private static final byte[] NOTHING = {};
    private static final long HELD_BYTES_MAX = 64 << 20; // of calls while a state is saved; then it is made at once

    final Service service;
    private final List<Call> held = new ArrayList<>(); // while the state is under way
    private long heldBytes;
    private final Map<Long, Runnable> saving = new LinkedHashMap<>(); // in pieces: what makes the rest at once
    private volatile StateError loadError;

    /** A call or query, with its arguments in place or copied. */
    private record Call(int node, long id, int method, boolean answered, MemorySegment args, boolean inPlace) {}

    ServiceHost(Service service, Outbox outbox) {
        super(service.serviceName(), outbox);
        this.service = service;
    }

    /** Why the state that came could not be loaded; null if it could. */
    StateError loadError() {
        return loadError;
    }

    @Override
    void onMessage(EventBatch events, int i) {} // whoever sends plain messages to a service sends them to nobody

    @Override
    void onCall(EventBatch events, int i) {
        final boolean query = events.kindCode(i) == Native.EVENT_QUERY; // sees the state as it is
        final boolean hold = isLoading() || (!saving.isEmpty() && !query);
        final MemorySegment args = hold ? MemorySegment.ofArray(events.bytes(i)) : events.data(i);
        final boolean answered = (events.flags(i) & Flags.REPLY) != 0;
        final Call call = new Call(events.node(i), events.id(i), events.method(i), answered, args, !hold);
        if (!hold) {
            run(call);
            return;
        }
        held.add(call);
        heldBytes += args.byteSize();
        if (!isLoading() && heldBytes > HELD_BYTES_MAX) finishSaving();
    }

    private void run(Call call) {
        if (!service.hasMethod(call.method)) {
            if (call.answered) outbox.answer(call.node, call.id, Status.UNKNOWN_METHOD, NOTHING);
            return;
        }
        try {
            final Encoder.Message result = service.dispatch(call.method, new Decoder(call.args, call.inPlace));
            if (call.answered) outbox.answer(call.node, call.id, Status.OK, Encoder.encode(result));
        } catch (Throwable error) { // whatever it is, it is the caller's to know, and the group goes on
            failed(call, error);
        }
    }

    private void failed(Call call, Throwable error) {
        if (!call.answered) {
            LOG.log(System.Logger.Level.ERROR, "a call of " + name + " failed, and its caller wants no answer", error);
            return;
        }
        try {
            outbox.answer(call.node, call.id, Status.REMOTE_ERROR, text(error));
        } catch (DerechoError late) {
            LOG.log(System.Logger.Level.WARNING, "{0}: an answer could not be sent: {1}", name, late.getMessage());
        }
    }

    /** What a caller is told of a failure: "Type: text". */
    static byte[] text(Throwable error) {
        final String full = error.getClass().getName();
        final String plain = full.substring(Math.max(full.lastIndexOf('.'), full.lastIndexOf('$')) + 1);
        final String text = error.getMessage() == null ? "" : error.getMessage();
        final byte[] bytes = (plain + ": " + text).getBytes(StandardCharsets.UTF_8);
        if (bytes.length <= ERROR_BYTES_MAX) return bytes;
        int end = ERROR_BYTES_MAX;
        while ((bytes[end] & 0xc0) == 0x80) end--; // not in the middle of a character
        return Arrays.copyOf(bytes, end);
    }

    @Override
    void onStateRequest(EventBatch events, int i) {
        if (!held.isEmpty()) finishSaving(); // what is held back is a part of it
        final int node = events.node(i);
        final long request = events.id(i);
        try {
            final Iterator<byte[]> pieces = service.saveStatePieces();
            if (pieces == null) outbox.state(node, request, service.encodeState());
            else saveInPieces(node, request, pieces);
        } catch (Throwable error) {
            LOG.log(
                    System.Logger.Level.ERROR,
                    "member " + Integer.toUnsignedString(node) + " cannot join: the state of " + name
                            + " cannot be saved",
                    error);
            outbox.noState(node, request, error);
        }
    }

    private void saveInPieces(int node, long request, Iterator<byte[]> pieces) {
        final long key = request << 32 | Integer.toUnsignedLong(node);
        saving.put(key, () -> {});
        final Runnable collect = outbox.state(node, request, pieces, () -> saved(key));
        saving.replace(key, collect);
    }

    /** The last piece was made, or nobody wants it any more. */
    private void saved(long key) {
        if (saving.remove(key) != null && saving.isEmpty()) runHeld();
    }

    /** Make what is missing now, so that the service may change. */
    private void finishSaving() {
        List.copyOf(saving.values()).forEach(Runnable::run);
    }

    private void runHeld() {
        final List<Call> late = List.copyOf(held);
        held.clear();
        heldBytes = 0;
        late.forEach(this::run);
    }

    @Override
    void noState(StateError error) {
        loadError = error;
    }

    @Override
    void load(byte[] state) {
        try {
            service.decodeState(state);
        } catch (Throwable error) {
            loadError = new StateError("the state of " + name + " cannot be loaded: " + error);
            loadError.initCause(error);
        }
    }

    @Override
    void loaded() {
        runHeld();
    }
}
