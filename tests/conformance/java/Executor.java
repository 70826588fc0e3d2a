// The executor of conformance scripts (tests/conformance/README.md) over the raw ring. It judges nothing.

import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.libderecho.Buffer;
import org.libderecho.Claim;
import org.libderecho.Config;
import org.libderecho.Derecho;
import org.libderecho.DerechoError;
import org.libderecho.EventBatch;
import org.libderecho.EventKind;
import org.libderecho.Flags;
import org.libderecho.Holdup;
import org.libderecho.MemoryKey;
import org.libderecho.MessageBatch;
import org.libderecho.RawGroup;
import org.libderecho.RegisteredMemory;
import org.libderecho.Shard;
import org.libderecho.Stats;
import org.libderecho.Status;
import org.libderecho.Symbols;
import org.libderecho.View;

public final class Executor {
    private static final Map<String, Integer> CALL_FLAGS = Map.of("REPLY", Flags.REPLY, "MESSAGE", Flags.MESSAGE);
    private static final int PAGE_BYTES = 4096;

    private final Map<String, Config> configs = new HashMap<>();
    private final Map<String, RawGroup> groups = new HashMap<>();
    private final Map<String, Shard> shards = new HashMap<>();
    private final Map<String, Claim> claims = new HashMap<>();
    private final Map<String, Buffer> buffers = new HashMap<>();
    private final Map<String, RegisteredMemory> memories = new HashMap<>();
    private final Map<String, MemoryKey> keys = new HashMap<>();
    private final Map<String, List<EventBatch>> leases = new HashMap<>();
    private final Map<String, Long> ids = new HashMap<>();
    private final Map<Long, String> sent = new HashMap<>(); // names of calls and tickets
    private final Map<RawGroup, Map<Integer, Long>> versions = new HashMap<>(); // the last of each shard

    private Map<String, String> inputs;
    private Map<String, String> given;

    public static void main(String[] arguments) throws IOException {
        final Executor executor = new Executor();
        final PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        try {
            for (String line : Files.readString(Path.of(arguments[0])).split("\n")) out.println(executor.run(line));
        } catch (RuntimeException error) {
            error.printStackTrace();
            System.exit(2);
        }
    }

    /** Do the step of a line; give the line that comes of it. */
    private String run(String line) {
        final String[] fields = line.split("\t");
        inputs = new HashMap<>();
        for (String field : fields) {
            final String[] parts = field.split("=", 2);
            if (parts.length == 2) inputs.put(parts[0], Words.decode(parts[1]));
        }
        given = new LinkedHashMap<>();
        try {
            step(fields[0]);
        } catch (DerechoError error) {
            return error.status() + "\terror=" + Words.encode(error.getMessage(), "");
        }
        final StringBuilder answer = new StringBuilder("OK");
        given.forEach((name, value) -> answer.append('\t').append(name).append('=').append(Words.encode(value, "")));
        return answer.toString();
    }

    private void step(String function) {
        switch (function) {
            case "status_name" -> give("result", Symbols.statusName(statusNumber()));
            case "last_error" -> give("result", Symbols.lastError());
            case "abi_version" -> give("result", Symbols.abiVersion());
            case "abi_hash" -> give("result", Long.toUnsignedString(Symbols.abiHash()));
            case "version" -> give("result", Derecho.version());
            case "log_to" -> Derecho.logTo((int) number("fd"), (int) number("level"));
            case "config_create" -> configs.put(text("config_out"), new Config());
            case "config_set" -> config().set(text("key"), text("value"));
            case "config_get" -> give("value", config().get(text("key")));
            case "config_load" -> config().load(Path.of(text("path")));
            case "config_add_service" -> config().addService(text("name"), number("schema_hash"));
            case "config_close" -> config().close();
            case "group_join" -> groups.put(text("group_out"), RawGroup.join(config(), timeout()));
            case "group_leave" -> group().leave(timeout());
            case "group_close" -> group().close();
            case "group_fd" -> group().fd();
            case "group_view" -> giveView(group().view());
            case "group_stats" -> giveStats(group().stats());
            case "group_holdup" -> giveHoldup(group().holdup((int) number("node")));
            case "group_reply" ->
                group().reply((int) number("node"), number("call"), Status.valueOf(text("status")), payload("data"));
            case "group_state" ->
                group().state((int) number("node"), number("request"), payload("data"), number("last") != 0);
            case "group_state_size" ->
                group().stateSize((int) number("node"), number("request"), number("total_bytes"));
            case "group_state_fail" -> {
                final Status status = group().tryStateFail((int) number("node"), number("request"), payload("text"));
                if (status != Status.OK) throw status.error();
            }
            case "shard_open" -> shards.put(text("shard_out"), group().shard(text("service")));
            case "shard_send" -> keepSent("ticket_out", shard().send(payload("data")));
            case "shard_send_many" -> sendMany();
            case "shard_call" ->
                keepSent("call_out", shard().call((int) number("method"), flags(), payload("args")));
            case "shard_query" ->
                keepSent(
                        "call_out",
                        shard().query((int) number("node"), (int) number("method"), payload("args")));
            case "shard_claim" -> claimRoom();
            case "claim_fill" -> claim().put(0, payload("data"));
            case "claim_commit" -> {
                claim().commit(number("used_bytes"));
                keepSent("claim", claim().id());
            }
            case "claim_abort" -> claim().abort();
            case "poll" -> poll();
            case "release" -> known(leases, "lease").forEach(EventBatch::release);
            case "wake" -> group().wake();
            case "buffer_create" -> buffers.put(text("buffer_out"), Buffer.allocate(number("size_bytes")));
            case "buffer_data" -> {
                give("size_bytes", buffer().byteSize());
                giveAlignment(buffer(), PAGE_BYTES);
            }
            case "buffer_release" -> known(buffers, "buffer").close();
            case "buffer_fill" -> {
                final MemorySegment data = payload("data");
                MemorySegment.copy(data, 0, buffer(), number("offset"), data.byteSize());
            }
            case "buffer_read" ->
                give("data", Words.shown(buffer().asSlice(number("offset"), number("size_bytes"))));
            case "memory_register" -> {
                final List<String> access = Words.split(text("access"), "\\|");
                memories.put(
                        text("memory_out"),
                        group().register(buffer(), access.contains("READ"), access.contains("WRITE")));
            }
            case "memory_register_dmabuf" -> {
                final List<String> access = Words.split(text("access"), "\\|");
                memories.put(
                        text("memory_out"),
                        group().registerDmabuf(
                                (int) number("fd"),
                                number("offset"),
                                number("size_bytes"),
                                access.contains("READ"),
                                access.contains("WRITE")));
            }
            case "memory_key_for" -> keys.put(text("key_out"), memory().keyFor((int) number("node")));
            case "memory_read" ->
                keepSent("operation_out", group().read((int) number("node"), key(), number("offset"), parts()));
            case "memory_write" ->
                keepSent("operation_out", group().write((int) number("node"), key(), number("offset"), parts()));
            case "memory_deregister" -> memory().deregister(timeout());
            default -> throw new IllegalArgumentException("unknown function " + function);
        }
    }

    // ---------------------------------------------------------------------------------------- inputs

    private String text(String name) {
        if (!inputs.containsKey(name)) throw new IllegalArgumentException("missing input " + name);
        return inputs.get(name);
    }

    private long number(String name) {
        final String text = text(name);
        if (text.startsWith("$")) return ids.get(text.substring(1));
        return text.startsWith("-") ? Long.parseLong(text) : Long.parseUnsignedLong(text);
    }

    private long number(String name, long otherwise) {
        return inputs.containsKey(name) ? number(name) : otherwise;
    }

    private Duration timeout() {
        return Duration.ofMillis(number("timeout_ms", 0));
    }

    private int statusNumber() {
        try {
            return Status.valueOf(text("status")).ordinal();
        } catch (IllegalArgumentException none) {
            return (int) number("status");
        }
    }

    private int flags() {
        return Words.split(text("flags"), "\\|").stream().mapToInt(CALL_FLAGS::get).sum();
    }

    private MemorySegment payload(String name) {
        return toPayload(text(name));
    }

    private MemorySegment toPayload(String text) {
        final String[] parts = text.split(":", 2);
        if (parts[0].equals("buffer")) {
            final String[] which = parts[1].split(":");
            return buffers.get(which[0]).segment().asSlice(0, Long.parseLong(which[1]));
        }
        return MemorySegment.ofArray(
                switch (parts[0]) {
                    case "text" -> parts[1].getBytes(StandardCharsets.UTF_8);
                    case "hex" -> Words.unhex(parts[1]);
                    case "repeat" -> repeated(parts[1].split(":"));
                    default -> throw new IllegalArgumentException("no such payload: " + text);
                });
    }

    private static byte[] repeated(String[] byteAndCount) {
        final byte[] bytes = new byte[Integer.parseInt(byteAndCount[1])];
        Arrays.fill(bytes, (byte) Integer.parseInt(byteAndCount[0]));
        return bytes;
    }

    private <T> T known(Map<String, T> table, String input) {
        final T entry = table.get(text(input));
        if (entry == null) throw new IllegalArgumentException("no such name: " + text(input));
        return entry;
    }

    private Config config() {
        return known(configs, "config");
    }

    private RawGroup group() {
        return known(groups, "group");
    }

    private Shard shard() {
        return known(shards, "shard");
    }

    private Claim claim() {
        return known(claims, "claim");
    }

    private RegisteredMemory memory() {
        return known(memories, "memory");
    }

    private MemoryKey key() {
        return known(keys, "key");
    }

    private List<RegisteredMemory.Part> parts() {
        return Words.split(text("pieces"), ",").stream()
                .map(each -> each.split(":"))
                .map(each -> memories.get(each[0]).part(Long.parseLong(each[1]), Long.parseLong(each[2])))
                .toList();
    }

    private MemorySegment buffer() {
        return known(buffers, "buffer").segment();
    }

    // ---------------------------------------------------------------------------------------- outputs

    private void give(String name, Object value) {
        given.put(name, String.valueOf(value));
    }

    private void giveAlignment(MemorySegment memory, int multiple) {
        if (memory.address() % multiple != 0) give("aligned", "BAD");
    }

    /** Keep the id of a call or ticket under the name that the step gives. */
    private void keepSent(String output, long id) {
        if (!inputs.containsKey(output)) return;
        ids.put(text(output), id);
        sent.put(id, text(output));
    }

    private void giveView(View view) {
        give("id", Long.toUnsignedString(view.id()));
        give("self_rank", Integer.toUnsignedString(view.selfRank()));
        final List<String> members = view.members().stream()
                .map(each -> Integer.toUnsignedString(each.node())
                        + ":"
                        + (each.votes() ? "VOTES" : each.hasState() ? "HAS_STATE" : ""))
                .toList();
        give("members", String.join(",", members));
    }

    private void giveStats(Stats stats) {
        give("delivered_messages", stats.deliveredMessages());
        give("delivered_bytes", stats.deliveredBytes());
        give("sent_messages", stats.sentMessages());
        give("views", stats.views());
    }

    private void giveHoldup(Holdup holdup) {
        give("cause", (holdup == null ? Holdup.Cause.NONE : holdup.cause()).toString());
        if (holdup != null) give("node", holdup.node());
    }

    private void sendMany() {
        final List<MemorySegment> messages =
                Words.split(text("messages"), ",").stream().map(this::toPayload).toList();
        final long bytes = messages.stream().mapToLong(each -> each.byteSize() + Long.BYTES).sum();
        final MessageBatch batch = new MessageBatch(messages.size() + 1, bytes + 1); // even of none
        messages.forEach(batch::add);
        keepSent("ticket_out", shard().sendMany(batch));
        give("sent", messages.size() - batch.count());
    }

    private void claimRoom() {
        final Claim claim = shard().claim((int) number("method"), flags(), number("size_bytes"));
        claims.put(text("claim_out"), claim);
        give("size_bytes", claim.size());
        giveAlignment(claim.data(), Long.BYTES);
    }

    // ---------------------------------------------------------------------------------------- events

    private void poll() {
        if (inputs.containsKey("wake_after_ms")) {
            pollWoken();
            return;
        }
        final RawGroup group = group();
        final List<String> names = Words.split(inputs.getOrDefault("ids", ""), ",");
        final List<String> skipped = Words.split(inputs.getOrDefault("skip", ""), "\\|");
        final long deadline = System.nanoTime() + timeout().toNanos();
        final int wanted = (int) number("until", 1);
        int counted = 0;
        do {
            final EventBatch batch = new EventBatch(wanted - counted);
            group.poll(batch, Math.max(deadline - System.nanoTime(), 0));
            for (int i = 0; i < batch.count(); i++) {
                if (skipped.contains(batch.kind(i).name())) continue;
                if (counted < names.size()) ids.put(names.get(counted), batch.id(i));
                give("e" + counted++, show(group, batch, i));
            }
            if (inputs.containsKey("lease_out"))
                leases.computeIfAbsent(text("lease_out"), name -> new ArrayList<>()).add(batch);
            else batch.release();
        } while (counted < wanted && System.nanoTime() < deadline);
    }

    private void pollWoken() {
        final RawGroup group = group();
        final long delay = number("wake_after_ms");
        Thread.startVirtualThread(() -> {
            try {
                Thread.sleep(delay);
                group.wake();
            } catch (InterruptedException error) {
                throw new AssertionError(error);
            }
        });
        final long began = System.nanoTime();
        final boolean empty = group.poll(new EventBatch(1), timeout()) == 0;
        give("woken", empty && System.nanoTime() - began < timeout().toNanos() ? "yes" : "no");
    }

    private String show(RawGroup group, EventBatch batch, int i) {
        final EventKind kind = batch.kind(i);
        final MemorySegment data = batch.data(i);
        final StringBuilder text = new StringBuilder();
        text.append(kind).append(";node=").append(Integer.toUnsignedString(batch.node(i)));
        text.append(";method=").append(Integer.toUnsignedString(batch.method(i)));
        text.append(";shard=").append(batch.shard(i)).append(";status=").append(batch.status(i));
        text.append(";flags=").append(showFlags(batch.flags(i)));
        text.append(";size=").append(batch.size(i)).append(";data=").append(Words.shown(data));
        if (hasSentId(batch, i)) text.append(";id=").append(sent.getOrDefault(batch.id(i), "?"));
        if (!versionGrows(group, batch, i)) text.append(";version=BAD");
        final int alignment = kind == EventKind.ORDERED ? Integer.BYTES : Long.BYTES;
        if (data.byteSize() != 0 && data.address() % alignment != 0) text.append(";aligned=BAD");
        return text.toString();
    }

    private static String showFlags(int flags) {
        final List<String> names = new ArrayList<>();
        if ((flags & Flags.REPLY) != 0) names.add("REPLY");
        if ((flags & Flags.FIRST) != 0) names.add("FIRST");
        if ((flags & Flags.LAST) != 0) names.add("LAST");
        if ((flags & Flags.OWN) != 0) names.add("OWN");
        return String.join("|", names);
    }

    private static boolean hasSentId(EventBatch batch, int i) {
        return switch (batch.kind(i)) {
            case MESSAGE -> (batch.flags(i) & Flags.OWN) != 0;
            case CALL, QUERY, ORDERED, REPLY, MEMORY -> true;
            default -> false;
        };
    }

    private boolean versionGrows(RawGroup group, EventBatch batch, int i) {
        if (batch.kind(i) != EventKind.MESSAGE && batch.kind(i) != EventKind.CALL) return true;
        final Map<Integer, Long> last = versions.computeIfAbsent(group, none -> new HashMap<>());
        final Long before = last.put(batch.shard(i), batch.version(i));
        return before == null || before < batch.version(i);
    }
}
