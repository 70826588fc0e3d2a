package org.libderecho;

/** No contact answered. */
public class Unreachable extends DerechoError {
    public Unreachable(String text) {
        super(Status.UNREACHABLE, text);
    }
}
