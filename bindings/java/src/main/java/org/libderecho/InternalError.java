package org.libderecho;

/** A bug in libderecho. */
public class InternalError extends DerechoError {
    public InternalError(String text) {
        super(Status.INTERNAL, text);
    }
}
