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

RingWriter::RingWriter(uint64_t ring_bytes)
    : size_(ring_bytes), mask_(ring_bytes - 1), slots_(std::make_unique<std::array<std::atomic<uint64_t>, kSlots>>()) {
    DERECHO_ASSERT(std::has_single_bit(ring_bytes) && ring_bytes <= limits::ring_bytes_max);
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
    while (true) {
        const Base totals = base();
        uint64_t reserve = reserve_.load(std::memory_order_acquire);
        if (reserve & kSealed) return Result::sealed;
        // What is read from here on belongs to `reserve`'s ring if the exchange below succeeds.
        std::byte* const ring = ring_.load(std::memory_order_acquire);
        const Reserved at = unpack(reserve, totals);
        const uint64_t to_end = size_ - (at.position & mask_);
        const uint64_t begin = need <= to_end ? at.position : at.position + to_end;
        const uint64_t end = begin + need;
        if (end > limit_.load(std::memory_order_acquire)) return Result::full;
        if (at.ticket - totals.tickets >= kSlots) return Result::full;
        if ((*slots_)[at.ticket % kSlots].load(std::memory_order_relaxed) == kOrphan) return Result::full;
        const uint64_t next = ((end / 8) & kUnitMask) << kTicketBits | ((at.ticket + 1) & kTicketMask);
        if (!reserve_.compare_exchange_weak(reserve, next, std::memory_order_acq_rel, std::memory_order_relaxed))
            continue;
        if (begin != at.position) write_pad(ring + (at.position & mask_), to_end);
        claim.payload = ring + (begin & mask_) + sizeof(FrameHeader);
        claim.size_bytes = payload_bytes;
        claim.ticket = at.ticket;
        claim.end = end;
        return Result::ok;
    }
}

bool RingWriter::commit(const Claim& claim, FrameKind kind, uint8_t flags, uint64_t used_bytes) {
    DERECHO_ASSERT(used_bytes <= claim.size_bytes);
    const uint64_t used = frame_bytes(used_bytes);
    const uint64_t spare = frame_bytes(claim.size_bytes) - used;
    if (spare > 0) write_pad(claim.payload - sizeof(FrameHeader) + used, spare);
    return finish(claim, {static_cast<uint32_t>(used_bytes), kind, flags, static_cast<uint16_t>(claim.ticket), 0});
}

bool RingWriter::abort(const Claim& claim) {
    const uint64_t whole = frame_bytes(claim.size_bytes);
    return finish(claim,
                  {static_cast<uint32_t>(whole), FrameKind::pad, kAbortedPad, static_cast<uint16_t>(claim.ticket), 0});
}

bool RingWriter::finish(const Claim& claim, const FrameHeader& header) {
    std::memcpy(claim.payload - sizeof(FrameHeader), &header, sizeof header);
    const uint64_t units = frame_bytes(claim.size_bytes) / 8;
    auto& slot = (*slots_)[claim.ticket % kSlots];
    const uint64_t before = slot.exchange(units << kEndBits | ((claim.end / 8) & kEndMask), std::memory_order_acq_rel);
    if (before == 0) return true;
    DERECHO_ASSERT(before == kOrphan);
    slot.store(kOrphan, std::memory_order_release);
    return false;
}

void RingWriter::forget_orphan(const Claim& claim) {
    (*slots_)[claim.ticket % kSlots].store(0, std::memory_order_release);
    orphans_.fetch_sub(1, std::memory_order_acq_rel);
}

bool RingWriter::publish(uint64_t timestamp_ns) {
    std::byte* const ring = ring_.load(std::memory_order_relaxed);
    const uint64_t first = published_tickets_.load(std::memory_order_relaxed);
    uint64_t position = published_.load(std::memory_order_relaxed), ticket = first;
    for (;; ++ticket) {
        auto& slot = (*slots_)[ticket % kSlots];
        const uint64_t value = slot.load(std::memory_order_acquire);
        if (value == 0 || value == kOrphan) break;
        slot.store(0, std::memory_order_relaxed);
        position += ((value - position / 8) & kEndMask) * 8;
        FrameHeader* header = header_at(ring, (position - (value >> kEndBits) * 8) & mask_);
        if (header->kind == FrameKind::pad) continue;
        header->timestamp_ns = timestamp_ns;
        if (header->kind == FrameKind::nulls) {
            rounds_ += header->size_bytes;
        } else {
            ++rounds_;
            ++messages_;
        }
    }
    if (ticket == first) return false;
    published_.store(position, std::memory_order_release);
    published_tickets_.store(ticket, std::memory_order_release);
    return true;
}

// A stretch of open claims ends where the next committed frame, or the unclaimed rest, begins.
bool RingWriter::set_aside_open_claims(uint64_t timestamp_ns) {
    bool any = publish(timestamp_ns);
    const Base totals = base();
    const Reserved reserved = unpack(reserve_.load(std::memory_order_acquire) & ~kSealed, totals);
    uint64_t position = published_.load(std::memory_order_relaxed), ticket = totals.tickets;
    if (ticket == reserved.ticket) return any;
    if (!has_orphans()) kept_from_ = ~0ull;
    const uint64_t begin = position;
    uint64_t end = reserved.position;
    for (; ticket < reserved.ticket; ++ticket) {
        auto& slot = (*slots_)[ticket % kSlots];
        uint64_t value = 0;
        if (slot.compare_exchange_strong(value, kOrphan, std::memory_order_acq_rel)) {
            orphans_.fetch_add(1, std::memory_order_acq_rel);
            continue;
        }
        end = begin + ((value - begin / 8) & kEndMask) * 8 - (value >> kEndBits) * 8;
        break;
    }
    if (end == begin) return any; // committed in the meantime
    kept_from_ = std::min(kept_from_, begin - base_);
    std::byte* const ring = ring_.load(std::memory_order_relaxed);
    while (position < end) {
        const uint64_t piece = std::min(end - position, size_ - (position & mask_));
        write_pad(ring + (position & mask_), piece);
        position += piece;
    }
    published_.store(position, std::memory_order_release);
    published_tickets_.store(ticket, std::memory_order_release);
    publish(timestamp_ns);
    return true;
}

bool RingWriter::claim_nulls(uint32_t rounds) {
    Claim place;
    if (claim(0, place) != Result::ok) return false;
    return finish(place, {rounds, FrameKind::nulls, 0, static_cast<uint16_t>(place.ticket), 0});
}

// Append one frame of the old ring to the new one, unless it carries nothing.
void RingWriter::carry(const FrameHeader* frame, std::span<std::byte> ring, uint64_t& end) {
    if (frame->kind == FrameKind::pad || frame->kind == FrameKind::nulls) return;
    const uint64_t bytes = frame_bytes(frame->size_bytes);
    DERECHO_ASSERT(end + bytes <= ring.size());  // what fitted into one ring fits into an empty one, without pads
    std::memcpy(ring.data() + end, frame, sizeof(FrameHeader) + frame->size_bytes);
    end += bytes;
    ++rounds_;
}

void RingWriter::move_to(std::span<std::byte> ring, uint64_t position, uint64_t timestamp_ns) {
    DERECHO_ASSERT(ring.size() == size_);
    seal();
    const Base totals = base();
    const Reserved reserved = unpack(reserve_.load(std::memory_order_acquire) & ~kSealed, totals);
    std::byte* const old_ring = ring_.load(std::memory_order_relaxed);
    uint64_t carried_end = 0;
    rounds_ = 0;
    // What was published, then what was committed in the meantime; open claims become orphans.
    const uint64_t published = published_.load(std::memory_order_relaxed);
    for (uint64_t at = base_ + position; at < published;) {
        const FrameHeader* frame = header_at(old_ring, at & mask_);
        carry(frame, ring, carried_end);
        at += whole_frame_bytes(*frame);
    }
    for (uint64_t ticket = totals.tickets; ticket < reserved.ticket; ++ticket) {
        auto& slot = (*slots_)[ticket % kSlots];
        uint64_t value = 0;
        if (slot.compare_exchange_strong(value, kOrphan, std::memory_order_acq_rel)) {
            orphans_.fetch_add(1, std::memory_order_acq_rel);
            continue;
        }
        slot.store(0, std::memory_order_relaxed);
        const uint64_t end = published + ((value - published / 8) & kEndMask) * 8;
        FrameHeader* frame = header_at(old_ring, (end - (value >> kEndBits) * 8) & mask_);
        if (frame->kind != FrameKind::pad) frame->timestamp_ns = timestamp_ns;
        if (frame->kind != FrameKind::pad && frame->kind != FrameKind::nulls) ++messages_;
        carry(frame, ring, carried_end);
    }
    base_ = (reserved.position + mask_) & ~mask_;
    kept_from_ = ~0ull; // their bytes are in older rings
    ring_.store(ring.data(), std::memory_order_release);
    limit_.store(base_ + size_, std::memory_order_release);
    published_.store(base_ + carried_end, std::memory_order_release);
    published_tickets_.store(reserved.ticket, std::memory_order_release);
    const uint64_t units = ((base_ + carried_end) / 8) & kUnitMask;
    reserve_.store(kSealed | units << kTicketBits | (reserved.ticket & kTicketMask), std::memory_order_release);
}

bool RingWriter::anything_claimed() const {
    const Base totals = base();
    const uint64_t reserve = reserve_.load(std::memory_order_acquire) & ~kSealed;
    return unpack(reserve, totals).ticket != totals.tickets;
}

}  // namespace libderecho
