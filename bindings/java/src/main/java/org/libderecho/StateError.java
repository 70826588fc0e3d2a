package org.libderecho;

/** A service's state cannot be saved, or the received one cannot be loaded. */
public class StateError extends DerechoError {
    public StateError(String text) {
        super(Status.INTERNAL, text);
    }
}
