package org.libderecho;

/**
 * Anything that libderecho, or this binding on top of it, refuses or fails to do. Its message is the sentence that the
 * core wrote, enough to know what to do. There is a subclass for every status that a caller can act on.
 */
public class DerechoError extends RuntimeException {
    private final Status status;

    public DerechoError(Status status, String text) {
        super(text);
        this.status = status;
    }

    /** The status behind it; {@link Status#INTERNAL} when nothing more specific applies. */
    public Status status() {
        return status;
    }
}
