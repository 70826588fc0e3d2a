package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_INT_UNALIGNED;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * The answers of all members to an ordered call. As a future it is the <em>first</em> answer: members are replicas, so
 * one tells what all will say. {@link #all} waits for everybody, which also means that everybody has applied the call;
 * {@link #members} only for its place in the order.
 */
public final class Replies<T> extends Pending<T> implements CallTable.Answers {
    private final Function<Decoder, T> decode;
    private final Pending<List<Integer>> ordered;
    private final Pending<Map<Integer, T>> everyone;
    private volatile Map<Integer, Reply<T>> replies = Map.of(); // by node, in order of rank, once ordered
    private int arrived; // the driver's

    Replies(Engine engine, String what, Function<Decoder, T> decode) {
        super(engine, what);
        this.decode = decode;
        ordered = new Pending<>(engine, what + ": its place in the order");
        everyone = new Pending<>(engine, what + ": the answers of all members");
    }

    /** The nodes that owe an answer, by rank; done once the call is ordered. */
    public Pending<List<Integer>> ordered() {
        return ordered;
    }

    /** What {@link #all} waits for. */
    public Pending<Map<Integer, T>> everyone() {
        return everyone;
    }

    /** Wait until the call is ordered; the nodes that apply and answer it, by rank. */
    public List<Integer> members() {
        return ordered.result();
    }

    /** Wait until the call is ordered; each member's own answer, by rank. */
    public Map<Integer, Reply<T>> replies() {
        ordered.result();
        return replies;
    }

    /** As {@link #all(Duration)}, waiting at most the group's time-out. */
    public Map<Integer, T> all() {
        return all(engine.timeout);
    }

    /**
     * Wait for every member that was in the view when the call was ordered.
     *
     * @return node to value, by rank; without members that left before they answered
     * @throws ReplicasDiffer if they did not all answer alike, in values, or in that some of them failed
     * @throws RemoteError if the handler failed at all of them: the first such, by rank
     * @throws MemberRemoved if every one of them left
     * @throws Timeout naming who did not answer
     */
    public Map<Integer, T> all(Duration timeout) {
        try {
            return everyone.result(timeout);
        } catch (Timeout error) {
            if (everyone.isDone()) throw error;
            throw new Timeout(what + ": " + missing() + " within " + Engine.seconds(timeout) + engine.because(firstMissing()));
        }
    }

    private int firstMissing() {
        return replies.values().stream()
                .filter(reply -> !reply.isDone())
                .mapToInt(Reply::member)
                .findFirst()
                .orElse(Native.ANY_NODE);
    }

    private String missing() {
        if (replies.isEmpty()) return "it was not ordered";
        return replies.values().stream()
                .filter(reply -> !reply.isDone())
                .map(reply -> Integer.toUnsignedString(reply.member()))
                .collect(Collectors.joining(", ", "members ", " did not answer"));
    }

    @Override
    public void order(EventBatch events, int i) {
        final var nodes = events.data(i);
        final Map<Integer, Reply<T>> owed = new LinkedHashMap<>();
        for (long at = 0; at < nodes.byteSize(); at += 4) {
            final int node = nodes.get(JAVA_INT_UNALIGNED, at);
            owed.put(node, new Reply<>(engine, what, node, decode));
        }
        replies = owed;
        ordered.complete(List.copyOf(owed.keySet()));
    }

    @Override
    public boolean take(EventBatch events, int i) {
        final Reply<T> reply = replies.get(events.node(i));
        if (reply == null || reply.isDone()) return false;
        reply.take(events, i);
        final boolean last = ++arrived == replies.size();
        if (events.status(i) != Status.REMOVED) reply.whenComplete(this::finish);
        else if (last) completeExceptionally(new MemberRemoved(what + ": every member left before it answered", 0));
        if (last) finishEveryone();
        return last;
    }

    private void finish(T value, Throwable error) {
        if (error == null) complete(value);
        else completeExceptionally(error);
    }

    private void finishEveryone() {
        final ReplicasDiffer differ = ReplicasDiffer.among(what, replies.values());
        if (differ != null) {
            everyone.completeExceptionally(differ);
            return;
        }
        final Map<Integer, T> values = new LinkedHashMap<>();
        final List<Throwable> failures = new ArrayList<>();
        replies.forEach((node, reply) -> {
            if (!reply.isCompletedExceptionally()) values.put(node, reply.getNow(null));
            else if (!(reply.exceptionNow() instanceof MemberRemoved)) failures.add(reply.exceptionNow());
        });
        if (!failures.isEmpty()) everyone.completeExceptionally(failures.getFirst());
        else if (values.isEmpty()) everyone.completeExceptionally(exceptionNow());
        else everyone.complete(values);
    }

    @Override
    public void fail(DerechoError error) {
        replies.values().forEach(reply -> reply.fail(error));
        ordered.completeExceptionally(error);
        everyone.completeExceptionally(error);
        completeExceptionally(error);
    }
}
