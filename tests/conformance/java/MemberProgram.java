// The member program of tests/conformance/README.md: does what standard input says, a line each, through generated
// stubs. Everything.java is made of everything.py by `derecho stubs`.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletionException;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import org.libderecho.Closed;
import org.libderecho.Config;
import org.libderecho.Decoder;
import org.libderecho.Group;
import org.libderecho.RemoteError;
import org.libderecho.View;

public final class MemberProgram {
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
        final MemberProgram program = new MemberProgram();
        final var input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            System.out.println(program.answer(line.split(" ")));
            System.out.flush();
        }
        if (program.group != null) program.group.abandon();
    }

    private String answer(String[] words) {
        try {
            final String given = run(words);
            return given.isEmpty() ? "ok" : "ok " + given;
        } catch (CompletionException error) {
            return failure(error.getCause());
        } catch (Exception error) {
            return failure(error);
        }
    }

    private static String failure(Throwable error) {
        if (error instanceof RemoteError remote)
            return String.join(
                    " ",
                    "error RemoteError",
                    Integer.toUnsignedString(remote.member()),
                    encode(remote.typeName()),
                    encode(remote.text()));
        final String kind = error.getClass().getSimpleName().replaceFirst("Exception$", "");
        return "error " + kind + " " + encode(String.valueOf(error.getMessage()));
    }

    private String run(String[] words) throws Exception {
        return switch (words[0]) {
            case "join" -> join(words);
            case "wait" -> nodes(group.waitView(Integer.parseInt(words[1]), PATIENCE));
            case "echo" -> echo(words[1]);
            case "ask" -> hex(service.echoHereAt(node(words[1]), values(words[2])).result().encode());
            case "bytes" -> hex(service.echoBytes(unhex(words[1])).result());
            case "mixed" -> mixed(words);
            case "add" -> String.valueOf(service.add(Long.parseLong(words[1])).result());
            case "send" -> {
                service.addSend(Long.parseLong(words[1]));
                yield "";
            }
            case "total" -> String.valueOf(service.total().result());
            case "fail" -> {
                service.fail(decode(words[1]), decode(words[2])).all();
                yield "";
            }
            case "failat" -> {
                service.failHereAt(node(words[1]), decode(words[2]), decode(words[3])).result();
                yield "";
            }
            case "unknown" -> {
                group.calls(Everything.NAME, Everything.SCHEMA_HASH)
                        .call("Everything.unknown", NO_METHOD, out -> out.begin("unknown", 0), Decoder::nothing)
                        .result();
                yield "";
            }
            case "flood" -> flood(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
            case "threads" -> threads(Integer.parseInt(words[1]), Integer.parseInt(words[2]));
            case "pending" -> pending(Integer.parseInt(words[1]));
            case "leave" -> {
                group.leave(PATIENCE);
                yield "";
            }
            case "close" -> {
                group.abandon();
                yield "";
            }
            default -> throw new IllegalArgumentException("no such line: " + words[0]);
        };
    }

    private String join(String[] words) {
        final Config config = new Config()
                .node(node(words[1]))
                .listen(words[2])
                .contacts(words[3].split(","))
                .wire(words[4])
                .group(words[5]);
        group = Group.with(config).services(new Replica()).timeout(PATIENCE).join();
        service = Everything.of(group);
        return nodes(group.view());
    }

    private static String nodes(View view) {
        return view.nodes().stream().map(Integer::toUnsignedString).collect(Collectors.joining(","));
    }

    private String echo(String values) {
        final Map<Integer, Everything.Values> answers = new TreeMap<>(Integer::compareUnsigned);
        answers.putAll(service.echo(values(values)).all());
        return answers.entrySet().stream()
                .map(e -> Integer.toUnsignedString(e.getKey()) + "=" + hex(e.getValue().encode()))
                .collect(Collectors.joining(","));
    }

    private String mixed(String[] words) {
        final String list = decode(words[5]);
        final List<String> items = list.isEmpty() ? List.of() : List.of(list.split(","));
        final int[] numbers = items.stream().mapToInt(Integer::parseInt).toArray();
        return encode(service.mix(
                        Byte.parseByte(words[1]),
                        decode(words[2]),
                        Double.parseDouble(words[3]),
                        Boolean.parseBoolean(words[4]),
                        numbers)
                .result());
    }

    private String flood(int count, int size) {
        final byte[] value = new byte[size];
        for (int i = 0; i < count; i++) service.echoBytesSend(value);
        service.add(0).all();
        return "";
    }

    private String threads(int threads, int count) throws InterruptedException {
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
        return "";
    }

    /** Calls that are under way when the group is closed end with an answer, or with Closed; nothing hangs. */
    private String pending(int count) throws InterruptedException {
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
        return done + " " + closed;
    }

    private static int node(String text) {
        return Integer.parseUnsignedInt(text);
    }

    private static Everything.Values values(String hex) {
        return Everything.Values.decode(unhex(hex));
    }

    private static String hex(byte[] bytes) {
        return bytes.length == 0 ? "-" : HexFormat.of().formatHex(bytes);
    }

    private static byte[] unhex(String hex) {
        return hex.equals("-") ? new byte[0] : HexFormat.of().parseHex(hex);
    }

    private static String encode(String text) {
        if (text.isEmpty()) return "-";
        final StringBuilder encoded = new StringBuilder();
        for (byte unit : text.getBytes(StandardCharsets.UTF_8)) {
            if (unit > ' ' && unit != '%' && unit != 0x7f) encoded.append((char) unit);
            else encoded.append(String.format("%%%02X", unit & 0xff));
        }
        return encoded.toString();
    }

    private static String decode(String text) {
        if (text.equals("-")) return "";
        return URLDecoder.decode(text.replace("+", "%2B"), StandardCharsets.UTF_8);
    }
}
