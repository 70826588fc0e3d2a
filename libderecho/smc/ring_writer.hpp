// The writing side of one byte ring: application threads claim room, fill it in place and commit, in any number and
// without locks; the driver publishes what is committed, in the order of the claims.
//
// Positions count bytes since the ring was made and never wrap; the place in memory is the position modulo the size.
// A claim reserves place and slot in one compare-and-swap on `reserve_`: its low 16 bits count claims, the rest counts
// 8-byte units; both are modulo, made whole again with the published totals. The slots are private memory: whether a
// frame is committed must not be read from the ring, where anything may stand from the lap before.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <span>

#include "base/limits.hpp"
#include "smc/frame.hpp"

namespace libderecho {

// A place in a ring that one thread fills. Plain data: the C ABI carries it across.
struct Claim {
    std::byte* payload = nullptr;
    uint64_t size_bytes = 0; // of the payload
    uint64_t ticket = 0;
    uint64_t end = 0;  // for the writer: where in the ring it ends
    uint64_t view = 0; // for the group: which view's ring
};

class RingWriter {
public:
    enum class Result : uint8_t { ok, full, sealed };

    // `ring` is a power of two long and zero. Tickets start at `first_ticket`.
    RingWriter(std::span<std::byte> ring, uint64_t first_ticket);

    // ---- any thread
    Result claim(uint64_t payload_bytes, Claim& claim);
    void commit(const Claim& claim, FrameKind kind, uint8_t flags, uint64_t used_bytes);
    void abort(const Claim& claim);

    // ---- the driver
    // Make committed frames public up to the first open claim; stamps them. True if there were any.
    bool publish(uint64_t timestamp_ns);
    // Readers need nothing below this position any more.
    void reuse_below(uint64_t position) { limit_.store(position + size_, std::memory_order_release); }
    // From now on claims answer `sealed`; those open may still commit.
    void seal() { reserve_.fetch_or(kSealed, std::memory_order_acq_rel); }
    // Rounds with nothing to say, as one frame. False if the ring is full.
    bool claim_nulls(uint32_t rounds);
    // Append a frame of an earlier ring. Only before the first claim.
    void restore(const FrameHeader& header, const std::byte* payload);

    bool anything_claimed() const; // and not yet published
    uint64_t published_bytes() const { return published_.load(std::memory_order_relaxed); }
    uint64_t published_rounds() const { return rounds_; }
    uint64_t next_ticket() const;

private:
    static constexpr uint32_t kSlots = 1 << 12;
    static constexpr uint64_t kSealed = 1ull << 63;
    static constexpr unsigned kTicketBits = 16;
    static constexpr uint64_t kTicketMask = (1ull << kTicketBits) - 1;
    static constexpr uint64_t kUnitMask = (1ull << (63 - kTicketBits)) - 1;
    static constexpr unsigned kEndBits = 38; // of a slot; the rest is the frame's length in units
    static constexpr uint64_t kEndMask = (1ull << kEndBits) - 1;
    static_assert(limits::ring_bytes_max / 8 / 2 < 1ull << (64 - kEndBits));

    struct Reserved {
        uint64_t position; // bytes
        uint64_t ticket;
    };
    struct Base {
        uint64_t units;
        uint64_t tickets;
    };
    Base base() const;
    static Reserved unpack(uint64_t reserve, const Base& base);
    void finish(const Claim& claim, const FrameHeader& header);
    FrameHeader* header_at(uint64_t position) { return reinterpret_cast<FrameHeader*>(ring_ + (position & mask_)); }

    std::byte* ring_;
    uint64_t size_;
    uint64_t mask_;
    std::unique_ptr<std::array<std::atomic<uint64_t>, kSlots>> slots_; // end and length of a committed frame, or 0
    alignas(64) std::atomic<uint64_t> reserve_;
    alignas(64) std::atomic<uint64_t> published_{0};      // bytes
    std::atomic<uint64_t> published_tickets_;
    std::atomic<uint64_t> limit_;                         // claims may reach up to here
    uint64_t rounds_ = 0;                                 // messages and nulls published
};

}  // namespace libderecho
