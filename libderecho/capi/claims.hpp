// The open claims of a group's application, so that a claim that was committed already, or never made, is told from one
// that is open. Preallocated; any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include <derecho.h>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "smc/ring_writer.hpp"

namespace libderecho::capi {

struct OpenClaim {
    std::atomic<uint64_t> nonce{0};  // 0 while free
    Claim claim;
    ShardIndex shard{};
    uint64_t call = 0;
    uint32_t flags = 0;
    uint64_t size_bytes = 0;  // as the application sees it
};

class Claims {
public:
    Claims() : claims_(std::make_unique<std::array<OpenClaim, kClaims>>()) {}

    // An entry that nobody else sees until it is published; null when too many are open.
    OpenClaim* reserve();
    // Tell the application.
    void publish(OpenClaim& entry, derecho_claim& out);
    // Take an open claim out of the table, so that nobody else commits it. Null if it is not open.
    OpenClaim* take(const derecho_claim& claim, ShardIndex shard);
    // It stays open after all.
    void put_back(OpenClaim& entry, const derecho_claim& claim) {
        entry.nonce.store(claim.internal[1], std::memory_order_release);
    }
    void free(OpenClaim& entry) {
        entry.nonce.store(0, std::memory_order_release);
        open_.fetch_sub(1, std::memory_order_relaxed);
    }
    uint32_t open() const { return open_.load(std::memory_order_acquire); }

private:
    static constexpr uint32_t kClaims = limits::open_claims_max;
    static constexpr uint64_t kBusy = ~0ull;

    std::unique_ptr<std::array<OpenClaim, kClaims>> claims_;
    std::atomic<uint64_t> next_{1};
    std::atomic<uint32_t> open_{0};
};

}  // namespace libderecho::capi
