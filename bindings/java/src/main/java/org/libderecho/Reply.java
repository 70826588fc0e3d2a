package org.libderecho;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.function.Function;

/** The answer of one member. */
public final class Reply<T> extends Pending<T> implements CallTable.Answers {
    private final int member;
    private final Function<Decoder, T> decode;
    private volatile boolean answer; // not that it was removed
    private volatile long digest; // of the answer to an ordered call

    Reply(Engine engine, String what, int member, Function<Decoder, T> decode) {
        super(engine, what);
        this.member = member;
        this.decode = decode;
    }

    /** The node that answers. */
    public int member() {
        return member;
    }

    boolean isAnswer() {
        return answer;
    }

    long digest() {
        return digest;
    }

    @Override
    public void order(EventBatch events, int i) {} // queries have no place in the order

    @Override
    public boolean take(EventBatch events, int i) {
        final Status status = events.status(i);
        digest = events.version(i);
        answer = status != Status.REMOVED;
        if (status != Status.OK) {
            completeExceptionally(failure(status, new String(events.bytes(i), StandardCharsets.UTF_8)));
            return true;
        }
        try {
            complete(decode.apply(new Decoder(events.data(i), false)));
        } catch (RuntimeException error) {
            completeExceptionally(error);
        }
        return true;
    }

    @Override
    public void fail(DerechoError error) {
        completeExceptionally(error);
    }

    private DerechoError failure(Status status, String text) {
        final String who = what + ": member " + Integer.toUnsignedString(member);
        return switch (status) {
            case REMOTE_ERROR -> {
                final String[] parts = text.split(": ", 2);
                yield new RemoteError(member, parts[0], parts.length > 1 ? parts[1] : "", what);
            }
            case REMOVED -> new MemberRemoved(who + " left the view before it answered", member);
            case UNKNOWN_METHOD -> new UnknownMethod(who + " has no such method", member);
            default -> status.error(text.isEmpty() ? who + " answered with status " + status : text);
        };
    }

    @Override
    String late(Duration timeout) {
        return what + ": member " + Integer.toUnsignedString(member) + " did not answer within "
                + Engine.seconds(timeout) + engine.because(member);
    }
}
