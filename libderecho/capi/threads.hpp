// One record a thread: what it is inside of, and its last error. Entering a handle is two plain stores; whoever closes
// the handle makes all threads fence (base/fences.hpp) and waits until nobody is inside any more.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

namespace libderecho::capi {

struct alignas(64) ThreadRecord {
    std::atomic<const void*> inside{nullptr};  // a slot of the table of groups
    const char* error = "";                    // a literal, or error_text
    std::string error_text;
    std::atomic<bool> taken{false};
    ThreadRecord* next = nullptr;  // of all records there ever were; they are used again, never freed
};

// Initial-exec and constinit: no call to find it, in a shared library that may be loaded late, nor to see whether it
// was initialised.
extern constinit thread_local ThreadRecord* this_thread __attribute__((tls_model("initial-exec")));

ThreadRecord& register_thread();
inline ThreadRecord& thread_record() { return this_thread ? *this_thread : register_thread(); }

// In the child of a fork(): of all threads only the calling one is there.
void forget_other_threads();

// Whether any thread is inside of it. After a heavy fence.
bool anybody_inside(const void* slot);

}  // namespace libderecho::capi
