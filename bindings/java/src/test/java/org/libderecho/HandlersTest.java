package org.libderecho;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * Whatever a handler throws, its caller is told what and where, and no thread dies leaving a member that answers
 * nothing. What says that the process cannot go on ends the node in good order.
 */
class HandlersTest {
    private static final class NoText extends RuntimeException {
        @Override
        public String getMessage() {
            throw new IllegalStateException("no text");
        }
    }

    private static final class NoTextAtAll extends Error {
        @Override
        public String getMessage() {
            throw new StackOverflowError();
        }
    }

    private static final class OwnError extends Error {}

    private static final class Checked extends Exception {}

    private static final Map<String, Supplier<Throwable>> FAILS = new LinkedHashMap<>();
    private static final Map<String, Supplier<Throwable>> ENDS = new LinkedHashMap<>();

    static {
        FAILS.put("IllegalStateException", () -> new IllegalStateException("no"));
        FAILS.put("NullPointerException", NullPointerException::new);
        FAILS.put("Checked", Checked::new);
        FAILS.put("InterruptedException", InterruptedException::new);
        FAILS.put("CancellationException", CancellationException::new);
        FAILS.put("NoText", NoText::new);
        FAILS.put("NoTextAtAll", NoTextAtAll::new);
        FAILS.put("OwnError", OwnError::new);
        FAILS.put("AssertionError", AssertionError::new);
        FAILS.put("StackOverflowError", StackOverflowError::new);
        FAILS.put("NoClassDefFoundError", NoClassDefFoundError::new);
        FAILS.put("ExceptionInInitializerError", ExceptionInInitializerError::new);
        FAILS.put("RingFull", () -> new RingFull("mine"));
        FAILS.put("Closed", () -> new Closed("mine"));
        FAILS.put("Timeout", () -> new Timeout("mine"));
        ENDS.put("OutOfMemoryError", OutOfMemoryError::new);
        ENDS.put("InternalError", java.lang.InternalError::new);
        ENDS.put("UnknownError", UnknownError::new);
    }

    private final List<Group> open = new ArrayList<>();

    @AfterEach
    void close() {
        open.forEach(Group::abandon);
        open.clear();
    }

    @SuppressWarnings("unchecked")
    private static <E extends Throwable> void sneak(Throwable error) throws E {
        throw (E) error;
    }

    private Group join(Nodes nodes, Counter replica) {
        open.add(Group.with(nodes.next()).services(replica).timeout(Nodes.PATIENCE).join());
        return open.get(open.size() - 1);
    }

    @TestFactory
    List<DynamicTest> whatever_a_handler_throws_its_caller_is_told() {
        final List<DynamicTest> tests = new ArrayList<>();
        FAILS.forEach((name, error) -> tests.add(DynamicTest.dynamicTest(name, () -> told(name, error, false))));
        ENDS.forEach((name, error) -> tests.add(DynamicTest.dynamicTest(name, () -> told(name, error, true))));
        return tests;
    }

    private void told(String name, Supplier<Throwable> error, boolean ends) throws Exception {
        final Nodes nodes = new Nodes();
        final Group group = join(nodes, new Counter());
        final Counter bad = new Counter();
        bad.task = argument -> {
            HandlersTest.<RuntimeException>sneak(error.get());
            return 0;
        };
        final Group second = join(nodes, bad);
        group.waitView(2);
        final CountDownLatch ended = new CountDownLatch(1);
        second.onEnd(why -> ended.countDown());
        final Counter.Caller counter = Counter.Caller.of(group);
        final Replies<Long> replies = counter.task(5);
        assertEquals(5, replies.replies().get(1).result());
        final var failure =
                assertThrows(RemoteError.class, () -> replies.replies().get(2).result());
        assertEquals(name, failure.typeName());
        assertTrue(failure.getMessage().startsWith("Counter.task at member 2"), failure.getMessage());
        bad.task = argument -> argument;
        if (ends) {
            assertTrue(ended.await(10, TimeUnit.SECONDS));
            assertTrue(second.ended().orElseThrow().getMessage().contains("threw " + name));
            group.waitView(List.of(1), Nodes.PATIENCE);
            assertEquals(Map.of(1, 7L), counter.task(7).all());
        } else {
            assertEquals(Map.of(1, 7L, 2, 7L), counter.task(7).all());
        }
        close();
    }

    @Test
    void functions_that_no_caller_waits_for_may_throw_and_a_handler_may_interrupt_its_thread() {
        final Nodes nodes = new Nodes();
        final Group group = join(nodes, new Counter());
        final Counter bad = new Counter();
        bad.task = argument -> {
            Thread.currentThread().interrupt();
            return argument;
        };
        final Group second = join(nodes, bad);
        final List<View> views = new CopyOnWriteArrayList<>();
        second.onView(view -> {
            views.add(view);
            throw new NoTextAtAll();
        });
        final Counter.Caller counter = Counter.Caller.of(group);
        for (int i = 0; i < 5; i++) assertEquals(Map.of(1, 1L, 2, 1L), counter.task(1).all());
        join(nodes, new Counter()).close();
        assertEquals(Map.of(1, 1L, 2, 1L), counter.task(1).all());
        assertTrue(views.size() >= 1);
    }

    @Test
    void on_end_is_told_once_and_at_once_when_it_is_over() {
        final List<DerechoError> told = new ArrayList<>();
        final Group group = Group.with(new Nodes().next())
                .services(new Counter())
                .onEnd(told::add)
                .join();
        group.close();
        group.onEnd(told::add);
        assertEquals(2, told.size());
        assertInstanceOf(Closed.class, told.get(0));
    }

    @Test
    void an_interrupt_ends_a_join() throws InterruptedException {
        final Config config = new Config().node(2).listen("127.0.0.1:0").contacts("127.0.0.1:9");
        final CountDownLatch interrupted = new CountDownLatch(1);
        final Thread joining = Thread.ofPlatform().start(() -> {
            final var joiner = Group.with(config).services(new Counter()).timeout(Duration.ofMinutes(10));
            assertThrows(Closed.class, joiner::join);
            if (Thread.currentThread().isInterrupted()) interrupted.countDown();
        });
        Thread.sleep(100);
        joining.interrupt();
        assertTrue(interrupted.await(30, TimeUnit.SECONDS));
    }
}
