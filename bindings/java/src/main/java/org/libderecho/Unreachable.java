package org.libderecho;

/** No contact answered; or only an RDMA device reaches some memory, and none does. */
public class Unreachable extends DerechoError {
    public Unreachable(String text) {
        super(Status.UNREACHABLE, text);
    }
}
