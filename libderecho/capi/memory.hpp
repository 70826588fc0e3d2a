// The handles of registered memory: each names a group and a buffer in it.
#pragma once

#include <cstdint>

#include "capi/handles.hpp"

namespace libderecho::capi {

struct OpenMemory {
    const void* group;  // handle
    uint64_t id;
};

LockedTable<OpenMemory, HandleKind::memory>& memories();

// The group was closed: so is all memory that was registered with it.
void close_memory_of(const void* group);

}  // namespace libderecho::capi
