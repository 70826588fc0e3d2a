package org.libderecho;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;

/**
 * Who calls derecho_poll: whoever waits drives, and a background thread when nobody does.
 *
 * <p>One thread at a time polls and dispatches, so handlers see ordered events in order. A thread that waits takes that
 * right if it is free, otherwise it follows: it sleeps until the driver has dispatched something. The background thread
 * has it while nobody waits, and yields at once to somebody who does.
 */
final class Pump {
    private static final long DRIVE_NS = 100_000_000; // longest poll of a waiter, so that an interrupt is noticed
    private static final long FOLLOW_NS = 2_000_000; // how long a follower sleeps before it looks again by itself
    private static final long RETRY_NS = 500_000; // while something is to be retried, polls are this short
    private static final long BACKGROUND_POLL_NS = 1_000_000_000;
    private static final long PAUSE_MIN_NS = 2_000_000; // how often the background thread looks whether it is needed
    private static final long PAUSE_MAX_NS = 20_000_000;
    private static final int EVENTS = 256;

    /** What the pump works for. */
    interface Target {
        /** Handle the events of a batch; throws nothing. */
        void dispatch(EventBatch events);

        /** Send again what found no room; whether something is left. */
        boolean retry();

        /** Polling failed: nothing will come any more. */
        void ended(DerechoError error);

        /** Something failed that should not. */
        void failed(String where, Throwable error);
    }

    private final RawGroup group;
    private final Target target;
    private final EventBatch events = new EventBatch(EVENTS);
    private final ReentrantLock right = new ReentrantLock(); // to poll and dispatch
    private volatile Thread driver; // who has it
    private volatile boolean backgroundDrives;
    private final AtomicInteger waiters = new AtomicInteger(); // that want to drive or follow
    private final AtomicInteger entries = new AtomicInteger(); // grows whenever somebody starts to wait
    private final ReentrantLock following = new ReentrantLock();
    private final Condition dispatched = following.newCondition();
    private final AtomicInteger followers = new AtomicInteger();
    private final CountDownLatch stopping = new CountDownLatch(1);
    private final Thread background;
    private boolean mustRetry; // the driver's

    Pump(RawGroup group, Target target) {
        this.group = group;
        this.target = target;
        background = Thread.ofPlatform().name("derecho-pump").daemon().unstarted(this::runInBackground);
    }

    void start() {
        background.start();
    }

    /** End the background thread; wait for it unless called from it. */
    void stop() {
        stopping.countDown();
        group.wakeIfOpen();
        if (Thread.currentThread() == background) return;
        try {
            background.join(5_000);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    /** Whether the calling thread is dispatching right now. */
    boolean inHandler() {
        return driver == Thread.currentThread();
    }

    /**
     * Drive, or follow who does, until {@code done}.
     *
     * @param done cheap; made true by dispatching
     * @return false when the time passed, or the thread was interrupted, which it then still is
     * @throws InHandler when called by a handler, which would wait for itself
     */
    boolean await(BooleanSupplier done, long timeoutNs, String what) {
        if (done.getAsBoolean()) return true;
        if (inHandler())
            throw new InHandler("a handler must not wait (" + what + "): it is dispatched after the handler returned");
        final long deadline = System.nanoTime() + timeoutNs;
        enter();
        try {
            while (!done.getAsBoolean()) {
                final long left = deadline - System.nanoTime();
                if (left <= 0 || Thread.currentThread().isInterrupted()) return false;
                driveOrFollow(left);
            }
            return true;
        } finally {
            waiters.decrementAndGet();
        }
    }

    /** Drive once, or follow once; for loops that retry something themselves. Does nothing in a handler. */
    void turn(long timeoutNs) {
        if (inHandler()) return;
        enter();
        try {
            driveOrFollow(timeoutNs);
        } finally {
            waiters.decrementAndGet();
        }
    }

    /** Announce that somebody is going to wait, so that the background thread stands aside. */
    private void enter() {
        waiters.incrementAndGet();
        entries.incrementAndGet();
    }

    private void driveOrFollow(long timeoutNs) {
        if (right.tryLock()) driveAndUnlock(Math.min(timeoutNs, DRIVE_NS));
        else follow(Math.min(timeoutNs, FOLLOW_NS));
    }

    private void follow(long timeoutNs) {
        followers.incrementAndGet();
        following.lock();
        try {
            if (!right.isLocked()) return;
            if (backgroundDrives) group.wakeIfOpen();
            dispatched.awaitNanos(timeoutNs);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        } finally {
            following.unlock();
            followers.decrementAndGet();
        }
    }

    /** Poll and dispatch once; the caller has just taken the right. */
    private void driveAndUnlock(long timeoutNs) {
        driver = Thread.currentThread();
        try {
            drive(timeoutNs);
        } finally {
            driver = null;
            right.unlock();
            if (followers.get() > 0) wakeFollowers();
        }
    }

    private void wakeFollowers() {
        following.lock();
        dispatched.signalAll();
        following.unlock();
    }

    private void drive(long timeoutNs) {
        try {
            group.poll(events, mustRetry ? Math.min(timeoutNs, RETRY_NS) : timeoutNs);
        } catch (RingFull error) { // too many leases are held: somebody must release batches of their own
            LockSupport.parkNanos(RETRY_NS);
            return;
        } catch (DerechoError error) {
            stopping.countDown();
            target.ended(error);
            return;
        }
        try {
            target.dispatch(events);
        } finally {
            events.release();
        }
        try {
            mustRetry = target.retry();
        } catch (Throwable error) {
            target.failed("sending answers", error);
        }
    }

    private void runInBackground() {
        int seen = -1;
        long pause = PAUSE_MIN_NS;
        while (stopping.getCount() > 0) {
            final int now = entries.get();
            try {
                if (waiters.get() > 0 || now != seen) {
                    pause = now == seen ? Math.min(pause * 3 / 2, PAUSE_MAX_NS) : PAUSE_MIN_NS;
                    seen = now;
                    stopping.await(pause, TimeUnit.NANOSECONDS);
                } else if (right.tryLock(DRIVE_NS, TimeUnit.NANOSECONDS)) {
                    driveInBackground();
                }
            } catch (InterruptedException error) { // by a handler that ran here: the group still needs this thread
                continue;
            } catch (Throwable error) {
                target.failed("the group's own thread", error);
            }
        }
    }

    private void driveInBackground() {
        backgroundDrives = true;
        try {
            if (waiters.get() > 0) right.unlock(); // came between the two lines above, and saw that nobody drives
            else driveAndUnlock(BACKGROUND_POLL_NS);
        } finally {
            backgroundDrives = false;
        }
    }
}
