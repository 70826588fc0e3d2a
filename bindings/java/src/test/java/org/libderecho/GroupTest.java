package org.libderecho;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** The services ring, with members in this process: calls, handlers, waiting, state, views, and the end. */
class GroupTest {
    private static final Duration SHORT = Duration.ofMillis(200);

    private final Nodes nodes = new Nodes();
    private final List<Group> open = new ArrayList<>();
    private final Counter first = new Counter();
    private final Group group = join(first);
    private final Counter.Caller counter = Counter.Caller.of(group);

    private Group join(Counter replica) {
        final Group joined = Group.with(nodes.next()).services(replica).timeout(Nodes.PATIENCE).join();
        open.add(joined);
        return joined;
    }

    @AfterEach
    void close() {
        open.forEach(Group::abandon);
    }

    // ---------------------------------------------------------------------------------------- calls

    @Test
    void every_member_applies_a_call_and_answers() throws Exception {
        final Counter second = new Counter();
        join(second);
        group.waitView(2);
        final Replies<Long> replies = counter.add(5);
        assertEquals(5, replies.result());
        assertEquals(5, replies.get());
        assertEquals(5, replies.join());
        assertEquals(Map.of(1, 5L, 2, 5L), replies.all());
        assertEquals(List.of(1, 2), replies.members());
        assertEquals(5, replies.replies().get(2).result());
        assertEquals(5, second.sum);
        assertEquals(5, counter.totalAt(2).result());
    }

    @Test
    void stages_made_of_an_answer_drive_the_group_too() {
        assertEquals("6", counter.add(6).thenApply(String::valueOf).join());
        assertEquals(9, counter.add(1).thenCombine(counter.add(1), (a, b) -> b + 1).join());
    }

    @Test
    void calls_without_answers_come_in_order_with_the_others() {
        for (int i = 0; i < 1000; i++) counter.addSend(1);
        assertEquals(1000, counter.add(0).result());
    }

    @Test
    void what_a_handler_throws_is_the_callers_remote_error() {
        first.task = argument -> {
            throw new IllegalStateException("not now");
        };
        final var error = assertThrows(RemoteError.class, () -> counter.task(0).result());
        assertEquals(1, error.member());
        assertEquals("IllegalStateException", error.typeName());
        assertEquals("not now", error.text());
        assertThrows(RemoteError.class, () -> counter.task(0).all());
        assertInstanceOf(
                RemoteError.class,
                assertThrows(CompletionException.class, () -> counter.task(0).join()).getCause());
        assertInstanceOf(
                RemoteError.class,
                assertThrows(ExecutionException.class, () -> counter.task(0).get()).getCause());
    }

    @Test
    void members_that_answer_differently_are_told_apart() {
        final Counter second = new Counter();
        join(second);
        join(new Counter());
        group.waitView(3);
        assertEquals(Map.of(1, 5L, 2, 5L, 3, 5L), counter.add(5).all());
        second.sum++;
        final var error = assertThrows(ReplicasDiffer.class, () -> counter.add(1).all());
        assertEquals("Counter.add: replicas differ: node 2 answered 7, nodes 1, 3 answered 6", error.getMessage());
        assertEquals(Map.of(1, 6L, 2, 7L, 3, 6L), error.answers());
        second.task = argument -> {
            throw new IllegalStateException("only here");
        };
        final var failed = assertThrows(ReplicasDiffer.class, () -> counter.task(4).all());
        assertEquals(
                "Counter.task: replicas differ: node 2 failed with IllegalStateException: only here,"
                        + " nodes 1, 3 answered 4",
                failed.getMessage());
        assertInstanceOf(RemoteError.class, failed.answers().get(2));
    }

    @Test
    void a_replica_that_differs_is_named_by_its_digests_and_removed() throws Exception {
        final Nodes compared = new Nodes();
        final List<Group> members = new ArrayList<>();
        final var told = new LinkedBlockingQueue<Difference>();
        final Counter[] replicas = {new Counter(), new Counter(), new Counter()};
        for (Counter replica : replicas) {
            final Config config =
                    compared.next().set("digest", "answers").set("digest_every", "2").set("digest_policy", "eject");
            final Group.Joining joining = Group.with(config).services(replica).timeout(Nodes.PATIENCE);
            if (members.isEmpty()) joining.onDifference(told::add);
            members.add(joining.join());
        }
        open.addAll(members);
        members.getFirst().waitView(3);
        replicas[1].sum++;
        for (int i = 0; i < 2; i++) Counter.Caller.of(members.getFirst()).add(1);
        members.getFirst().waitViewExactly(2);
        final Difference difference = told.take();
        assertEquals("Counter", difference.service());
        assertEquals(2, difference.node().getAsInt());
        assertTrue(difference.text().contains("differs from that of nodes 1, 3"), difference.text());
        while (members.get(1).ended().isEmpty()) Thread.sleep(1);
        final DerechoError why = members.get(1).ended().get();
        assertInstanceOf(Ejected.class, why);
        assertTrue(why.getMessage().contains("node 2 (this one) differs"), why.getMessage());
        assertEquals(1, members.getFirst().stats().differences());
    }

    @Test
    void a_long_error_text_is_cut_between_characters() {
        first.task = argument -> {
            throw new IllegalStateException("\u20ac".repeat(4000));
        };
        final String text = assertThrows(RemoteError.class, () -> counter.task(0).result()).text();
        assertTrue(text.getBytes(StandardCharsets.UTF_8).length <= 4096);
        assertTrue(text.matches("\u20ac+"));
    }

    @Test
    void an_error_of_the_jvm_in_a_handler_does_not_stop_the_group() {
        first.task = argument -> {
            throw new StackOverflowError();
        };
        counter.taskSend(0);
        assertEquals("StackOverflowError", assertThrows(RemoteError.class, () -> counter.task(0).result()).typeName());
        assertEquals(1, counter.add(1).result());
    }

    @Test
    void an_unknown_method_and_a_malformed_message_are_answered() {
        assertEquals(1, assertThrows(UnknownMethod.class, () -> counter.unknown().result()).member());
        final var error = assertThrows(RemoteError.class, () -> counter.malformed().result());
        assertEquals("DecodeError", error.typeName());
        assertEquals("Counter: malformed message: needs 8 bytes, has 3", error.text());
    }

    @Test
    void a_service_that_is_not_there_is_named() {
        final var error = assertThrows(InvalidArgument.class, () -> group.calls("Other", 1));
        assertTrue(error.getMessage().contains("there are: Counter"), error.getMessage());
        assertSame(first, group.local(Counter.class));
    }

    @Test
    void a_config_that_declares_services_already_is_refused() {
        final Config config = new Nodes().next().addService("earlier", 0);
        final var error = assertThrows(InvalidArgument.class, () -> Group.with(config).raw("log", e -> {}).join());
        assertTrue(error.getMessage().contains("declares services already"), error.getMessage());
    }

    // ---------------------------------------------------------------------------------------- waiting

    @Test
    void a_handler_must_not_wait_but_may_send() {
        final AtomicReference<Throwable> seen = new AtomicReference<>();
        first.task = argument -> {
            try {
                counter.add(1).result();
            } catch (InHandler error) {
                seen.set(error);
            }
            return argument;
        };
        assertEquals(3, counter.task(3).result());
        assertInstanceOf(InHandler.class, seen.get());
        assertEquals(1, counter.add(0).result());
    }

    @Test
    void who_waits_drives_and_the_background_drives_otherwise() throws InterruptedException {
        final List<String> threads = Collections.synchronizedList(new ArrayList<>());
        final CountDownLatch handled = new CountDownLatch(1);
        first.task = argument -> {
            threads.add(Thread.currentThread().getName());
            if (argument == 2) handled.countDown();
            return 0;
        };
        for (int i = 0; i < 100; i++) counter.task(1).result(); // from the second on, the background stands aside
        assertTrue(threads.contains(Thread.currentThread().getName()));
        counter.taskSend(2);
        assertTrue(handled.await(5, TimeUnit.SECONDS));
        assertEquals("derecho-pump", threads.getLast());
    }

    /** A replica whose task lasts until the latch is opened. */
    private static Counter blocking(CountDownLatch latch) {
        return blocking(new CountDownLatch(1), latch);
    }

    private static Counter blocking(CountDownLatch started, CountDownLatch latch) {
        final Counter replica = new Counter();
        replica.task = argument -> {
            try {
                started.countDown();
                latch.await();
            } catch (InterruptedException error) {
                throw new AssertionError(error);
            }
            return 0;
        };
        return replica;
    }

    @Test
    void a_wait_that_is_in_vain_says_for_whom() {
        final CountDownLatch blocked = new CountDownLatch(1);
        join(blocking(blocked));
        group.waitView(2);
        final Replies<Long> replies = counter.task(0);
        assertEquals(0, replies.result());
        final var error = assertThrows(Timeout.class, () -> replies.all(SHORT));
        assertEquals("Counter.task: members 2 did not answer within 0.2 s", error.getMessage());
        assertThrows(Timeout.class, () -> counter.totalAt(2).result(SHORT));
        assertThrows(TimeoutException.class, () -> counter.totalAt(2).get(50, TimeUnit.MILLISECONDS));
        blocked.countDown();
        assertEquals(Map.of(1, 0L, 2, 0L), replies.all());
    }

    @Test
    void an_interrupt_ends_a_wait() throws InterruptedException {
        final CountDownLatch blocked = new CountDownLatch(1);
        join(blocking(blocked));
        group.waitView(2);
        counter.task(0).result();
        final Reply<Long> stuck = counter.totalAt(2);
        final Thread waiter = Thread.ofPlatform().start(() -> assertThrows(InterruptedException.class, stuck::get));
        waiter.interrupt();
        waiter.join(5_000);
        assertFalse(waiter.isAlive());
        blocked.countDown();
    }

    @Test
    void a_state_comes_in_pieces_while_calls_wait_and_queries_do_not() {
        first.sum = 7;
        final byte[] whole = first.encodeState();
        first.pieces = new Iterator<>() {
            private int next;

            @Override
            public boolean hasNext() {
                return next < whole.length;
            }

            @Override
            public byte[] next() {
                assertEquals(7, first.sum); // nothing is applied before the last piece is made
                return new byte[] {whole[next++]};
            }
        };
        final List<Progress> seen = Collections.synchronizedList(new ArrayList<>());
        final Counter second = new Counter();
        final Group joined = Group.with(nodes.next())
                .services(second)
                .timeout(Nodes.PATIENCE)
                .onProgress(seen::add)
                .join();
        open.add(joined);
        assertEquals(7, second.sum);
        assertEquals(whole.length, seen.getLast().bytes());
        assertEquals(0, seen.getLast().totalBytes()); // nobody knows how many pieces there will be
        assertEquals(Map.of(1, 8L, 2, 8L), counter.add(1).all());
    }

    @Test
    void a_joiner_is_told_why_there_is_no_state() {
        first.pieces = new Iterator<>() {
            @Override
            public boolean hasNext() {
                throw new IllegalStateException("the disk is gone");
            }

            @Override
            public byte[] next() {
                throw new AssertionError();
            }
        };
        final var error = assertThrows(StateError.class, () -> join(new Counter()));
        assertEquals(
                "member 1 cannot give the state of Counter: IllegalStateException: the disk is gone",
                error.getMessage());
    }

    @Test
    void sixteen_threads_wait_at_once() throws InterruptedException {
        final int threads = 16;
        final int calls = 200;
        final AtomicInteger done = new AtomicInteger();
        final List<Thread> started = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            final Thread.Builder kind = i % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual();
            started.add(kind.start(() -> {
                for (int j = 0; j < calls; j++) counter.add(1).result();
                done.incrementAndGet();
            }));
        }
        for (Thread thread : started) thread.join();
        assertEquals(threads, done.get());
        assertEquals(threads * calls, counter.add(0).result());
    }

    @Test
    void a_client_queries() {
        final Group client = Group.join(nodes.next().set("role", "client"), new Counter());
        open.add(client);
        counter.add(8).result();
        final Counter.Caller asking = Counter.Caller.of(client);
        assertEquals(8, asking.totalAt(1).result());
        assertEquals(-1, client.view().selfRank());
        assertThrows(NotMember.class, () -> asking.add(1));
    }

    // ---------------------------------------------------------------------------------------- state, views

    @Test
    void a_joiner_gets_the_state_and_what_came_meanwhile() throws Exception {
        counter.add(5).result();
        final Counter second = new Counter();
        second.loading = new CountDownLatch(1);
        final CountDownLatch joins = new CountDownLatch(1);
        group.onView(view -> {
            if (view.nodes().equals(List.of(1, 2))) joins.countDown();
        });
        final CompletableFuture<Group> joining = CompletableFuture.supplyAsync(() -> join(second));
        assertTrue(joins.await(10, TimeUnit.SECONDS));
        for (int i = 0; i < 100; i++) counter.addSend(1);
        assertEquals(0, second.sum);
        second.loading.countDown();
        joining.get(10, TimeUnit.SECONDS);
        assertEquals(Map.of(1, 105L, 2, 105L), counter.add(0).all());
    }

    @Test
    void a_state_larger_than_the_mail_comes_in_pieces() {
        first.ballast = new byte[8_000_000];
        first.ballast[7_999_999] = 7;
        final Counter second = new Counter();
        join(second);
        assertArrayEquals(first.ballast, second.ballast);
    }

    /** The donor is a raw member, which decides when the state comes. */
    @Test
    void calls_and_queries_that_overtake_the_state_are_run_after_it() throws Exception {
        final Nodes others = new Nodes();
        final Config config = others.next().addService(Counter.NAME, Counter.SCHEMA_HASH);
        final Counter joiner = new Counter();
        final byte[] one = {1, 0, 0, 0, 0, 0, 0, 0};
        final byte[] state = HexFormat.of().parseHex("0500000000000000" + "10000000" + "00000000"); // a sum of 5
        try (RawGroup donor = RawGroup.join(config, Nodes.PATIENCE);
                EventBatch batch = new EventBatch(64)) {
            final var joining = CompletableFuture.supplyAsync(() -> Group.join(others.next(), joiner));
            final int i = Nodes.await(donor, batch, EventKind.STATE_REQUEST);
            final int node = batch.node(i);
            final long request = batch.id(i);
            final Shard shard = donor.shard(Counter.NAME);
            shard.query(node, 1, one);
            for (int call = 0; call < 10; call++) shard.call(0, 0, one);
            donor.poll(batch, SHORT);
            assertFalse(joining.isDone());
            donor.state(node, request, MemorySegment.ofArray(state), true);
            assertEquals(5, batch.buffer(Nodes.await(donor, batch, EventKind.REPLY)).getLong(0));
            open.add(joining.get());
            assertEquals(15, Counter.Caller.of(open.getLast()).add(0).result());
        }
    }

    @Test
    void a_state_that_cannot_be_loaded_fails_the_join() {
        final Counter broken = new Counter();
        broken.loading = null;
        final var error = assertThrows(StateError.class, () -> join(broken));
        assertTrue(error.getMessage().contains("the state of Counter cannot be loaded"), error.getMessage());
    }

    @Test
    void views_are_told_in_order() {
        final List<View> seen = Collections.synchronizedList(new ArrayList<>());
        group.onView(seen::add);
        final Group second = join(new Counter());
        assertEquals(List.of(1, 2), group.waitView(2).nodes());
        assertEquals(List.of(1, 2), group.waitView(1).nodes()); // one, or more
        assertThrows(Timeout.class, () -> group.waitViewExactly(1, SHORT));
        second.close();
        assertEquals(List.of(1), group.waitView(List.of(1), Nodes.PATIENCE).nodes());
        assertEquals(
                List.of("view 1: {1}", "view 2: {1, 2 joining}", "view 3: {1, 2}", "view 4: {1}"),
                group.views().stream().map(View::toString).toList());
        assertEquals(group.views().subList(1, 4), seen);
        assertThrows(Timeout.class, () -> group.waitView(3, SHORT));
    }

    @Test
    void plain_messages_go_to_their_handler_in_place() throws InterruptedException {
        final List<String> seen = Collections.synchronizedList(new ArrayList<>());
        final CountDownLatch arrived = new CountDownLatch(2);
        final Group with = Group.with(new Nodes().next())
                .services(new Counter())
                .raw("log", event -> {
                    seen.add(StandardCharsets.UTF_8.decode(event.data().asByteBuffer()).toString());
                    arrived.countDown();
                })
                .join();
        open.add(with);
        final Shard log = with.shard("log");
        log.send("one".getBytes());
        with.send(log, "two".getBytes());
        assertTrue(arrived.await(5, TimeUnit.SECONDS));
        assertEquals(List.of("one", "two"), seen);
    }

    // ---------------------------------------------------------------------------------------- the end

    @Test
    void calls_that_are_pending_when_the_group_is_closed_fail_with_closed() throws InterruptedException {
        final CountDownLatch blocked = new CountDownLatch(1);
        join(blocking(blocked));
        group.waitView(2);
        final Replies<Long> replies = counter.task(0);
        final AtomicReference<Throwable> end = new AtomicReference<>();
        final Thread waiter = Thread.ofPlatform().start(() -> {
            try {
                replies.all();
            } catch (DerechoError error) {
                end.set(error);
            }
        });
        Thread.sleep(50);
        group.abandon();
        waiter.join(5_000);
        assertInstanceOf(Closed.class, end.get());
        assertInstanceOf(Closed.class, replies.everyone().exceptionNow());
        assertInstanceOf(Closed.class, replies.replies().get(2).exceptionNow());
        assertThrows(Closed.class, () -> counter.add(1));
        assertThrows(Closed.class, () -> counter.addSend(1));
        assertThrows(Closed.class, () -> group.waitView(5));
        assertInstanceOf(Closed.class, group.ended().orElseThrow());
        group.abandon();
        group.close();
        blocked.countDown();
    }

    @Test
    void a_member_that_leaves_is_missing_from_all_and_one_that_is_asked_is_removed() throws InterruptedException {
        final CountDownLatch started = new CountDownLatch(1);
        final CountDownLatch blocked = new CountDownLatch(1);
        join(new Counter());
        final Group gone = join(blocking(started, blocked));
        group.waitView(3);
        final Replies<Long> replies = counter.task(0);
        assertEquals(List.of(1, 2, 3), replies.members());
        started.await();
        final Reply<Long> query = counter.totalAt(3);
        Thread.startVirtualThread(gone::abandon); // waits for the handler
        assertEquals(Map.of(1, 0L, 2, 0L), replies.all());
        blocked.countDown();
        assertEquals(3, assertThrows(MemberRemoved.class, query::result).member());
    }

    @Test
    void leaving_the_block_leaves_in_good_order() {
        try (Group second = join(new Counter())) {
            assertEquals(3, Counter.Caller.of(second).add(3).result());
        }
        group.waitViewExactly(1);
        assertEquals(3, first.sum);
        assertEquals(1, group.view().members().size());
    }
}
