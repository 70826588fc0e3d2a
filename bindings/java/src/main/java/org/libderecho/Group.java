package org.libderecho;

import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.stream.Collectors;

/**
 * This process's part in one group, with services. Any thread may use it. A thread that waits for an answer drives the
 * group; when none waits, a background thread does: handlers run on either, one at a time, in order.
 *
 * <p>Leaving the block of a {@code try} leaves the group in good order, and so does the end of the process, unless it
 * is killed or halted; {@link #abandon} stops as a crash would. A group that is merely forgotten goes on: its replicas
 * serve the others.
 */
public final class Group implements AutoCloseable {
    private static final System.Logger LOG = System.getLogger("derecho");
    private static final Duration TIMEOUT = Duration.ofSeconds(10);
    private static final Duration TIMEOUT_AT_EXIT = Duration.ofSeconds(2);

    private final Engine engine;
    private final String name;
    private final AtomicBoolean stopped = new AtomicBoolean();
    private final Thread atExit = new Thread(this::leaveAtExit, "derecho-exit");

    private Group(Engine engine, String name) {
        this.engine = engine;
        this.name = name;
    }

    /**
     * Come into a group: join it, or found it, as the options say (docs/founding.md). Returns once this node is in
     * a view, every service has its state, and this node votes.
     *
     * @param config used up by this: its services are these
     * @param services the local replicas; every member gives the same services in the same order
     * @throws StateError when the state came but could not be loaded
     */
    public static Group join(Config config, Service... services) {
        return with(config).services(services).join();
    }

    /** Join with more than services. */
    public static Joining with(Config config) {
        return new Joining(config);
    }

    /** What a group is joined with. */
    public static final class Joining {
        private final Config config;
        private final List<Service> services = new ArrayList<>();
        private final List<String> rawNames = new ArrayList<>();
        private final List<Consumer<Event>> rawHandlers = new ArrayList<>();
        private final List<Consumer<View>> onView = new ArrayList<>();
        private final List<Consumer<DerechoError>> onEnd = new ArrayList<>();
        private final List<Consumer<Difference>> onDifference = new ArrayList<>();
        private Duration timeout = TIMEOUT;
        private Consumer<Progress> onProgress;
        private boolean leavesAtExit = true;

        private Joining(Config config) {
            this.config = config;
        }

        /** Replicas of this node, in the same order at every member. */
        public Joining services(Service... replicas) {
            services.addAll(List.of(replicas));
            return this;
        }

        /** A shard of plain messages, behind all services; the handler gets each, in place, on the driving thread. */
        public Joining raw(String shard, Consumer<Event> handler) {
            rawNames.add(shard);
            rawHandlers.add(handler);
            return this;
        }

        /** For joining, and of every later wait; 10 s unless set. */
        public Joining timeout(Duration limit) {
            timeout = limit;
            return this;
        }

        /** As {@link Group#onView}, from the first view on. */
        public Joining onView(Consumer<View> function) {
            onView.add(function);
            return this;
        }

        /** Told of every piece of a service's state that comes. The time-out counts from the last one. */
        public Joining onProgress(Consumer<Progress> function) {
            onProgress = function;
            return this;
        }

        /**
         * Whether the end of the process (Ctrl-C, SIGTERM, {@code System.exit}, the return of main) leaves the group in
         * good order, within two seconds: a shutdown hook. It does unless set; a program that has a hook of its own
         * which still uses the group turns that off, and closes the group itself.
         */
        public Joining leaveAtExit(boolean whether) {
            leavesAtExit = whether;
            return this;
        }

        /** As {@link Group#onEnd}. */
        public Joining onEnd(Consumer<DerechoError> function) {
            onEnd.add(function);
            return this;
        }

        /** As {@link Group#onDifference}. */
        public Joining onDifference(Consumer<Difference> function) {
            onDifference.add(function);
            return this;
        }

        /**
         * Join.
         *
         * @throws Closed when the thread was interrupted, which it then still is
         */
        public Group join() {
            try (config) {
                if (config.serviceCount() != 0) // events number services as they were declared
                    throw new InvalidArgument("this Config declares services already: join() adds those it is given, "
                            + "so give it a new one");
                for (Service service : services) service.declare(config);
                for (String shard : rawNames) config.addService(shard, 0);
                final long pieceBytes = Long.parseLong(config.get("mail_bytes")) / 8; // room for others' mail
                final RawGroup raw = RawGroup.join(config, timeout);
                try {
                    final Group group = new Group(start(raw, pieceBytes), config.get("group"));
                    if (leavesAtExit) group.watchForExit();
                    return group;
                } catch (Throwable error) { // a member that merely closed would count as crashed
                    try {
                        raw.leave(Duration.ofSeconds(1));
                    } catch (DerechoError late) {
                        error.addSuppressed(late);
                    }
                    raw.close();
                    throw error;
                }
            }
        }

        private Engine start(RawGroup raw, long pieceBytes) {
            final Engine engine = new Engine(raw, timeout, pieceBytes);
            for (Service service : services) engine.hosts.add(new ServiceHost(service, engine));
            for (int i = 0; i < rawNames.size(); i++)
                engine.hosts.add(new RawHost(rawNames.get(i), engine, rawHandlers.get(i)));
            engine.onView.addAll(onView);
            engine.onDifference.addAll(onDifference);
            engine.onProgress = onProgress;
            engine.awaitState(timeout);
            onEnd.forEach(engine::onEnd);
            engine.pump.start();
            return engine;
        }
    }

    // ---------------------------------------------------------------------------------------- leaving

    /** Leave in good order; what goes wrong is logged. A second time does nothing. */
    @Override
    public void close() {
        try {
            leave(engine.timeout);
        } catch (DerechoError error) {
            LOG.log(System.Logger.Level.WARNING, "leaving {0}: {1}", name, error.getMessage());
        }
    }

    /**
     * Leave in good order, then close: the others go on at once, and nobody suspects anyone.
     *
     * @throws Timeout when the others did not confirm; the group is closed all the same
     */
    public void leave(Duration timeout) {
        if (stopped.get()) return;
        try {
            if (engine.end() == null) engine.group.leave(timeout);
        } finally {
            abandon();
        }
    }

    /** Stop at once, as a crash would. Whatever is pending fails with {@link Closed}. A second time does nothing. */
    public void abandon() {
        if (stopped.getAndSet(true)) return;
        engine.ended(new Closed("this node closed the group " + name));
        engine.group.close();
        engine.pump.stop();
    }

    private void watchForExit() {
        Runtime.getRuntime().addShutdownHook(atExit);
        engine.atEnd = () -> {
            try {
                Runtime.getRuntime().removeShutdownHook(atExit);
            } catch (IllegalStateException error) { // the process is ending
                LOG.log(System.Logger.Level.DEBUG, "{0} ends with the process", name);
            }
        };
        if (engine.end() != null) engine.atEnd.run(); // meanwhile
    }

    /**
     * Others need not take the end of this process for a crash. Nothing of the application's runs in here, and nothing
     * is waited for that it holds up: it may be what ends the process.
     */
    private void leaveAtExit() {
        try {
            if (engine.end() == null) engine.group.leave(TIMEOUT_AT_EXIT);
        } catch (DerechoError error) {
            LOG.log(System.Logger.Level.WARNING, "leaving {0} at exit: {1}", name, error.getMessage());
        }
    }

    /** Why the group is over for this node; empty while it goes on. */
    public Optional<DerechoError> ended() {
        return Optional.ofNullable(engine.end());
    }

    // ---------------------------------------------------------------------------------------- services

    /**
     * A service to be called; for generated code.
     *
     * @throws InvalidArgument when there is no such service here; the text lists those there are
     */
    public Calls calls(String service, long schemaHash) {
        for (Host host : engine.hosts)
            if (host instanceof ServiceHost found
                    && host.name.equals(service)
                    && found.service.serviceHash() == schemaHash)
                return new Calls(engine, engine.group.shard(service));
        throw new InvalidArgument("no service " + service + " with this schema in this group; there are: " + names());
    }

    /** This node's replica: for reading. Changing it changes this replica alone. */
    public <S extends Service> S local(Class<S> type) {
        for (Host host : engine.hosts)
            if (host instanceof ServiceHost found && type.isInstance(found.service)) return type.cast(found.service);
        throw new InvalidArgument("no service " + type.getSimpleName() + " in this group; there are: " + names());
    }

    /** A shard of plain messages, to send to. */
    public Shard shard(String raw) {
        return engine.group.shard(raw);
    }

    /** Send a plain message, waiting for room, and for a view change to finish, at most the group's time-out. */
    public void send(Shard shard, byte[] data) {
        engine.retrying(() -> shard.trySend(data).code());
    }

    private String names() {
        return engine.hosts.stream().map(host -> host.name).collect(Collectors.joining(", "));
    }

    // ---------------------------------------------------------------------------------------- registered memory

    /**
     * Register memory, so that members who are given a key may read or write it, one-sidedly.
     *
     * @param segment native: a collector may move all others
     * @param read whether peers may read it
     * @param write whether they may write it; neither: it is for this node's own operations
     */
    public RegisteredMemory register(MemorySegment segment, boolean read, boolean write) {
        return engine.group.register(segment, read, write);
    }

    /**
     * Register memory of another device, a GPU's above all, by its dma-buf; docs/memory.md tells what reaches it.
     *
     * @param fd of the dma-buf; duplicated: it may be closed afterwards
     * @param offset of the part of it that is registered; its first byte is the memory's
     * @param read whether peers may read it
     * @param write whether they may write it
     * @throws InvalidArgument when it is not a dma-buf, or shorter than that
     */
    public RegisteredMemory registerDmabuf(int fd, long offset, long sizeBytes, boolean read, boolean write) {
        return engine.group.registerDmabuf(fd, offset, sizeBytes, read, write);
    }

    /**
     * Begin to copy a run of a member's memory into parts of this node's, one after the other. Operations on one
     * member's memory are carried out in the order they were begun; the application there takes no part.
     *
     * @param key made by that node for this one
     * @param offset of the run's first byte in that memory; the run is as long as the parts together
     */
    public Transfer read(int node, MemoryKey key, long offset, RegisteredMemory.Part... into) {
        return engine.read(node, key, offset, List.of(into));
    }

    /**
     * Begin to copy parts of this node's memory, one after the other, to a run of a member's. Once it is complete the
     * bytes are there, and what is sent afterwards is delivered after them; after a failure a part of them may be.
     */
    public Transfer write(int node, MemoryKey key, long offset, RegisteredMemory.Part... from) {
        return engine.write(node, key, offset, List.of(from));
    }

    // ---------------------------------------------------------------------------------------- views, totals

    /** The current view, as of the events applied here. */
    public View view() {
        return engine.view();
    }

    /** Every view since this node joined. */
    public List<View> views() {
        return List.copyOf(engine.views);
    }

    /** Call it for every later view, in order with calls, on the thread that drives. */
    public void onView(Consumer<View> function) {
        engine.onView.add(function);
    }

    /**
     * Call it once, with the reason, when the group ends for this node: {@link Closed} when it left or was closed,
     * {@link Ejected}, {@link NoMajority}, {@link StateLost}; at once if it has.
     */
    public void onEnd(Consumer<DerechoError> function) {
        engine.onEnd(function);
    }

    /**
     * Call it when option {@code digest} finds that replicas differ: once for each member that does, at every member,
     * that one included. What then becomes of it is for option {@code digest_policy} to say.
     */
    public void onDifference(Consumer<Difference> function) {
        engine.onDifference.add(function);
    }

    /** Wait for a view of so many members or more that vote, at most the group's time-out. */
    public View waitView(int members) {
        return waitView(members, engine.timeout);
    }

    /** @throws Timeout naming the view there is instead */
    public View waitView(int members, Duration timeout) {
        return waitView(view -> view.voters().size() >= members, members + " or more members", timeout);
    }

    /** Wait for a view of so many members, no more and no fewer, all of which vote, at most the group's time-out. */
    public View waitViewExactly(int members) {
        return waitViewExactly(members, engine.timeout);
    }

    /** @throws Timeout naming the view there is instead */
    public View waitViewExactly(int members, Duration timeout) {
        return waitView(
                view -> allVote(view) && view.members().size() == members, "exactly " + members + " members", timeout);
    }

    /** Wait for a view of exactly these nodes, all of which vote. */
    public View waitView(Collection<Integer> nodes, Duration timeout) {
        final Set<Integer> wanted = Set.copyOf(nodes);
        return waitView(
                view -> allVote(view) && wanted.equals(Set.copyOf(view.nodes())), "the members " + wanted, timeout);
    }

    private static boolean allVote(View view) {
        return view.voters().size() == view.members().size();
    }

    private View waitView(Predicate<View> wanted, String what, Duration timeout) {
        if (!engine.await(() -> wanted.test(view()), timeout, "a view of " + what))
            throw new Timeout("no view of " + what + " within " + Engine.seconds(timeout) + "; there is " + view());
        return view();
    }

    /**
     * The member that holds others up the longest, for how long and why: what the errors of waits in vain add. It may be
     * this node itself; null when nobody does.
     */
    public Holdup holdup() {
        return engine.group.holdup();
    }

    /**
     * What this node found out that no call can report, a sentence each, also logged as warnings: above all that there is
     * another group of this name. The last 16 are kept.
     */
    public List<String> troubles() {
        return engine.group.troubles();
    }

    /** The running totals of this node. */
    public Stats stats() {
        return engine.group.stats();
    }

    @Override
    public String toString() {
        return name + ", " + ended().map(error -> "ended: " + error.getMessage()).orElse(view().toString());
    }
}
