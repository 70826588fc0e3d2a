#include "capi/claims.hpp"

#include <algorithm>

#include "rpc/letters.hpp"

namespace libderecho::capi {
namespace {

// Where the application's struct keeps what is ours.
enum Internal { kEnd, kTicket, kFlags };

// Not zero; differs, as good as surely, for any two claims.
uint64_t word(const derecho_claim& claim, ShardIndex shard) {
    uint64_t mixed = reinterpret_cast<uint64_t>(claim.data) * 0x9e3779b97f4a7c15;
    mixed += claim.size_bytes * 0xbf58476d1ce4e5b9 + claim.id * 0x94d049bb133111eb;
    mixed += claim.internal[kEnd] * 0xd6e8feb86659fd93 + claim.internal[kTicket] * 0xff51afd7ed558ccd;
    mixed += (uint64_t{raw(shard)} << 32 ^ claim.internal[kFlags]) * 0xc4ceb9fe1a85ec53;
    return (mixed ^ mixed >> 32) | 1;
}

uint64_t header_bytes(uint32_t flags) { return flags & DERECHO_CLAIM_MESSAGE ? 0 : kLetterHeaderBytes; }

}  // namespace

Claims::Claims(size_t shards) {
    for (size_t k = 0; k < shards; ++k) words_.push_back(std::make_unique<Words>());
}

void Claims::open(const OpenClaim& claim, ShardIndex shard, derecho_claim& out) {
    out.data = claim.claim.payload + header_bytes(claim.flags);
    out.size_bytes = claim.size_bytes;
    out.id = claim.flags & DERECHO_CLAIM_MESSAGE ? claim.claim.ticket : claim.call;
    out.internal[kEnd] = claim.claim.end;
    out.internal[kTicket] = claim.claim.ticket;
    out.internal[kFlags] = claim.flags;
    if (claim.claim.moved_out()) [[unlikely]] {
        const std::lock_guard lock(moved_out_mutex_);
        moved_out_.push_back(word(out, shard));
        return;
    }
    word_of(shard, claim.claim.ticket).store(word(out, shard), std::memory_order_release);
}

bool Claims::take(const derecho_claim& in, ShardIndex shard, OpenClaim& claim) {
    if (raw(shard) >= words_.size()) return false;
    uint64_t expected = word(in, shard);
    if (in.internal[kEnd] == Claim::kMovedOut) [[unlikely]] {
        if (!take_moved_out(expected)) return false;
    } else {
        auto& kept = word_of(shard, in.internal[kTicket]);
        if (kept.load(std::memory_order_relaxed) != expected) return false;
        if (!kept.compare_exchange_strong(expected, 0, std::memory_order_acq_rel)) return false;
    }
    claim.flags = static_cast<uint32_t>(in.internal[kFlags]);
    claim.size_bytes = in.size_bytes;
    claim.call = claim.flags & DERECHO_CLAIM_MESSAGE ? 0 : in.id;
    const uint64_t header = header_bytes(claim.flags);
    claim.claim = {static_cast<std::byte*>(in.data) - header, in.size_bytes + header, in.internal[kTicket],
                   in.internal[kEnd]};
    return true;
}

bool Claims::take_moved_out(uint64_t word) {
    const std::lock_guard lock(moved_out_mutex_);
    return std::erase(moved_out_, word) != 0;
}

bool Claims::any_open() const {
    const auto open = [](const std::atomic<uint64_t>& each) { return each.load(std::memory_order_acquire) != 0; };
    const std::lock_guard lock(moved_out_mutex_);
    return !moved_out_.empty() ||
           std::ranges::any_of(words_, [&](const auto& words) { return std::ranges::any_of(*words, open); });
}

}  // namespace libderecho::capi
