// derecho_memory_*: buffers of the application's that peers read and write.
#include "capi/memory.hpp"

#include <sys/random.h>
#include <array>
#include <bit>

#include "capi/groups.hpp"
#include "fabric/os/dmabuf.hpp"

using namespace libderecho;
using namespace libderecho::capi;

namespace {

derecho_status find(const derecho_memory* memory, OpenMemory& out) {
    return memories().with(memory, [&](const OpenMemory& open) {
        out = open;
        return DERECHO_OK;
    });
}

// Pieces as the core knows them: in place for most operations.
class Pieces {
public:
    derecho_status take(const void* group, const derecho_piece* pieces, size_t count) {
        if (count > few_.size()) many_.resize(count);
        Memory::Piece* const to = many_.empty() ? few_.data() : many_.data();
        for (size_t i = 0; i < count; ++i) {
            OpenMemory open{};
            if (!pieces[i].memory) return refuse(DERECHO_INVALID, i, "has no memory");
            if (const derecho_status status = find(pieces[i].memory, open); status != DERECHO_OK) return status;
            if (open.group != group) return refuse(DERECHO_INVALID, i, "is of memory that another group registered");
            to[i] = {open.id, pieces[i].offset, pieces[i].size_bytes};
        }
        all_ = {to, count};
        return DERECHO_OK;
    }
    std::span<const Memory::Piece> all() const { return all_; }

private:
    static derecho_status refuse(derecho_status status, size_t index, const char* why) {
        return fail(Status{status, "piece " + std::to_string(index) + " " + why});
    }
    std::array<Memory::Piece, 8> few_;
    std::vector<Memory::Piece> many_;
    std::span<const Memory::Piece> all_;
};

derecho_status begin(Memory::Kind kind, derecho_group* group, uint32_t node, const derecho_memory_key* key,
                     uint64_t offset, const derecho_piece* pieces, size_t count, uint64_t* operation_out) {
    DERECHO_REQUIRE(key);
    DERECHO_REQUIRE(operation_out);
    if (count > 0) DERECHO_REQUIRE(pieces);
    const Inside inside(group, HandleKind::group);
    if (!inside.ok()) return inside.status();
    return guarded([&]() -> derecho_status {
        Pieces parts;
        if (const derecho_status status = parts.take(group, pieces, count); status != DERECHO_OK) return status;
        Status status = inside.node().rpc().begin(kind, NodeId{node}, std::bit_cast<MemoryKey>(*key), offset,
                                                  parts.all(), *operation_out);
        if (!status.ok()) return status.detail.empty() ? fail(status.code) : fail(std::move(status));
        inside.node().nudge();
        return DERECHO_OK;
    });
}

// `enrol(memory)` answers with the id of the buffer.
template <class Enrol>
derecho_status register_with(derecho_group* group, uint32_t access, derecho_memory** memory_out, Enrol&& enrol) {
    if (access & ~(DERECHO_MEMORY_READ | DERECHO_MEMORY_WRITE))
        return fail(DERECHO_INVALID, "access has bits other than DERECHO_MEMORY_READ and DERECHO_MEMORY_WRITE");
    const Inside inside(group, HandleKind::group);
    if (!inside.ok()) return inside.status();
    return guarded([&]() -> derecho_status {
        void* const handle = memories().add(std::make_unique<OpenMemory>(OpenMemory{group, 0}));
        return memories().with(handle, [&](OpenMemory& open) {
            open.id = enrol(inside.node().rpc().memory());
            *memory_out = static_cast<derecho_memory*>(handle);
            return DERECHO_OK;
        });
    });
}

}  // namespace

LockedTable<OpenMemory, HandleKind::memory>& libderecho::capi::memories() {
    static auto* table = new LockedTable<OpenMemory, HandleKind::memory>;  // outlives all threads
    return *table;
}

void libderecho::capi::close_memory_of(const void* group) {
    memories().remove_all([&](const OpenMemory& open) { return open.group == group; });
}

derecho_status derecho_memory_register(derecho_group* group, void* data, size_t size_bytes, uint32_t access,
                                       derecho_memory** memory_out) {
    DERECHO_REQUIRE(data);
    DERECHO_REQUIRE(memory_out);
    if (size_bytes == 0) return fail(DERECHO_INVALID, "size_bytes is 0");
    if (size_bytes > UINTPTR_MAX - reinterpret_cast<uintptr_t>(data))
        return fail(DERECHO_INVALID, "size_bytes reaches beyond the end of memory");
    return register_with(group, access, memory_out, [&](Memory& memory) {
        return memory.enrol({static_cast<std::byte*>(data), size_bytes}, access);
    });
}

derecho_status derecho_memory_register_dmabuf(derecho_group* group, int fd, uint64_t offset, uint64_t size_bytes,
                                              uint32_t access, derecho_memory** memory_out) {
    DERECHO_REQUIRE(memory_out);
    if (size_bytes == 0) return fail(DERECHO_INVALID, "size_bytes is 0");
    if (size_bytes > INT64_MAX || offset > INT64_MAX - size_bytes)
        return fail(DERECHO_INVALID, "offset and size_bytes reach beyond the end of any dma-buf");
    return guarded([&]() -> derecho_status {
        std::unique_ptr<DeviceMemory> device;
        if (Status status = open_dmabuf(fd, offset, size_bytes, device); !status.ok()) return fail(std::move(status));
        return register_with(group, access, memory_out,
                             [&](Memory& memory) { return memory.enrol(std::move(device), access); });
    });
}

derecho_status derecho_memory_key_for(derecho_memory* memory, uint32_t node, derecho_memory_key* key_out) {
    DERECHO_REQUIRE(memory);
    DERECHO_REQUIRE(key_out);
    return guarded([&]() -> derecho_status {
        OpenMemory open{};
        if (const derecho_status status = find(memory, open); status != DERECHO_OK) return status;
        const Inside inside(open.group, HandleKind::group);
        if (!inside.ok()) return inside.status();
        MemorySecret secret;
        if (::getrandom(&secret, sizeof secret, 0) != sizeof secret)
            return fail(DERECHO_NO_MEMORY, "the system gave no random numbers");
        MemoryKey key;
        Status status = inside.node().rpc().memory().key_for(open.id, NodeId{node}, secret, key);
        if (!status.ok()) return fail(std::move(status));
        *key_out = std::bit_cast<derecho_memory_key>(key);
        return DERECHO_OK;
    });
}

derecho_status derecho_memory_read(derecho_group* group, uint32_t node, const derecho_memory_key* key, uint64_t offset,
                                   const derecho_piece* pieces, size_t count, uint64_t* operation_out) {
    return begin(Memory::Kind::read, group, node, key, offset, pieces, count, operation_out);
}

derecho_status derecho_memory_write(derecho_group* group, uint32_t node, const derecho_memory_key* key, uint64_t offset,
                                    const derecho_piece* pieces, size_t count, uint64_t* operation_out) {
    return begin(Memory::Kind::write, group, node, key, offset, pieces, count, operation_out);
}

derecho_status derecho_memory_deregister(derecho_memory* memory, int64_t timeout_ms) {
    DERECHO_REQUIRE(memory);
    return guarded([&]() -> derecho_status {
        OpenMemory open{};
        if (const derecho_status status = find(memory, open); status != DERECHO_OK) return status;
        const Inside inside(open.group, HandleKind::group);
        if (!inside.ok()) return inside.status();
        Status status = inside.node().deregister(open.id, timeout_ms);
        if (!status.ok()) return fail(std::move(status));
        return memories().remove_if(memory, [](const OpenMemory&) { return true; });
    });
}
