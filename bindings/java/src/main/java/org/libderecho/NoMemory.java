package org.libderecho;

/** The system gave no memory or descriptors. */
public class NoMemory extends DerechoError {
    public NoMemory(String text) {
        super(Status.NO_MEMORY, text);
    }
}
