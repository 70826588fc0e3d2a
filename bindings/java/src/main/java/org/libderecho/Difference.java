package org.libderecho;

import java.util.OptionalInt;

/**
 * A replica that differs from those of a majority, as option {@code digest} found.
 *
 * @param service the service's name
 * @param version the last call that was looked at
 * @param node whose replica it is, perhaps this node's own; empty: replicas differ, and none of them are a majority
 * @param text all of it as a sentence, with the nodes on either side
 */
public record Difference(String service, long version, OptionalInt node, String text) {
    @Override
    public String toString() {
        return text;
    }
}
