// A counter in a row: one aligned 8-byte word that only its owner writes and that only grows, so that a reader may miss
// values without missing anything.
#pragma once

#include <cstdint>

#include "base/assert.hpp"

namespace libderecho {

inline uint64_t load(const uint64_t* counter) { return __atomic_load_n(counter, __ATOMIC_ACQUIRE); }

inline void publish(uint64_t* counter, uint64_t next) {
    DERECHO_ASSERT(next >= *counter);
    __atomic_store_n(counter, next, __ATOMIC_RELEASE);
}

}  // namespace libderecho
