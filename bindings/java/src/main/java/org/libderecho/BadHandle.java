package org.libderecho;

/** The handle is not of the kind that the call takes. */
public class BadHandle extends DerechoError {
    public BadHandle(String text) {
        super(Status.BAD_HANDLE, text);
    }
}
