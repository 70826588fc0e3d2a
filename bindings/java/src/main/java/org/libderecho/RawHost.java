package org.libderecho;

import java.util.function.Consumer;

/** A shard of plain messages: a handler gets them, in place. There is no state. */
final class RawHost extends Host {
    private static final System.Logger LOG = System.getLogger("derecho");
    private static final byte[] NOTHING = {};

    private final Consumer<Event> handler;

    RawHost(String name, Outbox outbox, Consumer<Event> handler) {
        super(name, outbox);
        this.handler = handler;
    }

    @Override
    void onMessage(EventBatch events, int i) {
        try {
            handler.accept(events.event(i));
        } catch (Throwable error) {
            LOG.log(System.Logger.Level.ERROR, "the handler of " + name + " failed", error);
        }
    }

    @Override
    void onCall(EventBatch events, int i) {
        if ((events.flags(i) & Flags.REPLY) != 0)
            outbox.answer(events.node(i), events.id(i), Status.UNKNOWN_METHOD, NOTHING);
    }

    @Override
    void onStateRequest(EventBatch events, int i) {
        outbox.state(events.node(i), events.id(i), NOTHING);
    }

    @Override
    void load(byte[] state) {}

    @Override
    void loaded() {}
}
