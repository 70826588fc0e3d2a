package org.libderecho;

/** The library itself. */
public final class Derecho {
    /** Its version, such as "0.1.0". */
    public static String version() {
        return Native.derecho_version().reinterpret(Long.MAX_VALUE).getString(0);
    }

    /**
     * Write the library's log lines to a descriptor; nothing is printed otherwise.
     *
     * @param level 0 nothing, 1 warnings, 2 views and connections, 3 everything
     */
    public static void logTo(int fd, int level) {
        Status.check(Native.derecho_log_to(fd, level));
    }

    private Derecho() {}
}
