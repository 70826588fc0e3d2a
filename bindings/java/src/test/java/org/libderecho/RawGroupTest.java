package org.libderecho;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The raw ring: payloads in place, statuses as exceptions, and that misuse is an error, never a crash. */
class RawGroupTest {
    private final RawGroup group = Nodes.alone();
    private final Shard shard = group.shard("log");
    private final EventBatch batch = new EventBatch(64);

    @AfterEach
    void close() {
        batch.close();
        group.close();
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private int await(EventKind kind) {
        return Nodes.await(group, batch, kind);
    }

    // ---------------------------------------------------------------------------------------- sending, receiving

    @Test
    void a_message_arrives_in_place_with_its_ticket() {
        final long ticket = shard.send(utf8("hello"));
        final int i = await(EventKind.MESSAGE);
        assertArrayEquals(utf8("hello"), batch.bytes(i));
        assertEquals('h', batch.data(i).get(JAVA_BYTE, 0));
        assertEquals('o', batch.buffer(i).get(4));
        assertEquals(ticket, batch.id(i));
        assertEquals(1, batch.node(i));
        assertEquals(Flags.OWN, batch.flags(i));
        assertTrue(batch.timestampNs(i) > 0);
    }

    @Test
    void arrays_buffers_and_segments_are_sent_alike() {
        final ByteBuffer direct = ByteBuffer.allocateDirect(8).put(utf8("..abc...")).position(2).limit(5);
        assertEquals(Status.OK, shard.trySend(utf8("abc")));
        assertEquals(Status.OK, shard.trySend(direct));
        assertEquals(Status.OK, shard.trySend(ByteBuffer.wrap(utf8("abc")).asReadOnlyBuffer()));
        assertEquals(Status.OK, shard.trySend(MemorySegment.ofArray(utf8("abc"))));
        int found = 0;
        while (found < 4) {
            await(EventKind.MESSAGE);
            for (Event event : batch) {
                if (event.kind() != EventKind.MESSAGE) continue;
                assertArrayEquals(utf8("abc"), event.data().toArray(JAVA_BYTE));
                found++;
            }
        }
        assertEquals(2, direct.position());
    }

    @Test
    void a_batch_of_messages_goes_in_one_call_and_is_reused() {
        final MessageBatch messages = new MessageBatch(3, 100);
        for (int round = 0; round < 3; round++) {
            assertTrue(messages.add(utf8("one")));
            assertTrue(messages.add(MemorySegment.ofArray(utf8("two"))));
            messages.memory().set(JAVA_LONG, messages.reserve(8), 3);
            assertFalse(messages.add(utf8("no room for a fourth")));
            shard.sendMany(messages);
            assertEquals(0, messages.count());
        }
        assertEquals(-1, new MessageBatch(3, 8).reserve(9));
    }

    @Test
    void a_full_ring_is_a_status_or_an_exception_and_what_was_sent_arrives() {
        final byte[] big = new byte[1 << 18];
        int sent = 0;
        while (shard.trySend(big) == Status.OK) sent++;
        assertThrows(RingFull.class, () -> shard.send(big));
        final MessageBatch messages = new MessageBatch(1, big.length);
        messages.add(big);
        assertEquals(Status.AGAIN, shard.trySendMany(messages));
        assertEquals(1, messages.count());
        for (int received = 0; received < sent; received++) {
            final int i = await(EventKind.MESSAGE);
            received += batch.count() - i - 1;
        }
    }

    @Test
    void calls_and_queries_are_answered() {
        final long call = shard.call(7, Flags.REPLY, utf8("args"));
        final int i = await(EventKind.CALL);
        assertEquals(7, batch.method(i));
        group.reply(batch.node(i), batch.id(i), Status.OK, utf8("fine"));
        final int reply = await(EventKind.REPLY);
        assertEquals(call, batch.id(reply));
        assertArrayEquals(utf8("fine"), batch.bytes(reply));

        final long query = shard.query(1, 8, utf8("args"));
        final int asked = await(EventKind.QUERY);
        group.reply(batch.node(asked), batch.id(asked), Status.REMOTE_ERROR, utf8("T: text"));
        final int answer = await(EventKind.REPLY);
        assertEquals(query, batch.id(answer));
        assertEquals(Status.REMOTE_ERROR, batch.status(answer));
    }

    // ---------------------------------------------------------------------------------------- lifetimes

    @Test
    void released_data_cannot_be_read() {
        shard.send(utf8("hello"));
        final int i = await(EventKind.MESSAGE);
        final MemorySegment data = batch.data(i);
        final ByteBuffer buffer = batch.buffer(i);
        batch.release();
        batch.release();
        assertThrows(IllegalStateException.class, () -> data.get(JAVA_BYTE, 0));
        assertThrows(IllegalStateException.class, () -> buffer.get(0));
        assertThrows(IllegalStateException.class, () -> batch.size(i));
    }

    @Test
    void data_of_a_closed_group_stays_readable_until_its_release() {
        shard.send(utf8("hello"));
        final int i = await(EventKind.MESSAGE);
        group.close();
        assertArrayEquals(utf8("hello"), batch.bytes(i));
        batch.release();
    }

    @Test
    void data_cannot_be_written_or_overrun() {
        shard.send(utf8("hello"));
        final MemorySegment data = batch.data(await(EventKind.MESSAGE));
        assertThrows(IllegalArgumentException.class, () -> data.set(JAVA_BYTE, 0, (byte) 1));
        assertThrows(IndexOutOfBoundsException.class, () -> data.get(JAVA_BYTE, 5));
    }

    @Test
    void an_index_beyond_the_batch_is_refused() {
        shard.send(utf8("hello"));
        await(EventKind.MESSAGE);
        assertThrows(IndexOutOfBoundsException.class, () -> batch.size(batch.count()));
        assertThrows(IndexOutOfBoundsException.class, () -> batch.size(-1));
    }

    @Test
    void a_claim_is_filled_in_place_and_gone_after_its_commit() {
        final Claim claim = shard.claim(16);
        final MemorySegment data = claim.data();
        data.set(JAVA_LONG, 0, 42);
        claim.commit(8);
        assertThrows(IllegalStateException.class, () -> data.set(JAVA_LONG, 0, 43));
        assertThrows(IllegalStateException.class, claim::commit);
        assertThrows(IllegalStateException.class, claim::data);
        final int i = await(EventKind.MESSAGE);
        assertEquals(8, batch.size(i));
        assertEquals(42, batch.data(i).get(JAVA_LONG, 0));
    }

    @Test
    void a_claim_is_reused_and_one_left_open_is_aborted() {
        final Claim claim = shard.newClaim();
        assertEquals(Status.OK, shard.tryClaim(claim, 8));
        assertThrows(IllegalStateException.class, () -> shard.tryClaim(claim, 8));
        claim.close();
        assertFalse(claim.isOpen());
        try (Claim second = shard.claim(8)) {
            second.buffer().putLong(1);
        }
        assertEquals(Status.OK, shard.tryClaim(claim, 8));
        claim.data().set(JAVA_LONG, 0, 2);
        claim.commit();
        assertEquals(2, batch.data(await(EventKind.MESSAGE)).get(JAVA_LONG, 0));
    }

    @Test
    void a_claim_is_filled_value_by_value_within_its_bounds() {
        final Claim claim = shard.claim(24);
        claim.putInt(0, 1);
        claim.putLong(4, 2);
        claim.putDouble(12, 0.5);
        claim.put(20, utf8("ab"));
        claim.put(22, MemorySegment.ofArray(utf8("cd")));
        assertThrows(IndexOutOfBoundsException.class, () -> claim.putLong(17, 1));
        assertThrows(IndexOutOfBoundsException.class, () -> claim.put(-1, utf8("a")));
        claim.commit();
        assertThrows(IllegalStateException.class, () -> claim.putInt(0, 1));
        final ByteBuffer data = batch.buffer(await(EventKind.MESSAGE));
        assertEquals(1, data.getInt(0));
        assertEquals(2, data.getLong(4));
        assertEquals(0.5, data.getDouble(12));
        assertEquals("abcd", StandardCharsets.UTF_8.decode(data.position(20)).toString());
    }

    @Test
    void using_more_than_was_claimed_is_refused_and_the_claim_stays_open() {
        final Claim claim = shard.claim(8);
        assertThrows(InvalidArgument.class, () -> claim.commit(9));
        assertThrows(InvalidArgument.class, () -> claim.commit(-1));
        claim.data().set(JAVA_LONG, 0, 3);
        claim.commit(8);
        assertEquals(3, batch.data(await(EventKind.MESSAGE)).get(JAVA_LONG, 0));
    }

    @Test
    void what_is_forgotten_is_given_back_by_the_collector() throws InterruptedException {
        final byte[] big = new byte[1 << 18];
        for (int round = 0; round < 3; round++) {
            while (shard.trySend(big) == Status.OK) {}
            forgetBatches();
            long waited = 0;
            while (shard.trySend(big) != Status.OK) { // full until a cleaner has released all that was delivered
                assertTrue(waited++ < 1000, "no lease was released");
                System.gc();
                Thread.sleep(5);
                group.poll(batch, 0);
                batch.release();
            }
        }
    }

    @Test
    void an_open_claim_that_is_forgotten_is_aborted_by_the_collector() throws InterruptedException {
        final int size = 1 << 20;
        while (forgetClaim(size)) {}
        long waited = 0;
        while (shard.trySend(new byte[size]) != Status.OK) { // full until the claims are aborted, and their room passed
            assertTrue(waited++ < 1000, "no claim was aborted");
            System.gc();
            Thread.sleep(5);
            group.poll(batch, 0);
            batch.release();
        }
    }

    private boolean forgetClaim(long size) {
        return shard.tryClaim(shard.newClaim(), size) == Status.OK;
    }

    private void forgetBatches() {
        for (int i = 0; i < 100; i++) {
            final EventBatch forgotten = new EventBatch(64);
            if (group.poll(forgotten, 0) > 0 && forgotten.size(0) > 0) forgotten.data(0);
        }
    }

    // ---------------------------------------------------------------------------------------- errors

    @Test
    void a_closed_group_says_so_everywhere() {
        final Claim claim = shard.claim(8);
        group.close();
        group.close();
        assertEquals(Status.CLOSED, group.tryClose());
        assertThrows(Closed.class, () -> shard.send(utf8("x")));
        assertEquals(Status.CLOSED, shard.trySend(utf8("x")));
        assertThrows(Closed.class, () -> group.poll(batch, 0));
        assertThrows(Closed.class, group::view);
        assertThrows(Closed.class, group::wake);
        assertThrows(Closed.class, () -> group.shard("log"));
        claim.data().set(JAVA_LONG, 0, 1); // the memory is still there
        assertThrows(Closed.class, claim::commit);
    }

    @Test
    void errors_carry_the_sentence_of_the_core() {
        final var noService = assertThrows(InvalidArgument.class, () -> group.shard("none"));
        assertTrue(noService.getMessage().contains("there are: log"), noService.getMessage());
        assertEquals(Status.INVALID, noService.status());
        final var tooLarge = assertThrows(TooLarge.class, () -> shard.send(new byte[1 << 21]));
        assertTrue(tooLarge.getMessage().contains("1048576"), tooLarge.getMessage());
        assertThrows(NotMember.class, () -> shard.query(99, 0, new byte[0]));
        try (Config config = new Config()) {
            assertThrows(InvalidArgument.class, () -> config.set("nonsense", "1"));
            assertThrows(InvalidArgument.class, () -> config.set("group", "a\0b"));
            assertThrows(InvalidArgument.class, () -> config.set("group", "a\n"));
            assertThrows(InvalidArgument.class, () -> config.addService("a\0", 0));
            config.close();
            assertThrows(Closed.class, () -> config.set("node", "1"));
        }
    }

    @Test
    void view_and_stats_tell_of_this_node() {
        assertEquals(List.of(), group.view().nodes()); // no event has told of it yet
        await(EventKind.VIEW);
        assertEquals(List.of(1), group.view().nodes());
        assertEquals(0, group.view().selfRank());
        assertTrue(group.view().members().getFirst().hasState());
        assertTrue(group.stats().memoryBytes() > 0);
        assertTrue(group.fd() >= 0);
    }

    @Test
    void wake_ends_a_poll() throws InterruptedException {
        while (group.poll(batch, Duration.ofMillis(50)) > 0) {}
        final Thread poller = Thread.ofPlatform().start(() -> group.poll(new EventBatch(1), Duration.ofSeconds(60)));
        Thread.sleep(50);
        group.wake();
        poller.join(5_000);
        assertFalse(poller.isAlive());
    }

    @Test
    void closing_ends_calls_that_are_in_progress() throws InterruptedException {
        final Thread poller = Thread.ofPlatform().start(() -> {
            try (EventBatch own = new EventBatch(8)) {
                assertThrows(Closed.class, () -> {
                    while (true) group.poll(own, Duration.ofSeconds(60));
                });
            }
        });
        Thread.sleep(50);
        group.close();
        poller.join(5_000);
        assertFalse(poller.isAlive());
    }
}
