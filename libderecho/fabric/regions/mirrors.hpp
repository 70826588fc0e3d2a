// The mirrors that one life of one peer has announced. Driver thread.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "base/status.hpp"
#include "fabric/fabric.hpp"
#include "fabric/os/memory.hpp"

namespace libderecho {

class MirrorTable {
public:
    struct Limits {
        uint64_t region_bytes_max = 0;
        uint64_t total_bytes_max = 0;
        uint32_t regions_max = 4096;
    };
    explicit MirrorTable(Limits limits) : limits_(limits) {}
    // For what is announced from now on.
    void set_limits(Limits limits) { limits_ = limits; }

    // A region was announced: make room for it, or map the memory behind `fd`. A failure costs the peer its connection.
    Status announce(RegionId id, uint64_t size_bytes);
    Status announce_sealed(RegionId id, uint64_t size_bytes, int fd);
    // What existed before the link came up is shown all at once, so that no counter is seen without its data.
    void synced() { synced_ = true; }

    // Of one that was asked for, the memory stays until it is forgotten.
    std::span<const std::byte> visible(RegionId id);
    // Where to put what is received for [offset, offset + size): null if nobody wants it. False if it is out of bounds.
    bool place(RegionId id, uint64_t offset, uint64_t size_bytes, std::byte*& out);

    bool has(RegionId id) const { return mirrors_.contains(id.value); }
    void forget(RegionId id) { take_out(id); }
    // As forget(), for who needs its memory still; not mapped if it has not arrived.
    Mapping take_out(RegionId id);
    // The peer is gone: nobody will ask for what nobody has asked for yet.
    void drop_unasked();
    // The peer is gone but may live on: keep everything as it is now.
    Status freeze_all();

    bool empty() const { return mirrors_.empty(); }
    uint64_t memory_bytes() const { return total_bytes_; }

private:
    struct Mirror {
        Mapping memory;
        bool asked = false;
    };
    Status check(RegionId id, uint64_t size_bytes);
    void add(RegionId id, Mapping memory);

    Limits limits_;
    std::unordered_map<uint64_t, Mirror> mirrors_;
    std::unordered_set<uint64_t> unwanted_;  // forgotten before they arrived
    uint64_t total_bytes_ = 0;
    bool synced_ = false;
    uint64_t last_id_ = 0;
    Mapping* last_ = nullptr;  // frames come in runs for one region
};

}  // namespace libderecho
