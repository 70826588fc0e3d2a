// The handles of registered memory: each names a group and a buffer in it.
#pragma once

namespace libderecho::capi {

// The group was closed: so is all memory that was registered with it.
void close_memory_of(const void* group);

}  // namespace libderecho::capi
