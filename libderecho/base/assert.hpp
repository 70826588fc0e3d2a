// Assertions that stay in release builds. They guard what only a bug in libderecho can break; what the world did is a
// status. A failed one aborts: a replica that no longer knows what it is doing must stop before it answers anybody.
#pragma once

namespace libderecho {
[[noreturn]] void assertion_failed(const char* condition, const char* file, int line);
}

#define DERECHO_ASSERT(condition)                      \
    (__builtin_expect(static_cast<bool>(condition), 1) \
         ? void(0)                                     \
         : ::libderecho::assertion_failed(#condition, __FILE__, __LINE__))
