// Uses examples/cache_cpp through its shim alone: two members, then each kind of call and of failure, a line each.

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Arrays;
import java.util.function.Supplier;

public final class UseCache {
    public static void main(String[] arguments) {
        final String path = arguments[0];
        final String contact = ";initial_members=" + arguments[1];
        final CacheDll one = new CacheDll("node=1;listen=" + arguments[1] + contact, path);
        try (CacheDll two = new CacheDll("node=2;listen=" + arguments[2] + contact, path)) {
            two.waitMembers(2, Duration.ofSeconds(10));
            show(() -> one.put("k", "value".getBytes(StandardCharsets.UTF_8)).all());
            show(() -> new String(two.get(2, "k").result(), StandardCharsets.UTF_8));
            show(() -> two.get(1, "absent").result());
            show(() -> one.put("ä", new byte[0]).all());
            show(() -> Arrays.toString(two.sizes(1).result()));
            show(() -> two.drop("ä").all());
            show(() -> two.drop("ä").result(Duration.ofSeconds(5)));
            show(() -> two.put("", new byte[0]).all());
            for (int i = 0; i < 2000; i++) one.put("k", new byte[100]); // forgotten: the collector closes them
            System.gc();
            show(() -> one.put("k", new byte[0]).all());
            one.leave();
            show(() -> one.put("k", new byte[0]));
            show(() -> {
                one.leave();
                return null;
            });
            one.close();
        }
    }

    private static void show(Supplier<Object> use) {
        try {
            System.out.println(use.get());
        } catch (CacheDll.Failure failure) {
            System.out.println(failure.status() + " " + failure.getMessage());
        }
    }
}
