package org.libderecho;

import java.util.function.Function;

/** What a call, or a remote call, came to: the {@code derecho_status} of the same name, in its order. */
public enum Status {
    OK(null),
    AGAIN(RingFull::new),
    TIMEOUT(Timeout::new),
    INVALID(InvalidArgument::new),
    BAD_HANDLE(BadHandle::new),
    CLOSED(Closed::new),
    TOO_LARGE(TooLarge::new),
    NOT_MEMBER(NotMember::new),
    WEDGED(ViewChanging::new),
    EJECTED(Ejected::new),
    NO_MAJORITY(NoMajority::new),
    UNREACHABLE(Unreachable::new),
    INCOMPATIBLE(Incompatible::new),
    DUPLICATE(DuplicateNode::new),
    ADDRESS_IN_USE(AddressInUse::new),
    NO_MEMORY(NoMemory::new),
    REMOVED(text -> new MemberRemoved(text, 0)),
    REMOTE_ERROR(text -> new RemoteError(0, text, "")),
    UNKNOWN_METHOD(text -> new UnknownMethod(text, 0)),
    STATE_LOST(StateLost::new),
    INTERNAL(InternalError::new),
    DIFFERS(ReplicasDiffer::new);

    private static final Status[] ALL = values();

    private final Function<String, DerechoError> exception;

    Status(Function<String, DerechoError> exception) {
        this.exception = exception;
    }

    /** The status with this number; {@link #INTERNAL} for one that a later library may have. */
    static Status of(int code) {
        return code >= 0 && code < ALL.length ? ALL[code] : INTERNAL;
    }

    /** Its number in {@code derecho.h}. */
    int code() {
        return ordinal();
    }

    /**
     * The exception of this status, with what the core said about the last failure on this thread: to be thrown by who
     * got the status from a {@code try} form and cannot go on.
     */
    public DerechoError error() {
        return error(Native.derecho_last_error().reinterpret(Long.MAX_VALUE).getString(0));
    }

    /** The exception of this status, with a text of one's own. */
    DerechoError error(String text) {
        if (exception == null) throw new IllegalStateException("OK is no error");
        return exception.apply(text.isEmpty() ? "libderecho returned " + this : text);
    }

    /** Not now, but perhaps after polling: {@link #AGAIN} or {@link #WEDGED}. */
    boolean isNotNow() {
        return this == AGAIN || this == WEDGED;
    }

    /** Throw the exception of a status other than OK. */
    static void check(int code) {
        if (code != Native.OK) throw of(code).error();
    }
}
