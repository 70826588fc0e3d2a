// derecho_buffer_*: memory outside of every language's collector.
#include "capi/buffer.hpp"

using namespace libderecho;
using namespace libderecho::capi;

LockedTable<OpenBuffer, HandleKind::buffer>& libderecho::capi::buffers() {
    static auto* table = new LockedTable<OpenBuffer, HandleKind::buffer>;  // outlives all threads
    return *table;
}

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
