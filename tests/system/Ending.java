// A member that ends in the way it is told, and never closes its group: Ending CONTACT WAY, then a line on standard input.

import java.time.Duration;
import org.libderecho.Config;
import org.libderecho.Group;

public final class Ending {
    private static Group group; // reachable to the end

    public static void main(String[] words) throws Exception {
        final Config config = new Config().node(9).listen("127.0.0.1:0").contacts(words[0]);
        group = Group.with(config)
                .raw("log", event -> {})
                .timeout(Duration.ofSeconds(60))
                .leaveAtExit(!words[1].equals("unwatched"))
                .join();
        System.out.println("joined");
        System.in.read();
        switch (words[1]) {
            case "exit" -> System.exit(3);
            case "halt" -> Runtime.getRuntime().halt(3);
            case "throw" -> throw new IllegalStateException("uncaught");
            case "stay" -> Thread.sleep(Long.MAX_VALUE);
            default -> {} // main returns
        }
    }
}
