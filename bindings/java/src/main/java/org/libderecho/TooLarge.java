package org.libderecho;

/** Longer than the limit; the text names both. */
public class TooLarge extends DerechoError {
    public TooLarge(String text) {
        super(Status.TOO_LARGE, text);
    }
}
