package org.libderecho;

/** No room right now: receive and release messages, then try again. */
public class RingFull extends DerechoError {
    public RingFull(String text) {
        super(Status.AGAIN, text);
    }
}
