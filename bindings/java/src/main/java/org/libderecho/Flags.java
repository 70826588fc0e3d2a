package org.libderecho;

/** Bits of {@code flags}, of events and of calls. */
public final class Flags {
    /** Of a call or query: an answer is due. */
    public static final int REPLY = Native.FLAG_REPLY;

    /** The first piece of a state: it discards pieces before it. */
    public static final int FIRST = Native.FLAG_FIRST;

    /** The last piece of a state. */
    public static final int LAST = Native.FLAG_LAST;

    /** This node sent it. */
    public static final int OWN = Native.FLAG_OWN;

    /** Of a claim: a plain message instead of a call. */
    public static final int MESSAGE = Native.CLAIM_MESSAGE;

    private Flags() {}
}
