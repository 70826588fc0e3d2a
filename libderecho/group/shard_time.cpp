// Frames whose time is ahead of this member's clock: no honest sender's is (group/clocks.hpp), so they lead nobody on.
//
// A frame that is too far ahead stops its sender's messages here, and convicts the sender if the clock, read after the
// frame was seen, says so still: this node may have been stopped between reading its clock and looking. Who takes the
// others' word for it is content with less (drifts::suspicious), for no two honest clocks agree quite. At the wedge
// what is ahead does not count as stable, so that no trim has to include it; and the leader's trims end before it,
// unless somebody whose clock is a little further has delivered it by then.
#include <utility>

#include "base/coverage.hpp"
#include "group/shard_epoch.hpp"
#include "smc/frame.hpp"

namespace libderecho {

// Where the first frame stands whose time is beyond `limit`; `until` if there is none.
uint64_t ShardEpoch::first_ahead(const Cursor& cursor, uint64_t until, uint64_t limit) const {
    for (uint64_t at = cursor.at; at < until;) {
        const std::byte* const frame = cursor.ring + (at & (ring_bytes_ - 1));
        const FrameTag tag = tag_at(frame);
        const uint64_t whole = whole_frame_bytes(tag);
        const uint64_t room = std::min(until - at, ring_bytes_ - (at & (ring_bytes_ - 1)));
        if (whole < 8 || whole % 8 != 0 || whole > room) return until;  // malformed: nothing behind it is delivered
        if (bears_time(tag) && time_of(frame) > limit) return at;
        at += whole;
    }
    return until;
}

bool ShardEpoch::is_ahead(size_t rank) const {
    const uint64_t received = table_.value(self_, columns_.received + 8 * rank);
    return has(were_ahead_, rank) ||
           first_ahead(cursors_[rank], received, clock_.ahead_by(drifts::suspicious)) < received;
}

void ShardEpoch::note_ahead(size_t rank, uint64_t time_ns) {
    if (rank == self_) return;
    diligence_[rank].ahead_ns = std::max(diligence_[rank].ahead_ns, time_ns);
    seen_ahead_ |= just(rank);
}

// The next message of the sender at turn.
bool ShardEpoch::waits_for_its_time(const std::byte* frame) {
    if (time_of(frame) <= latest_time()) return false;
    note_ahead(turn_, time_of(frame));
    return true;
}

// At the beginning of a step, whose reading of the clock is younger than what was seen.
void ShardEpoch::judge_ahead() {
    for_each(std::exchange(seen_ahead_, 0), [&](size_t s) {
        const uint64_t time_ns = diligence_[s].ahead_ns;
        if (time_ns > clock_.ahead_by(drifts::suspicious)) were_ahead_ |= just(s);
        if (time_ns <= clock_.ahead_by(drifts::convicted)) return;
        coverage::hit(coverage::Branch::ahead_of_time);
        offenders_ |= just(s);
    });
}

// What this member may have delivered ends before it.
void ShardEpoch::stop_at_ahead() {
    for (size_t s = 0; s < senders_; ++s) {
        Cursor at = cursors_[s];
        const uint64_t received = table_.value(self_, columns_.received + 8 * s);
        for (const uint64_t limit : {drifts::suspicious, drifts::convicted}) {
            at.at = first_ahead(at, received, clock_.ahead_by(limit));
            if (at.at < received) note_ahead(s, time_of(frame_at(at)));
        }
        cursors_[s].stable = std::min(cursors_[s].stable, at.at);
    }
}

// Of what was just delivered, something is further ahead than any honest clock: whose was it?
void ShardEpoch::note_leaps(std::span<const derecho_event> events, uint64_t before) {
    for (const derecho_event& event : events) {
        const bool leaps = event.timestamp_ns > before && event.timestamp_ns > clock_.ahead_by(drifts::suspicious);
        before = event.timestamp_ns;
        if (!leaps) continue;
        for (size_t s = 0; s < senders_; ++s)
            if (raw(identity_.members[s]) == event.node) note_ahead(s, event.timestamp_ns);
    }
}

uint64_t ShardEpoch::newest(std::span<const uint64_t> trims) const {
    uint64_t newest = time_ns_;
    for (size_t s = 0; s < senders_; ++s) {
        Cursor cursor = cursors_[s];
        while ((cursor.at = first_ahead(cursor, trims[s], newest)) < trims[s]) newest = time_of(frame_at(cursor));
    }
    return newest;
}

}  // namespace libderecho
