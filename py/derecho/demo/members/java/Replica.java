import file_store.FileStore;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The files, in memory. Handlers run on one thread, reports on another: hence the locks. */
final class Replica extends FileStore {
    private Map<String, byte[]> files = new LinkedHashMap<>();
    private Map<String, List<byte[]>> partial = new LinkedHashMap<>();
    private volatile long storedBytes;

    @Override
    public synchronized boolean put(String path, long index, long count, byte[] piece) {
        if (index == 0) partial.put(path, new ArrayList<>());
        final List<byte[]> pieces = partial.get(path);
        if (pieces == null || pieces.size() != index) throw new IllegalStateException(path + ": a piece is missing");
        pieces.add(piece);
        if (pieces.size() < count) return false;
        final byte[] content = joined(partial.remove(path));
        final byte[] before = files.put(path, content);
        storedBytes += content.length - (before == null ? 0 : before.length);
        return true;
    }

    private static byte[] joined(List<byte[]> pieces) {
        final ByteBuffer whole =
                ByteBuffer.allocate(pieces.stream().mapToInt(piece -> piece.length).sum());
        pieces.forEach(whole::put);
        return whole.array();
    }

    @Override
    public synchronized byte[] get(String path) {
        return files.get(path);
    }

    @Override
    protected synchronized Stored saveState() {
        return new Stored(files, partial);
    }

    @Override
    protected synchronized void loadState(Stored state) {
        files = state.files();
        partial = state.partial();
        storedBytes = files.values().stream().mapToLong(content -> content.length).sum();
    }

    synchronized boolean has(String path) {
        return files.containsKey(path);
    }

    synchronized int count() {
        return files.size();
    }

    long storedBytes() {
        return storedBytes;
    }

    /** SHA-256 over the files by path, each part preceded by its length. */
    synchronized String digest() throws NoSuchAlgorithmException {
        final MessageDigest whole = MessageDigest.getInstance("SHA-256");
        files.entrySet().stream()
                .map(file -> Map.entry(file.getKey().getBytes(StandardCharsets.UTF_8), file.getValue()))
                .sorted((a, b) -> Arrays.compareUnsigned(a.getKey(), b.getKey()))
                .forEach(file -> {
                    put(whole, file.getKey());
                    put(whole, file.getValue());
                });
        return HexFormat.of().formatHex(whole.digest());
    }

    private static void put(MessageDigest whole, byte[] part) {
        final ByteBuffer length = ByteBuffer.allocate(Long.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        whole.update(length.putLong(0, part.length));
        whole.update(part);
    }
}
