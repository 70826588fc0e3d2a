// Service FileStore of store.py. Written by `derecho stubs`; do not edit.
// An optional value is null when absent. A u64 is a long of all its 64 bits, smaller unsigned numbers are checked.
package file_store;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.libderecho.Calls;
import org.libderecho.Decoder;
import org.libderecho.Encoder;
import org.libderecho.Group;
import org.libderecho.Replies;
import org.libderecho.Reply;
import org.libderecho.Service;

/** Files by path. One larger than a message comes in pieces, each an ordered call. */
public abstract class FileStore extends Service {
    /** Its name in a group. */
    public static final String NAME = "FileStore";

    /** Over its methods and types: members whose hashes differ do not join each other. */
    public static final long SCHEMA_HASH = 0x9aaa385a49b229a5L;

    protected FileStore() {
        super(NAME, SCHEMA_HASH, 2,
                "service FileStore\n" +
                "ordered put(path:str,index:u32,count:u32,piece:bytes)->bool\n" +
                "query get(path:str)->optional<bytes>\n" +
                "state Stored{files:map<str,bytes>,partial:map<str,list<bytes>>}\n");
    }

    /**
     * Add piece {@code index} of {@code count}; a first piece starts the file afresh. Whether the file is
     * complete.
     */
    public abstract boolean put(String path, long index, long count, byte[] piece) throws Exception;

    /** Return a complete file. */
    public abstract byte[] get(String path) throws Exception;

    /** The state as of now, for a joiner; it is encoded before anything else is applied. */
    protected abstract Stored saveState() throws Exception;

    /** Replace the state by that of another member. */
    protected abstract void loadState(Stored state) throws Exception;

    @Override
    protected final byte[] encodeState() throws Exception {
        Stored state = saveState();
        return Encoder.encode(out -> {
            out.begin("FileStore", 16);
            out.given(state, "state").write(out, 0);
        });
    }

    @Override
    protected final void decodeState(byte[] message) throws Exception {
        loadState(Decoder.decode(message, FileStore::readState));
    }

    private static Stored readState(Decoder in) {
        in.begin("FileStore state", 16);
        Stored state = Stored.read(in, 0);
        in.end();
        return state;
    }

    @Override
    protected final Encoder.Message dispatch(int method, Decoder in) throws Exception {
        return switch (method) {
            case 0 -> {
                in.begin("FileStore.put", 24);
                String path = in.str(0, "path");
                long index = in.u32(8);
                long count = in.u32(12);
                byte[] piece = in.bytes(16, "piece");
                in.end();
                boolean result = put(path, index, count, piece);
                yield out -> {
                    out.begin("FileStore.put", 1);
                    out.bool(0, result);
                };
            }
            case 1 -> {
                in.begin("FileStore.get", 8);
                String path = in.str(0, "path");
                in.end();
                byte[] result = get(path);
                yield out -> {
                    out.begin("FileStore.get", 12);
                    if (out.present(0, result)) {
                        out.bytes(4, result, "result");
                    }
                };
            }
            default -> throw new IllegalArgumentException();
        };
    }

    /** The service as a member of this group calls it. */
    public static Caller of(Group group) {
        return new Caller(group.calls(NAME, SCHEMA_HASH));
    }

    private static boolean putResult(Decoder in) {
        in.begin("FileStore.put reply", 1);
        boolean result = in.bool(0, "result");
        in.end();
        return result;
    }

    private static byte[] getResult(Decoder in) {
        in.begin("FileStore.get reply", 12);
        byte[] value1 = null;
        if (in.present(0, "result")) {
            value1 = in.bytes(4, "result");
        }
        byte[] result = value1;
        in.end();
        return result;
    }

    /** The service's methods, called at the members of a group. Arguments are encoded before a method returns. */
    public static final class Caller {
        private final Calls calls;

        private Caller(Calls calls) {
            this.calls = calls;
        }

        /**
         * Add piece {@code index} of {@code count}; a first piece starts the file afresh. Whether the file is
         * complete.
         */
        public Replies<Boolean> put(String path, long index, long count, byte[] piece) {
            return calls.call("FileStore.put", 0, out -> {
                out.begin("FileStore.put", 24);
                out.str(0, path, "path");
                out.u32(8, index, "index");
                out.u32(12, count, "count");
                out.bytes(16, piece, "piece");
            }, FileStore::putResult);
        }

        /** As {@link #put}, without answers: the fastest form. */
        public void putSend(String path, long index, long count, byte[] piece) {
            calls.send(0, out -> {
                out.begin("FileStore.put", 24);
                out.str(0, path, "path");
                out.u32(8, index, "index");
                out.u32(12, count, "count");
                out.bytes(16, piece, "piece");
            });
        }

        /** Return a complete file. */
        public Reply<byte[]> get(String path) {
            return getAt(calls.nearest(), path);
        }

        /** As {@link #get}, asking one member. */
        public Reply<byte[]> getAt(int node, String path) {
            return calls.query("FileStore.get", node, 1, out -> {
                out.begin("FileStore.get", 8);
                out.str(0, path, "path");
            }, FileStore::getResult);
        }
    }

    /** The state: complete files by path, and the pieces so far of others. */
    public record Stored(Map<String, byte[]> files, Map<String, List<byte[]>> partial) {
        /** The bytes of a message that has these fields. */
        public byte[] encode() {
            return Encoder.encode(out -> {
                out.begin("Stored", 16);
                write(out, 0);
            });
        }

        /** Of the bytes of a message that has these fields; DecodeError for any others. */
        public static Stored decode(byte[] message) {
            return Decoder.decode(message, in -> {
                in.begin("Stored", 16);
                Stored value = read(in, 0);
                in.end();
                return value;
            });
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Stored that && Arrays.equals(encode(), that.encode());
        }

        @Override
        public int hashCode() {
            return Arrays.hashCode(encode());
        }

        private void write(Encoder out, long at) {
            long at1 = out.list(at, out.given(files, "Stored.files").size(), 16, 4);
            for (Map.Entry<String, byte[]> item1 : files.entrySet()) {
                String key1 = item1.getKey();
                byte[] value1 = item1.getValue();
                out.str(at1, key1, "Stored.files's key");
                out.bytes(at1 + 8, value1, "Stored.files's value");
                at1 += 16;
            }
            long at2 = out.list(at + 8, out.given(partial, "Stored.partial").size(), 16, 4);
            for (Map.Entry<String, List<byte[]>> item2 : partial.entrySet()) {
                String key2 = item2.getKey();
                List<byte[]> value2 = item2.getValue();
                out.str(at2, key2, "Stored.partial's key");
                long at3 = out.list(at2 + 8, out.given(value2, "Stored.partial's value").size(), 8, 4);
                for (byte[] item3 : value2) {
                    out.bytes(at3, item3, "Stored.partial's value[]");
                    at3 += 8;
                }
                at2 += 16;
            }
        }

        private static Stored read(Decoder in, long at) {
            long at1 = in.list(at, 16, 4, "Stored.files");
            int count1 = in.count();
            Map<String, byte[]> map1 = new LinkedHashMap<>();
            for (int index1 = 0; index1 < count1; index1++, at1 += 16) {
                String key1 = in.str(at1, "Stored.files's key");
                map1.put(key1, in.bytes(at1 + 8, "Stored.files's value"));
            }
            in.distinct(map1.size(), count1, "Stored.files");
            Map<String, byte[]> files = map1;
            long at2 = in.list(at + 8, 16, 4, "Stored.partial");
            int count2 = in.count();
            Map<String, List<byte[]>> map2 = new LinkedHashMap<>();
            for (int index2 = 0; index2 < count2; index2++, at2 += 16) {
                String key2 = in.str(at2, "Stored.partial's key");
                long at3 = in.list(at2 + 8, 8, 4, "Stored.partial's value");
                int count3 = in.count();
                List<byte[]> list3 = new ArrayList<>(count3);
                for (int index3 = 0; index3 < count3; index3++, at3 += 8) {
                    list3.add(in.bytes(at3, "Stored.partial's value[]"));
                }
                map2.put(key2, list3);
            }
            in.distinct(map2.size(), count2, "Stored.partial");
            Map<String, List<byte[]>> partial = map2;
            return new Stored(files, partial);
        }
    }
}
