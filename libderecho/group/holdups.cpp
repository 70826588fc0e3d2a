#include "group/holdups.hpp"

#include <algorithm>
#include <utility>

namespace libderecho {
namespace {

std::string ms(Duration duration) { return std::to_string(duration.ns / 1'000'000) + " ms"; }

const char* what_is_missing(uint32_t cause) {
    switch (cause) {
        case DERECHO_HOLDUP_NOT_POLLING:
            return "application has not polled for ";
        case DERECHO_HOLDUP_NOT_RELEASING:
            return "application has released none of the messages it keeps for ";
        case DERECHO_HOLDUP_NO_STATE:
            return "application still waits for its state, after ";
        default:
            return "library has acknowledged nothing for ";
    }
}

}  // namespace

std::string Holdup::text() const {
    if (cause == DERECHO_HOLDUP_NONE) return {};
    const std::string whose =
        self ? "this node's own " : "node " + std::to_string(raw(node)) + " at " + address + " holds others up: its ";
    return whose + what_is_missing(cause) + ms(lasted);
}

void Holdups::enter(const View& view, Rank self, Instant now) {
    slow_ = 0;
    std::vector<Watched> before = std::exchange(watched_, {});
    self_ = raw(self);
    last_look_ = now;
    for (const Member& member : view.members) {
        const auto known = std::ranges::find_if(before, [&](const Watched& w) {
            return w.member.node == member.node && w.member.incarnation == member.incarnation;
        });
        Watched watched{member, {0, now}, {0, now}, {0, now}, {0, now}, {0, now}};
        if (known != before.end()) {
            watched.polling = known->polling;
            watched.polling.carry_over();
            watched.keeping = known->keeping;
            watched.keeping.carry_over();
        }
        watched_.push_back(std::move(watched));
    }
}

Holdups::Facts Holdups::facts(const std::vector<std::unique_ptr<ShardEpoch>>& shards, size_t rank) {
    Facts facts;
    for (const auto& shard : shards) {
        const ShardEpoch::Standing standing = shard->standing(rank);
        facts.behind |= standing.behind;
        facts.holds_room |= standing.holds_room;
        facts.owes_rounds |= standing.owes_rounds;
        facts.acknowledged += standing.acknowledged;
        facts.released += standing.released;
        facts.rounds += standing.rounds;
    }
    return facts;
}

// The worst that can be said of a member: its protocol before its application.
Holdup Holdups::judge(Watched& watched, const Facts& facts, bool has_state, Instant now) const {
    Holdup holdup{watched.member.node};
    const auto blame = [&](const Standstill& standstill, uint32_t cause) {
        if (holdup.cause != DERECHO_HOLDUP_NONE || standstill.lasted(now) < limits_.named_after) return;
        holdup.cause = cause;
        holdup.lasted = standstill.lasted(now);
    };
    if (facts.behind) blame(watched.acknowledging, DERECHO_HOLDUP_NOT_ACKNOWLEDGING);
    if (facts.owes_rounds) blame(watched.rounds, DERECHO_HOLDUP_NOT_ACKNOWLEDGING);
    blame(watched.polling, DERECHO_HOLDUP_NOT_POLLING);
    // It may have stopped polling and releasing at once, and the one was seen a heartbeat later than the other.
    const bool polls = watched.polling.lasted(now) < Duration{limits_.named_after.ns / 2};
    const uint32_t keeps = !has_state ? DERECHO_HOLDUP_NO_STATE
                           : polls    ? DERECHO_HOLDUP_NOT_RELEASING
                                      : DERECHO_HOLDUP_NOT_POLLING;
    if (facts.holds_room) blame(watched.releasing, keeps);
    holdup.unfelt = holdup.cause == DERECHO_HOLDUP_NONE;
    blame(watched.keeping, DERECHO_HOLDUP_NOT_RELEASING);
    if (holdup.cause != DERECHO_HOLDUP_NONE) holdup.address = watched.member.address;
    return holdup;
}

// It is told with a heartbeat: while none comes nothing is known of the application.
void Holdups::watch_application(Watched& watched, const ViewChange& change, size_t rank, bool was_away, Instant now) {
    const uint64_t beats = change.beats_of(rank);
    if (std::exchange(watched.beats, beats) == beats) {
        watched.polling.leave_out(now - last_look_);
        watched.keeping.leave_out(now - last_look_);
    }
    watched.polling.look(!was_away, change.polled_by(rank), now);
    watched.keeping.look(!was_away, change.released_by(rank), now);
}

void Holdups::look(const ViewChange& change, const std::vector<std::unique_ptr<ShardEpoch>>& shards, Instant now,
                   std::vector<Suspect>& suspects) {
    // After a long absence of this node's own, what the others did meanwhile is not known yet.
    const bool was_away = now - last_look_ > Duration{limits_.protocol_at_most.ns / 6};
    const uint64_t all_shards = (1ull << shards.size()) - 1;
    std::vector<Holdup>& found = found_;  // by rank; nothing is allocated while nobody holds others up
    found.assign(watched_.size(), {});
    for (size_t rank = 0; rank < watched_.size(); ++rank) {
        Watched& watched = watched_[rank];
        const Facts facts = Holdups::facts(shards, rank);
        watched.acknowledging.look(facts.behind && !was_away, facts.acknowledged, now);
        watched.releasing.look(facts.holds_room && !was_away, facts.released, now);
        watched.rounds.look(facts.owes_rounds && !was_away, facts.rounds, now);
        watch_application(watched, change, rank, was_away, now);
        if (!has(change.alive(), rank)) continue;
        const bool has_state = (change.shards_held_by(rank) & all_shards) == all_shards;
        found[rank] = judge(watched, facts, has_state, now);
        found[rank].self = rank == self_;
        if (rank != self_ && found[rank].cause == DERECHO_HOLDUP_NOT_ACKNOWLEDGING &&
            found[rank].lasted > limits_.protocol_at_most)
            suspects.push_back({rank, "its library has acknowledged nothing for " + ms(found[rank].lasted) +
                                          ", though it shows signs of life"});
    }
    last_look_ = now;
    slow_ = too_slow(change, found);
    tell();
}

// Those whose application stands still for too long, no more than the group can do without.
RankSet Holdups::too_slow(const ViewChange& change, const std::vector<Holdup>& found) const {
    RankSet slow = 0;
    if (limits_.application_at_most.ns == 0) return slow;
    for_each(change.alive(), [&](size_t r) {
        const Holdup& holdup = found[r];
        const bool of_application =
            holdup.cause == DERECHO_HOLDUP_NOT_POLLING || holdup.cause == DERECHO_HOLDUP_NOT_RELEASING;
        if (holdup.unfelt || !of_application || holdup.lasted <= limits_.application_at_most) return;
        if (change.enough(change.alive() & ~slow & ~just(r))) slow |= just(r);
    });
    return slow;
}

Duration Holdups::stalled_by(size_t rank, Instant now) const {
    const Watched& watched = watched_[rank];
    return std::max(watched.acknowledging.waited(now), watched.rounds.waited(now));
}

std::optional<Holdup> Holdups::own() const {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find_if(current_, &Holdup::self);
    return found == current_.end() ? std::nullopt : std::optional(*found);
}

std::vector<Holdup> Holdups::current() const {
    const std::lock_guard lock(mutex_);
    return current_;
}

void Holdups::tell() {
    std::erase_if(found_, [](const Holdup& h) { return h.cause == DERECHO_HOLDUP_NONE; });
    if (found_.empty() && !any()) return;
    std::ranges::sort(found_, [](const Holdup& a, const Holdup& b) { return a.lasted > b.lasted; });
    const std::lock_guard lock(mutex_);
    any_.store(!found_.empty(), std::memory_order_relaxed);
    current_.swap(found_);
}

}  // namespace libderecho
