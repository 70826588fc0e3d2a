package org.libderecho;

/** Half or more of the members that vote are lost: this node stopped, so that no two halves go separate ways. */
public class NoMajority extends DerechoError {
    public NoMajority(String text) {
        super(Status.NO_MAJORITY, text);
    }
}
