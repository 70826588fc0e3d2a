package org.libderecho;

/** A handler at a member failed. */
public class RemoteError extends DerechoError {
    private final int member;
    private final String typeName;
    private final String text;

    public RemoteError(int member, String typeName, String text) {
        this(member, typeName, text, "");
    }

    /** @param where the method, such as {@code "Cache.put"} */
    RemoteError(int member, String typeName, String text, String where) {
        super(
                Status.REMOTE_ERROR,
                (where.isEmpty() ? "member " : where + " at member ") + Integer.toUnsignedString(member) + ": "
                        + join(typeName, text));
        this.member = member;
        this.typeName = typeName;
        this.text = text;
    }

    /** The node whose handler failed. */
    public int member() {
        return member;
    }

    /** Name of the exception's type over there, without its package, such as {@code "KeyError"}. */
    public String typeName() {
        return typeName;
    }

    /** Its text; "" if it had none. */
    public String text() {
        return text;
    }

    /** As a failed handler is told on the wire: "Type: text". */
    static String join(String typeName, String text) {
        return text.isEmpty() ? typeName : typeName + ": " + text;
    }
}
