package org.libderecho;

import java.nio.charset.StandardCharsets;
import java.time.Duration;

/**
 * A read or write of registered memory under way; its value is the number of bytes moved, all there were. It fails with
 * {@link MemberRemoved} when the member left the view first, and with {@link InvalidArgument} when the key opens
 * nothing, does not allow it, or the run reaches beyond the memory's end; with {@link Unreachable} when only RDMA devices
 * reach the memory at one end, and none does.
 */
public final class Transfer extends Pending<Long> implements CallTable.Answers {
    private final int member;
    private final long sizeBytes;

    Transfer(Engine engine, String what, int member, long sizeBytes) {
        super(engine, what);
        this.member = member;
        this.sizeBytes = sizeBytes;
    }

    /** The node whose memory it is. */
    public int member() {
        return member;
    }

    @Override
    public void order(EventBatch events, int i) {} // it has no place in the order

    @Override
    public boolean take(EventBatch events, int i) {
        final Status status = events.status(i);
        if (status == Status.OK) complete(sizeBytes);
        else if (status == Status.REMOVED)
            completeExceptionally(new MemberRemoved(
                    what + ": member " + Integer.toUnsignedString(member) + " left the view first", member));
        else completeExceptionally(status.error(what + ": " + new String(events.bytes(i), StandardCharsets.UTF_8)));
        return true;
    }

    @Override
    public void fail(DerechoError error) {
        completeExceptionally(error);
    }

    @Override
    String late(Duration timeout) {
        return what + ": it has not ended within " + Engine.seconds(timeout);
    }
}
