package org.libderecho;

/** The group runs something else; the text names the difference. */
public class Incompatible extends DerechoError {
    public Incompatible(String text) {
        super(Status.INCOMPATIBLE, text);
    }
}
