#include "smc/ring_writer.hpp"

#include <bit>
#include <cstring>
#include <thread>

#include "base/assert.hpp"
#include "base/fences.hpp"
#include "smc/batch.hpp"
#include "smc/own_lines.hpp"

namespace libderecho {
namespace {

constexpr uint64_t kOwnAtMost = 256;  // bytes asked for by one claim

}  // namespace

RingWriter::RingWriter(uint64_t ring_bytes)
    : size_(ring_bytes),
      mask_(ring_bytes - 1),
      slots_(std::make_unique<std::array<Slot, kSlots>>()),
      fates_(std::make_unique<std::array<std::atomic<uint64_t>, kSlots>>()) {
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
        // A thread that was put aside before it read `reserve_`, for many thousand claims, makes a wrong number whole.
        if (published_tickets_.load(std::memory_order_relaxed) - totals.tickets > kSlots) [[unlikely]]
            continue;
        const uint64_t to_end = size_ - (at.position & mask_);
        const uint64_t begin = need <= to_end ? at.position : at.position + to_end;
        const uint64_t end = begin + need;
        if (end > limit_.load(std::memory_order_acquire)) return Result::full;
        if (at.ticket - totals.tickets >= kSlots) return Result::full;
        if (has_orphans() && fate_of(at.ticket).load(std::memory_order_acquire) % kFates == kOrphan)
            return Result::full;
        const uint64_t next = ((end / 8) & kUnitMask) << kTicketBits | ((at.ticket + 1) & kTicketMask);
        if (!reserve_.compare_exchange_weak(reserve, next, std::memory_order_acq_rel, std::memory_order_relaxed))
            continue;
        own_lines(ring + ((end + kOwnAhead) & mask_), std::min(need, kOwnAtMost));
        claim.payload = ring + (begin & mask_) + sizeof(FrameHeader);
        claim.size_bytes = payload_bytes;
        claim.ticket = at.ticket;
        claim.end = end;
        return Result::ok;
    }
}

bool RingWriter::commit(const Claim& claim, FrameKind kind, uint8_t flags, uint64_t used_bytes) {
    DERECHO_ASSERT(used_bytes <= claim.size_bytes);
    return finish(claim, {static_cast<uint32_t>(used_bytes), kind, flags, static_cast<uint16_t>(claim.ticket)});
}

bool RingWriter::abort(const Claim& claim) {
    const uint64_t whole = frame_bytes(claim.size_bytes);
    return finish(claim,
                  {static_cast<uint32_t>(whole), FrameKind::pad, kAbortedPad, static_cast<uint16_t>(claim.ticket)});
}

// Only the slot is written here, not the frame: the driver may have given the frame's place up already.
bool RingWriter::finish(const Claim& claim, const FrameTag& tag) {
    if (claim.moved_out()) [[unlikely]]
        return false;
    const uint64_t units = frame_bytes(claim.size_bytes) / 8;
    Slot& slot = slot_of(claim.ticket);
    slot.tag = tag;
    const uint64_t place = units << kEndBits | ((claim.end / 8) & kEndMask);
    slot.place.store(place, std::memory_order_release);
    Fences::light();
    return !has_orphans() || settle(claim.ticket, slot);
}

// The driver may have asked for this claim; whether the commit was in time, it knows. (If it was, the slot may be
// another's by now.)
bool RingWriter::settle(uint64_t ticket, Slot& slot) {
    const std::atomic<uint64_t>& fate = fate_of(ticket);
    while (fate.load(std::memory_order_acquire) == fate_word(ticket, kAsked)) std::this_thread::yield();
    if (fate.load(std::memory_order_acquire) != fate_word(ticket, kOrphan)) return true;
    slot.place.store(0, std::memory_order_relaxed);
    return false;
}

void RingWriter::move_out(Claim& claim) {
    if (claim.moved_out()) return;
    auto bytes = std::make_unique<std::byte[]>(std::max<uint64_t>(claim.size_bytes, 1));
    std::memcpy(bytes.get(), claim.payload, claim.size_bytes);
    forget_orphan(claim);
    claim.payload = bytes.get();
    claim.end = Claim::kMovedOut;
    const std::lock_guard lock(moved_out_mutex_);
    moved_out_.push_back(std::move(bytes));
}

void RingWriter::forget_orphan(const Claim& claim) {
    if (claim.moved_out()) {
        const std::lock_guard lock(moved_out_mutex_);
        std::erase_if(moved_out_, [&](const auto& bytes) { return bytes.get() == claim.payload; });
        return;
    }
    fate_of(claim.ticket).store(fate_word(claim.ticket, kNothing), std::memory_order_release);
    orphans_.fetch_sub(1, std::memory_order_acq_rel);
}

// Where the committed frame of a slot begins and ends, `position` being at or before its begin.
RingWriter::Extent RingWriter::extent(uint64_t place, uint64_t position) {
    const uint64_t end = position + ((place - position / 8) & kEndMask) * 8;
    return {end - (place >> kEndBits) * 8, end};
}

// Pads, never across the ring's end.
void RingWriter::write_pads(std::byte* ring, uint64_t from, uint64_t to) const {
    while (from < to) {
        const uint64_t piece = std::min(to - from, size_ - (from & mask_));
        const FrameTag pad{static_cast<uint32_t>(piece), FrameKind::pad, 0, 0};
        std::memcpy(ring + (from & mask_), &pad, sizeof pad);
        from += piece;
    }
}

bool RingWriter::publish(uint64_t timestamp_ns) {
    std::byte* const ring = ring_.load(std::memory_order_relaxed);
    const uint64_t first = published_tickets_.load(std::memory_order_relaxed);
    uint64_t position = published_.load(std::memory_order_relaxed), ticket = first;
    // No further than what is claimed: the next slot may be that of an orphan, which is being refused just now.
    const uint64_t claimed = unpack(reserve_.load(std::memory_order_acquire) & ~kSealed, base()).ticket;
    for (; ticket < claimed; ++ticket) {
        Slot& slot = slot_of(ticket);
        const uint64_t place = slot.place.load(std::memory_order_acquire);
        if (place == 0) break;
        const FrameTag tag = slot.tag;
        slot.place.store(0, std::memory_order_relaxed);
        const Extent frame = extent(place, position);
        if (frame.begin != position) write_pads(ring, position, frame.begin);  // it did not fit before the ring's end
        position = frame.end;
        std::byte* const at = ring + (frame.begin & mask_);
        if (tag.kind == FrameKind::pad) {
            std::memcpy(at, &tag, sizeof tag);
            continue;
        }
        if (tag.kind == FrameKind::batch) {
            publish_batch(at, tag, timestamp_ns);
            continue;
        }
        *reinterpret_cast<FrameHeader*>(at) = {tag, timestamp_ns};
        if (tag.kind == FrameKind::nulls) {
            rounds_ += tag.size_bytes;
            continue;
        }
        const uint64_t used_end = frame.begin + frame_bytes(tag.size_bytes);
        if (used_end != frame.end) write_pads(ring, used_end, frame.end);
        ++rounds_;
        ++messages_;
    }
    if (ticket == first) return false;
    published_.store(position, std::memory_order_release);
    published_tickets_.store(ticket, std::memory_order_release);
    return true;
}

void RingWriter::publish_batch(std::byte* at, const FrameTag& batch, uint64_t timestamp_ns) {
    const FrameTag pad{sizeof(FrameHeader), FrameKind::pad, 0, 0};
    std::memcpy(at, &pad, sizeof pad);
    for_each_frame(at + sizeof(FrameHeader), batch.size_bytes, [&](FrameHeader& frame) {
        frame.ticket = batch.ticket;
        frame.timestamp_ns = timestamp_ns;
        ++rounds_;
        ++messages_;
    });
}

// Whether the claim was still open, and is an orphan now.
bool RingWriter::orphan(uint64_t ticket) {
    const Slot& slot = slot_of(ticket);
    const auto open = [&] { return slot.place.load(std::memory_order_acquire) == 0; };
    if (!open()) return false;
    fate_of(ticket).store(fate_word(ticket, kAsked), std::memory_order_relaxed);
    orphans_.fetch_add(1, std::memory_order_acq_rel);
    Fences::heavy();
    const bool orphaned = open();
    fate_of(ticket).store(fate_word(ticket, orphaned ? kOrphan : kNothing), std::memory_order_release);
    if (!orphaned) orphans_.fetch_sub(1, std::memory_order_acq_rel);
    return orphaned;
}

// A stretch of open claims ends where the next committed frame, or the unclaimed rest, begins.
bool RingWriter::set_aside_open_claims(uint64_t timestamp_ns) {
    bool any = publish(timestamp_ns);
    const Base totals = base();
    const Reserved reserved = unpack(reserve_.load(std::memory_order_acquire) & ~kSealed, totals);
    const uint64_t begin = published_.load(std::memory_order_relaxed);
    if (!has_orphans()) kept_from_ = ~0ull;
    uint64_t ticket = totals.tickets;
    while (ticket < reserved.ticket && orphan(ticket)) ++ticket;
    if (ticket == totals.tickets) return any;
    const uint64_t end = ticket == reserved.ticket
                             ? reserved.position
                             : extent(slot_of(ticket).place.load(std::memory_order_acquire), begin).begin;
    kept_from_ = std::min(kept_from_, begin - base_);
    write_pads(ring_.load(std::memory_order_relaxed), begin, end);
    published_.store(end, std::memory_order_release);
    published_tickets_.store(ticket, std::memory_order_release);
    publish(timestamp_ns);
    return true;
}

bool RingWriter::claim_nulls(uint32_t rounds) {
    Claim place;
    if (claim(0, place) != Result::ok) return false;
    return finish(place, {rounds, FrameKind::nulls, 0, static_cast<uint16_t>(place.ticket)});
}

// Append one frame of the old ring to the new one, unless it carries nothing.
void RingWriter::carry(const FrameHeader& header, const std::byte* payload, std::span<std::byte> ring, uint64_t& end) {
    if (header.kind == FrameKind::pad || header.kind == FrameKind::nulls) return;
    const uint64_t bytes = frame_bytes(header.size_bytes);
    DERECHO_ASSERT(end + bytes <= ring.size());  // what fitted into one ring fits into an empty one, without pads
    std::memcpy(ring.data() + end, &header, sizeof header);
    std::memcpy(ring.data() + end + sizeof header, payload, header.size_bytes);
    end += bytes;
    ++rounds_;
}

void RingWriter::move_to(std::span<std::byte> ring, uint64_t position, uint64_t timestamp_ns) {
    DERECHO_ASSERT(ring.size() == size_);
    seal();
    const Base totals = base();
    const Reserved reserved = unpack(reserve_.load(std::memory_order_acquire) & ~kSealed, totals);
    std::byte* const old_ring = ring_.load(std::memory_order_relaxed);
    uint64_t carried = 0;
    rounds_ = 0;
    // What was published, then what was committed in the meantime; open claims become orphans.
    const uint64_t published = published_.load(std::memory_order_relaxed);
    for (uint64_t at = base_ + position; at < published;) {
        const std::byte* frame = old_ring + (at & mask_);
        FrameHeader header{};
        std::memcpy(&header, frame, std::min<size_t>(sizeof header, size_ - (at & mask_)));  // a pad may be 8 bytes
        carry(header, frame + sizeof header, ring, carried);
        at += whole_frame_bytes(header);
    }
    for (uint64_t ticket = totals.tickets; ticket < reserved.ticket; ++ticket) {
        if (orphan(ticket)) continue;
        Slot& slot = slot_of(ticket);
        const Extent frame = extent(slot.place.exchange(0, std::memory_order_acq_rel), published);
        const FrameHeader header{slot.tag, timestamp_ns};
        std::byte* const payload = old_ring + (frame.begin & mask_) + sizeof header;
        if (header.kind == FrameKind::batch) {
            for_each_frame(payload, header.size_bytes, [&](const FrameHeader& each) {
                const FrameTag tag{each.size_bytes, each.kind, each.flags, header.ticket};
                carry({tag, timestamp_ns}, reinterpret_cast<const std::byte*>(&each + 1), ring, carried);
                ++messages_;
            });
            continue;
        }
        if (header.kind != FrameKind::pad && header.kind != FrameKind::nulls) ++messages_;
        carry(header, payload, ring, carried);
    }
    // Beyond whatever was claimed, even if that is nothing: a claim that began in the old ring must not find `reserve_`
    // as it was, and go on in the new one with the old one's memory.
    base_ = (reserved.position & ~mask_) + size_;
    kept_from_ = ~0ull;  // the orphans' bytes are in older rings
    ring_.store(ring.data(), std::memory_order_release);
    limit_.store(base_ + size_, std::memory_order_release);
    published_.store(base_ + carried, std::memory_order_release);
    published_tickets_.store(reserved.ticket, std::memory_order_release);
    const uint64_t units = ((base_ + carried) / 8) & kUnitMask;
    reserve_.store(kSealed | units << kTicketBits | (reserved.ticket & kTicketMask), std::memory_order_release);
}

}  // namespace libderecho
