#include "fabric/tcp/queue.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace libderecho {
namespace {

// A counter is not delayed behind more data than this, nor data merged beyond it across a counter: otherwise a peer
// that is always a little behind would see no progress until the very end.
constexpr uint64_t kMergeBytesMax = 64 << 10;
constexpr uint32_t kMergeLookBack = 8;
constexpr uint32_t kCompactAt = 256;

}  // namespace

bool TcpQueue::same_range(const Entry& a, const Entry& b) {
    return a.header.region == b.header.region && a.header.offset == b.header.offset &&
           a.header.length_bytes == b.header.length_bytes;
}

TcpQueue::TcpQueue() : entries_(64) {}

size_t TcpQueue::Entry::payload_bytes() const {
    const WireFrameKind k = kind();
    return k == WireFrameKind::data || k == WireFrameKind::counters ? header.length_bytes : 0;
}

const std::byte* TcpQueue::Entry::payload() const {
    if (memory) return memory->mapping.data() + header.offset;
    return copied ? copied.get() : small.data();
}

void TcpQueue::grow() {
    std::vector<Entry> larger(entries_.size() * 2);
    for (uint64_t i = head_; i != tail_; ++i) larger[i & (larger.size() - 1)] = std::move(at(i));
    entries_ = std::move(larger);
}

TcpQueue::Entry& TcpQueue::append(WireFrameKind kind, RegionId region, uint64_t offset, uint64_t length_bytes) {
    if (tail_ - head_ == entries_.size()) grow();
    Entry& entry = at(tail_++);
    entry.header = {.kind = static_cast<uint32_t>(kind),
                    .reserved = 0,
                    .region = region.value,
                    .offset = offset,
                    .length_bytes = length_bytes};
    entry.dead = false;
    entry.in_batch = false;
    return entry;
}

void TcpQueue::set_payload(Entry& entry, std::span<const std::byte> bytes) {
    if (bytes.size() > kInlineBytes) {
        entry.copied = std::make_unique<std::byte[]>(bytes.size());
        copied_bytes_ += bytes.size();
    }
    std::memcpy(const_cast<std::byte*>(entry.payload()), bytes.data(), bytes.size());
}

void TcpQueue::announce(RegionId region, uint64_t size_bytes) {
    append(WireFrameKind::announce, region, 0, size_bytes);
}

void TcpQueue::synced() { append(WireFrameKind::synced, {}, 0, 0); }

void TcpQueue::copied_data(RegionId region, uint64_t offset, std::span<const std::byte> bytes) {
    set_payload(append(WireFrameKind::data, region, offset, bytes.size()), bytes);
}

void TcpQueue::data(RegionId region, const std::shared_ptr<const RegionMemory>& memory, uint64_t offset,
                    uint64_t size_bytes) {
    if (size_bytes == 0 || merge_data(region, offset, size_bytes)) return;
    append(WireFrameKind::data, region, offset, size_bytes).memory = memory;
}

// Data may be sent earlier than it was pushed, never later: so it may join an entry that already waits.
bool TcpQueue::merge_data(RegionId region, uint64_t offset, uint64_t size_bytes) {
    bool past_counter = false;
    const uint64_t last = tail_ - head_ > kMergeLookBack ? tail_ - kMergeLookBack : head_;
    for (uint64_t i = tail_; i-- > last;) {
        Entry& entry = at(i);
        if (entry.dead || begun(i)) continue;
        if (entry.kind() == WireFrameKind::counters) past_counter = true;
        if (entry.kind() != WireFrameKind::data || !entry.memory || entry.header.region != region.value) continue;
        const uint64_t begin = entry.header.offset, end = begin + entry.header.length_bytes;
        if (offset >= begin && offset + size_bytes <= end) return true;
        if (offset != end) return false;
        if (past_counter && entry.header.length_bytes + size_bytes > kMergeBytesMax) return false;
        entry.header.length_bytes += size_bytes;
        return true;
    }
    return false;
}

void TcpQueue::counters(RegionId region, uint64_t offset, std::span<const std::byte> bytes) {
    DERECHO_ASSERT(bytes.size() <= kCountersBytesMax);
    if (bytes.empty()) return;
    drop_older_value(region, offset, bytes.size());
    set_payload(append(WireFrameKind::counters, region, offset, bytes.size()), bytes);
    if (++waiting_counters_ >= kCompactAt) compact();
}

// The same range, with nothing but data queued after it: leaving it out changes no order.
void TcpQueue::drop_older_value(RegionId region, uint64_t offset, uint64_t size_bytes) {
    uint64_t data_after_bytes = 0;
    for (uint64_t i = tail_; i-- > head_ && data_after_bytes < kMergeBytesMax;) {
        Entry& entry = at(i);
        if (entry.dead) continue;
        if (entry.kind() == WireFrameKind::data) {
            data_after_bytes += entry.header.length_bytes;
            continue;
        }
        const bool same = entry.kind() == WireFrameKind::counters && entry.header.region == region.value &&
                          entry.header.offset == offset && entry.header.length_bytes == size_bytes;
        if (!same || entry.in_batch || begun(i)) return;
        --waiting_counters_;
        if (i + 1 == tail_) {
            tail_ = i;
            release(entry);
        } else {
            entry.dead = true;
        }
        return;
    }
}

// The first entry of which nothing is promised to the peer yet: neither begun nor part of a batch that was.
uint64_t TcpQueue::first_untouched() const {
    if (head_ == tail_) return head_;
    const bool in_sent_batch = at(head_).in_batch || (begun(head_) && at(head_).kind() == WireFrameKind::batch);
    if (!in_sent_batch) return begun(head_) ? head_ + 1 : head_;
    uint64_t i = head_ + 1;
    while (i != tail_ && at(i).in_batch) ++i;
    return i;
}

// Many counters wait for a slow peer, in turns, so that none could take the place of another. Keep the newest value of
// each, behind all data, in one batch that the peer sees at once: then their order does not matter.
void TcpQueue::compact() {
    waiting_counters_ = 0;
    const uint64_t first = first_untouched();
    std::vector<uint64_t> newest, others;  // from the newest to the oldest
    uint64_t batch_bytes = 0;
    for (uint64_t i = tail_; i-- > first;) {
        const Entry& entry = at(i);
        if (entry.dead || entry.kind() == WireFrameKind::batch) continue;
        if (entry.kind() != WireFrameKind::counters) {
            others.push_back(i);
        } else if (std::none_of(newest.begin(), newest.end(), [&](uint64_t k) { return same_range(at(k), entry); })) {
            newest.push_back(i);
            batch_bytes += entry.wire_bytes();
        }
    }
    if (batch_bytes > kBatchBytesMax) return;  // so many different ones that little would be won

    std::vector<Entry> kept;
    for (auto i = others.rbegin(); i != others.rend(); ++i) kept.push_back(std::move(at(*i)));
    for (auto i = newest.rbegin(); i != newest.rend(); ++i) kept.push_back(std::move(at(*i)));
    rebuild(first, kept, others.size(), batch_bytes);
}

// Replace everything from `first` on by `kept`, with a batch header before kept[batch_at].
void TcpQueue::rebuild(uint64_t first, std::vector<Entry>& kept, size_t batch_at, uint64_t batch_bytes) {
    for (uint64_t i = first; i != tail_; ++i) release(at(i));
    tail_ = first;
    for (size_t i = 0; i < kept.size(); ++i) {
        if (i == batch_at) append(WireFrameKind::batch, {}, 0, batch_bytes);
        append(WireFrameKind::data, {}, 0, 0) = std::move(kept[i]);
        at(tail_ - 1).in_batch = i >= batch_at;
    }
}

// Free what an entry holds; what was moved out of it holds nothing any more.
void TcpQueue::release(Entry& entry) {
    if (entry.copied) copied_bytes_ -= entry.payload_bytes();
    entry.copied.reset();
    entry.memory.reset();
}

size_t TcpQueue::gather(std::span<iovec> out) const {
    size_t pieces = 0;
    const auto add = [&](const void* from, size_t size_bytes) {
        if (size_bytes == 0) return;
        out[pieces].iov_base = const_cast<void*>(from);
        out[pieces++].iov_len = size_bytes;
    };
    for (uint64_t i = head_; i != tail_ && pieces + 2 <= out.size(); ++i) {
        const Entry& entry = at(i);
        if (entry.dead) continue;
        const size_t skip = i == head_ ? head_sent_bytes_ : 0;
        const size_t first = sizeof entry.header + (entry.is_inline() ? entry.payload_bytes() : 0);
        if (skip < first) add(reinterpret_cast<const std::byte*>(&entry.header) + skip, first - skip);
        if (entry.is_inline()) continue;
        const size_t skip_payload = skip > first ? skip - first : 0;
        add(entry.payload() + skip_payload, entry.payload_bytes() - skip_payload);
    }
    return pieces;
}

void TcpQueue::sent(size_t size_bytes) {
    head_sent_bytes_ += size_bytes;
    while (head_ != tail_ && head_sent_bytes_ >= at(head_).wire_bytes()) {
        head_sent_bytes_ -= at(head_).wire_bytes();
        pop();
    }
    DERECHO_ASSERT(head_ != tail_ || head_sent_bytes_ == 0);
}

void TcpQueue::pop() {
    Entry& entry = at(head_++);
    if (entry.kind() == WireFrameKind::counters && !entry.dead && waiting_counters_ > 0) --waiting_counters_;
    release(entry);
}

}  // namespace libderecho
