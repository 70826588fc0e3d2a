import file_store.FileStore;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.libderecho.Config;
import org.libderecho.DerechoError;
import org.libderecho.Group;
import org.libderecho.Replies;
import org.libderecho.View;

/** A member of the demo in Java: README.md in the folder above says what it reads and writes. */
public final class DemoMember {
    private static final int WINDOW = 8; // calls under way
    private static final int PIECE_BYTES = 128 << 10;
    private static final int REPORT_EVERY_MS = 20;
    private static final Duration DEADLINE = Duration.ofSeconds(30);
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    private final Replica replica = new Replica();
    private final List<String> paths = new ArrayList<>();
    private final Deque<Replies<Boolean>> underWay = new ArrayDeque<>();
    private final Queue<Long> latencies = new ConcurrentLinkedQueue<>(); // ns
    private String[] task;
    private volatile Group group;

    public static void main(String[] arguments) throws Exception {
        final DemoMember member = new DemoMember();
        final var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) member.run(line.split(" "));
        Runtime.getRuntime().halt(1); // the supervisor is gone
    }

    private void run(String[] words) throws Exception {
        for (int i = 0; i < words.length; i++)
            words[i] = URLDecoder.decode(words[i].replace("+", "%2B"), StandardCharsets.UTF_8);
        switch (words[0]) {
            case "member" -> task = words;
            case "path" -> paths.add(words[1]);
            case "go" -> Thread.ofPlatform().start(this::joinAndSend);
            case "report" ->
                tell(
                        "report",
                        "\"files\": %d, \"bytes\": %d, \"digest\": \"%s\""
                                .formatted(replica.count(), replica.storedBytes(), replica.digest()));
            case "leave" -> leave();
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    private void joinAndSend() {
        try {
            join();
            send();
        } catch (DerechoError | IOException error) {
            final String text = String.valueOf(error.getMessage()).replace("\\", "\\\\").replace("\"", "\\\"");
            tell("failed", "\"text\": \"" + text.replaceAll("\\p{Cntrl}", " ") + "\"");
            Runtime.getRuntime().halt(1);
        }
    }

    private void join() {
        final Config config = new Config().node(Integer.parseInt(task[1])).listen(task[2]);
        config.initialMembers(task[3]).group(task[4]).wire(task[5]);
        final Group.Joining joining = Group.with(config).services(replica).timeout(DEADLINE);
        group = joining.onView(DemoMember::tellView).join();
        tell("joined", "\"files\": " + replica.count() + ", \"bytes\": " + replica.storedBytes());
        Thread.ofVirtual().start(this::tellProgress);
        group.waitView(Integer.parseInt(task[6]), DEADLINE);
    }

    private static void tellView(View view) {
        tell("view", "\"id\": " + view.id() + ", \"nodes\": " + view.nodes());
    }

    private void tellProgress() {
        long last = -1;
        while (true) {
            final long now = replica.storedBytes();
            if (now != last) tell("progress", "\"stored_bytes\": " + now);
            last = now;
            try {
                Thread.sleep(REPORT_EVERY_MS);
            } catch (InterruptedException error) {
                return;
            }
        }
    }

    /** Send what the replica has not got; return when every member has all of it. */
    private void send() throws IOException {
        final FileStore.Caller store = FileStore.of(group);
        final long started = System.nanoTime();
        int sentFiles = 0;
        long sentBytes = 0;
        for (String path : paths) {
            if (replica.has(path)) continue; // the state came with it
            final byte[] content = Files.readAllBytes(Path.of(task[7], path));
            final int count = Math.max(1, (content.length + PIECE_BYTES - 1) / PIECE_BYTES);
            for (int i = 0; i < count; i++) {
                final int end = Math.min(content.length, (i + 1) * PIECE_BYTES);
                sendPiece(store, path, i, count, Arrays.copyOfRange(content, i * PIECE_BYTES, end));
            }
            sentFiles++;
            sentBytes += content.length;
        }
        while (!underWay.isEmpty()) underWay.remove().all(DEADLINE);
        final double seconds = (System.nanoTime() - started) / 1e9;
        final long[] sorted =
                latencies.stream().mapToLong(Long::longValue).sorted().toArray();
        tell(
                "sent",
                "\"sent_files\": %d, \"sent_bytes\": %d, \"seconds\": %s, \"calls\": %d, \"p50_s\": %s, \"p99_s\": %s"
                        .formatted(sentFiles, sentBytes, seconds, sorted.length, at(sorted, 0.5), at(sorted, 0.99)));
    }

    private void sendPiece(FileStore.Caller store, String path, int index, int count, byte[] piece) {
        if (underWay.size() == WINDOW) underWay.remove().all(DEADLINE);
        final long began = System.nanoTime();
        final Replies<Boolean> replies = store.put(path, index, count, piece);
        replies.everyone().thenRun(() -> latencies.add(System.nanoTime() - began));
        underWay.add(replies);
    }

    /** A quantile in seconds, as JSON. */
    private static String at(long[] sorted, double share) {
        if (sorted.length == 0) return "null";
        return String.valueOf(sorted[Math.min(sorted.length - 1, (int) (sorted.length * share))] / 1e9);
    }

    private void leave() {
        if (group != null) group.leave(DEADLINE);
        Runtime.getRuntime().halt(0);
    }

    /** Write an event: its name, and the rest of its fields as JSON. */
    private static synchronized void tell(String event, String fields) {
        OUT.println("{\"event\": \"" + event + "\", " + fields + "}");
    }
}
