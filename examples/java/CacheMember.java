import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import org.libderecho.Config;
import org.libderecho.Group;

/** One of three members of a replicated cache: java CacheMember NODE LISTEN CONTACT */
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
        int node = Integer.parseInt(arguments[0]);
        Config config = new Config().node(node).listen(arguments[1]).contacts(arguments[2]);
        try (Group group = Group.join(config, new CacheMember())) {
            Cache.Caller cache = Cache.of(group);
            group.waitView(3, Duration.ofMinutes(1));
            System.out.println("every member says " + cache.put("from " + node, "hello".getBytes()).all());
            System.out.println("this one has " + cache.get("from " + node).result().length + " bytes");
        }
    }
}
