package org.libderecho;

import java.time.Duration;

/**
 * How far the state of a service has come to a node that joins.
 *
 * @param bytes that came
 * @param totalBytes in all; 0 while it is not known, as of a state that is saved in pieces
 * @param lasted since the first of them
 */
public record Progress(String service, long bytes, long totalBytes, Duration lasted) {
    /** 0 at first. */
    public double bytesPerSecond() {
        return lasted.isZero() ? 0 : bytes * 1e9 / lasted.toNanos();
    }
}
