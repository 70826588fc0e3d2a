// What is still to be sent to one peer over TCP: newest-value coalescing of counters, data by reference. Pure: knows no
// socket. Driver thread.
#pragma once

#include <sys/uio.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "fabric/regions/own_region.hpp"
#include "fabric/wire_format.hpp"

namespace libderecho {

class TcpQueue {
public:
    TcpQueue();

    void announce(RegionId region, uint64_t size_bytes);
    void synced();
    // Bytes by value, as they are now, however many.
    void copied_data(RegionId region, uint64_t offset, std::span<const std::byte> bytes);
    // Bytes by reference; they are read when they are sent.
    void data(RegionId region, const std::shared_ptr<const RegionMemory>& memory, uint64_t offset, uint64_t size_bytes);
    // Bytes by value. Takes the place of an older value that still waits, unless that changed an order.
    void counters(RegionId region, uint64_t offset, std::span<const std::byte> bytes);

    bool empty() const { return head_ == tail_; }
    uint64_t held_bytes() const { return (tail_ - head_) * sizeof(Entry) + copied_bytes_; }

    // The next bytes to send, as far as `out` reaches; how many pieces were filled in.
    size_t gather(std::span<iovec> out) const;
    // So many of them were sent.
    void sent(size_t size_bytes);

private:
    static constexpr size_t kInlineBytes = 64;

    struct Entry {
        WireFrameHeader header;
        std::array<std::byte, kInlineBytes> small;  // follows the header, so that both are one piece
        std::unique_ptr<std::byte[]> copied;
        std::shared_ptr<const RegionMemory> memory;
        bool dead = false;      // a newer value took its place
        bool in_batch = false;  // its frame is part of a batch's length

        WireFrameKind kind() const { return static_cast<WireFrameKind>(header.kind); }
        size_t payload_bytes() const;
        bool is_inline() const { return !copied && !memory; }
        const std::byte* payload() const;
        size_t wire_bytes() const { return dead ? 0 : sizeof header + payload_bytes(); }
    };

    Entry& at(uint64_t index) { return entries_[index & (entries_.size() - 1)]; }
    const Entry& at(uint64_t index) const { return entries_[index & (entries_.size() - 1)]; }
    Entry& append(WireFrameKind kind, RegionId region, uint64_t offset, uint64_t length_bytes);
    void set_payload(Entry& entry, std::span<const std::byte> bytes);
    void grow();
    void pop();
    void release(Entry& entry);
    static bool same_range(const Entry& a, const Entry& b);
    bool begun(uint64_t index) const { return index == head_ && head_sent_bytes_ > 0; }
    bool merge_data(RegionId region, uint64_t offset, uint64_t size_bytes);
    void drop_older_value(RegionId region, uint64_t offset, uint64_t size_bytes);
    uint64_t first_untouched() const;
    void compact();
    void rebuild(uint64_t first, std::vector<Entry>& kept, size_t batch_at, uint64_t batch_bytes);

    std::vector<Entry> entries_;  // a ring; its size is a power of two
    uint64_t head_ = 0, tail_ = 0;
    size_t head_sent_bytes_ = 0;
    uint64_t copied_bytes_ = 0;
    uint32_t waiting_counters_ = 0;  // appended since the last compaction
};

}  // namespace libderecho
