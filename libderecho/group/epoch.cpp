#include "group/epoch.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/coverage.hpp"

namespace libderecho {
namespace {

RegionId row_region(ViewId view) { return {raw(view) << 8}; }
RegionId shard_region(ViewId view, size_t shard) { return {raw(view) << 8 | (1 + shard)}; }
static_assert(limits::shards_max < 255);
constexpr uint64_t kWatchesPerPatience = 16;

size_t trim_count(const GroupOptions& options, const View& view) {
    return options.services.size() * view.members.size();
}

}  // namespace

ViewMemory view_memory_max(const GroupOptions& options) {
    const size_t shards = options.services.size();
    const uint64_t row = ViewChangeColumns(limits::members_max, shards * limits::members_max).row_bytes;
    const uint64_t shard = ShardColumns(limits::members_max, options.ring_bytes).row_bytes;
    return {std::max(row, shard), row + shards * shard, static_cast<uint32_t>(1 + shards)};
}

Epoch::Epoch(const GroupOptions& options, Fabric& fabric, View view, Rank self, States states, Instant now,
             HybridClock& clock)
    : view_(std::move(view)),
      self_(self),
      suspect_after_(options.suspect_after),
      clock_(clock),
      rows_(fabric, row_region(view_.id), view_.nodes(), self,
            ViewChangeColumns(view_.members.size(), trim_count(options, view_)).row_bytes,
            ViewChangeColumns(view_.members.size(), trim_count(options, view_)).counter_bytes),
      change_(view_, self, trim_count(options, view_), rows_,
              {options.require_majority, options.heartbeat, options.suspect_after}, now),
      wanted_(options.services.size()),
      members_max_(options.members_max) {
    for (size_t k = 0; k < options.services.size(); ++k) {
        const ShardEpoch::Identity identity{view_.id, ShardIndex{static_cast<uint32_t>(k)}, self, view_.nodes(),
                                            view_.time_ns};
        shards_.push_back(
            std::make_unique<ShardEpoch>(fabric, shard_region(view_.id, k), identity, options.ring_bytes, clock_));
    }
    change_.trims_fit = [this](const Decision& decision, RankSet members) { return trims_fit(decision, members); };
    change_.counters_lie = [this](size_t rank) {
        // Who has wedged acknowledges nothing any more.
        const bool wedged = has(change_.alive_and_wedged(), rank);
        const Duration long_enough{wedged ? kNever.ns : suspect_after_.ns / 3};
        return std::ranges::any_of(shards_, [&](const auto& shard) { return shard->lies(rank, long_enough); });
    };
    if (!ok()) return;
    plan_state_transfer(states.taken);
    change_.state_held(shards_held() & ~states.loading);
}

uint64_t Epoch::shards_held() const {
    uint64_t held = 0;
    for (size_t k = 0; k < shards_.size(); ++k) held |= wanted_[k] ? 0 : 1ull << k;
    return held;
}

bool Epoch::ok() const {
    return rows_.ok() && std::ranges::all_of(shards_, [](const auto& s) { return s->ok(); });
}

// The lowest-ranked member that holds a shard's state gives it to all that do not.
void Epoch::plan_state_transfer(uint64_t held) {
    for (size_t k = 0; k < shards_.size(); ++k) {
        const auto holds = [&](const Member& m) { return (m.shards_with_state >> k & 1) != 0; };
        const auto donor = std::ranges::find_if(view_.members, holds);
        if (donor == view_.members.end()) continue;
        const bool is_donor = donor - view_.members.begin() == raw(self_);
        for (size_t r = 0; r < view_.members.size(); ++r) {
            if (holds(view_.members[r])) continue;
            if (is_donor) requests_.push_back({view_.members[r].node, k});
            if (r == raw(self_) && (held >> k & 1)) coverage::hit(coverage::Branch::state_kept);
            if (r == raw(self_) && !(held >> k & 1)) wanted_[k] = StateWanted{view_.id, donor->node};
        }
    }
}

bool Epoch::state_lost() const {
    for (size_t k = 0; k < shards_.size(); ++k) {
        const auto holds = [&](const Member& m) { return (m.shards_with_state >> k & 1) != 0; };
        if (std::ranges::none_of(view_.members, holds)) return true;
    }
    return false;
}

void Epoch::state_taken(size_t shard) { wanted_[shard].reset(); }

void Epoch::state_loaded(size_t shard) {
    if (!change_.is_wedged()) change_.state_held(1ull << shard);  // later it would not be seen by all alike
}

// Who is leaving fills no rounds any more.
void Epoch::watch(Instant now) {
    if (now < next_watch_) return;
    next_watch_ = now + Duration{suspect_after_.ns / kWatchesPerPatience};
    const RankSet members = change_.alive() & ~change_.leaving();
    for (auto& shard : shards_) shard->watch(members, now, suspect_after_);
}

void Epoch::wedge() {
    for (auto& shard : shards_) shard->wedge();
    change_.wedged();
}

RankSet Epoch::shard_rows_of(RankSet members) const {
    for (const auto& shard : shards_) members = shard->arrived(members);
    return members;
}

bool Epoch::shards_agreed(RankSet members) {
    bool all = true;
    for (const auto& shard : shards_) all &= shard->agreed(members);
    return all;
}

bool Epoch::trims_fit(const Decision& decision, RankSet members) const {
    const size_t senders = view_.members.size();
    const std::span trims(decision.trims);
    for (size_t k = 0; k < shards_.size(); ++k) {
        if (!shards_[k]->fits(trims.subspan(k * senders, senders), members)) return false;
    }
    if (!has(members, raw(self_))) return true;
    return decision.next.time_ns >= newest(decision) && decision.next.time_ns <= clock_.ahead_by(drifts::proposable);
}

uint64_t Epoch::newest(const Decision& decision) const {
    const size_t senders = view_.members.size();
    uint64_t newest = view_.time_ns;
    for (size_t k = 0; k < shards_.size(); ++k)
        newest = std::max(newest, shards_[k]->newest(std::span(decision.trims).subspan(k * senders, senders)));
    return newest;
}

RankSet Epoch::departures(size_t joins, RankSet slow) const {
    const RankSet alive = change_.alive();
    RankSet leaving = change_.leaving() | (slow & alive);
    const auto keep_one = [&](RankSet needed) {
        const RankSet staying = alive & ~leaving;
        if (count(staying) + joins == 0 || (needed & staying) != 0 || needed == 0) return;
        leaving &= ~just(lowest(needed));
        coverage::hit(coverage::Branch::departure_put_off);
    };
    for (size_t k = 0; k < shards_.size(); ++k) {
        RankSet holders = 0;
        for_each(alive, [&](size_t r) { holders |= (change_.shards_held_by(r) >> k & 1) << r; });
        keep_one(holders);
    }
    RankSet voters = 0;
    for_each(alive, [&](size_t r) { voters |= change_.will_vote(r) ? just(r) : 0; });
    keep_one(voters);
    return leaving;
}

Epoch::Newcomers Epoch::newcomers() const {
    Newcomers found;
    for_each(change_.alive() & ~change_.leaving() & ~change_.voters(),
             [&](size_t r) { (change_.will_vote(r) ? found.ready : found.loading) |= just(r); });
    return found;
}

Decision Epoch::propose(std::span<const Member> joins, RankSet slow) const {
    Decision decision;
    decision.next.id = ViewId{raw(view_.id) + 1};
    decision.next.group = view_.group;
    const RankSet survivors = change_.alive();
    const RankSet voters = change_.voters();
    if (voters != 0 && 2 * count(survivors & voters) <= count(voters))
        decision.next.group = branch_of(view_, view_.members[raw(self_)].node);
    for_each(survivors & ~departures(joins.size(), slow), [&](size_t r) {
        Member member = view_.members[r];
        member.shards_with_state = change_.shards_held_by(r);
        member.votes = change_.will_vote(r);
        decision.next.members.push_back(std::move(member));
    });
    for (const Member& join : joins) {
        if (decision.next.members.size() < members_max_) decision.next.members.push_back(join);
    }
    if (!joins.empty() && survivors != first_ranks(view_.members.size()))
        coverage::hit(coverage::Branch::joins_and_removals_together);
    for (const auto& shard : shards_) shard->append_trims(survivors, decision.trims);
    decision.next.time_ns = std::max(clock_.tick(), newest(decision));
    return decision;
}

bool Epoch::finish(const Decision& decision) {
    const size_t senders = view_.members.size();
    const std::span trims(decision.trims);
    for (size_t k = 0; k < shards_.size(); ++k) {
        if (!shards_[k]->finish(trims.subspan(k * senders, senders))) return false;
        if (wanted_[k]) shards_[k]->skip();  // the state of the next view has it all
    }
    finished_ = true;
    return true;
}

RankSet Epoch::offenders() const {
    RankSet all = 0;
    for (const auto& shard : shards_) all |= shard->offenders();
    return all;
}

size_t Epoch::take(std::span<derecho_event> events, Leases& leases, Leases::Batch& batch) {
    size_t taken = 0;
    if (!announced_ && taken < events.size()) {
        derecho_event& event = events[taken++] = {};
        event.kind = DERECHO_EVENT_VIEW;
        event.id = raw(view_.id);
        announced_ = true;
    }
    while (!requests_.empty() && taken < events.size()) {
        derecho_event& event = events[taken++] = {};
        event.kind = DERECHO_EVENT_STATE_REQUEST;
        event.node = raw(requests_.front().joiner);
        event.id = raw(view_.id);
        event.shard = static_cast<uint32_t>(requests_.front().shard);
        requests_.erase(requests_.begin());
    }
    if (!requests_.empty()) return taken;
    for (size_t i = 0; i < shards_.size() && taken < events.size(); ++i) {
        turn_ = turn_ + 1 >= shards_.size() ? 0 : turn_ + 1;
        if (!wanted_[turn_]) taken += shards_[turn_]->take(events.subspan(taken), leases, batch);
    }
    return taken;
}

bool Epoch::has_events() const {
    if (!announced_ || !requests_.empty()) return true;
    for (size_t k = 0; k < shards_.size(); ++k) {
        if (!wanted_[k] && shards_[k]->deliverable()) return true;
    }
    return false;
}

bool Epoch::untaken() const {
    if (!announced_ || !requests_.empty()) return true;
    for (size_t k = 0; k < shards_.size(); ++k) {
        if (!wanted_[k] && shards_[k]->untaken()) return true;
    }
    return false;
}

bool Epoch::drained() const {
    return finished_ && announced_ && requests_.empty() &&
           std::ranges::all_of(shards_, [](const auto& s) { return s->drained(); });
}

bool Epoch::leased() const {
    return std::ranges::any_of(shards_, [](const auto& s) { return s->leased(); });
}

}  // namespace libderecho
