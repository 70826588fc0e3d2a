package org.libderecho;

/**
 * One member of a view.
 *
 * @param node its id, an unsigned number
 * @param address where it listens, {@code "host:port"}
 * @param hasState false while the state is still being transferred to it
 * @param votes whether it counts where more than half of the members are needed: since the first view that began after
 *     it held the state
 */
public record Member(int node, String address, boolean hasState, boolean votes) {}
