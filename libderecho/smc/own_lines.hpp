// Cache lines that are about to be written, taken away ahead of time from the readers, who had them last. Otherwise the
// store buffer fills up with writes that wait until their lines have been handed over: with cores that are far apart
// that takes twice the time of everything else. (A prefetch for reading, which is what compilers make of one for
// writing, is no help.) Memory past the end of a mapping may be named; nothing happens then.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.hpp"

namespace libderecho {

inline constexpr uint64_t kOwnAhead = 1024;  // bytes between what is written and the lines asked for

inline void own_lines(const std::byte* from, uint64_t bytes) {
#if defined(__x86_64__)
    for (uint64_t at = 0; at < bytes; at += limits::cache_line_bytes) asm volatile("prefetchw %0" ::"m"(from[at]));
#else
    __builtin_prefetch(from, 1);
    (void)bytes;
#endif
}

}  // namespace libderecho
