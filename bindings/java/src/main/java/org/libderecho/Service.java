package org.libderecho;

import java.util.Iterator;

/**
 * The local replica of a service: base of the classes that {@code derecho stubs} generates, which applications extend.
 * Its methods are called by one thread at a time, the one that drives the group, in the same order at every member.
 */
public abstract class Service {
    private final String name;
    private final long schemaHash;
    private final int methods;
    private final String schema;

    /** @param methods how many methods it has, numbered from 0 */
    protected Service(String name, long schemaHash, int methods) {
        this(name, schemaHash, methods, "");
    }

    /** @param schema what the hash is of: for the error of a node that is refused for another one */
    protected Service(String name, long schemaHash, int methods, String schema) {
        this.name = name;
        this.schemaHash = schemaHash;
        this.methods = methods;
        this.schema = schema;
    }

    final void declare(Config config) {
        config.addService(name, schemaHash);
        if (!schema.isEmpty()) config.describeService(name, schema);
    }

    final String serviceName() {
        return name;
    }

    final long serviceHash() {
        return schemaHash;
    }

    final boolean hasMethod(int method) {
        return Integer.compareUnsigned(method, methods) < 0;
    }

    /** Run a method: decode its arguments, return its result ready to be encoded. Generated. */
    protected abstract Encoder.Message dispatch(int method, Decoder in) throws Exception;

    /** The state as of now, for a joiner. Generated when its type is declared. */
    protected abstract byte[] encodeState() throws Exception;

    /**
     * Instead of {@link #encodeState}: the state in pieces, which are made as they are sent, while the group goes on. The
     * service's ordered calls are held back here until the last one was made; queries are not. Null, as here: all at
     * once.
     */
    protected Iterator<byte[]> saveStatePieces() throws Exception {
        return null;
    }

    /** Replace the state by a saved one. Generated when its type is declared. */
    protected abstract void decodeState(byte[] message) throws Exception;
}
