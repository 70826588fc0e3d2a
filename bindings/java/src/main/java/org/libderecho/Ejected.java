package org.libderecho;

/** The others removed this node: close the group and join again. */
public class Ejected extends DerechoError {
    public Ejected(String text) {
        super(Status.EJECTED, text);
    }
}
