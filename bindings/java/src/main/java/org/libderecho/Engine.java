package org.libderecho;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalInt;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntSupplier;
import java.util.stream.Collectors;

/**
 * The machinery of one group: the pump, the calls under way, and what each kind of event does. Events are handled by
 * the one thread that has the pump's right, in the order in which the core gave them.
 */
final class Engine implements Pump.Target {
    private static final System.Logger LOG = System.getLogger("derecho");
    private static final long RETRY_NS = 1_000_000;
    private static final Duration LEAVE_AFTER_FAILURE = Duration.ofSeconds(2); // whatever the others say

    final RawGroup group;
    final Duration timeout;
    final Outbox outbox;
    final Pump pump;
    final List<Host> hosts = new ArrayList<>(); // in order of declaration, as events number them
    final List<View> views = new CopyOnWriteArrayList<>();
    final List<Consumer<View>> onView = new CopyOnWriteArrayList<>();
    final List<Consumer<Difference>> onDifference = new CopyOnWriteArrayList<>();
    private final List<Consumer<DerechoError>> onEnd = new ArrayList<>(); // under this; empty once they were told
    private final CallTable calls = new CallTable();
    private volatile View view;
    private volatile DerechoError end;
    volatile Runnable atEnd = () -> {}; // the group's own; perhaps more than once
    Consumer<Progress> onProgress; // of states that come
    private volatile long lastProgress;
    private volatile boolean loaded;
    private boolean over; // under this: whoever waited was told

    /**
     * @param timeout default of every wait
     * @param pieceBytes most bytes in a piece of state
     */
    Engine(RawGroup group, Duration timeout, long pieceBytes) {
        this.group = group;
        this.timeout = timeout;
        outbox = new Outbox(group, pieceBytes);
        pump = new Pump(group, this);
    }

    static String seconds(Duration duration) {
        final double seconds = duration.toNanos() / (double) TimeUnit.SECONDS.toNanos(1);
        return (seconds == Math.rint(seconds) ? String.valueOf((long) seconds) : String.valueOf(seconds)) + " s";
    }

    /** With who holds the state by now; null before the first one was installed. */
    View view() {
        final View last = view;
        if (last == null || end != null || last.members().stream().allMatch(Member::hasState)) return last;
        try {
            final View now = group.view();
            return now.id() == last.id() ? now : last;
        } catch (DerechoError closed) {
            return last;
        }
    }

    /** Why the group is over; null while it goes on. */
    DerechoError end() {
        return end;
    }

    // ---------------------------------------------------------------------------------------- waiting

    /** Drive the group until {@code done} or its end; false when the time passed. */
    boolean await(BooleanSupplier done, Duration limit, String what) {
        if (!pump.await(() -> done.getAsBoolean() || end != null, limit.toNanos(), what)) return false;
        if (!done.getAsBoolean()) throw end;
        return true;
    }

    /**
     * Do it, and again while there is no room or the view is changing.
     *
     * @param attempt returns a status
     */
    void retrying(IntSupplier attempt) {
        int code = attempt.getAsInt();
        final long started = System.nanoTime();
        while (code != Native.OK) {
            final Status status = Status.of(code);
            // Room comes by dispatching, which a handler holds up.
            if (!status.isNotNow() || pump.inHandler()) throw status.error();
            if (System.nanoTime() - started > timeout.toNanos() || Thread.currentThread().isInterrupted())
                throw status.error(waitedInVain(status));
            pump.turn(RETRY_NS);
            if (end != null) throw end;
            code = attempt.getAsInt();
        }
    }

    private String waitedInVain(Status status) {
        if (status == Status.WEDGED)
            return "members were still being added or removed after " + seconds(timeout) + "; try again";
        final Holdup holdup = holdup(Native.ANY_NODE);
        return "no room within " + seconds(timeout) + ": "
                + (holdup == null ? "a member, perhaps this one, is slow to take messages" : holdup.text())
                + "; try again, or raise option ring_bytes (for queries mail_bytes)";
    }

    private Holdup holdup(int node) {
        try {
            return group.holdup(node);
        } catch (DerechoError ended) {
            return null;
        }
    }

    /** Whose fault it may be that something does not come, to be added to an error. */
    String because(int node) {
        Holdup holdup = holdup(node);
        if (holdup == null) holdup = holdup(Native.ANY_NODE);
        return holdup == null ? "" : " (" + holdup.text() + ")";
    }

    String because() {
        return because(Native.ANY_NODE);
    }

    /**
     * Wait until every service has its state and this node votes; the limit counts from the last progress.
     */
    void awaitState(Duration limit) {
        lastProgress = System.nanoTime();
        Duration left = limit;
        while (!await(this::isIn, left, "joining")) {
            left = limit.minusNanos(System.nanoTime() - lastProgress);
            if (left.isNegative() || left.isZero())
                throw new Timeout(missing() + ": nothing of it for " + seconds(limit) + because(donor()));
        }
        for (Host host : hosts)
            if (host instanceof ServiceHost service && service.loadError() != null) throw service.loadError();
    }

    private boolean isIn() {
        if (!loaded && view != null && hosts.stream().noneMatch(Host::isLoading)) {
            loaded = true;
            lastProgress = System.nanoTime(); // loading may have taken long
        }
        for (Host host : hosts) if (host instanceof ServiceHost service && service.loadError() != null) return true;
        if (view == null || hosts.stream().anyMatch(Host::isLoading)) return false;
        return view.selfRank() < 0 || view.members().get(view.selfRank()).votes();
    }

    /** Who gives this node its state. */
    private int donor() {
        if (view == null) return Native.ANY_NODE;
        return view.members().stream()
                .filter(Member::hasState)
                .mapToInt(Member::node)
                .findFirst()
                .orElse(Native.ANY_NODE);
    }

    private String missing() {
        if (view == null) return "joined, but no view was installed";
        if (hosts.stream().noneMatch(Host::isLoading))
            return "joined as part of " + view + " and has the state, but no view came in which it votes";
        return "joined as part of " + view + ", but the state of "
                + hosts.stream().filter(Host::isLoading).map(host -> host.name).collect(Collectors.joining(", "))
                + " did not come";
    }

    // ---------------------------------------------------------------------------------------- sending

    /**
     * Write an ordered call straight into the ring, and send it.
     *
     * @param answers who waits for its events; null when nobody does
     */
    void call(Shard shard, int method, Encoder.Message args, CallTable.Answers answers) {
        if (end != null) throw end;
        final Encoder encoder = Encoder.measure(args);
        final int flags = answers == null ? 0 : Native.CALL_REPLY;
        final Claim claim = shard.unguardedClaim();
        retrying(() -> claim.open(method, flags, encoder.size()));
        try {
            encoder.fill(args, claim.memory());
            retrying(() -> commit(claim, answers));
        } finally {
            claim.abort();
        }
        if (end != null && answers != null) answers.fail(end);
    }

    private int commit(Claim claim, CallTable.Answers answers) {
        if (answers == null) return claim.commitCode(claim.size());
        return calls.send(() -> claim.commitCode(claim.size()), claim::id, answers);
    }

    <T> Reply<T> query(
            Shard shard, String where, int node, int method, Encoder.Message args, Function<Decoder, T> decode) {
        if (end != null) throw end;
        final Reply<T> reply = new Reply<>(this, where, node, decode);
        final MemorySegment message = MemorySegment.ofArray(Encoder.encode(args));
        final long[] call = new long[1];
        retrying(() -> calls.send(() -> shard.queryCode(node, method, message, call), () -> call[0], reply));
        if (end != null) reply.fail(end);
        return reply;
    }

    Transfer read(int node, MemoryKey key, long offset, List<RegisteredMemory.Part> parts) {
        final long[] id = new long[1];
        return begin("read", node, parts, id, () -> group.readCode(node, key, offset, parts, id));
    }

    Transfer write(int node, MemoryKey key, long offset, List<RegisteredMemory.Part> parts) {
        final long[] id = new long[1];
        return begin("write", node, parts, id, () -> group.writeCode(node, key, offset, parts, id));
    }

    private Transfer begin(
            String what, int node, List<RegisteredMemory.Part> parts, long[] id, IntSupplier attempt) {
        if (end != null) throw end;
        final long bytes = parts.stream().mapToLong(RegisteredMemory.Part::sizeBytes).sum();
        final String name = what + " of " + bytes + " bytes at node " + Integer.toUnsignedString(node);
        final Transfer transfer = new Transfer(this, name, node, bytes);
        retrying(() -> calls.send(attempt, () -> id[0], transfer));
        if (end != null) transfer.fail(end);
        return transfer;
    }

    /** This node if it is a member, else the first member. */
    int nearest() {
        final View now = view;
        if (now == null || now.members().isEmpty()) throw new Closed("there is no view to send a query to");
        return now.members().get(Math.max(now.selfRank(), 0)).node();
    }

    // ---------------------------------------------------------------------------------------- dispatching

    @Override
    public void dispatch(EventBatch events) {
        for (int i = 0; i < events.count() && end == null; i++) {
            try {
                dispatch(events, i);
            } catch (DerechoError error) { // the group ended under the handler: the next poll says so
                log(System.Logger.Level.DEBUG, "an event was not answered", error);
            } catch (Throwable error) { // handlers' own are caught before
                failed("the handling of an event", error);
            }
        }
    }

    // ---------------------------------------------------------------------------------------- the application's code

    /** Log; whatever the application has made of logging, the driver goes on. */
    static void log(System.Logger.Level level, String text, Throwable error) {
        try {
            LOG.log(level, text, error);
        } catch (Throwable ignored) { // there is nobody left to be told
        }
    }

    /** Run a function of the application's that no caller waits for. */
    void run(String where, Runnable function) {
        try {
            function.run();
        } catch (Throwable error) {
            failed(where, error);
        }
    }

    /**
     * Something came out of the application's code. It is logged; if it says that this process cannot go on, rather than
     * that one call failed, this node leaves in good order.
     */
    @Override
    public void failed(String where, Throwable error) {
        log(System.Logger.Level.ERROR, where + " failed", error);
        if (endsNode(error)) leaveBecause(where, error);
    }

    /** No memory, a broken machine: a replica that goes on may have done the half of something. */
    static boolean endsNode(Throwable error) {
        return error instanceof VirtualMachineError && !(error instanceof StackOverflowError)
                || error.getClass().getName().equals("java.lang.ThreadDeath");
    }

    void leaveBecause(String where, Throwable error) {
        final Closed why;
        synchronized (this) {
            if (end != null) return;
            why = new Closed("this node left the group, because " + where + " threw " + ServiceHost.describe(error));
            end = why;
        }
        try {
            group.leave(LEAVE_AFTER_FAILURE);
        } catch (DerechoError late) {
            log(System.Logger.Level.WARNING, "leaving", late);
        }
        ended(why);
    }

    private void dispatch(EventBatch events, int i) {
        switch (events.kindCode(i)) {
            case Native.EVENT_MESSAGE -> hosts.get(events.shard(i)).onMessage(events, i);
            case Native.EVENT_CALL, Native.EVENT_QUERY -> hosts.get(events.shard(i)).onCall(events, i);
            case Native.EVENT_ORDERED -> onOrdered(events, i);
            case Native.EVENT_REPLY, Native.EVENT_MEMORY -> onReply(events, i);
            case Native.EVENT_VIEW -> onView(group.view());
            case Native.EVENT_STATE_REQUEST -> hosts.get(events.shard(i)).onStateRequest(events, i);
            case Native.EVENT_STATE -> onState(events, i);
            case Native.EVENT_CLOSED -> onClosed(events.status(i));
            case Native.EVENT_DIFFERENCE -> onDifference(events, i);
            default -> {} // of a later library
        }
    }

    private void onOrdered(EventBatch events, int i) {
        final CallTable.Answers answers = calls.find(events.id(i));
        if (answers != null) answers.order(events, i);
    }

    private void onReply(EventBatch events, int i) {
        if (events.status(i) == Status.CLOSED) return; // what ended the group fails it, at once
        final CallTable.Answers answers = calls.find(events.id(i));
        if (answers != null && answers.take(events, i)) calls.remove(events.id(i));
    }

    private void onState(EventBatch events, int i) {
        final Host host = hosts.get(events.shard(i));
        if (events.status(i) == Status.OK) {
            lastProgress = System.nanoTime();
            if ((events.flags(i) & Flags.FIRST) != 0) host.arrive(lastProgress);
            final Progress progress = host.arrived(events.bytes(i).length, events.version(i), lastProgress);
            tell(progress);
        }
        host.onState(events, i);
    }

    private void tell(Progress progress) {
        if (onProgress != null) run("onProgress", () -> onProgress.accept(progress));
    }

    private void onView(View next) {
        final boolean first = view == null;
        if (first && next.selfRank() >= 0 && !next.members().get(next.selfRank()).hasState())
            hosts.forEach(Host::expectState);
        views.add(next);
        view = next;
        for (Consumer<View> function : onView) run("onView", () -> function.accept(next));
    }

    private void onDifference(EventBatch events, int i) {
        final int node = events.node(i);
        final var whose = node == Native.ANY_NODE ? OptionalInt.empty() : OptionalInt.of(node);
        final String text = new String(events.bytes(i), StandardCharsets.UTF_8);
        final var difference = new Difference(hosts.get(events.shard(i)).name, events.version(i), whose, text);
        log(System.Logger.Level.WARNING, text, null);
        for (Consumer<Difference> function : onDifference) run("onDifference", () -> function.accept(difference));
    }

    private void onClosed(Status status) {
        ended(status.error(explain(status)));
    }

    private String explain(Status status) {
        final String text =
                switch (status) {
                    case CLOSED -> "this node left the group";
                    case EJECTED -> "the others removed this node from the group: close it and join again";
                    case NO_MAJORITY -> "half or more of the members that vote were lost, so this node stopped, lest"
                            + " two halves go separate ways: close the group, then join again or start afresh";
                    case NO_MEMORY -> "this node lacks memory or descriptors: close the group, and join again when it has"
                            + " them";
                    case DIFFERS -> "replicas differ, and option digest_policy is stop";
                    case STATE_LOST -> "every member that had the state is gone: close the group and start afresh";
                    case INCOMPATIBLE -> "this node cannot be with that group any more: close it";
                    default -> "the group ended with status " + status;
                };
        try {
            group.leave(Duration.ZERO); // does nothing any more but tell the details
            return text;
        } catch (DerechoError error) {
            return error.status() == status ? text + " (" + error.getMessage() + ")" : text;
        }
    }

    @Override
    public boolean retry() {
        return outbox.retry();
    }

    /** Nothing more will come: whoever waits is told why. */
    @Override
    public void ended(DerechoError error) {
        final List<Consumer<DerechoError>> told;
        final boolean news;
        synchronized (this) {
            news = end == null;
            if (news) end = error;
            told = List.copyOf(onEnd);
            onEnd.clear();
            over = true;
        }
        calls.failAll(end);
        atEnd.run();
        if (news && told.isEmpty() && !(end instanceof Closed)) // the application may not call for a long time
            log(System.Logger.Level.WARNING, "this node is out of its group: " + end.getMessage(), null);
        told.forEach(function -> run("onEnd", () -> function.accept(end)));
    }

    /** Call it once when the group ends for this node; at once if it has. */
    void onEnd(Consumer<DerechoError> function) {
        synchronized (this) {
            if (!over) {
                onEnd.add(function);
                return;
            }
        }
        function.accept(end);
    }
}
