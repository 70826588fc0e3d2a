package org.libderecho;

/** The listen address is taken. */
public class AddressInUse extends DerechoError {
    public AddressInUse(String text) {
        super(Status.ADDRESS_IN_USE, text);
    }
}
