// In the binding's package, because it keeps to itself what Java code has no use for: the functions without a handle.
package org.libderecho;

public final class Symbols {
    public static String statusName(int code) {
        return text(Native.derecho_status_name(code));
    }

    public static String lastError() {
        return text(Native.derecho_last_error());
    }

    public static int abiVersion() {
        return Native.derecho_abi_version();
    }

    public static long abiHash() {
        return Native.derecho_abi_hash();
    }

    private static String text(java.lang.foreign.MemorySegment address) {
        return address.reinterpret(Long.MAX_VALUE).getString(0);
    }

    private Symbols() {}
}
