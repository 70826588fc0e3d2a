// Runs one compiled script of tests/conformance/README.md on the raw ring: a line in, a line out, judging nothing.

import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import org.libderecho.Buffer;
import org.libderecho.Claim;
import org.libderecho.Config;
import org.libderecho.Derecho;
import org.libderecho.DerechoError;
import org.libderecho.EventBatch;
import org.libderecho.EventKind;
import org.libderecho.Flags;
import org.libderecho.MessageBatch;
import org.libderecho.RawGroup;
import org.libderecho.Shard;
import org.libderecho.Stats;
import org.libderecho.Status;
import org.libderecho.View;

public final class Executor {
    private static final int EVENTS = 64;
    private static final int SHOWN_BYTES = 32;
    private static final int SUM_MODULUS = 65521;

    private final Map<String, Config> configs = new HashMap<>();
    private final Map<String, RawGroup> groups = new HashMap<>();
    private final Map<String, Shard> shards = new HashMap<>();
    private final Map<String, Claim> claims = new HashMap<>();
    private final Map<String, Deque<Buffer>> buffers = new HashMap<>(); // an object for each reference
    private final Map<String, List<EventBatch>> leases = new HashMap<>();
    private final Map<String, Long> ids = new LinkedHashMap<>();
    private final Map<String, Long> versions = new HashMap<>(); // the last one, by group and shard

    /** One step: what it does, and its inputs. */
    private record Step(String function, Map<String, String> inputs) {
        static Step parse(String line) {
            final String[] fields = line.split("\t", -1);
            final Map<String, String> inputs = new HashMap<>();
            for (int i = 1; i < fields.length; i++) {
                final int equals = fields[i].indexOf('=');
                inputs.put(fields[i].substring(0, equals), decode(fields[i].substring(equals + 1)));
            }
            return new Step(fields[0], inputs);
        }

        boolean has(String name) {
            return inputs.containsKey(name);
        }

        String text(String name) {
            return inputs.getOrDefault(name, "");
        }
    }

    public static void main(String[] arguments) throws IOException {
        final Executor executor = new Executor();
        final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line : Files.readAllLines(Path.of(arguments[0])))
            if (!line.isEmpty()) out.println(executor.answer(Step.parse(line)));
        executor.groups.values().forEach(RawGroup::close);
    }

    private String answer(Step step) {
        try {
            final StringBuilder line = new StringBuilder("OK");
            run(step).forEach((name, value) -> line.append('\t').append(name).append('=').append(encode(value)));
            return line.toString();
        } catch (DerechoError error) {
            return error.status() + "\terror=" + encode(error.getMessage());
        } catch (IllegalStateException error) { // misuse that this binding notices by itself
            return Status.INVALID + "\terror=" + encode(error.getMessage());
        }
    }

    private Map<String, String> run(Step step) {
        final String noun = step.function.split("_")[0];
        return switch (noun) {
            case "config" -> config(step);
            case "group" -> group(step);
            case "shard" -> shard(step);
            case "claim" -> claim(step);
            case "buffer" -> buffer(step);
            default -> other(step);
        };
    }

    // ---------------------------------------------------------------------------------------- configuration

    private Map<String, String> config(Step step) {
        if (step.function.equals("config_create")) {
            configs.put(step.text("config_out"), new Config());
            return Map.of();
        }
        final Config config = configs.get(step.text("config"));
        switch (step.function) {
            case "config_set" -> config.set(step.text("key"), step.text("value"));
            case "config_load" -> config.load(Path.of(step.text("path")));
            case "config_add_service" -> config.addService(step.text("name"), number(step, "schema_hash"));
            case "config_close" -> check(config.tryClose());
            case "config_get" -> {
                return Map.of("value", config.get(step.text("key")));
            }
            default -> throw unknown(step);
        }
        return Map.of();
    }

    // ---------------------------------------------------------------------------------------- group

    private Map<String, String> group(Step step) {
        if (step.function.equals("group_join")) {
            groups.put(step.text("group_out"), RawGroup.join(configs.get(step.text("config")), milliseconds(step)));
            return Map.of();
        }
        final RawGroup group = groups.get(step.text("group"));
        switch (step.function) {
            case "group_leave" -> group.leave(milliseconds(step));
            case "group_close" -> check(group.tryClose());
            case "group_fd" -> group.fd();
            case "group_reply" -> group.reply(
                    (int) number(step, "node"),
                    number(step, "call"),
                    Status.valueOf(step.has("status") ? step.text("status") : "OK"),
                    payload(step.text("data")));
            case "group_state" -> group.state(
                    (int) number(step, "node"),
                    number(step, "request"),
                    payload(step.text("data")),
                    number(step, "last") != 0);
            case "group_view" -> {
                return show(group.view());
            }
            case "group_stats" -> {
                return show(group.stats());
            }
            default -> throw unknown(step);
        }
        return Map.of();
    }

    private static Map<String, String> show(View view) {
        final Map<String, String> given = new LinkedHashMap<>();
        given.put("id", String.valueOf(view.id()));
        given.put("self_rank", Integer.toUnsignedString(view.selfRank()));
        final List<String> members = view.members().stream()
                .map(member -> Integer.toUnsignedString(member.node()) + ":" + (member.hasState() ? 1 : 0))
                .toList();
        given.put("members", String.join(",", members));
        return given;
    }

    /** The names whose value is not 0. */
    private static Map<String, String> show(Stats stats) {
        final Map<String, String> given = new LinkedHashMap<>();
        for (var component : Stats.class.getRecordComponents()) {
            try {
                if ((long) component.getAccessor().invoke(stats) != 0) given.put(snake(component.getName()), "");
            } catch (ReflectiveOperationException error) {
                throw new AssertionError(error);
            }
        }
        return given;
    }

    private static String snake(String name) {
        return name.replaceAll("([A-Z])", "_$1").toLowerCase(Locale.ROOT);
    }

    // ---------------------------------------------------------------------------------------- sending

    private Map<String, String> shard(Step step) {
        if (step.function.equals("shard_open")) {
            shards.put(step.text("shard_out"), groups.get(step.text("group")).shard(step.text("service")));
            return Map.of();
        }
        final Shard shard = shards.get(step.text("shard"));
        final int method = (int) number(step, "method");
        switch (step.function) {
            case "shard_send" -> keep(step, "ticket_out", shard.send(payload(step.text("data"))));
            case "shard_call" ->
                keep(step, "call_out", shard.call(method, flags(step), payload(step.text("args"))));
            case "shard_query" ->
                keep(step, "call_out", shard.query((int) number(step, "node"), method, payload(step.text("args"))));
            case "shard_claim" -> {
                final Claim claim = shard.claim(method, flags(step), number(step, "size_bytes"));
                claims.put(step.text("claim_out"), claim);
                ids.put(step.text("claim_out"), claim.id());
            }
            case "shard_send_many" -> {
                return sendMany(step, shard);
            }
            default -> throw unknown(step);
        }
        return Map.of();
    }

    private Map<String, String> sendMany(Step step, Shard shard) {
        final List<MemorySegment> messages = new ArrayList<>();
        if (!step.text("messages").isEmpty())
            for (String text : step.text("messages").split(",")) messages.add(payload(text));
        final long bytes = messages.stream().mapToLong(message -> message.byteSize() + 8).sum();
        final MessageBatch batch = new MessageBatch(messages.size() + 1, bytes + 1);
        messages.forEach(batch::add);
        keep(step, "ticket_out", shard.sendMany(batch));
        return Map.of("sent", String.valueOf(messages.size() - batch.count()));
    }

    private Map<String, String> claim(Step step) {
        final Claim claim = claims.get(step.text("claim"));
        switch (step.function) {
            case "claim_fill" -> {
                final MemorySegment data = payload(step.text("data"));
                MemorySegment.copy(data, 0, claim.data(), number(step, "offset"), data.byteSize());
            }
            case "claim_commit" -> {
                claim.commit(step.has("used_bytes") ? number(step, "used_bytes") : claim.size());
                ids.put(step.text("claim"), claim.id());
            }
            case "claim_abort" -> claim.abort();
            default -> throw unknown(step);
        }
        return Map.of();
    }

    // ---------------------------------------------------------------------------------------- buffers

    private Map<String, String> buffer(Step step) {
        if (step.function.equals("buffer_create")) {
            final Deque<Buffer> references = new ArrayDeque<>();
            references.push(Buffer.allocate(number(step, "size_bytes")));
            buffers.put(step.text("buffer_out"), references);
            return Map.of();
        }
        final Deque<Buffer> references = buffers.get(step.text("buffer"));
        final Buffer buffer = references.peek();
        switch (step.function) {
            case "buffer_retain" -> references.push(buffer.retain());
            case "buffer_release" -> {
                check(buffer.tryClose());
                if (references.size() > 1) references.pop();
            }
            case "buffer_data" -> {
                return Map.of("size_bytes", String.valueOf(buffer.segment().byteSize()));
            }
            case "buffer_fill" -> {
                final MemorySegment data = payload(step.text("data"));
                MemorySegment.copy(data, 0, buffer.segment(), number(step, "offset"), data.byteSize());
            }
            case "buffer_read" -> {
                return Map.of(
                        "data", show(buffer.segment().asSlice(number(step, "offset"), number(step, "size_bytes"))));
            }
            default -> throw unknown(step);
        }
        return Map.of();
    }

    // ---------------------------------------------------------------------------------------- events

    private Map<String, String> other(Step step) {
        switch (step.function) {
            case "poll" -> {
                return poll(step);
            }
            case "wake" -> groups.get(step.text("group")).wake();
            case "log_to" -> Derecho.logTo((int) number(step, "fd"), (int) number(step, "level"));
            case "release" -> {
                final List<EventBatch> held = leases.remove(step.text("lease"));
                if (held != null) held.forEach(EventBatch::release);
            }
            default -> throw unknown(step);
        }
        return Map.of();
    }

    private Map<String, String> poll(Step step) {
        final RawGroup group = groups.get(step.text("group"));
        if (step.has("wake_after_ms")) wakeLater(group, number(step, "wake_after_ms"));
        final Set<String> skipped = Set.of(step.text("skip").isEmpty() ? new String[0] : step.text("skip").split(","));
        final String[] names = step.text("ids").isEmpty() ? new String[0] : step.text("ids").split(",");
        final long until = step.has("until") ? number(step, "until") : 0;
        final long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(number(step, "timeout_ms"));
        final Map<String, String> given = new LinkedHashMap<>();
        do {
            final EventBatch batch = new EventBatch(step.has("capacity") ? (int) number(step, "capacity") : EVENTS);
            group.poll(batch, Math.max(0, deadline - System.nanoTime()));
            leases.computeIfAbsent(step.text("lease_out"), ignored -> new ArrayList<>()).add(batch);
            for (int i = 0; i < batch.count(); i++) {
                if (skipped.contains(batch.kind(i).name())) continue;
                final String shown = show(step.text("group"), batch, i);
                if (given.size() < names.length) ids.put(names[given.size()], batch.id(i));
                given.put("e" + given.size(), shown);
            }
        } while (given.size() < until && System.nanoTime() < deadline);
        return given;
    }

    private static void wakeLater(RawGroup group, long milliseconds) {
        Thread.startVirtualThread(() -> {
            try {
                Thread.sleep(milliseconds);
                group.wake();
            } catch (InterruptedException error) {
                throw new AssertionError(error);
            }
        });
    }

    private String show(String group, EventBatch batch, int i) {
        final StringBuilder text = new StringBuilder();
        text.append(batch.kind(i)).append(";node=").append(Integer.toUnsignedString(batch.node(i)));
        text.append(";method=").append(batch.method(i)).append(";shard=").append(batch.shard(i));
        text.append(";status=").append(batch.status(i)).append(";flags=").append(showFlags(batch.flags(i)));
        text.append(";size=").append(batch.size(i)).append(";data=").append(show(batch.data(i)));
        text.append(";id=").append(nameOf(batch.id(i)));
        if (!grows(group + "/" + batch.shard(i), batch, i)) text.append(";version=BAD");
        return text.toString();
    }

    private String nameOf(long id) {
        return ids.entrySet().stream()
                .filter(entry -> entry.getValue() == id)
                .map(Map.Entry::getKey)
                .findFirst()
                .orElse("?");
    }

    private boolean grows(String shard, EventBatch batch, int i) {
        if (batch.kind(i) != EventKind.MESSAGE && batch.kind(i) != EventKind.CALL) return true;
        final Long before = versions.put(shard, batch.version(i));
        return before == null || before < batch.version(i);
    }

    private static String showFlags(int flags) {
        final List<String> names = new ArrayList<>();
        if ((flags & Flags.REPLY) != 0) names.add("REPLY");
        if ((flags & Flags.FIRST) != 0) names.add("FIRST");
        if ((flags & Flags.LAST) != 0) names.add("LAST");
        if ((flags & Flags.OWN) != 0) names.add("OWN");
        return String.join("|", names);
    }

    /** The hex of the first bytes, then the sum of all. */
    private static String show(MemorySegment data) {
        final byte[] bytes = data.toArray(ValueLayout.JAVA_BYTE);
        long sum = 0;
        for (byte unit : bytes) sum += unit & 0xff;
        final byte[] first = Arrays.copyOf(bytes, Math.min(bytes.length, SHOWN_BYTES));
        return HexFormat.of().formatHex(first) + "+" + sum % SUM_MODULUS;
    }

    // ---------------------------------------------------------------------------------------- inputs

    private void keep(Step step, String name, long id) {
        if (step.has(name)) ids.put(step.text(name), id);
    }

    private long number(Step step, String name) {
        final String text = step.text(name);
        if (text.isEmpty()) return 0;
        if (text.startsWith("$")) return ids.get(text.substring(1));
        if (text.startsWith("0x")) return Long.parseUnsignedLong(text.substring(2), 16);
        return text.startsWith("-") ? Long.parseLong(text) : Long.parseUnsignedLong(text);
    }

    private Duration milliseconds(Step step) {
        return Duration.ofMillis(number(step, "timeout_ms"));
    }

    private static int flags(Step step) {
        int flags = 0;
        for (String name : step.text("flags").split("\\|")) {
            flags |= switch (name) {
                case "" -> 0;
                case "REPLY" -> Flags.REPLY;
                case "MESSAGE" -> Flags.MESSAGE;
                default -> Integer.parseUnsignedInt(name);
            };
        }
        return flags;
    }

    private MemorySegment payload(String text) {
        if (text.isEmpty()) return MemorySegment.NULL;
        final String[] parts = text.split(":", 3);
        return switch (parts[0]) {
            case "text" -> bytes(text.substring("text:".length()).getBytes(StandardCharsets.UTF_8));
            case "hex" -> bytes(HexFormat.of().parseHex(parts[1]));
            case "repeat" -> {
                final byte[] repeated = new byte[Integer.parseInt(parts[2])];
                Arrays.fill(repeated, (byte) (int) Integer.decode(parts[1]));
                yield bytes(repeated);
            }
            case "buffer" -> buffers.get(parts[1]).peek().segment().asSlice(0, Long.parseLong(parts[2]));
            default -> throw new IllegalArgumentException("no such payload: " + text);
        };
    }

    private static MemorySegment bytes(byte[] bytes) {
        return MemorySegment.ofArray(bytes);
    }

    private static void check(Status status) {
        if (status != Status.OK) throw status.error();
    }

    private static IllegalArgumentException unknown(Step step) {
        return new IllegalArgumentException("no such step: " + step.function);
    }

    private static String encode(String text) {
        return text.replace("%", "%25").replace("\t", "%09").replace("\n", "%0A");
    }

    private static String decode(String text) {
        return text.contains("%")
                ? URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8)
                : text;
    }
}
