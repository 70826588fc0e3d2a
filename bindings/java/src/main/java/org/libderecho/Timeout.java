package org.libderecho;

/** The deadline passed; the text says what was waited for. */
public class Timeout extends DerechoError {
    public Timeout(String text) {
        super(Status.TIMEOUT, text);
    }
}
