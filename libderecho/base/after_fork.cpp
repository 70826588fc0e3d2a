#include "base/after_fork.hpp"

#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <map>
#include <mutex>

namespace libderecho::after_fork {
namespace {

struct Shared {
    size_t size_bytes;
    int fd;
};

// The mutex is held over fork(), so that the child finds whole what it guards. Never destroyed: threads may outlive
// statics.
struct Owned {
    std::mutex mutex;
    std::map<void*, Shared> shared;
};
Owned& owned() {
    static auto* the_owned = new Owned;
    return *the_owned;
}

// A bit for each descriptor. Untouched pages of it take no memory. More than any limit on descriptors that is used.
constexpr size_t kDescriptorsMax = 1 << 20;
constinit std::array<std::atomic<uint64_t>, kDescriptorsMax / 64> descriptors{};
constinit std::atomic<size_t> words_used{0};

bool in_range(int fd) { return fd >= 0 && static_cast<size_t>(fd) < kDescriptorsMax; }
uint64_t bit_of(int fd) { return 1ull << (static_cast<unsigned>(fd) % 64); }

// ---- in the child. Only what is safe there: system calls, and memory that nobody else changes.

void make_private(void* at, Shared& memory) {
    if (memory.fd < 0) return;  // it is, since an earlier fork
    constexpr int protection = PROT_READ | PROT_WRITE;
    if (::mmap(at, memory.size_bytes, protection, MAP_PRIVATE | MAP_FIXED, memory.fd, 0) == MAP_FAILED)
        ::mmap(at, memory.size_bytes, protection, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
    memory.fd = -1;
}

void close_descriptors() {
    const size_t words = words_used.load(std::memory_order_relaxed);
    for (size_t i = 0; i < words; ++i)
        for (uint64_t rest = descriptors[i].exchange(0); rest != 0; rest &= rest - 1)
            ::close(static_cast<int>(i * 64 + static_cast<size_t>(std::countr_zero(rest))));
}

}  // namespace

void before_fork() { owned().mutex.lock(); }

void in_parent() { owned().mutex.unlock(); }

void in_child() {
    for (auto& [at, memory] : owned().shared) make_private(at, memory);
    close_descriptors();
    owned().mutex.unlock();
}

void own(int fd) {
    if (!in_range(fd)) return;
    const size_t word = static_cast<size_t>(fd) / 64;
    size_t used = words_used.load(std::memory_order_relaxed);
    while (used <= word && !words_used.compare_exchange_weak(used, word + 1)) {
    }
    descriptors[word].fetch_or(bit_of(fd));
}

void close(int fd) {
    const NoFork no_fork;
    if (in_range(fd)) descriptors[static_cast<size_t>(fd) / 64].fetch_and(~bit_of(fd));
    ::close(fd);
}

void own(void* at, size_t size_bytes, int fd) {
    const std::lock_guard lock(owned().mutex);
    owned().shared[at] = {size_bytes, fd};
}

void disown(void* at) {
    const std::lock_guard lock(owned().mutex);
    owned().shared.erase(at);
}

NoFork::NoFork() { owned().mutex.lock(); }
NoFork::~NoFork() { owned().mutex.unlock(); }

}  // namespace libderecho::after_fork
