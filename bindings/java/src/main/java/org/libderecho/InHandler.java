package org.libderecho;

/** A handler waited for something that only arrives once the handler has returned. */
public class InHandler extends DerechoError {
    public InHandler(String text) {
        super(Status.INTERNAL, text);
    }
}
