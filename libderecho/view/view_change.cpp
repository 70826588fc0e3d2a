#include "view/view_change.hpp"

#include <cstring>

#include "base/assert.hpp"
#include "base/coverage.hpp"
#include "base/log.hpp"

namespace libderecho {

ViewChangeColumns::ViewChangeColumns(size_t members, size_t trims) {
    Layout layout;
    heartbeat = layout.words(1);
    polled = layout.words(1);
    released = layout.words(1);
    layout.align();
    suspected = layout.words(1);
    change_wanted = layout.words(1);
    leave_wanted = layout.words(1);
    wedged = layout.words(1);
    accepted = layout.words(1);
    committed = layout.words(1);
    state_held = layout.words(1);
    state_line_bytes = layout.end() - suspected;
    layout.align();
    proposal_bytes = 8 + (decision_bytes_max(members, trims) + 7) / 8 * 8;
    proposals = layout.bytes(proposal_bytes * members);
    layout.align();
    counter_bytes = row_bytes = layout.end();
}

ViewChange::ViewChange(const View& view, Rank self, size_t trims, Table& table, ViewChangeOptions options, Instant now)
    : view_(view),
      self_(raw(self)),
      trims_(trims),
      table_(table),
      columns_(view.members.size(), trims),
      options_(options),
      pulses_(view.members.size(), Pulse{0, now}),
      last_step_(now),
      next_beat_(now) {}

void ViewChange::set(size_t column, uint64_t value) {
    uint64_t* word = table_.own_word(column);
    if (*word == value) return;
    publish(word, value);
    table_.push_counters(columns_.suspected, columns_.state_line_bytes);
}

void ViewChange::suspect(size_t rank, const std::string& why) {
    if (rank == self_ || has(suspected_, rank)) return;
    suspected_ |= just(rank);
    log::info("node " + std::to_string(raw(view_.members[self_].node)) + " suspects node " +
              std::to_string(raw(view_.members[rank].node)) + " in view " + std::to_string(raw(view_.id)) + ": " + why);
    set(columns_.suspected, suspected_);
}

// Its last word still counts: who was paused, and wakes up to closed connections, was ejected.
void ViewChange::lost(size_t rank, const std::string& why) {
    if (rank != self_ && has(table_.value(rank, columns_.suspected), self_)) accused_by_ |= just(rank);
    suspect(rank, why);
}

void ViewChange::want_change() { set(columns_.change_wanted, 1); }
void ViewChange::want_leave() { set(columns_.leave_wanted, 1); }
void ViewChange::state_held(uint64_t shards) {
    set(columns_.state_held, *table_.own_word(columns_.state_held) | shards);
}

void ViewChange::wedged() {
    wedged_ = true;
    set(columns_.wedged, 1);
}

bool ViewChange::enough(RankSet ranks) const {
    return !options_.require_majority || 2 * count(ranks) > view_.members.size();
}

void ViewChange::beat(Instant now) {
    if (now < next_beat_) return;
    next_beat_ = now + options_.heartbeat;
    publish(table_.own_word(columns_.heartbeat), *table_.own_word(columns_.heartbeat) + 1);
    const uint64_t beats = *table_.own_word(columns_.heartbeat);
    if (application_polls_) publish(table_.own_word(columns_.polled), beats);
    if (application_releases_) publish(table_.own_word(columns_.released), beats);
    table_.push_quietly(columns_.heartbeat, 3 * sizeof(uint64_t));
}

void ViewChange::watch(size_t rank, Instant now) {
    Pulse& pulse = pulses_[rank];
    const uint64_t beats = table_.value(rank, columns_.heartbeat);
    if (beats != pulse.beats) {
        pulse = {beats, now};
    } else if (now - pulse.seen > options_.suspect_after) {
        suspect(rank, "no heartbeat for " + std::to_string((now - pulse.seen).ns / 1'000'000) + " ms");
    }
}

// A member that has condemned so many that it cannot go on with the rest has condemned itself, and so has, from this
// node's point of view, one that gave up on this node: its row is not read any more. All other suspicions are shared.
void ViewChange::read_suspicions(size_t rank) {
    const RankSet theirs = table_.value(rank, columns_.suspected) & first_ranks(table_.size());
    if ((theirs & ~suspected_) == 0) return;
    if (has(theirs, self_)) {
        accused_by_ |= just(rank);
        return suspect(rank, "it suspects this node");
    }
    if (!enough(first_ranks(table_.size()) & ~theirs)) return suspect(rank, "it suspects too many to go on");
    for_each(theirs & ~suspected_,
             [&](size_t r) { suspect(r, "node " + std::to_string(raw(view_.members[rank].node)) + " suspects it"); });
}

bool ViewChange::change_called_for() const {
    return suspected_ != 0 || greatest(table_, alive(), columns_.change_wanted) != 0;
}

ViewChange::Want ViewChange::step(Instant now) {
    if (decision_) return Want::install;
    if (!failure_.ok()) return Want::stop;
    // After a long absence of this node's own, silence of the others proves nothing.
    if (now - last_step_ > Duration{options_.suspect_after.ns / 2}) {
        for (Pulse& pulse : pulses_) pulse.seen = now;
        awaited_ = 0;
    }
    last_step_ = now;
    beat(now);
    if (learn_decision()) return Want::install;
    for_each(alive() & ~just(self_), [&](size_t r) { watch(r, now); });
    for_each(alive() & ~just(self_), [&](size_t r) {
        if (!has(suspected_, r)) read_suspicions(r);  // a row read earlier in this loop may have condemned it
    });
    if (!enough(alive())) {
        failure_ =
            accused_by_ != 0
                ? libderecho::failure(DERECHO_EJECTED, "the other members of view " + std::to_string(raw(view_.id)) +
                                                           " went on without this node; join again")
                : libderecho::failure(DERECHO_NO_MAJORITY, "only " + std::to_string(count(alive())) + " of " +
                                                               std::to_string(view_.members.size()) +
                                                               " members of view " + std::to_string(raw(view_.id)) +
                                                               (count(alive()) == 1 ? " is left" : " are left"));
        return Want::stop;
    }
    if (!change_called_for()) return Want::nothing;
    if (!wedged_) return Want::wedge;
    watch_change(now);
    if (leads()) return lead();
    follow();
    return Want::nothing;
}

// The proposal of `leader` as it stands in the row of `rank`.
std::span<const std::byte> ViewChange::proposal_in(size_t rank, size_t leader) const {
    const std::byte* area = table_.row(rank) + columns_.proposal_of(leader);
    uint64_t length = 0;
    std::memcpy(&length, area, sizeof length);
    if (length > columns_.proposal_bytes - 8) length = 0;
    return {area + 8, length};
}

ViewChange::Want ViewChange::lead() {
    const RankSet promised = containing(table_, alive(), columns_.suspected, below(self_));
    if (promised != alive()) coverage::hit(coverage::Branch::leader_waited_for_promises);
    const RankSet ready = promised & at_least(table_, alive(), columns_.wedged, 1);
    if (ready != alive()) return Want::nothing;
    if (!proposed_) {
        const uint64_t highest = greatest(table_, alive(), columns_.accepted);
        if (highest == 0 && self_ > 0) coverage::hit(coverage::Branch::new_leader_found_no_proposal);
        if (highest == 0) return Want::proposal;
        const RankSet holders = equal_to(table_, alive(), columns_.accepted, highest);
        if (holders == 0) return Want::nothing;  // it went on in between: as it is next time
        adopt(lowest(holders), highest - 1);
    }
    const RankSet accepted = at_least(table_, alive(), columns_.accepted, self_ + 1);
    if (!proposed_ || accepted != alive() || !enough(accepted)) return Want::nothing;
    set(columns_.committed, self_ + 1);
    return learn_decision() ? Want::install : Want::nothing;
}

void ViewChange::propose(const Decision& decision) {
    DERECHO_ASSERT(!proposed_ && wedged_);
    ByteWriter out;
    encode(out, decision);
    keep(self_, out.bytes());
    set(columns_.accepted, self_ + 1);
    proposed_ = true;
}

// A proposal of an earlier leader may be decided already: it has to be carried on.
void ViewChange::adopt(size_t holder, size_t ballot) {
    if (ballot >= table_.size()) return suspect(holder, "it accepted a proposal of nobody");
    const auto proposal = proposal_in(holder, ballot);
    if (!decode(proposal)) return suspect(holder, "the proposal it accepted is malformed");
    coverage::hit(coverage::Branch::new_leader_adopted_proposal);
    keep(self_, proposal);
    set(columns_.accepted, self_ + 1);
    proposed_ = true;
    log::info("node " + std::to_string(raw(view_.members[self_].node)) + " takes over the proposal of rank " +
              std::to_string(ballot));
}

// Copy a proposal into its area of the own row. Areas are written once, by reference they are pushed.
void ViewChange::keep(size_t leader, std::span<const std::byte> proposal) {
    DERECHO_ASSERT(proposal.size() <= columns_.proposal_bytes - 8);
    const size_t offset = columns_.proposal_of(leader);
    std::byte* area = table_.own() + offset;
    const uint64_t length = proposal.size();
    uint64_t kept = 0;
    std::memcpy(&kept, area, sizeof kept);
    if (kept != 0) return;
    std::memcpy(area + 8, proposal.data(), length);
    std::memcpy(area, &length, sizeof length);
    table_.push_data(offset, 8 + length);
}

std::optional<Decision> ViewChange::decode(std::span<const std::byte> proposal) const {
    Decision decision;
    ByteReader in(proposal);
    const bool good = libderecho::decode(in, decision) && decision.trims.size() == trims_ &&
                      raw(decision.next.id) == raw(view_.id) + 1 &&
                      (decision.next.group == view_.group || !options_.require_majority);
    return good ? std::optional(std::move(decision)) : std::nullopt;
}

// Accept what the leader proposes. That this node suspects all lower ranks has been visible before: the promise.
void ViewChange::follow() {
    const size_t leader = lowest(alive());
    const uint64_t ballot = leader + 1;
    if (table_.value(leader, columns_.accepted) != ballot || *table_.own_word(columns_.accepted) >= ballot) return;
    const auto proposal = proposal_in(leader, leader);
    if (!decode(proposal)) return suspect(leader, "its proposal is malformed");
    keep(leader, proposal);
    set(columns_.accepted, ballot);
}

// Whoever knows the decision passes it on in its row, so that it outlives the leader. What is decided stays so:
// suspects are believed in this too, or the word of one that left and is gone already would be lost.
bool ViewChange::learn_decision() {
    for (RankSet left = first_ranks(table_.size()); left != 0; left &= left - 1) {
        const size_t rank = lowest(left);
        const uint64_t ballot = table_.value(rank, columns_.committed);
        if (ballot == 0) continue;
        if (ballot > table_.size()) {
            suspect(rank, "its decision is malformed");
            continue;
        }
        const auto proposal = proposal_in(rank, ballot - 1);
        decision_ = decode(proposal);
        if (!decision_) {
            suspect(rank, "its decision is malformed");
            continue;
        }
        if (rank != ballot - 1) coverage::hit(coverage::Branch::decision_from_follower);
        if (has(suspected_, rank)) coverage::hit(coverage::Branch::decision_from_suspect);
        keep(ballot - 1, proposal);
        set(columns_.committed, ballot);
        return true;
    }
    return false;
}

}  // namespace libderecho
