package org.libderecho;

/** A live member has this node id. */
public class DuplicateNode extends DerechoError {
    public DuplicateNode(String text) {
        super(Status.DUPLICATE, text);
    }
}
