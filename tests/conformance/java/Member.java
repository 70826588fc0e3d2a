// The member program of tests/conformance/README.md: does what standard input says, a line each, through generated
// stubs. Everything.java is made of everything.py by `derecho stubs`.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.libderecho.CallContext;
import org.libderecho.Closed;
import org.libderecho.Config;
import org.libderecho.Decoder;
import org.libderecho.Group;
import org.libderecho.RemoteError;
import org.libderecho.View;

public final class Member {
    private static final Duration PATIENCE = Duration.ofSeconds(30);
    private static final int NO_METHOD = 999;

    private Group group;
    private Everything.Caller service;

    /** The replica. */
    private static final class Replica extends Everything {
        private long sum;
        private long calls;
        private byte[] last = {};

        @Override
        public Values echo(Values values) {
            return values;
        }

        @Override
        public Values echoHere(Values values) {
            return values;
        }

        @Override
        public byte[] echoBytes(byte[] value) {
            last = value;
            calls++;
            return value;
        }

        @Override
        public String mix(byte a, String b, double c, boolean d, int[] e) {
            long total = 0;
            for (int number : e) total += number;
            return a + "|" + b + "|" + twoDecimals(c) + "|" + d + "|" + total;
        }

        /** As Python and C write it: rounded half to even, with the sign of what was rounded to zero. */
        private static String twoDecimals(double number) {
            final var rounded = new BigDecimal(Math.abs(number)).setScale(2, RoundingMode.HALF_EVEN);
            return (Math.copySign(1, number) < 0 ? "-" : "") + rounded.toPlainString();
        }

        @Override
        public long add(long amount) {
            sum += amount;
            calls++;
            return sum;
        }

        @Override
        public long total() {
            return sum;
        }

        @Override
        public void fail(String kind, String text) {
            failHere(kind, text);
        }

        @Override
        public void failHere(String kind, String text) {
            if (kind.equals("argument")) throw new IllegalArgumentException(text);
            if (kind.equals("state")) throw new IllegalStateException(text);
        }

        @Override
        public String moment() {
            return momentHere();
        }

        @Override
        public String momentHere() {
            final CallContext call = CallContext.current();
            return Integer.toUnsignedString(call.caller()) + ":" + Long.toUnsignedString(call.version()) + ":"
                    + Long.toUnsignedString(call.timeNs());
        }

        @Override
        protected Totals saveState() {
            return new Totals(sum, calls, last);
        }

        @Override
        protected void loadState(Totals state) {
            sum = state.sum();
            calls = state.calls();
            last = state.last();
        }
    }

    public static void main(String[] arguments) throws Exception {
        final Member member = new Member();
        final var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        final var output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            final List<String> words = Words.split(line, " ").stream().map(Member::decode).toList();
            output.println(member.answer(words.toArray(String[]::new)).stream()
                    .map(Member::encode)
                    .collect(Collectors.joining(" ")));
        }
        if (member.group != null) member.group.abandon();
    }

    private static String decode(String word) {
        return word.equals("-") ? "" : Words.decode(word);
    }

    private static String encode(String text) {
        if (text.isEmpty()) return "-";
        return text.equals("-") ? "%2D" : Words.encode(text, " ");
    }

    private List<String> answer(String[] words) {
        try {
            return Stream.concat(Stream.of("ok"), run(words).stream()).toList();
        } catch (RemoteError error) {
            final String member = Integer.toUnsignedString(error.member());
            return List.of("error", "RemoteError", member, error.typeName(), error.text());
        } catch (Exception error) {
            final String kind = error.getClass().getSimpleName().replaceFirst("Exception$", "");
            return List.of("error", kind, String.valueOf(error.getMessage()));
        }
    }

    private List<String> run(String[] words) throws Exception {
        return switch (words[0]) {
            case "join" -> join(words);
            case "wait" -> nodes(group.waitView(Integer.parseInt(words[1]), PATIENCE));
            case "wait_exactly" -> nodes(group.waitViewExactly(Integer.parseInt(words[1]), PATIENCE));
            case "echo" -> echo(values(words[1]));
            case "ask" ->
                List.of(Words.hex(service.echoHereAt(node(words[1]), values(words[2]))
                        .result()
                        .encode()));
            case "bytes" -> List.of(Words.hex(service.echoBytes(Words.unhex(words[1])).result()));
            case "mixed" -> mixed(words);
            case "add" -> List.of(service.add(Long.parseLong(words[1])).result().toString());
            case "addall" ->
                List.of(service.add(Long.parseLong(words[1])).all().entrySet().stream()
                        .sorted(Map.Entry.comparingByKey())
                        .map(answer -> answer.getKey() + "=" + answer.getValue())
                        .collect(Collectors.joining(",")));
            case "spoil" -> {
                group.local(Replica.class).sum++;
                yield List.of();
            }
            case "send" -> {
                service.addSend(Long.parseLong(words[1]));
                yield List.of();
            }
            case "total" -> List.of(service.total().result().toString());
            case "fail" -> {
                service.fail(words[1], words[2]).all();
                yield List.of();
            }
            case "failat" -> {
                service.failHereAt(node(words[1]), words[2], words[3]).result();
                yield List.of();
            }
            case "moment" -> moment();
            case "moment_at" -> List.of(service.momentHereAt(node(words[1])).result());
            case "moment_of_none" -> List.of(new Replica().moment());
            case "troubles" -> group.troubles();
            case "unknown" -> {
                group.calls(Everything.NAME, Everything.SCHEMA_HASH)
                        .call("Everything.unknown", NO_METHOD, out -> out.begin("unknown", 0), Decoder::nothing)
                        .result();
                yield List.of();
            }
            case "flood" -> flood(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
            case "threads" -> threads(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
            case "pending" -> pending(Integer.parseInt(words[1]));
            case "leave" -> {
                group.leave(PATIENCE);
                yield List.of();
            }
            case "close" -> {
                group.abandon();
                yield List.of();
            }
            default -> throw new IllegalArgumentException("no such line: " + words[0]);
        };
    }

    private List<String> join(String[] words) {
        final Config config = new Config()
                .node(node(words[1]))
                .listen(words[2])
                .initialMembers(words[3].split(","))
                .wire(words[4])
                .group(words[5]);
        group = Group.with(config).services(new Replica()).timeout(PATIENCE).join();
        service = Everything.of(group);
        return nodes(group.view());
    }

    private static List<String> nodes(View view) {
        return List.of(view.nodes().stream().map(Integer::toUnsignedString).collect(Collectors.joining(",")));
    }

    private List<String> echo(Everything.Values values) {
        final Map<Integer, Everything.Values> answers = new TreeMap<>(Integer::compareUnsigned);
        answers.putAll(service.echo(values).all());
        return List.of(answers.entrySet().stream()
                .map(e -> Integer.toUnsignedString(e.getKey()) + "="
                        + Words.hex(e.getValue().encode()))
                .collect(Collectors.joining(",")));
    }

    private List<String> moment() {
        final Map<Integer, String> answers = new TreeMap<>(Integer::compareUnsigned);
        answers.putAll(service.moment().all());
        return List.of(answers.entrySet().stream()
                .map(e -> Integer.toUnsignedString(e.getKey()) + "=" + e.getValue())
                .collect(Collectors.joining(",")));
    }

    private List<String> mixed(String[] words) {
        final int[] numbers = Words.split(words[5], ",").stream()
                .mapToInt(Integer::parseInt)
                .toArray();
        final byte a = Byte.parseByte(words[1]);
        final double c = Double.parseDouble(words[3]);
        return List.of(service.mix(a, words[2], c, Boolean.parseBoolean(words[4]), numbers)
                .result());
    }

    private List<String> flood(int count, int size) {
        final byte[] value = new byte[size];
        for (int i = 0; i < count; i++) service.echoBytesSend(value);
        service.add(0).all();
        return List.of();
    }

    private List<String> threads(int threads, int count) throws InterruptedException {
        final List<Thread> started = new ArrayList<>();
        final AtomicInteger failures = new AtomicInteger();
        for (int i = 0; i < threads; i++) started.add(Thread.startVirtualThread(() -> {
            try {
                for (int j = 0; j < count; j++) service.add(1).result();
            } catch (RuntimeException error) {
                failures.incrementAndGet();
            }
        }));
        for (Thread thread : started) thread.join();
        if (failures.get() > 0) throw new IllegalStateException(failures + " threads failed");
        return List.of();
    }

    /** Calls that are under way when the group is closed end with an answer, or with Closed; nothing hangs. */
    private List<String> pending(int count) throws InterruptedException {
        final AtomicInteger done = new AtomicInteger();
        final AtomicInteger closed = new AtomicInteger();
        final List<Thread> started = new ArrayList<>();
        for (int i = 0; i < count; i++) started.add(Thread.ofPlatform().start(() -> {
            try {
                service.add(0).result();
                done.incrementAndGet();
            } catch (Closed error) {
                closed.incrementAndGet();
            }
        }));
        group.abandon();
        for (Thread thread : started) thread.join();
        return List.of(done.toString(), closed.toString());
    }

    private static int node(String text) {
        return Integer.parseUnsignedInt(text);
    }

    private static Everything.Values values(String hex) {
        return Everything.Values.decode(Words.unhex(hex));
    }
}
