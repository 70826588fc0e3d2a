package org.libderecho;

import java.util.function.Function;

/** One service of one group, as generated callers see it. Threads: any. */
public final class Calls {
    private final Engine engine;
    private final Shard shard;

    Calls(Engine engine, Shard shard) {
        this.engine = engine;
        this.shard = shard;
    }

    /**
     * Call a method at every member; waits for room in the ring, and for a view change to finish, at most the group's
     * time-out.
     *
     * @param where what errors call it, such as {@code "Cache.put"}
     * @throws EncodeError for an argument that does not fit
     */
    public <T> Replies<T> call(String where, int method, Encoder.Message args, Function<Decoder, T> decode) {
        final Replies<T> replies = new Replies<>(engine, where, decode);
        engine.call(shard, method, args, replies);
        return replies;
    }

    /** As {@link #call}, without answers. */
    public void send(int method, Encoder.Message args) {
        engine.call(shard, method, args, null);
    }

    /** Call a method at one node. */
    public <T> Reply<T> query(
            String where, int node, int method, Encoder.Message args, Function<Decoder, T> decode) {
        return engine.query(shard, where, node, method, args, decode);
    }

    /** The node that a query goes to when none is named: this one if it is a member, else the first. */
    public int nearest() {
        return engine.nearest();
    }
}
