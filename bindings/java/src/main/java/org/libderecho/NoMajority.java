package org.libderecho;

/** Half or more of the view is lost: this node stopped, so that no two halves go separate ways. */
public class NoMajority extends DerechoError {
    public NoMajority(String text) {
        super(Status.NO_MAJORITY, text);
    }
}
