package org.libderecho;

import java.io.IOException;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;

/** Nodes of one small group after another, all in this process. */
final class Nodes {
    static final Duration PATIENCE = Duration.ofSeconds(10);

    private static final AtomicInteger GROUPS = new AtomicInteger();

    private final String name = "java" + ProcessHandle.current().pid() + "-" + GROUPS.incrementAndGet();
    private final String contact = "127.0.0.1:" + freePort();
    private int last;

    /** The next node: 1 founds the group. */
    Config next() {
        last++;
        return new Config()
                .node(last)
                .listen(last == 1 ? contact : "127.0.0.1:0")
                .initialMembers(contact)
                .group(name);
    }

    /** A group of one node, with a shard "log" for plain messages. */
    static RawGroup alone() {
        return RawGroup.join(new Nodes().next().addService("log", 0), PATIENCE);
    }

    /** Poll until there is an event of this kind; its index in the batch. */
    static int await(RawGroup group, EventBatch batch, EventKind kind) {
        final long deadline = System.nanoTime() + PATIENCE.toNanos();
        while (System.nanoTime() < deadline) {
            group.poll(batch, Duration.ofMillis(100));
            for (int i = 0; i < batch.count(); i++) if (batch.kind(i) == kind) return i;
        }
        throw new AssertionError("no " + kind);
    }

    private static int freePort() {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        } catch (IOException error) {
            throw new AssertionError(error);
        }
    }
}
