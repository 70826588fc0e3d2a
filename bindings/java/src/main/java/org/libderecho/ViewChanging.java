package org.libderecho;

/** Members are being added or removed right now: receive, then try again. */
public class ViewChanging extends DerechoError {
    public ViewChanging(String text) {
        super(Status.WEDGED, text);
    }
}
