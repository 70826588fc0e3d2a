package org.libderecho;

/** That node is not in the view, or this one is only a client. */
public class NotMember extends DerechoError {
    public NotMember(String text) {
        super(Status.NOT_MEMBER, text);
    }
}
