package org.libderecho;

/** The member's service has no such method. */
public class UnknownMethod extends DerechoError {
    private final int member;

    public UnknownMethod(String text, int member) {
        super(Status.UNKNOWN_METHOD, text);
        this.member = member;
    }

    /** The node that said so. */
    public int member() {
        return member;
    }
}
