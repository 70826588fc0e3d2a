package org.libderecho;

/** An argument or option is wrong; the text names it and what is accepted. */
public class InvalidArgument extends DerechoError {
    public InvalidArgument(String text) {
        super(Status.INVALID, text);
    }
}
