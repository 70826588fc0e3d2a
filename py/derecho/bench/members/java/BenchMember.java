import java.io.IOException;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import org.libderecho.Buffer;
import org.libderecho.Claim;
import org.libderecho.EventBatch;
import org.libderecho.Flags;
import org.libderecho.MessageBatch;
import org.libderecho.Stats;
import org.libderecho.Status;

/**
 * One member of a measured group in Java: does what bench/member.cpp does, with the same settings (key=value) and the
 * same figures, over the forms that make no objects. The first byte of a message says what it is.
 */
public final class BenchMember {
    private static final ValueLayout.OfByte BYTE = ValueLayout.JAVA_BYTE;
    private static final ValueLayout.OfLong WORD = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final byte READY = 1, DATA = 2, STOP = 3, DONE = 4;
    private static final long WAIT_NS = 10_000_000;
    private static final long SOON_NS = 100_000;
    private static final int CLAIM_FROM = 4096; // bytes
    private static final int MANY = 64; // messages handed over by one call
    private static final long SLACK_NS = 100_000_000; // after the window, for members whose own began later
    private static final int DEATH_SIGNAL = 1; // PR_SET_PDEATHSIG
    private static final long SIGKILL = 9;

    private record Reading(long atNs, long delivered, long polls, double cpuSeconds, Stats stats) {}

    private final Session session;
    private final int members;
    private final int senders;
    private final int bytes;
    private final boolean oneAtATime;
    private final boolean read;
    private final double warm;
    private final double seconds;
    private final int burst;
    private final Claim claim;
    private final MemorySegment source;
    private final MessageBatch batch;
    private final Session.Take take = this::take;

    private boolean sender;
    private boolean full;
    private int ready;
    private int done;
    private boolean stopSeen;
    private boolean stopSent;
    private boolean doneSent;
    private long sent;
    private long delivered;
    private long ownDelivered;
    private long polls;
    private long sum;
    private long warmUntilNs;
    private long windowUntilNs;
    private Reading begin;
    private Reading end;
    private long[] memory = {0, 0};
    private long[] latencies = new long[1 << 16];
    private int measured;

    public static void main(String[] arguments) throws Throwable {
        dieWithParent();
        final Map<String, String> settings = new HashMap<>();
        for (String argument : arguments) {
            final int equals = argument.indexOf('=');
            settings.put(argument.substring(0, equals), argument.substring(equals + 1));
        }
        System.out.println(new BenchMember(settings).run());
    }

    private static void dieWithParent() throws Throwable {
        final Linker linker = Linker.nativeLinker();
        final var signature = FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG);
        final var prctl = linker.defaultLookup().find("prctl").orElseThrow();
        final var variadic = Linker.Option.firstVariadicArg(1);
        final int ignored = (int) linker.downcallHandle(prctl, signature, variadic).invokeExact(DEATH_SIGNAL, SIGKILL);
    }

    private BenchMember(Map<String, String> settings) {
        members = Integer.parseInt(settings.get("members"));
        senders = Integer.parseInt(settings.get("senders"));
        bytes = Integer.parseInt(settings.get("bytes"));
        oneAtATime = settings.get("mode").equals("latency");
        warm = Double.parseDouble(settings.get("warm"));
        seconds = Double.parseDouble(settings.get("seconds"));
        read = settings.get("read").equals("1");
        burst = Math.clamp((256 << 10) / (bytes + 16), 1, 256);
        source = Buffer.allocate(bytes).segment().fill((byte) 0x5a); // page-aligned
        source.set(BYTE, 0, DATA);
        session = new Session(settings);
        claim = session.shard().newClaim();
        final long room = bytes < CLAIM_FROM ? (bytes + 7L) & -8 : 1;
        batch = new MessageBatch(MANY, room * MANY);
        if (bytes >= CLAIM_FROM) return;
        // What is written now stays: for each message only its number is written again.
        for (int i = 0; i < MANY; i++) MemorySegment.copy(source, 0, batch.memory(), i * room, bytes);
    }

    private String run() throws IOException {
        startTogether();
        while (done < members) pump();
        final String result = result();
        session.leave();
        return result;
    }

    // ---------------------------------------------------------------------------------------- taking

    private int poll(long timeoutNs) {
        polls++;
        return session.poll(timeoutNs, take);
    }

    private void take(EventBatch events, int i) {
        final MemorySegment payload = events.data(i);
        final byte tag = payload.get(BYTE, 0);
        if (tag == DATA) {
            delivered++;
            if ((events.flags(i) & Flags.OWN) != 0) ownDelivered++;
            sum += read ? sumOf(payload) : payload.byteSize();
            return;
        }
        if (tag == READY) ready++;
        if (tag == STOP) stopSeen = true;
        if (tag == DONE) done++;
    }

    private static long sumOf(MemorySegment data) {
        long total = 0;
        long at = 0;
        for (; at + 8 <= data.byteSize(); at += 8) total += data.get(WORD, at);
        for (; at < data.byteSize(); at++) total += data.get(BYTE, at) & 0xff;
        return total;
    }

    // ---------------------------------------------------------------------------------------- sending

    private void startTogether() {
        session.waitForMembers(members);
        sender = session.rank() < senders;
        tell(READY);
        while (ready < members) {
            poll(WAIT_NS);
            session.checkDeadline("all members to be ready");
        }
        warmUntilNs = System.nanoTime() + (long) (warm * 1e9);
        windowUntilNs = warmUntilNs + (long) (seconds * 1e9);
    }

    /** A full ring has room again only when this member, too, takes what is delivered. */
    private void tell(byte tag) {
        while (true) {
            final Status status = session.shard().trySend(new byte[] {tag});
            if (status == Status.OK) return;
            if (status != Status.AGAIN && status != Status.WEDGED) throw status.error();
            poll(SOON_NS);
            session.checkDeadline("room to send in");
        }
    }

    /** One turn: send what is to be sent, take what is delivered. */
    private void pump() throws IOException {
        if (!sender || stopSeen) poll(WAIT_NS);
        else if (oneAtATime) sendOneAndWait();
        else {
            sendBurst();
            // A full ring has room again when the others released something, which is no event: look again soon.
            if (poll(0) == 0 && full) Thread.yield();
        }
        watchClock();
    }

    private void sendBurst() {
        full = false;
        if (bytes >= CLAIM_FROM) for (int i = 0; i < burst && !full; i++) full = !sendClaimed();
        else for (int left = burst; left > 0 && !full; left -= MANY) full = !sendMany();
    }

    private void sendOneAndWait() {
        final long began = System.nanoTime();
        if (!(bytes >= CLAIM_FROM ? sendClaimed() : sendCopied())) {
            poll(0);
            return;
        }
        while (ownDelivered < sent && !stopSeen) poll(WAIT_NS);
        final long now = System.nanoTime();
        if (ownDelivered == sent && began >= warmUntilNs && now <= windowUntilNs) record(now - began);
    }

    private void record(long ns) {
        if (measured == latencies.length) latencies = Arrays.copyOf(latencies, 2 * measured);
        latencies[measured++] = ns;
    }

    /** False: no room now. */
    private boolean sendClaimed() {
        Status status = session.shard().tryClaim(claim, bytes);
        if (status == Status.AGAIN) return false;
        require(status);
        claim.put(0, source);
        claim.putLong(8, sent);
        while ((status = claim.tryCommit(bytes)) == Status.AGAIN) poll(SOON_NS);
        require(status);
        sent++;
        return true;
    }

    private boolean sendCopied() {
        if (bytes >= 16) source.set(WORD, 8, sent);
        final Status status = session.shard().trySend(source);
        if (status == Status.AGAIN) return false;
        require(status);
        sent++;
        return true;
    }

    /** False: there was no room for all; the rest goes the next time. */
    private boolean sendMany() {
        if (batch.count() == 0) fillBatch();
        final int waiting = batch.count();
        final Status status = session.shard().trySendMany(batch);
        if (status != Status.AGAIN) require(status);
        sent += waiting - batch.count();
        return batch.count() == 0;
    }

    private void fillBatch() {
        for (int i = 0; i < MANY; i++) {
            final long at = batch.reserve(bytes);
            if (bytes >= 16) batch.memory().set(WORD, at + 8, sent + i);
        }
    }

    private static void require(Status status) {
        if (status != Status.OK) throw status.error();
    }

    // ---------------------------------------------------------------------------------------- figures

    /** Notes where the window begins and ends, and says when it is over. */
    private void watchClock() throws IOException {
        final long now = System.nanoTime();
        if (begin == null && now >= warmUntilNs) begin = reading();
        if (end == null && begin != null && now >= windowUntilNs) {
            end = reading();
            memory = memoryUsed();
        }
        if (session.rank() == 0 && !stopSent && now >= windowUntilNs + SLACK_NS) {
            stopSent = true;
            tell(STOP);
        }
        if (stopSeen && !doneSent) {
            doneSent = true;
            tell(DONE);
        }
        session.checkDeadline("the group to finish");
    }

    private Reading reading() throws IOException {
        final String[] fields = Files.readString(Path.of("/proc/self/stat")).split("\\) ")[1].split(" ");
        final double cpu = (Long.parseLong(fields[11]) + Long.parseLong(fields[12])) / 100.0; // utime, stime
        return new Reading(System.nanoTime(), delivered, polls, cpu, session.group().stats());
    }

    /** Resident and proportional set size, bytes. */
    private static long[] memoryUsed() throws IOException {
        final long[] found = {0, 0};
        for (String line : Files.readAllLines(Path.of("/proc/self/smaps_rollup"))) {
            final String[] words = line.split("\\s+");
            if (words[0].equals("Rss:")) found[0] = Long.parseLong(words[1]) * 1024;
            if (words[0].equals("Pss:")) found[1] = Long.parseLong(words[1]) * 1024;
        }
        return found;
    }

    private String result() {
        final double window = (end.atNs - begin.atNs) / 1e9;
        final long count = end.delivered - begin.delivered;
        final double cpu = end.cpuSeconds - begin.cpuSeconds;
        final String latency = measured == 0 ? "" : ", \"latency_ns\": " + latencies();
        return json(
                "\"rank\": %d, \"sender\": %b, \"window_s\": %f, \"delivered\": %d, \"delivered_per_s\": %f,"
                        + " \"bytes_per_s\": %f, \"events_per_poll\": %f, \"cpu_s\": %f, \"cpu_share\": %f,"
                        + " \"rss_bytes\": %d, \"pss_bytes\": %d, \"stats\": %s%s, \"sum\": %d",
                session.rank(),
                sender,
                window,
                count,
                count / window,
                count / window * bytes,
                (double) count / Math.max(end.polls - begin.polls, 1),
                cpu,
                cpu / window,
                memory[0],
                memory[1],
                stats(begin.stats, end.stats),
                latency,
                sum);
    }

    private static String stats(Stats a, Stats b) {
        return json(
                "\"steps\": %d, \"pushes\": %d, \"wakes\": %d, \"sleeps\": %d, \"null_messages\": %d,"
                        + " \"allocations\": %d, \"mapped_bytes\": %d",
                b.steps() - a.steps(),
                b.pushes() - a.pushes(),
                b.wakes() - a.wakes(),
                b.sleeps() - a.sleeps(),
                b.nullMessages() - a.nullMessages(),
                b.allocations() - a.allocations(),
                b.memoryBytes());
    }

    private String latencies() {
        Arrays.sort(latencies, 0, measured);
        return json(
                "\"count\": %d, \"mean\": %f, \"p50\": %d, \"p90\": %d, \"p99\": %d, \"p999\": %d, \"max\": %d",
                measured,
                Arrays.stream(latencies, 0, measured).average().orElseThrow(),
                quantile(0.5),
                quantile(0.9),
                quantile(0.99),
                quantile(0.999),
                latencies[measured - 1]);
    }

    private long quantile(double share) {
        return latencies[Math.min((int) (share * measured), measured - 1)];
    }

    private static String json(String fields, Object... values) {
        return "{" + String.format(Locale.ROOT, fields, values) + "}";
    }
}
