package org.libderecho;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A value that a group brings later. Whoever waits for it drives the group meanwhile; so does who waits for a stage
 * made of it, such as with {@code thenApply}. What is run when it is done runs on the thread that drives, and must not
 * wait.
 */
public class Pending<T> extends CompletableFuture<T> {
    final Engine engine;
    final String what;

    Pending(Engine engine, String what) {
        this.engine = engine;
        this.what = what;
    }

    /**
     * Wait at most the group's time-out.
     *
     * @throws DerechoError the call's own failure, such as {@link RemoteError} or {@link MemberRemoved}
     * @throws Timeout naming what did not come
     * @throws InHandler when a handler waits
     */
    public T result() {
        return result(engine.timeout);
    }

    /** As {@link #result()}, waiting so long. */
    public T result(Duration timeout) {
        try {
            return joinWithin(timeout);
        } catch (CompletionException error) {
            throw error.getCause() instanceof DerechoError cause ? cause : error;
        }
    }

    /** As {@link CompletableFuture#join}, but waits at most the group's time-out, then throws {@link Timeout}. */
    @Override
    public T join() {
        return joinWithin(engine.timeout);
    }

    private T joinWithin(Duration timeout) {
        if (!await(timeout)) throw new Timeout(late(timeout));
        return super.join();
    }

    /** As {@link CompletableFuture#get()}, but waits at most the group's time-out, then throws {@link Timeout}. */
    @Override
    public T get() throws InterruptedException, ExecutionException {
        if (!await(engine.timeout)) {
            if (Thread.interrupted()) throw new InterruptedException(what);
            throw new Timeout(late(engine.timeout));
        }
        return super.get();
    }

    @Override
    public T get(long timeout, TimeUnit unit) throws InterruptedException, ExecutionException, TimeoutException {
        final Duration limit = Duration.of(timeout, unit.toChronoUnit());
        if (!await(limit)) {
            if (Thread.interrupted()) throw new InterruptedException(what);
            throw new TimeoutException(late(limit));
        }
        return super.get();
    }

    @Override
    public <U> CompletableFuture<U> newIncompleteFuture() {
        return new Pending<>(engine, what);
    }

    private boolean await(Duration timeout) {
        return isDone() || engine.await(this::isDone, timeout, what);
    }

    /** What a time-out says. */
    String late(Duration timeout) {
        return what + ": nothing came within " + Engine.seconds(timeout) + engine.because();
    }
}
