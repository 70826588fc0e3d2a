package org.libderecho;

/** Every member that had the state is gone. */
public class StateLost extends DerechoError {
    public StateLost(String text) {
        super(Status.STATE_LOST, text);
    }
}
