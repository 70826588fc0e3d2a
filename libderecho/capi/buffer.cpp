// derecho_buffer_*: memory outside of every language's collector.
#include <sys/mman.h>

#include "capi/handles.hpp"

using namespace libderecho;
using namespace libderecho::capi;

namespace {

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

LockedTable<OpenBuffer, HandleKind::buffer>& buffers() {
    static auto* table = new LockedTable<OpenBuffer, HandleKind::buffer>;  // outlives all threads
    return *table;
}

}  // namespace

derecho_status derecho_buffer_create(size_t size_bytes, derecho_buffer** buffer_out) {
    DERECHO_REQUIRE(buffer_out);
    if (size_bytes == 0) return fail(DERECHO_INVALID, "size_bytes is 0");
    return guarded([&] {
        *buffer_out = static_cast<derecho_buffer*>(buffers().add(std::make_unique<OpenBuffer>(size_bytes)));
        return DERECHO_OK;
    });
}

derecho_status derecho_buffer_data(derecho_buffer* buffer, void** data_out, uint64_t* size_bytes_out) {
    DERECHO_REQUIRE(buffer);
    DERECHO_REQUIRE(data_out);
    DERECHO_REQUIRE(size_bytes_out);
    return guarded([&] {
        return buffers().with(buffer, [&](OpenBuffer& open) {
            *data_out = open.memory();
            *size_bytes_out = open.size();
            return DERECHO_OK;
        });
    });
}

derecho_status derecho_buffer_retain(derecho_buffer* buffer) {
    DERECHO_REQUIRE(buffer);
    return guarded([&] {
        return buffers().with(buffer, [](OpenBuffer& open) {
            ++open.references;
            return DERECHO_OK;
        });
    });
}

derecho_status derecho_buffer_release(derecho_buffer* buffer) {
    DERECHO_REQUIRE(buffer);
    return guarded(
        [&] { return buffers().remove_if(buffer, [](OpenBuffer& open) { return --open.references == 0; }); });
}
