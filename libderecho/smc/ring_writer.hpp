// The writing side of one byte ring: application threads claim room, fill it in place and commit, in any number and
// without locks; the driver publishes what is committed, in the order of the claims.
//
// Positions count bytes since the ring was made and never wrap; the place in memory is the position modulo the size.
// A claim reserves place and slot in one compare-and-swap on `reserve_`: its low 16 bits count claims, the rest counts
// 8-byte units; both are modulo, made whole again with the published totals. The slots are private memory: whether a
// frame is committed must not be read from the ring, where anything may stand from the lap before. All headers in the
// ring are written by the driver.
//
// One writer outlives many rings: a view change seals it, moves it to the new view's ring with everything that has to
// be sent again, and unseals it. Internal positions go on growing, so that a claim caught in between cannot mistake one
// ring for the other. A claim that is still open then is an *orphan*: its commit is refused, and the caller sends the
// bytes again in the new ring. The same is done to a claim that stays open while others wait.
//
// A commit is a plain store: a locked instruction would wait until the payload's lines have come from their readers. So
// committer and driver may meet: the driver asks for a claim (`fate`), fences, and looks whether it was committed; who
// commits stores, and looks whether it was asked for. Whoever is second sees the other, and if both do, the driver
// decides.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/limits.hpp"
#include "smc/frame.hpp"

namespace libderecho {

// A place in a ring that one thread fills. Plain data: the C ABI carries it across.
struct Claim {
    std::byte* payload = nullptr;
    uint64_t size_bytes = 0;  // of the payload
    uint64_t ticket = 0;
    uint64_t end = 0;  // for the writer

    bool moved_out() const { return end == kMovedOut; }  // see RingWriter::move_out()
    static constexpr uint64_t kMovedOut = ~0ull;
};

class RingWriter {
public:
    enum class Result : uint8_t { ok, full, sealed };

    // All its rings are `ring_bytes` long, a power of two. Has none, and is sealed, until move_to().
    explicit RingWriter(uint64_t ring_bytes);

    // ---- any thread
    Result claim(uint64_t payload_bytes, Claim& claim);
    // A claim of several messages is a FrameKind::batch: smc/batch.hpp.
    // False if the claim is an orphan: copy its bytes to a new claim, commit that, then forget_orphan().
    bool commit(const Claim& claim, FrameKind kind, uint8_t flags, uint64_t used_bytes);
    bool abort(const Claim& claim);
    void forget_orphan(const Claim& claim);
    // There is no room for an orphan's bytes now, nor will be as long as those behind it are kept for it: give it
    // memory of its own. It stays an orphan, and its payload is elsewhere.
    void move_out(Claim& claim);

    // ---- the driver. Positions seen from outside start at 0 with each ring.
    // Make committed frames public up to the first open claim; stamps them. True if there were any.
    bool publish(uint64_t timestamp_ns);
    // Readers need nothing below this position any more.
    void reuse_below(uint64_t position) { limit_.store(base_ + position + size_, std::memory_order_release); }
    // From now on claims answer `sealed`; those open may still commit.
    void seal() { reserve_.fetch_or(kSealed, std::memory_order_acq_rel); }
    // Go on in another ring, zeroed, with all messages from `position` of the old one on.
    // Stamps those that were not published yet. Seals; the caller unseals.
    void move_to(std::span<std::byte> ring, uint64_t position, uint64_t timestamp_ns);
    bool sealed() const { return (reserve_.load(std::memory_order_relaxed) & kSealed) != 0; }
    void unseal() { reserve_.fetch_and(~kSealed, std::memory_order_acq_rel); }
    // Make orphans of the open claims and publish what was committed behind them. The bytes that the orphans are still
    // writing to must not be used again: see reusable().
    bool set_aside_open_claims(uint64_t timestamp_ns);
    // The own reader may release up to here: orphans' bytes in this ring are kept until all of them are settled.
    uint64_t reusable(uint64_t position) const { return has_orphans() ? std::min(position, kept_from_) : position; }
    // Rounds with nothing to say, as one frame. False if the ring is full.
    bool claim_nulls(uint32_t rounds);

    // And not yet published. Never more than there are slots, so the low bits of the tickets tell.
    bool anything_claimed() const {
        const uint64_t published = published_tickets_.load(std::memory_order_acquire);
        return ((reserve_.load(std::memory_order_acquire) ^ published) & kTicketMask) != 0;
    }
    uint64_t published_bytes() const { return published_.load(std::memory_order_relaxed) - base_; }
    uint64_t published_rounds() const { return rounds_; }      // in this ring: messages and nulls
    uint64_t published_messages() const { return messages_; }  // ever
    bool has_orphans() const { return orphans_.load(std::memory_order_acquire) != 0; }

private:
    static constexpr uint32_t kSlots = limits::open_claims_max;
    static constexpr uint64_t kSealed = 1ull << 63;
    static constexpr unsigned kTicketBits = 16;
    static constexpr uint64_t kTicketMask = (1ull << kTicketBits) - 1;
    static constexpr uint64_t kUnitMask = (1ull << (63 - kTicketBits)) - 1;
    static constexpr unsigned kEndBits = 38;  // of a slot; the rest is the frame's length in units
    static constexpr uint64_t kEndMask = (1ull << kEndBits) - 1;
    static_assert(limits::ring_bytes_max / 8 / limits::ring_share + 2 < 1ull << (64 - kEndBits));

    struct Reserved {
        uint64_t position;  // bytes
        uint64_t ticket;
    };
    struct Base {
        uint64_t units;
        uint64_t tickets;
    };
    Base base() const;
    static Reserved unpack(uint64_t reserve, const Base& base);
    struct Extent {
        uint64_t begin;
        uint64_t end;
    };
    struct Slot {
        std::atomic<uint64_t> place{0};  // 0: open or unused; or end and length of a committed frame
        FrameTag tag{};
    };
    Slot& slot_of(uint64_t ticket) { return (*slots_)[ticket % kSlots]; }
    // Looked at only while there are orphans, or there may be. A word of another ticket means nothing but an orphan's.
    enum Fate : uint64_t { kNothing, kAsked, kOrphan, kFates = 4 };
    static uint64_t fate_word(uint64_t ticket, Fate fate) { return ticket * kFates + fate; }
    std::atomic<uint64_t>& fate_of(uint64_t ticket) { return (*fates_)[ticket % kSlots]; }
    static Extent extent(uint64_t place, uint64_t position);
    bool finish(const Claim& claim, const FrameTag& tag);
    bool settle(uint64_t ticket, Slot& slot);
    void publish_batch(std::byte* at, const FrameTag& batch, uint64_t timestamp_ns);
    bool orphan(uint64_t ticket);
    void write_pads(std::byte* ring, uint64_t from, uint64_t to) const;
    void carry(const FrameHeader& header, const std::byte* payload, std::span<std::byte> ring, uint64_t& end);

    const uint64_t size_;
    const uint64_t mask_;
    std::atomic<std::byte*> ring_{nullptr};  // changes while sealed only
    uint64_t base_ = 0;                      // internal position of the ring's first byte; driver only
    std::unique_ptr<std::array<Slot, kSlots>> slots_;
    std::unique_ptr<std::array<std::atomic<uint64_t>, kSlots>> fates_;
    std::atomic<uint64_t> orphans_{0};  // and the claim that is being asked for
    alignas(64) std::atomic<uint64_t> reserve_{kSealed};
    alignas(64) std::atomic<uint64_t> published_{0};  // bytes, from base_
    std::atomic<uint64_t> published_tickets_{0};
    std::atomic<uint64_t> limit_{0};  // claims may reach up to here
    uint64_t rounds_ = 0;
    uint64_t messages_ = 0;
    uint64_t kept_from_ = ~0ull;  // position of the first orphan's bytes in this ring; driver only
    std::mutex moved_out_mutex_;
    std::vector<std::unique_ptr<std::byte[]>> moved_out_;
};

}  // namespace libderecho
