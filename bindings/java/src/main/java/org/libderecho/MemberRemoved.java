package org.libderecho;

/** The member left the view before it answered. */
public class MemberRemoved extends DerechoError {
    private final int member;

    public MemberRemoved(String text, int member) {
        super(Status.REMOVED, text);
        this.member = member;
    }

    /** The node that was removed; 0 when it was every one of them. */
    public int member() {
        return member;
    }
}
