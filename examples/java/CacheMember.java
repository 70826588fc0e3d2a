import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Scanner;
import org.libderecho.Config;
import org.libderecho.Group;

/** One of three members of a replicated cache: java CacheMember NODE ADDRESSES */
public final class CacheMember extends Cache {
    private Map<String, byte[]> items = new LinkedHashMap<>();

    public long put(String key, byte[] value) {
        items.put(key, value);
        return items.size();
    }

    public byte[] get(String key) {
        return items.get(key);
    }

    protected Map<String, byte[]> saveState() {
        return items;
    }

    protected void loadState(Map<String, byte[]> state) {
        items = state;
    }

    public static void main(String[] arguments) {
        if (arguments.length != 2) {
            System.err.println("usage: java CacheMember NODE HOST:PORT,HOST:PORT,HOST:PORT");
            System.exit(2);
        }
        int node = Integer.parseInt(arguments[0]);
        String[] addresses = arguments[1].split(",");
        Config config = new Config().node(node).listen(addresses[node - 1]).initialMembers(addresses);
        var joining = Group.with(config).services(new CacheMember()).onView(System.out::println);
        try (Group group = joining.timeout(Duration.ofMinutes(1)).join(); Scanner lines = new Scanner(System.in)) {
            Cache.Caller cache = Cache.of(group);
            while (lines.hasNextLine()) // each line is put, until the end of the input (Ctrl-D)
                System.out.println("every member says " + cache.put(lines.nextLine(), "hello".getBytes()).all());
        }
    }
}
