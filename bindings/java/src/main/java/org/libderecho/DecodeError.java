package org.libderecho;

/** Bytes from a peer that are not a message of this signature. */
public class DecodeError extends DerechoError {
    public DecodeError(String text) {
        super(Status.INVALID, text);
    }
}
