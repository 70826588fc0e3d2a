#include "sim/pages.hpp"

#include <sys/mman.h>
#include <cstring>
#include <vector>

#include "base/assert.hpp"

namespace libderecho::sim {
namespace {

constexpr size_t kPage = 4096;

size_t whole_pages(size_t size_bytes) { return (size_bytes + kPage - 1) / kPage * kPage; }

}  // namespace

std::shared_ptr<Pages> Pages::make(size_t size_bytes, bool to_be_shared) {
    const int flags = MAP_ANONYMOUS | (to_be_shared ? MAP_SHARED : MAP_PRIVATE);
    void* at = mmap(nullptr, whole_pages(size_bytes), PROT_READ | PROT_WRITE, flags, -1, 0);
    DERECHO_ASSERT(at != MAP_FAILED);
    return std::shared_ptr<Pages>(new Pages(static_cast<std::byte*>(at), size_bytes));
}

Pages::~Pages() { munmap(at_, whole_pages(size_bytes_)); }

std::shared_ptr<Pages> Pages::share() {
    // An old size of 0 makes a second mapping of shared memory instead of moving the first.
    void* at = mremap(at_, 0, whole_pages(size_bytes_), MREMAP_MAYMOVE);
    DERECHO_ASSERT(at != MAP_FAILED);
    DERECHO_ASSERT(mprotect(at, whole_pages(size_bytes_), PROT_READ) == 0);
    auto pages = std::shared_ptr<Pages>(new Pages(static_cast<std::byte*>(at), size_bytes_));
    pages->shares_ = true;
    return pages;
}

void Pages::freeze() {
    if (!shares_) return;
    const std::vector<std::byte> content(at_, at_ + size_bytes_);
    void* at =
        mmap(at_, whole_pages(size_bytes_), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, -1, 0);
    DERECHO_ASSERT(at == at_);
    std::memcpy(at_, content.data(), content.size());
    shares_ = false;
}

void Pages::close() {
    // The address stays taken; its memory goes back to the system.
    void* at = mmap(at_, whole_pages(size_bytes_), PROT_NONE, MAP_ANONYMOUS | MAP_PRIVATE | MAP_FIXED, -1, 0);
    DERECHO_ASSERT(at == at_);
    shares_ = false;
}

}  // namespace libderecho::sim
