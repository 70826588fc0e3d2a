package org.libderecho;

/** The group was closed or left, or the object was closed. */
public class Closed extends DerechoError {
    public Closed(String text) {
        super(Status.CLOSED, text);
    }
}
