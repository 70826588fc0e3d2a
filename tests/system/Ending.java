// A member that ends in the way it is told, and never closes its group: Ending CONTACT WAY, then a line on standard input.

import java.time.Duration;
import org.libderecho.Config;
import org.libderecho.Group;

public final class Ending {
    private static Group group; // reachable to the end
    private static String way;

    public static void main(String[] words) throws Exception {
        final Config config = new Config().node(9).listen("127.0.0.1:0").contacts(words[0]);
        way = words[1];
        group = Group.with(config)
                .raw("log", event -> exitIf("exit in a handler"))
                .onEnd(reason -> exitIf("exit when told of the end"))
                .timeout(Duration.ofSeconds(60))
                .leaveAtExit(!way.equals("unwatched"))
                .join();
        System.out.println("joined");
        System.in.read();
        switch (way) {
            case "exit in a handler" -> group.send(group.shard("log"), new byte[1]);
            case "exit" -> System.exit(3);
            case "halt" -> Runtime.getRuntime().halt(3);
            case "throw" -> throw new IllegalStateException("uncaught");
            case "stay", "exit when told of the end" -> {}
            default -> {
                return;
            }
        }
        Thread.sleep(Long.MAX_VALUE);
    }

    private static void exitIf(String asked) {
        if (way.equals(asked)) System.exit(3);
    }
}
