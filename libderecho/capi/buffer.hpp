// The buffers that are open.
#pragma once

#include <sys/mman.h>
#include <cstddef>
#include <cstdint>
#include <new>

#include "capi/handles.hpp"

namespace libderecho::capi {

class OpenBuffer {
public:
    explicit OpenBuffer(size_t size) : size_(size) {
        void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        memory_ = memory;
    }
    ~OpenBuffer() { ::munmap(memory_, size_); }
    OpenBuffer(const OpenBuffer&) = delete;
    OpenBuffer& operator=(const OpenBuffer&) = delete;

    void* memory() const { return memory_; }
    size_t size() const { return size_; }
    uint64_t references = 1;

private:
    void* memory_ = nullptr;
    size_t size_;
};

LockedTable<OpenBuffer, HandleKind::buffer>& buffers();

}  // namespace libderecho::capi
