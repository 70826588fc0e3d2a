#include "capi/claims.hpp"

namespace libderecho::capi {

OpenClaim* Claims::reserve() {
    constexpr uint32_t kTries = 64;
    // Few are open at a time, as a rule: the first entries are used again and again.
    const uint32_t around = open_.load(std::memory_order_relaxed);
    for (uint32_t i = 0; i < kTries; ++i) {
        OpenClaim& entry = (*claims_)[(around + i) % kClaims];
        uint64_t free = 0;
        if (entry.nonce.load(std::memory_order_relaxed) != 0) continue;
        if (!entry.nonce.compare_exchange_strong(free, kBusy, std::memory_order_acquire)) continue;
        open_.fetch_add(1, std::memory_order_relaxed);
        return &entry;
    }
    return nullptr;
}

void Claims::publish(OpenClaim& entry, derecho_claim& out) {
    const uint64_t nonce = next_.fetch_add(1, std::memory_order_relaxed);
    out.internal[0] = static_cast<uint64_t>(&entry - claims_->data());
    out.internal[1] = nonce;
    out.internal[2] = 0;
    entry.nonce.store(nonce, std::memory_order_release);
}

OpenClaim* Claims::take(const derecho_claim& claim, ShardIndex shard) {
    if (claim.internal[0] >= kClaims || claim.internal[1] == 0 || claim.internal[1] == kBusy) return nullptr;
    OpenClaim& entry = (*claims_)[claim.internal[0]];
    uint64_t nonce = claim.internal[1];
    if (!entry.nonce.compare_exchange_strong(nonce, kBusy, std::memory_order_acq_rel)) return nullptr;
    if (entry.shard == shard) return &entry;
    entry.nonce.store(claim.internal[1], std::memory_order_release);
    return nullptr;
}

}  // namespace libderecho::capi
