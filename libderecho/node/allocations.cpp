// The library is linked with --wrap for the allocation functions: its own calls come through here, and go on to
// whatever operator new the process has. Nothing is replaced.
#include "node/allocations.hpp"

#include <atomic>
#include <cstddef>
#include <new>

namespace {

std::atomic<uint64_t> count{0};

}  // namespace

extern "C" {

// The names are the linker's. Weak: a program that links the core without --wrap has none of them.
[[gnu::weak, gnu::visibility("default")]] void* __real__Znwm(size_t size);
[[gnu::weak, gnu::visibility("default")]] void* __real__Znam(size_t size);
[[gnu::weak, gnu::visibility("default")]] void* __real__ZnwmSt11align_val_t(size_t size, std::align_val_t alignment);

void* __wrap__Znwm(size_t size) {
    count.fetch_add(1, std::memory_order_relaxed);
    return __real__Znwm(size);
}
void* __wrap__Znam(size_t size) {
    count.fetch_add(1, std::memory_order_relaxed);
    return __real__Znam(size);
}
void* __wrap__ZnwmSt11align_val_t(size_t size, std::align_val_t alignment) {
    count.fetch_add(1, std::memory_order_relaxed);
    return __real__ZnwmSt11align_val_t(size, alignment);
}
}

uint64_t libderecho::allocations() { return count.load(std::memory_order_relaxed); }
