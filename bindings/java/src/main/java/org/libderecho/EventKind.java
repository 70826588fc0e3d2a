package org.libderecho;

/** What an event is about: the {@code DERECHO_EVENT_} of the same name. */
public enum EventKind {
    /** Of a later library. */
    UNKNOWN,
    /** An ordered message. node: its sender; id: the ticket, if that is this node. */
    MESSAGE,
    /** An ordered call; {@link Flags#REPLY} if an answer is due. */
    CALL,
    /** A query to this node. node: the caller. */
    QUERY,
    /** This node's call was ordered. data: uint32 ids of the members that owe a reply. */
    ORDERED,
    /** One reply to this node's call. node: who; status; data: the result, or an error text; version: its digest. */
    REPLY,
    /** A view was installed: {@link RawGroup#view} has it. id: the view's. */
    VIEW,
    /** A joiner needs the service's state, as of this very event. node: the joiner. */
    STATE_REQUEST,
    /** A piece of the state for this node; {@link Flags#FIRST}, {@link Flags#LAST}. */
    STATE,
    /** The end. status: why. */
    CLOSED,
    /** An operation on registered memory ended. node: whose; status; data: why, if it is INVALID or UNREACHABLE. */
    MEMORY,
    /** Option digest found that a replica differs. node: whose, or ANY_NODE; version; data: a sentence. */
    DIFFERENCE;

    private static final EventKind[] ALL = values();

    static EventKind of(int code) {
        return code > 0 && code < ALL.length ? ALL[code] : UNKNOWN;
    }
}
