#include "sim/liar.hpp"

#include <algorithm>
#include <cstring>

namespace libderecho::sim {
namespace {

constexpr Duration kAllHaveSeen = milliseconds(4);

uint64_t word_at(std::span<const std::byte> bytes, size_t at) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, sizeof word);
    return word;
}

}  // namespace

Liar::Liar(Random random, uint32_t shards, uint64_t ring_bytes)
    : random_(random), drawn_(random_.fork()), shards_(shards), ring_bytes_(ring_bytes) {
    const uint64_t n = random_.below(10);
    what_ = n < 3 ? What::counter : n < 5 ? What::word : n < 8 ? What::frame : What::decision;
    how_ = static_cast<How>(random_.below(9));
}

void Liar::begin(const View& view, Rank self, SimFabric& fabric) {
    view_ = view;
    self_ = raw(self);
    members_ = view.members.size();
    began_ = true;
    switch (what_) {
        case What::counter:
            choose_counter();
            break;
        case What::word:
            choose_word();
            break;
        case What::frame:
            region_ = {raw(view.id) << 8 | (1 + random_.below(shards_))};
            frames_left_ = random_.chance(0.5) ? 1 : ~0ull;
            said_ = "frames, way " + std::to_string(static_cast<int>(how_));
            return;
        case What::decision:
            return forge(fabric);
    }
    said_ += ", way " + std::to_string(static_cast<int>(how_));
    fabric.push_again(region_, column_, sizeof(uint64_t));
}

void Liar::choose_counter() {
    region_ = {raw(view_.id) << 8 | (1 + random_.below(shards_))};
    const ShardColumns columns(members_, ring_bytes_);
    const size_t sender = random_.below(members_);
    switch (random_.below(4)) {
        case 0:
            column_ = columns.sent;
            // What is announced before it is there changes under its readers: that is to tell two members two things.
            if (how_ == How::ahead || how_ == How::unaligned || how_ == How::below_limit) how_ = How::far;
            said_ = "sent";
            return;
        case 1:
            column_ = columns.sent_rounds;
            said_ = "sent_rounds";
            return;
        case 2:
            column_ = columns.received + 8 * sender;
            said_ = "received of " + std::to_string(sender);
            return;
        default:
            column_ = columns.released + 8 * sender;
            said_ = "released of " + std::to_string(sender);
            return;
    }
}

void Liar::choose_word() {
    region_ = {raw(view_.id) << 8};
    const ViewChangeColumns columns(members_, shards_ * members_);
    const std::pair<size_t, const char*> words[] = {
        {columns.heartbeat, "heartbeat"},       {columns.clock, "clock"},
        {columns.suspected, "suspected"},       {columns.change_wanted, "change_wanted"},
        {columns.leave_wanted, "leave_wanted"}, {columns.wedged, "wedged"},
        {columns.accepted, "accepted"},         {columns.committed, "committed"},
        {columns.state_held, "state_held"}};
    const auto& [column, name] = words[random_.below(std::size(words))];
    column_ = column;
    said_ = name;
    // Whom one member alone suspects, everybody gives up on: that is what the word is for.
    if (column == columns.suspected) how_ = random_.chance(0.5) ? How::huge : How::zero;
}

uint64_t Liar::lied(uint64_t truth) {
    if (!first_) {
        first_ = truth;
        first_at_ = now();
    }
    Random same = drawn_;  // all are told the same, whenever they look
    const uint64_t some = 8 * (1 + same.below(8));
    const uint64_t powers[] = {1ull << 32, 1ull << 39, 1ull << 40, 1ull << 62, 1ull << 63, ~0ull};
    switch (how_) {
        case How::zero:
            return 0;
        case How::back:
            // Not before all have seen more, or it would have told two members two things.
            return *first_ - (now() - first_at_ > kAllHaveSeen ? std::min(*first_, some) : 0);
        case How::frozen:
            return *first_;
        case How::ahead:
            return truth + some;
        case How::far:
            return truth + ring_bytes_ + some;
        case How::below_limit:
            return truth + members_ * ring_bytes_ / 16 - some;
        case How::huge:
            return powers[same.below(std::size(powers))] - same.below(2);
        case How::unaligned:
            return truth + 1 + same.below(7);
        case How::random:
            return same.next() >> same.below(64);
    }
    return truth;
}

void Liar::distort(RegionId region, size_t offset, std::span<std::byte> bytes) {
    if (!began_ || region.value != region_.value) return;
    if (what_ == What::frame) return distort_frames(offset, bytes);
    distort_word(offset, bytes);
    if (what_ != What::decision) return;
    const ViewChangeColumns columns(members_, shards_ * members_);
    const size_t area = columns.proposal_of(ballot_ - 1);
    for (size_t n = 0; n < proposal_.size(); ++n)
        if (area + n >= offset && area + n < offset + bytes.size()) bytes[area + n - offset] = proposal_[n];
}

void Liar::distort_word(size_t offset, std::span<std::byte> bytes) {
    const auto write = [&](size_t column, uint64_t value) {
        if (column >= offset && column + 8 <= offset + bytes.size())
            std::memcpy(bytes.data() + column - offset, &value, sizeof value);
    };
    if (what_ == What::decision) {
        const ViewChangeColumns columns(members_, shards_ * members_);
        if (column_ != columns.committed) write(columns.accepted, ballot_);
        if (column_ != columns.accepted) write(columns.committed, ballot_);
    } else if (column_ >= offset && column_ + 8 <= offset + bytes.size()) {
        write(column_, lied(word_at(bytes, column_ - offset)));
    }
}

// What is pushed of a ring begins with a frame.
void Liar::distort_frames(size_t offset, std::span<std::byte> bytes) {
    if (offset < ShardColumns(members_, ring_bytes_).ring) return;
    for (size_t at = 0; at < bytes.size() && frames_left_ > 0;) {
        const FrameTag tag = tag_at(bytes.data() + at);
        const bool chosen = tag.kind != FrameKind::pad && random_.chance(0.3);
        if (chosen) distort_frame(bytes.data() + at, bytes.size() - at);
        frames_left_ -= chosen ? 1 : 0;
        at += whole_frame_bytes(tag);
    }
}

void Liar::distort_frame(std::byte* frame, size_t room) {
    FrameHeader header{};
    std::memcpy(&header, frame, sizeof header);
    const uint32_t sizes[] = {
        0, 1, 4, 12, header.size_bytes + 8, header.size_bytes + 1, static_cast<uint32_t>(room), 0xfffffff0, ~0u};
    switch (how_) {
        case How::zero:
            header.size_bytes = sizes[random_.below(std::size(sizes))];
            break;
        case How::frozen:
        case How::random:
            header.kind = static_cast<FrameKind>(random_.below(9) == 0 ? 255 : random_.below(8));
            break;
        case How::ahead:
            header.kind = FrameKind::pad;
            header.size_bytes = sizes[random_.below(std::size(sizes))];
            break;
        case How::far:
            header.kind = FrameKind::nulls;
            header.size_bytes = random_.chance(0.5) ? ~0u : static_cast<uint32_t>(random_.magnitude(1, 1ull << 32));
            break;
        case How::back:
        case How::below_limit:
        case How::huge: {
            constexpr uint64_t kDay = 86'400'000'000'000;
            const uint64_t a_little =
                random_.below(24'000'000);  // where some clocks say that it is too far, and others not
            const uint64_t times[] = {1ull << 63,
                                      ~0ull,
                                      header.timestamp_ns + kDay,
                                      0,
                                      header.timestamp_ns / 2,
                                      header.timestamp_ns + a_little,
                                      header.timestamp_ns + a_little};
            header.timestamp_ns = times[random_.below(std::size(times))];
            break;
        }
        case How::unaligned:
            header.size_bytes = static_cast<uint32_t>(random_.next());
            header.kind = FrameKind::message;
            break;
    }
    std::memcpy(frame, &header, sizeof header);
}

// In its own name as a leader, or in another's; accepted, committed, or both.
void Liar::forge(SimFabric& fabric) {
    region_ = {raw(view_.id) << 8};
    const ViewChangeColumns columns(members_, shards_ * members_);
    ballot_ = 1 + (random_.chance(0.5) ? self_ : random_.below(members_));
    Decision decision{view_, std::vector<uint64_t>(shards_ * members_, 8 * random_.below(100))};
    decision.next.id = ViewId{raw(view_.id) + 1};
    forge_decision(decision);
    ByteWriter out;
    encode(out, decision);
    uint64_t length = out.bytes().size();
    proposal_.resize(8 + length);
    std::memcpy(proposal_.data() + 8, out.bytes().data(), length);
    if (how_ == How::huge) length = lied(length);
    if (how_ == How::random)
        proposal_[8 + random_.below(length)] ^= std::byte{static_cast<uint8_t>(1 + random_.below(255))};
    std::memcpy(proposal_.data(), &length, sizeof length);
    const uint64_t words = random_.below(3);
    column_ = words == 0 ? columns.accepted : words == 1 ? columns.committed : 0;
    said_ += " of ballot " + std::to_string(ballot_) + (words == 0 ? ", accepted" : words == 1 ? ", committed" : "");
    fabric.push_again(region_, columns.proposal_of(ballot_ - 1), proposal_.size());
    fabric.push_again(region_, columns.suspected, columns.state_line_bytes);
}

void Liar::forge_decision(Decision& decision) {
    std::vector<Member>& members = decision.next.members;
    switch (random_.below(6)) {
        case 0:
            said_ = "a decision that holds only itself";
            members = {view_.members[self_]};
            break;
        case 1:
            said_ = "a decision without one of the others";
            members.erase(members.begin() +
                          static_cast<ptrdiff_t>((self_ + 1 + random_.below(members_ - 1)) % members_));
            break;
        case 2:
            said_ = "a decision with a stranger";
            members.push_back({NodeId{4242}, 7, ~0ull, "sim:4242"});
            break;
        case 3:
            said_ = "a decision whose trims are beyond everything";
            for (uint64_t& trim : decision.trims) trim = 1ull << random_.below(64);
            break;
        case 4:
            said_ = "a decision about another view";
            decision.next.id = ViewId{random_.next() >> random_.below(64)};
            break;
        default:
            said_ = "a decision that changes nobody";
            if (random_.chance(0.5)) members[random_.below(members_)].shards_with_state ^= random_.below(4);
            break;
    }
}

}  // namespace libderecho::sim
