import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import org.libderecho.Claim;
import org.libderecho.MessageBatch;
import org.libderecho.Status;

/** What a message costs a Java program alone: as bench/ffi.cpp, with the same settings (key=value) and figures. */
public final class Ffi {
    private static final int BATCH = 64; // messages between two polls
    private static final int MESSAGES = BATCH * 200; // of one trial
    private static final int CALLS = 200_000; // of one trial of the bare call
    private static final int TRIALS = 15;
    private static final int WARM_TRIALS = 40; // until the program is as fast as it gets
    private static final int PAYLOAD_BYTES = 100;

    // Foreign calls are only as fast as they can be through a constant.
    private static final MethodHandle ABI_VERSION =
            Linker.nativeLinker()
                    .downcallHandle(
                            SymbolLookup.libraryLookup(
                                            Path.of(System.getProperty("derecho.library")), java.lang.foreign.Arena.global())
                                    .find("derecho_abi_version")
                                    .orElseThrow(),
                            FunctionDescriptor.of(ValueLayout.JAVA_INT),
                            Linker.Option.critical(false));

    private interface Trial {
        void run() throws Throwable;
    }

    private final Session session;
    private final byte[] payload = new byte[PAYLOAD_BYTES];
    private final Claim claim;
    private final MessageBatch batch = new MessageBatch(BATCH, BATCH * 104);
    private long sum;
    private int taken;

    public static void main(String[] arguments) throws Throwable {
        final Map<String, String> settings = new HashMap<>(Map.of("wire", "auto"));
        for (String argument : arguments) {
            final int equals = argument.indexOf('=');
            settings.put(argument.substring(0, equals), argument.substring(equals + 1));
        }
        settings.putIfAbsent("contact", settings.get("listen"));
        System.out.println(new Ffi(settings).run());
    }

    private Ffi(Map<String, String> settings) {
        session = new Session(settings);
        session.waitForMembers(1);
        claim = session.shard().newClaim();
        Arrays.fill(payload, (byte) 0x5a);
    }

    private String run() throws Throwable {
        final double bare = measure(CALLS, () -> {
            for (int i = 0; i < CALLS; i++) sum += (int) ABI_VERSION.invokeExact();
        });
        final double copied = perMessage(this::sendCopied);
        final double claimed = perMessage(this::sendClaimed);
        final double many = perMessage(this::sendMany);
        final String figures = "{\"bare_ns\": %f, \"send_ns\": %f, \"claim_ns\": %f, \"many_ns\": %f, \"sum\": %d}";
        return String.format(Locale.ROOT, figures, bare, copied, claimed, many, sum);
    }

    private static double measure(int count, Trial trial) throws Throwable {
        final double[] found = new double[TRIALS];
        for (int i = 0; i < WARM_TRIALS; i++) trial.run();
        for (int i = 0; i < TRIALS; i++) {
            final long begin = System.nanoTime();
            trial.run();
            found[i] = (double) (System.nanoTime() - begin) / count;
        }
        Arrays.sort(found);
        return found[TRIALS / 2];
    }

    /** Send in batches, each by one run of `send`, and take them, reading the first byte in place. */
    private double perMessage(Trial send) throws Throwable {
        return measure(MESSAGES, () -> {
            for (int sent = 0; sent < MESSAGES; sent += BATCH) {
                send.run();
                for (taken = 0; taken < BATCH; ) {
                    session.poll(0, (events, i) -> {
                        final MemorySegment data = events.data(i);
                        sum += data.get(ValueLayout.JAVA_BYTE, 0);
                        taken++;
                    });
                }
            }
        });
    }

    private void sendCopied() {
        for (int i = 0; i < BATCH; i++) require(session.shard().trySend(payload));
    }

    private void sendClaimed() {
        for (int i = 0; i < BATCH; i++) {
            require(session.shard().tryClaim(claim, PAYLOAD_BYTES));
            claim.put(0, payload);
            require(claim.tryCommit(PAYLOAD_BYTES));
        }
    }

    private void sendMany() {
        for (int i = 0; i < BATCH; i++) batch.add(payload);
        require(session.shard().trySendMany(batch));
    }

    private static void require(Status status) {
        if (status != Status.OK) throw status.error();
    }
}
