/* Why a function of derecho_stub.h, or of a stub, has failed. */
#ifndef DERECHO_STUB_FAILURE_H
#define DERECHO_STUB_FAILURE_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "../../derecho.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a function of this header found out itself, on this thread; "" when it was the library that failed. Weak: the
 * files of a program share it. */
__extension__ __attribute__((weak)) __thread char derecho_stub_said[512];

/** Why the function of this header, or of a stub, that this thread called last has failed: a sentence, its own or the
 * library's. Valid until the next call. */
static inline const char *derecho_stub_error(void) {
    return *derecho_stub_said ? derecho_stub_said : derecho_last_error();
}

/** Note why a function of this header fails. @return status. */
__attribute__((format(printf, 2, 3))) static inline derecho_status derecho_stub_fail(derecho_status status,
                                                                                     const char *format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(derecho_stub_said, sizeof derecho_stub_said, format, values);
    va_end(values);
    return status;
}

/** Forget what was noted: from here on it is the library that fails. */
static inline void derecho_stub_begin(void) { *derecho_stub_said = 0; }

static inline derecho_status derecho_stub_no_memory(uint64_t size_bytes) {
    return derecho_stub_fail(DERECHO_NO_MEMORY, "there is no memory for %llu bytes", (unsigned long long)size_bytes);
}

static inline derecho_status derecho_stub_unfit(const char *what) {
    return derecho_stub_fail(DERECHO_INVALID, "%s: a text is not UTF-8, or it is more than 4 GB", what);
}

#ifdef __cplusplus
}
#endif

#endif /* DERECHO_STUB_FAILURE_H */
