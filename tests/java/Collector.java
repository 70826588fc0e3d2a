// One member sends itself messages, filled and read in place, while the collector is made to run as often as it can.
// Each carries a checksum. Buffers, open claims and batches of events are dropped now and then, for the collector to
// clean up. Writes how many messages came, and by how many bytes the process grew in the second half of them: during the
// first, much is compiled.

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.SplittableRandom;
import org.libderecho.Buffer;
import org.libderecho.Claim;
import org.libderecho.Config;
import org.libderecho.EventBatch;
import org.libderecho.EventKind;
import org.libderecho.RawGroup;
import org.libderecho.Shard;
import org.libderecho.Status;

public final class Collector {
    private static final ValueLayout.OfLong WORD = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final int BURST = 100;
    private static final long WAIT_NS = 1_000_000;
    private static final int COLLECT_EVERY = 10_000; // messages
    private static final int DROP_BATCH_EVERY = 20_000;
    private static final int DROP_EVERY = 500; // a buffer, and an open claim
    private static final int BUFFER_BYTES = 64 << 10; // never freed, they would be 128 MB in the end
    private static final int PAGE_BYTES = 4096;

    private final SplittableRandom random = new SplittableRandom(7);
    private final RawGroup group;
    private final Shard shard;
    private final Claim claim;
    private EventBatch batch = new EventBatch(256);
    private long sent;
    private long delivered;
    private Object garbage;

    private Collector(RawGroup group) {
        this.group = group;
        shard = group.shard("log");
        claim = shard.newClaim();
    }

    public static void main(String[] arguments) throws IOException {
        final long messages = Long.parseLong(arguments[1]);
        final Config config = new Config().node(1).listen(arguments[0]).initialMembers(arguments[0]);
        config.set("ring_bytes", "65536").addService("log", 0); // small: what is released too soon is overwritten
        try (RawGroup group = RawGroup.join(config, Duration.ofSeconds(10))) {
            final Collector collector = new Collector(group);
            collector.run(messages / 2);
            System.gc();
            final long before = residentBytes();
            collector.run(messages);
            System.gc();
            System.out.println(collector.delivered + " " + (residentBytes() - before));
        }
    }

    private void run(long messages) {
        while (delivered < messages) {
            group.poll(batch, sent == delivered ? 0 : WAIT_NS);
            final long before = sent;
            for (int i = 0; i < BURST && sent < messages && send(); i++) garbage = new byte[random.nextInt(2000)];
            if (sent == before && batch.count() == 0) System.gc(); // the ring is full of what dropped batches hold
            for (int i = 0; i < batch.count(); i++) take(i);
            if (random.nextInt(DROP_BATCH_EVERY / BURST) == 0) batch = new EventBatch(256);
        }
    }

    /** False: no room now. */
    private boolean send() {
        final int size = 16 + random.nextInt(385);
        if (random.nextInt(DROP_EVERY) == 0) dropClaim(size);
        final Status status = random.nextInt(DROP_EVERY) == 0 ? sendFromBuffer(size) : sendInPlace(size);
        if (status == Status.AGAIN) return false;
        if (status != Status.OK) throw status.error();
        if (++sent % COLLECT_EVERY == 0) System.gc();
        return true;
    }

    /** One that nobody ends. */
    private void dropClaim(int size) {
        final Claim dropped = shard.newClaim();
        if (shard.tryClaim(dropped, size) == Status.OK) fill(dropped.data());
    }

    private Status sendInPlace(int size) {
        final Status status = shard.tryClaim(claim, size);
        if (status != Status.OK) return status;
        fill(claim.data());
        return claim.tryCommit(size);
    }

    /** From one that nobody closes. */
    private Status sendFromBuffer(int size) {
        final MemorySegment data = Buffer.allocate(BUFFER_BYTES).segment().fill((byte) 1).asSlice(BUFFER_BYTES - size);
        garbage = new byte[BUFFER_BYTES]; // the collector may run now: only the data is in use
        fill(data);
        return shard.trySend(data);
    }

    private void fill(MemorySegment memory) {
        long at = 8;
        for (; at + 8 <= memory.byteSize(); at += 8) memory.set(WORD, at, random.nextLong());
        for (; at < memory.byteSize(); at++) memory.set(ValueLayout.JAVA_BYTE, at, (byte) random.nextInt());
        memory.set(WORD, 0, hash(memory));
    }

    private void take(int i) {
        if (batch.kind(i) != EventKind.MESSAGE) return;
        final MemorySegment data = batch.data(i);
        if (data.get(WORD, 0) != hash(data))
            throw new IllegalStateException("message " + delivered + " of " + data.byteSize() + " bytes is corrupt");
        delivered++;
    }

    /** Of all behind the first eight bytes. */
    private static long hash(MemorySegment data) {
        long hash = data.byteSize();
        long at = 8;
        for (; at + 8 <= data.byteSize(); at += 8) hash = (hash ^ data.get(WORD, at)) * 0x9e3779b97f4a7c15L;
        for (; at < data.byteSize(); at++) hash = (hash ^ data.get(ValueLayout.JAVA_BYTE, at)) * 0x9e3779b97f4a7c15L;
        return hash;
    }

    private static long residentBytes() throws IOException {
        return Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]) * PAGE_BYTES;
    }
}
