// The open claims of a group's application, so that a claim that was committed already, or never made, is told from one
// that is open. All that a claim needs travels in the application's derecho_claim; here stands, by ticket, a word that
// vouches for it. A ticket belongs to one open claim at a time, so that making one costs a plain store. Those that were
// moved out of the ring have no ticket any more; they are few. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include <derecho.h>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "smc/ring_writer.hpp"

namespace libderecho::capi {

// A claim as the layers below know it.
struct OpenClaim {
    Claim claim;
    uint64_t call = 0;        // of a method call
    uint32_t flags = 0;       // DERECHO_CLAIM_MESSAGE, DERECHO_CALL_REPLY
    uint64_t size_bytes = 0;  // as the application sees it
};

class Claims {
public:
    explicit Claims(size_t shards);

    // Tell the application of a claim, or that it stays open after all, and vouch for it from now on.
    void open(const OpenClaim& claim, ShardIndex shard, derecho_claim& out);
    // Of an open claim: what it is; it is open no more, so that nobody else commits it. False if it is not open.
    bool take(const derecho_claim& in, ShardIndex shard, OpenClaim& claim);
    bool any_open() const;

private:
    using Words = std::array<std::atomic<uint64_t>, limits::open_claims_max>;

    std::atomic<uint64_t>& word_of(ShardIndex shard, uint64_t ticket) {
        return (*words_[raw(shard)])[ticket % limits::open_claims_max];
    }

    bool take_moved_out(uint64_t word);

    std::vector<std::unique_ptr<Words>> words_;  // by shard
    mutable std::mutex moved_out_mutex_;
    std::vector<uint64_t> moved_out_;
};

}  // namespace libderecho::capi
