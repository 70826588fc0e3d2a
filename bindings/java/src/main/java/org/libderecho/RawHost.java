package org.libderecho;

import java.util.function.Consumer;

/** A shard of plain messages: a handler gets them, in place. There is no state. */
final class RawHost extends Host {
    private static final byte[] NOTHING = {};

    private final Engine engine;
    private final Consumer<Event> handler;

    RawHost(String name, Engine engine, Consumer<Event> handler) {
        super(name, engine.outbox);
        this.engine = engine;
        this.handler = handler;
    }

    @Override
    void onMessage(EventBatch events, int i) {
        engine.run("the handler of " + name, () -> handler.accept(events.event(i)));
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
    void loaded(CallContext asOf) {}
}
