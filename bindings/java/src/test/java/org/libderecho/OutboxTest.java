package org.libderecho;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assertions.fail;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.junit.jupiter.api.Test;

/** Answers that wait for room, in a group of one that takes no mail while it is filled. */
class OutboxTest {
    @Test
    void a_too_large_answer_queued_behind_others_is_told_to_its_caller() {
        try (RawGroup group = Nodes.alone();
                EventBatch batch = new EventBatch(64)) {
            final long call = group.shard("log").call(0, Flags.REPLY, new byte[0]);
            final byte[] large = new byte[200_000];
            final Outbox outbox = new Outbox(group, 1000);
            while (!outbox.retry()) outbox.answer(1, 0, Status.OK, large);
            outbox.answer(1, call, Status.OK, new byte[1 << 20]);
            for (int turn = 0; turn < 1000; turn++) {
                group.poll(batch, Duration.ofMillis(10));
                for (Event event : batch) {
                    if (event.kind() != EventKind.REPLY) continue;
                    assertEquals(Status.REMOTE_ERROR, event.status());
                    final String said = StandardCharsets.UTF_8.decode(event.data().asByteBuffer()).toString();
                    assertTrue(said.startsWith("TooLarge: 1048576 bytes"), said);
                    return;
                }
                outbox.retry();
            }
            fail("no answer came within 10 s");
        }
    }
}
