#include "smc/mail.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "sst/counter.hpp"
#include "sst/layout.hpp"

namespace libderecho {
namespace {

// A mail region: how much its owner sent, how much it has released of what the other one sent, its ring.
struct MailColumns {
    static constexpr size_t sent = 0;
    static constexpr size_t released = 8;
    static constexpr size_t counter_bytes = 16;
    static constexpr size_t ring = 4096;
};

// Small numbers that differ by one, as incarnations and channels may, must not meet: no xor of the two before mixing.
uint64_t mix(uint64_t a, uint64_t b) {
    uint64_t x = a * 0x9e3779b97f4a7c15ull + b + 0x632be59bd9b4e019ull;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
    return x ^ (x >> 31);
}

// Both ends can tell the name of a region from who they are in these lives. View regions have the top bit clear.
RegionId mail_region(uint32_t channel, uint64_t owner_life, NodeId reader, uint64_t reader_life) {
    return {1ull << 63 | mix(mix(mix(channel, owner_life), raw(reader)), reader_life)};
}

}  // namespace

class MailBox {
public:
    MailBox(Fabric& fabric, NodeId peer, RegionId out, RegionId in, uint64_t ring_bytes)
        : fabric_(fabric), peer_(peer), in_(in), ring_bytes_(ring_bytes), writer_(ring_bytes) {
        region_ = fabric.expose(out, Mail::region_bytes(ring_bytes), std::span(&peer, 1));
        if (!region_) return;
        writer_.move_to(region_->bytes().subspan(MailColumns::ring), 0, 0);
        writer_.unseal();
    }
    ~MailBox() {
        if (region_) fabric_.retire(region_);
        fabric_.forget(peer_, in_);
    }

    NodeId peer() const { return peer_; }
    bool alive() const { return alive_; }
    bool served() const { return region_ != nullptr; }
    void lost() { alive_ = false; }
    void drop_unread() { at_ = received_; }
    void hold(bool held) { held_ = held; }
    bool finished() const { return !alive_ && !unread() && released_.leases_held == 0; }

    bool send(uint8_t kind, std::span<const std::span<const std::byte>> parts) {
        size_t size = 0;
        for (const auto& part : parts) size += part.size();
        Claim claim;
        if (!alive_ || !region_ || writer_.claim(size, claim) != RingWriter::Result::ok) return false;
        size_t at = 0;
        for (const auto& part : parts) {
            if (!part.empty()) std::memcpy(claim.payload + at, part.data(), part.size());
            at += part.size();
        }
        return writer_.commit(claim, FrameKind::mail, kind, size);
    }

    bool step(uint64_t timestamp_ns) {
        if (!alive_ || !region_) return false;
        if (mirror_.empty()) mirror_ = fabric_.mirror(peer_, in_);
        bool moved = publish_sent(timestamp_ns);
        moved |= release();
        if (moved) fabric_.push_counters(*region_, 0, MailColumns::counter_bytes);
        if (mirror_.size() != Mail::region_bytes(ring_bytes_)) return moved;
        writer_.reuse_below(load(word(mirror_.data(), MailColumns::released)));
        const uint64_t sent = load(word(mirror_.data(), MailColumns::sent));
        if (sent == received_) return moved;
        offended_ |= sent < received_ || sent - released_.position > ring_bytes_ || sent % 8 != 0;
        if (!offended_) received_ = sent;
        return true;
    }

    bool offended() const { return offended_; }
    bool unread() const { return at_ < received_ && !offended_; }
    bool readable() const { return unread() && !held_; }

    bool read(Mail::Letter& letter) {
        while (readable()) {
            const uint64_t offset = at_ & (ring_bytes_ - 1);
            const std::byte* const frame = mirror_.data() + MailColumns::ring + offset;
            const FrameTag tag = tag_at(frame);
            const uint64_t whole = whole_frame_bytes(tag);
            if (whole < 8 || whole % 8 != 0 || whole > std::min(received_ - at_, ring_bytes_ - offset)) {
                offended_ = true;
                return false;
            }
            at_ += whole;
            if (tag.kind != FrameKind::mail) continue;
            letter.from = peer_;
            letter.kind = tag.flags;
            letter.bytes = {frame + sizeof(FrameHeader), tag.size_bytes};
            letter.mark = {&released_, at_};
            return true;
        }
        return false;
    }

private:
    static const uint64_t* word(const std::byte* region, size_t offset) {
        return reinterpret_cast<const uint64_t*>(region + offset);
    }
    uint64_t* own_word(size_t offset) { return reinterpret_cast<uint64_t*>(region_->bytes().data() + offset); }

    bool publish_sent(uint64_t timestamp_ns) {
        const uint64_t before = writer_.published_bytes();
        if (!writer_.anything_claimed() || !writer_.publish(timestamp_ns)) return false;
        const uint64_t sent = writer_.published_bytes();
        const uint64_t mask = ring_bytes_ - 1;
        for (uint64_t at = before; at < sent;) {
            const uint64_t piece = std::min(sent - at, ring_bytes_ - (at & mask));
            fabric_.push_data(*region_, MailColumns::ring + (at & mask), piece);
            at += piece;
        }
        publish(own_word(MailColumns::sent), sent);
        return true;
    }

    // Handed back in batches: the sender waits for none of it while a good part of the ring is free.
    bool release() {
        uint64_t* word = own_word(MailColumns::released);
        if (released_.position == *word) return false;
        unpushed_ += released_.position - *word;
        publish(word, released_.position);
        if (unpushed_ < ring_bytes_ / 8) return false;
        unpushed_ = 0;
        return true;
    }

    Fabric& fabric_;
    const NodeId peer_;
    const RegionId in_;
    const uint64_t ring_bytes_;
    RingWriter writer_;
    Region* region_ = nullptr;
    std::span<const std::byte> mirror_;
    uint64_t received_ = 0;
    uint64_t at_ = 0;  // next unread frame
    uint64_t unpushed_ = 0;
    ReleasePoint released_;
    bool alive_ = true;
    bool offended_ = false;
    bool held_ = false;
};

Mail::Mail(Fabric& fabric, uint64_t incarnation, uint32_t channel, uint64_t ring_bytes)
    : fabric_(fabric), incarnation_(incarnation), channel_(channel), ring_bytes_(ring_bytes) {}

Mail::~Mail() = default;

uint64_t Mail::region_bytes(uint64_t ring_bytes) { return MailColumns::ring + ring_bytes; }

MailBox* Mail::find(NodeId peer) const {
    const auto it = std::ranges::find_if(boxes_, [&](const auto& b) { return b->alive() && b->peer() == peer; });
    return it == boxes_.end() ? nullptr : it->get();
}

void Mail::peer_up(NodeId peer, uint64_t incarnation) {
    if (MailBox* stale = find(peer)) stale->lost();
    const RegionId out = mail_region(channel_, incarnation_, peer, incarnation);
    const RegionId in = mail_region(channel_, incarnation, fabric_.self(), incarnation_);
    boxes_.push_back(std::make_unique<MailBox>(fabric_, peer, out, in, ring_bytes_));
    if (!boxes_.back()->served()) unserved_.push_back(peer);
}

void Mail::peer_lost(NodeId peer, bool drop_unread) {
    if (MailBox* box = find(peer)) {
        box->step(0);  // what is visible by now was sent before the loss
        maybe_unread_ = true;
        box->lost();
        box->hold(false);
        if (drop_unread) box->drop_unread();
    }
}

void Mail::hold(NodeId peer, bool held) {
    MailBox* box = find(peer);
    if (!box) return;
    box->hold(held);
    maybe_unread_ |= !held;
}

bool Mail::knows(NodeId peer) const { return find(peer) != nullptr; }

bool Mail::send(NodeId peer, uint8_t kind, std::span<const std::span<const std::byte>> parts) {
    MailBox* box = find(peer);
    return box && box->send(kind, parts);
}

bool Mail::step(uint64_t timestamp_ns) {
    bool moved = false, dead = false;
    for (const auto& box : boxes_) {
        moved |= box->step(timestamp_ns);
        if (box->offended() && box->alive()) {
            offenders_.push_back(box->peer());
            box->lost();
        }
        dead |= !box->alive();
    }
    if (dead) collect_dead();
    if (moved) maybe_unread_ = true;
    return moved;
}

void Mail::collect_dead() {
    std::erase_if(boxes_, [](const auto& box) { return box->finished(); });
}

std::vector<NodeId> Mail::take_offenders() { return std::exchange(offenders_, {}); }

bool Mail::read(Letter& letter) {
    if (!maybe_unread_) return false;
    for (size_t i = 0; i < boxes_.size(); ++i) {
        turn_ = (turn_ + 1) % boxes_.size();
        if (boxes_[turn_]->read(letter)) return true;
    }
    maybe_unread_ = false;
    return false;
}

bool Mail::has_letters() const {
    return maybe_unread_ && std::ranges::any_of(boxes_, [](const auto& box) { return box->readable(); });
}

void Mail::done(const Letter& letter) {
    DERECHO_ASSERT(letter.mark.point->leases_held == 0);
    letter.mark.point->position = letter.mark.position;
}

}  // namespace libderecho
