import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Map;
import org.libderecho.Config;
import org.libderecho.DerechoError;
import org.libderecho.EventBatch;
import org.libderecho.EventKind;
import org.libderecho.RawGroup;
import org.libderecho.Shard;
import org.libderecho.Status;
import org.libderecho.View;

/** One member of a benchmark group: joins, answers state requests, follows views. As bench/session.cpp. One thread. */
final class Session {
    private static final String SERVICE = "bench";
    private static final int BATCH = 512; // most events a poll
    private static final long WAIT_NS = 20_000_000;
    private static final Duration LEAVE = Duration.ofSeconds(5);

    /** What a message is handed to, by its place in the batch. */
    interface Take {
        void message(EventBatch batch, int i);
    }

    private record Due(int node, long request) {}

    private final RawGroup group;
    private final Shard shard;
    private final long deadlineNs;
    private final EventBatch batch = new EventBatch(BATCH);
    private final Deque<Due> due = new ArrayDeque<>();
    private View view;
    private boolean closed;

    Session(Map<String, String> settings) {
        final double timeout = Double.parseDouble(settings.getOrDefault("timeout", "60"));
        deadlineNs = System.nanoTime() + (long) (timeout * 1e9);
        final Config config = new Config().set("node", settings.get("node")).listen(settings.get("listen"));
        config.initialMembers(settings.get("contact")).wire(settings.get("wire")).addService(SERVICE, 0);
        group = RawGroup.join(config, Duration.ofMillis((long) (timeout * 1000)));
        shard = group.shard(SERVICE);
    }

    Shard shard() {
        return shard;
    }

    RawGroup group() {
        return group;
    }

    int rank() {
        return view.selfRank();
    }

    /** Take one batch of events, hand over each message, release them; how many events there were. */
    int poll(long timeoutNs, Take take) {
        final int count = group.poll(batch, timeoutNs);
        for (int i = 0; i < count; i++) {
            if (batch.kind(i) == EventKind.MESSAGE) take.message(batch, i);
            else note(i);
        }
        batch.release();
        if (!due.isEmpty()) answer();
        return count;
    }

    private void note(int i) {
        switch (batch.kind(i)) {
            case VIEW -> view = group.view();
            case STATE_REQUEST -> due.add(new Due(batch.node(i), batch.id(i)));
            case CLOSED -> closed = true;
            default -> {}
        }
    }

    /** There is no state: joiners are told so. */
    private void answer() {
        while (!due.isEmpty()) {
            final Due next = due.peek();
            final Status status = group.tryState(next.node, next.request, MemorySegment.NULL, true);
            if (status == Status.AGAIN) return;
            if (status != Status.OK) throw status.error();
            due.remove();
        }
    }

    void waitForMembers(int count) {
        while (view == null || view.voters().size() != count) {
            poll(WAIT_NS, (ignored, i) -> {});
            checkDeadline("the members to join");
        }
    }

    void checkDeadline(String waitingFor) {
        if (System.nanoTime() > deadlineNs) throw new IllegalStateException("gave up waiting for " + waitingFor);
        if (closed) throw new IllegalStateException("the group ended while waiting for " + waitingFor);
    }

    void leave() {
        try {
            group.leave(LEAVE);
        } catch (DerechoError error) { // whoever is last may find that the others are gone already
            if (error.status() != Status.NO_MAJORITY && error.status() != Status.EJECTED) throw error;
        } finally {
            group.close();
        }
    }
}
