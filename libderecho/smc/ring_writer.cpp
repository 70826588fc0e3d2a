#include "smc/ring_writer.hpp"

#include <bit>
#include <cstring>

#include "base/assert.hpp"

namespace libderecho {
namespace {

void write_pad(std::byte* at, uint64_t bytes) {
    const FrameHeader pad{static_cast<uint32_t>(bytes), FrameKind::pad, 0, 0, 0};
    std::memcpy(at, &pad, 8);
}

}  // namespace

RingWriter::RingWriter(std::span<std::byte> ring, uint64_t first_ticket)
    : ring_(ring.data()),
      size_(ring.size()),
      mask_(ring.size() - 1),
      slots_(std::make_unique<std::array<std::atomic<uint64_t>, kSlots>>()),
      reserve_(first_ticket & kTicketMask),
      published_tickets_(first_ticket),
      limit_(ring.size()) {
    DERECHO_ASSERT(std::has_single_bit(ring.size()));
    DERECHO_ASSERT(ring.size() <= limits::ring_bytes_max);
}

// The totals are read before `reserve_`, which is never behind them: a stale base gives the same whole number.
RingWriter::Base RingWriter::base() const {
    return {published_.load(std::memory_order_acquire) / 8, published_tickets_.load(std::memory_order_acquire)};
}

RingWriter::Reserved RingWriter::unpack(uint64_t reserve, const Base& base) {
    const uint64_t units_ahead = ((reserve >> kTicketBits) - base.units) & kUnitMask;
    const uint64_t tickets_ahead = (reserve - base.tickets) & kTicketMask;
    return {(base.units + units_ahead) * 8, base.tickets + tickets_ahead};
}

RingWriter::Result RingWriter::claim(uint64_t payload_bytes, Claim& claim) {
    const uint64_t need = frame_bytes(payload_bytes);
    DERECHO_ASSERT(need <= size_ / 2);
    while (true) {
        const Base totals = base();
        uint64_t reserve = reserve_.load(std::memory_order_acquire);
        if (reserve & kSealed) return Result::sealed;
        const Reserved at = unpack(reserve, totals);
        const uint64_t to_end = size_ - (at.position & mask_);
        const uint64_t begin = need <= to_end ? at.position : at.position + to_end;
        const uint64_t end = begin + need;
        if (end > limit_.load(std::memory_order_acquire)) return Result::full;
        if (at.ticket - totals.tickets >= kSlots) return Result::full;
        const uint64_t next = ((end / 8) & kUnitMask) << kTicketBits | ((at.ticket + 1) & kTicketMask);
        if (!reserve_.compare_exchange_weak(reserve, next, std::memory_order_acq_rel, std::memory_order_relaxed)) continue;
        if (begin != at.position) write_pad(ring_ + (at.position & mask_), to_end);
        claim.payload = ring_ + (begin & mask_) + sizeof(FrameHeader);
        claim.size_bytes = payload_bytes;
        claim.ticket = at.ticket;
        claim.end = end;
        return Result::ok;
    }
}

void RingWriter::commit(const Claim& claim, FrameKind kind, uint8_t flags, uint64_t used_bytes) {
    DERECHO_ASSERT(used_bytes <= claim.size_bytes);
    const uint64_t used = frame_bytes(used_bytes);
    const uint64_t spare = frame_bytes(claim.size_bytes) - used;
    if (spare > 0) write_pad(claim.payload - sizeof(FrameHeader) + used, spare);
    finish(claim, {static_cast<uint32_t>(used_bytes), kind, flags, static_cast<uint16_t>(claim.ticket), 0});
}

void RingWriter::abort(const Claim& claim) {
    const uint64_t whole = frame_bytes(claim.size_bytes);
    finish(claim, {static_cast<uint32_t>(whole), FrameKind::pad, 0, static_cast<uint16_t>(claim.ticket), 0});
}

void RingWriter::finish(const Claim& claim, const FrameHeader& header) {
    std::memcpy(claim.payload - sizeof(FrameHeader), &header, sizeof header);
    const uint64_t units = frame_bytes(claim.size_bytes) / 8;
    auto& slot = (*slots_)[claim.ticket % kSlots];
    slot.store(units << kEndBits | ((claim.end / 8) & kEndMask), std::memory_order_release);
}

bool RingWriter::publish(uint64_t timestamp_ns) {
    const uint64_t before = published_.load(std::memory_order_relaxed);
    const uint64_t first = published_tickets_.load(std::memory_order_relaxed);
    uint64_t position = before, ticket = first;
    for (;; ++ticket) {
        auto& slot = (*slots_)[ticket % kSlots];
        const uint64_t value = slot.load(std::memory_order_acquire);
        if (value == 0) break;
        slot.store(0, std::memory_order_relaxed);
        position += ((value - position / 8) & kEndMask) * 8;
        FrameHeader* header = header_at(position - (value >> kEndBits) * 8);
        if (header->kind == FrameKind::pad) continue;
        header->timestamp_ns = timestamp_ns;
        rounds_ += header->kind == FrameKind::nulls ? header->size_bytes : 1;
    }
    if (ticket == first) return false;
    published_.store(position, std::memory_order_release);
    published_tickets_.store(ticket, std::memory_order_release);
    return true;
}

bool RingWriter::claim_nulls(uint32_t rounds) {
    Claim place;
    if (claim(0, place) != Result::ok) return false;
    finish(place, {rounds, FrameKind::nulls, 0, static_cast<uint16_t>(place.ticket), 0});
    return true;
}

void RingWriter::restore(const FrameHeader& header, const std::byte* payload) {
    const uint64_t position = published_.load(std::memory_order_relaxed);
    const uint64_t need = frame_bytes(header.size_bytes);
    DERECHO_ASSERT(position + need <= size_); // what fitted into one ring fits into an empty one, without pads
    std::memcpy(ring_ + position, &header, sizeof header);
    std::memcpy(ring_ + position + sizeof header, payload, header.size_bytes);
    published_.store(position + need, std::memory_order_relaxed);
    rounds_ += 1;
    const uint64_t reserve = reserve_.load(std::memory_order_relaxed);
    reserve_.store(((position + need) / 8) << kTicketBits | (reserve & kTicketMask), std::memory_order_release);
}

bool RingWriter::anything_claimed() const { return next_ticket() != published_tickets_.load(std::memory_order_relaxed); }

uint64_t RingWriter::next_ticket() const {
    const Base totals = base();
    return unpack(reserve_.load(std::memory_order_acquire), totals).ticket;
}

}  // namespace libderecho
