package org.libderecho;

/** A value does not fit the signature; the text names the method, the parameter and what was expected. */
public class EncodeError extends DerechoError {
    public EncodeError(String text) {
        super(Status.INVALID, text);
    }
}
