package org.libderecho;

/**
 * What a method of a service may ask about the call that it handles: {@link #current}. Of an ordered call all three are
 * the same at every member.
 *
 * @param caller the node that made the call: a member, or for a query perhaps a client. No argument can forge it.
 * @param version grows with every ordered call of the service. For a query: of the last ordered call that the state has.
 * @param timeNs nanoseconds since the Unix epoch, by the clock of the sender, on which all members agree; of an ordered
 *     call never less than that of a call before it. For a query: of the last ordered call that the state has, so it
 *     stands still while there are none; 0 where there was none yet.
 */
public record CallContext(int caller, long version, long timeNs) {
    private static final ThreadLocal<CallContext[]> RUNNING = ThreadLocal.withInitial(() -> new CallContext[1]);

    /**
     * Of the call that the calling thread handles: for methods of services.
     *
     * @throws IllegalStateException outside of such a method, and on other threads than the one that runs it
     */
    public static CallContext current() {
        final CallContext found = RUNNING.get()[0];
        if (found == null)
            throw new IllegalStateException("CallContext.current() is for a method of a service while it handles a call,"
                    + " on the thread that runs it: there is no call here");
        return found;
    }

    /** The calling thread's; null while it handles none. Kept by whoever runs methods of many calls. */
    static CallContext[] ofThread() {
        return RUNNING.get();
    }

    /** The later of two that a query may see. */
    CallContext notBefore(CallContext moment) {
        return version < moment.version ? new CallContext(caller, moment.version, moment.timeNs) : this;
    }

    CallContext notAfter(CallContext moment) {
        return version > moment.version ? new CallContext(caller, moment.version, moment.timeNs) : this;
    }
}
