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
    private static final int ERROR_BYTES_MAX = 4096;
    private static final byte[] NOTHING = {};
    private static final long HELD_BYTES_MAX = 64 << 20; // of calls while a state is saved; then it is made at once

    final Service service;
    private final Engine engine;
    private final List<Call> held = new ArrayList<>(); // while the state is under way
    private long heldBytes;
    private final Map<Long, Runnable> saving = new LinkedHashMap<>(); // in pieces: what makes the rest at once
    private CallContext savedAsOf; // the last ordered call that the state being saved has
    private volatile StateError loadError;

    /** A call or query, with its arguments in place or copied. */
    private record Call(
            CallContext context, long id, int method, boolean answered, MemorySegment args, boolean inPlace) {
        int node() {
            return context.caller();
        }

        Call seen(CallContext other) {
            return other == context ? this : new Call(other, id, method, answered, args, inPlace);
        }
    }

    ServiceHost(Service service, Engine engine) {
        super(service.serviceName(), engine.outbox);
        this.service = service;
        this.engine = engine;
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
        final CallContext context = new CallContext(events.node(i), events.version(i), events.timestampNs(i));
        final Call call = new Call(context, events.id(i), events.method(i), answered, args, !hold);
        if (!hold) {
            run(saving.isEmpty() ? call : call.seen(context.notAfter(savedAsOf)));
            return;
        }
        held.add(call);
        heldBytes += args.byteSize();
        if (!isLoading() && heldBytes > HELD_BYTES_MAX) finishSaving();
    }

    private void run(Call call) {
        if (!service.hasMethod(call.method)) {
            if (call.answered) outbox.answer(call.node(), call.id, Status.UNKNOWN_METHOD, NOTHING);
            return;
        }
        final CallContext[] running = CallContext.ofThread();
        final CallContext outer = running[0]; // a method may wait for another group, whose methods run meanwhile
        running[0] = call.context;
        try {
            final Encoder.Message result = service.dispatch(call.method, new Decoder(call.args, call.inPlace));
            if (call.answered) outbox.answer(call.node(), call.id, Status.OK, Encoder.encode(result));
        } catch (Throwable error) { // whatever it is, it is the caller's to know
            failed(call, error);
            if (Engine.endsNode(error)) engine.leaveBecause("method " + call.method + " of " + name, error);
        } finally {
            running[0] = outer;
        }
    }

    private void failed(Call call, Throwable error) {
        if (!call.answered) {
            Engine.log(
                    System.Logger.Level.ERROR, "a call of " + name + " failed, and its caller wants no answer", error);
            return;
        }
        try {
            outbox.answer(call.node(), call.id, Status.REMOTE_ERROR, text(error));
            Engine.log(System.Logger.Level.DEBUG, "a call of " + name + " failed, and its caller was told", error);
        } catch (DerechoError late) {
            Engine.log(System.Logger.Level.WARNING, name + ": an answer could not be sent", late);
        }
    }

    /** "Type: text", of an error without a text as well. */
    static String describe(Throwable error) {
        final String full = error.getClass().getName();
        final String plain = full.substring(Math.max(full.lastIndexOf('.'), full.lastIndexOf('$')) + 1);
        String text;
        try {
            text = error.getMessage();
        } catch (Throwable second) {
            text = "(no text: getMessage() of it threw " + second.getClass().getSimpleName() + ")";
        }
        return plain + ": " + (text == null ? "" : text);
    }

    /** What a caller is told of a failure. */
    static byte[] text(Throwable error) {
        final byte[] bytes = describe(error).getBytes(StandardCharsets.UTF_8);
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
            else saveInPieces(node, request, pieces, new CallContext(node, events.version(i), events.timestampNs(i)));
        } catch (Throwable error) {
            final boolean compared = (events.flags(i) & Flags.OWN) != 0; // a digest is made of it
            final String whom = compared ? "" : "member " + Integer.toUnsignedString(node) + " cannot join: ";
            engine.failed(whom + "saving the state of " + name, error);
            outbox.noState(node, request, error);
        }
    }

    private void saveInPieces(int node, long request, Iterator<byte[]> pieces, CallContext asOf) {
        final long key = request << 32 | Integer.toUnsignedLong(node);
        savedAsOf = asOf;
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
            loadError = new StateError("the state of " + name + " cannot be loaded: " + describe(error));
            loadError.initCause(error);
            if (Engine.endsNode(error)) engine.leaveBecause("loading the state of " + name, error);
        }
    }

    @Override
    void loaded(CallContext asOf) {
        held.replaceAll(call -> call.seen(call.context.notBefore(asOf))); // queries, which now see this state
        runHeld();
    }
}
