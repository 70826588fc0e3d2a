#include "view/view_change.hpp"

#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "base/coverage.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"

namespace libderecho {
namespace {

RankSet voters_of(const View& view) {
    RankSet voters = 0;
    for (size_t r = 0; r < view.members.size(); ++r) voters |= view.members[r].votes ? just(r) : 0;
    return voters;
}

}  // namespace

ViewChangeColumns::ViewChangeColumns(size_t members, size_t trims) {
    Layout layout;
    heartbeat = layout.words(1);
    polled = layout.words(1);
    released = layout.words(1);
    clock = layout.words(1);
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
      voters_(voters_of(view)),
      table_(table),
      columns_(view.members.size(), trims),
      options_(options),
      accusations_(view.members.size()),
      waited_for_(view.members.size()),
      held_(view.members.size(), 0),
      held_at_wedge_(view.members.size()),
      misfit_for_(view.members.size()),
      pulses_(view.members.size(), Pulse{0, now}),
      last_step_(now),
      last_wait_(now),
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

// With those whom it had not given up on, nor they on it.
bool ViewChange::could_go_on(size_t rank) const {
    RankSet with = first_ranks(table_.size()) & ~accused_by(rank);
    for_each(with, [&](size_t r) { with &= has(accused_by(r), rank) ? ~just(r) : ~RankSet{0}; });
    return enough(with);
}

// Its last word still counts: who was paused, and wakes up to closed connections, was ejected, if those whom that one
// had not given up on could go on.
void ViewChange::lost(size_t rank, const std::string& why) {
    if (rank != self_ && has(accused_by(rank), self_) && could_go_on(rank)) accused_by_ |= just(rank);
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
    return !options_.require_majority || 2 * count(ranks & voters_) > count(voters_);
}

bool ViewChange::will_vote(size_t rank) const {
    const uint64_t all_shards = (1ull << trims_ / view_.members.size()) - 1;
    return has(voters_, rank) || (shards_held_by(rank) & all_shards) == all_shards;
}

void ViewChange::beat(Instant now) {
    if (now < next_beat_) return;
    next_beat_ = now + options_.heartbeat;
    // Before the heartbeat that goes with it; a wall clock may be set back.
    __atomic_store_n(table_.own_word(columns_.clock), wall_ns_, __ATOMIC_RELAXED);
    publish(table_.own_word(columns_.heartbeat), *table_.own_word(columns_.heartbeat) + 1);
    const uint64_t beats = *table_.own_word(columns_.heartbeat);
    if (application_polls_) publish(table_.own_word(columns_.polled), beats);
    if (application_releases_) publish(table_.own_word(columns_.released), beats);
    table_.push_quietly(columns_.heartbeat, 4 * sizeof(uint64_t));
}

void ViewChange::watch(size_t rank, Instant now) {
    Pulse& pulse = pulses_[rank];
    const uint64_t beats = table_.value(rank, columns_.heartbeat);
    if (beats != pulse.beats) {
        pulse = {beats, now};
    } else if (now - pulse.seen > options_.suspect_after) {
        suspect(rank, "no heartbeat for " + std::to_string((now - pulse.seen).ns / 1'000'000) + " ms");
    }
    // Or it would be given a vote again and again, and have each view end at once.
    const uint64_t held = table_.value(rank, columns_.state_held);
    if ((held_[rank] & ~held) != 0) suspect(rank, "it says that it no longer holds a state that it held");
    held_[rank] |= held;
    const bool leaves = table_.value(rank, columns_.leave_wanted) != 0;
    if (has(left_, rank) && !leaves) suspect(rank, "it said that it leaves, and then that it does not");
    if (leaves) left_ |= just(rank);
}

RankSet ViewChange::accused_by(size_t rank) const {
    return table_.value(rank, columns_.suspected) & first_ranks(table_.size());
}

// A member that has condemned so many that it cannot go on with the rest has condemned itself.
void ViewChange::read_suspicions(size_t rank, Instant now) {
    const RankSet theirs = accused_by(rank) & alive();
    if (theirs == 0) return;
    if (!enough(first_ranks(table_.size()) & ~accused_by(rank))) return suspect(rank, "it suspects too many to go on");
    for_each(theirs, [&](size_t r) {
        if (accusations_[r].by == 0) accusations_[r].since = now;
        accusations_[r].by |= just(rank);
    });
}

// Who dies is missed by all, so that one member's word about another decides little. Two members that give up on each
// other at one time have lost each other: the later of them goes. Whom two or more give up on goes, and one against
// whom this node finds proof as well. Who alone gives up on somebody that this node goes on hearing goes itself. And
// one that so many gave up on that the rest could not go on was removed.
void ViewChange::judge_accusations(Instant now) {
    while (suspect_most_accused()) {
    }
    const Duration half{options_.suspect_after.ns / 2}, moment{options_.suspect_after.ns / 8};
    for_each(alive() & ~just(self_), [&](size_t r) {
        const RankSet by = accusers_of(r);
        RankSet mutual = 0;
        for_each(by, [&](size_t other) { mutual |= has(accusations_[other].by, r) ? just(other) : 0; });
        if (by == 0 || has(suspected_, r)) return;
        const Duration open = now - accusations_[r].since;
        if (mutual != 0 && !answers_back(lowest(mutual), r) && !answers_back(r, lowest(mutual))) {
            if (open < moment) return;  // others may have lost one of them as well
            coverage::hit(coverage::Branch::lost_each_other);
            return suspect(std::max(r, lowest(mutual)), "it lost, or was lost by, another");
        }
        if (mutual != 0 && answers_back(lowest(mutual), r)) return;  // the other accusation is judged
        // A joiner that died before this node was linked with it: nobody here can say that it lives.
        if (pulses_[r].beats == 0 && open >= moment) return suspect(r, "it is suspected, and nothing of it came here");
        if (open < half) return;
        if (proof_against(r)) {
            coverage::hit(coverage::Branch::accuser_was_right);
            return suspect(r, "it is suspected, and rightly");
        }
        if (open < options_.suspect_after || now - pulses_[r].seen >= half) return;
        coverage::hit(coverage::Branch::accuser_stood_alone);
        for_each(by, [&](size_t accuser) { suspect(accuser, "it alone suspects a member that lives"); });
    });
    judge_own_accusers(now);
}

void ViewChange::judge_own_accusers(Instant now) {
    const RankSet by = accusers_of(self_);
    const bool removed = !enough(alive() & ~by);
    if (by == 0 || (!removed && now - accusations_[self_].since < options_.suspect_after)) return;
    if (removed) for_each(by, [&](size_t r) { accused_by_ |= could_go_on(r) ? just(r) : 0; });
    for_each(by, [&](size_t accuser) { suspect(accuser, "it suspects this node"); });
}

RankSet ViewChange::accusers_of(size_t rank) const { return accusations_[rank].by & alive(); }

// Whether `rank` gave up on `other` only long after that had given up on it.
bool ViewChange::answers_back(size_t rank, size_t other) const {
    return accusations_[other].since > accusations_[rank].since + Duration{options_.suspect_after.ns / 2};
}

bool ViewChange::suspect_most_accused() {
    size_t most = 1, whom = self_;
    for_each(alive() & ~just(self_), [&](size_t r) {
        if (count(accusers_of(r)) <= most) return;
        if (has(voters_, r) && (accusers_of(r) & voters_) == 0) return;  // newcomers, who may be behind a wall
        most = count(accusers_of(r));
        whom = r;
    });
    if (whom != self_) suspect(whom, "several suspect it");
    return whom != self_;
}

// Whether what stands in its row cannot be. Only asked when others have had the time to show theirs.
bool ViewChange::proof_against(size_t rank) const {
    const uint64_t ballot = table_.value(rank, columns_.accepted);
    if (ballot > table_.size() || table_.value(rank, columns_.committed) > table_.size()) return true;
    if (ballot != 0) {
        const Proposal proposal = proposal_in(rank, ballot - 1);
        const auto decision = decode(proposal);
        if (!decision || plausible(*decision, ballot, accused_by(rank)) == Verdict::bad) return true;
        if ((below(ballot - 1) & ~accused_by(rank)) != 0) return true;  // it never promised
        const bool made =
            table_.value(ballot - 1, columns_.accepted) == ballot && proposal_in(ballot - 1, ballot - 1) == proposal;
        if (has(alive(), ballot - 1) && !made) return true;
    }
    return waited_for_[rank] >= Duration{2 * options_.suspect_after.ns} || (counters_lie && counters_lie(rank));
}

bool ViewChange::change_called_for() const {
    return suspected_ != 0 || table_.value(leader(), columns_.change_wanted) != 0;
}

std::string ViewChange::who_is_left() const {
    const size_t left = count(alive() & voters_);
    const bool all_vote = count(voters_) == view_.members.size();
    return "only " + std::to_string(left) + " of " + std::to_string(count(voters_)) + " members of view " +
           std::to_string(raw(view_.id)) + (all_vote ? "" : " that vote") + (left == 1 ? " is left" : " are left");
}

ViewChange::Want ViewChange::step(Instant now) {
    if (decision_) return Want::install;
    if (!failure_.ok()) return Want::stop;
    // After a long absence of this node's own, silence of the others proves nothing.
    if (now - last_step_ > Duration{options_.suspect_after.ns / 2}) {
        for (Pulse& pulse : pulses_) pulse.seen = now;
    }
    last_step_ = now;
    beat(now);
    if (learn_decision()) return Want::install;
    for_each(alive() & ~just(self_), [&](size_t r) { watch(r, now); });
    for_each(alive() & ~just(self_), [&](size_t r) {
        if (!has(suspected_, r)) read_suspicions(r, now);  // a row read earlier in this loop may have condemned it
    });
    judge_accusations(now);
    if (!enough(alive())) {
        failure_ = accused_by_ != 0 ? libderecho::failure(DERECHO_EJECTED, "the other members of view " +
                                                                               std::to_string(raw(view_.id)) +
                                                                               " went on without this node; join again")
                                    : libderecho::failure(DERECHO_NO_MAJORITY, who_is_left());
        return Want::stop;
    }
    if (!change_called_for()) return Want::nothing;
    if (!wedged_) {
        last_wait_ = now;
        return Want::wedge;
    }
    read_wedged();
    watch_change(now);
    if (leads()) return lead();
    follow();
    return Want::nothing;
}

// The proposal of `leader` as it stands in the row of `rank`.
ViewChange::Proposal ViewChange::proposal_in(size_t rank, size_t leader) const {
    const std::byte* area = table_.row(rank) + columns_.proposal_of(leader);
    uint64_t length = 0;
    std::memcpy(&length, area, sizeof length);
    if (length > columns_.proposal_bytes - 8) length = 0;
    return {area + 8, area + 8 + length};
}

ViewChange::Want ViewChange::lead() {
    const RankSet promised = containing(table_, alive(), columns_.suspected, below(self_));
    if (promised != alive()) coverage::hit(coverage::Branch::leader_waited_for_promises);
    const RankSet ready = promised & at_least(table_, alive(), columns_.wedged, 1);
    if (ready != alive() || (!proposed_ && convict_early_acceptors())) return Want::nothing;
    if (!proposed_) {
        const uint64_t highest = greatest(table_, alive(), columns_.accepted);
        if (highest == 0 && self_ > 0) coverage::hit(coverage::Branch::new_leader_found_no_proposal);
        if (highest == 0) return Want::proposal;
        const RankSet holders = equal_to(table_, alive(), columns_.accepted, highest);
        if (holders == 0) return Want::nothing;  // it went on in between: as it is next time
        adopt(has(holders, self_) ? self_ : lowest(holders), highest - 1);
    }
    if (!proposed_ || at_least(table_, alive(), columns_.accepted, self_ + 1) != alive()) return Want::nothing;
    const RankSet same = accepted_by(proposal_in(self_, self_));
    for_each(alive() & ~same, [&](size_t r) { suspect(r, "it accepted another proposal than this node made"); });
    if (!enough(same) || (alive() & ~same) != 0) return Want::nothing;
    set(columns_.committed, self_ + 1);
    return learn_decision() ? Want::install : Want::nothing;
}

// Before this node has proposed anything, only who gave up on it accepts its proposal, or one of a higher rank. Whoever
// did so said so before.
bool ViewChange::convict_early_acceptors() {
    const RankSet before = suspected_;
    for_each(at_least(table_, alive() & ~just(self_), columns_.accepted, self_ + 1), [&](size_t r) {
        if (!has(accused_by(r), self_)) suspect(r, "it accepted what nobody has proposed");
    });
    return suspected_ != before;
}

void ViewChange::propose(const Decision& decision) {
    DERECHO_ASSERT(!proposed_ && wedged_);
    ByteWriter out;
    encode(out, decision);
    keep(self_, {out.bytes().begin(), out.bytes().end()});
    set(columns_.accepted, self_ + 1);
    proposed_ = true;
}

// A proposal of an earlier leader may be decided already: it has to be carried on. Its own row has it first hand, if it
// came here.
void ViewChange::adopt(size_t holder, size_t ballot) {
    Proposal proposal = proposal_in(holder, ballot);
    const Proposal original = proposal_in(ballot, ballot);
    // What this node accepted it knows, whatever its author has made of it since. And an author that shows what cannot
    // be does not speak against somebody else.
    const auto made = decode(original);
    const bool differs = holder != self_ && proposal != original && made &&
                         plausible(*made, ballot + 1, accused_by(ballot)) != Verdict::bad;
    if (proposal.empty() || differs) return suspect(holder, "the proposal it accepted is not the one that was made");
    const auto decision = decode(proposal);
    if (!decision) return suspect(holder, "the proposal it accepted is malformed");
    const Verdict verdict = believable(*decision, ballot + 1, accused_by(holder));
    if (verdict == Verdict::bad) return suspect(holder, "the proposal it accepted cannot be");
    if (verdict == Verdict::not_yet) return;
    coverage::hit(coverage::Branch::new_leader_adopted_proposal);
    keep(self_, proposal);
    set(columns_.accepted, self_ + 1);
    proposed_ = true;
    log::info("node " + std::to_string(raw(view_.members[self_].node)) + " takes over the proposal of rank " +
              std::to_string(ballot));
}

// Copy a proposal into its area of the own row. Areas are written once, by reference they are pushed.
void ViewChange::keep(size_t leader, const Proposal& proposal) {
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

std::optional<Decision> ViewChange::decode(const Proposal& proposal) const {
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
    const Proposal proposal = proposal_in(leader, leader);
    const auto decision = decode(proposal);
    if (!decision) return suspect(leader, "its proposal is malformed");
    const Verdict verdict = believable(*decision, ballot, accused_by(leader));
    if (verdict == Verdict::bad) return suspect(leader, "what it proposes cannot be");
    misfits_ = 0;
    if (verdict == Verdict::not_yet) return note_misfits(*decision);
    keep(leader, proposal);
    set(columns_.accepted, ballot);
}

// Others than the leader, or it as well: by what they said when they wedged all of them had a place in its proposal.
void ViewChange::note_misfits(const Decision& decision) {
    if (!trims_fit) return;
    for_each(alive_and_wedged() & ~just(self_), [&](size_t r) {
        const Member& member = view_.members[r];
        const bool stays = decision.next.holds(member.node, member.incarnation);
        misfits_ |= stays && !trims_fit(decision, just(r)) ? just(r) : 0;
    });
}

// This node may have been stopped between reading its clock and looking at what others wrote meanwhile: it looks twice.
ViewChange::Verdict ViewChange::believable(const Decision& decision, uint64_t ballot, RankSet accused) {
    const Verdict verdict = plausible(decision, ballot, accused);
    return verdict == Verdict::bad && !std::exchange(doubted_, true) ? Verdict::not_yet : verdict;
}

// Nobody who lives and stays is left out, nobody is made up, and those whose counters stand still can all end there.
// The leader has seen them all stand still, so that this node will. `accused`: whom its author has given up on, which
// is judged first.
ViewChange::Verdict ViewChange::plausible(const Decision& decision, uint64_t ballot, RankSet accused) const {
    if (!keeps_members(decision.next)) return Verdict::bad;
    const RankSet open = alive() & ~at_least(table_, alive(), columns_.accepted, ballot);
    if (at_least(table_, open, columns_.wedged, 1) != open) return Verdict::not_yet;
    RankSet present = 0, untrue = 0;
    for (const Member& member : decision.next.members) {
        const auto rank = view_.rank_of(member.node);
        if (!rank || !view_.holds(member.node, member.incarnation)) continue;
        const size_t r = raw(*rank);
        present |= just(r);
        const bool true_of_it = member.shards_with_state == shards_held_by(r) && member.votes == will_vote(r);
        if (has(open, r) && !true_of_it) untrue |= just(r);
    }
    const RankSet gone = at_least(table_, first_ranks(table_.size()), columns_.leave_wanted, 1);
    if (untrue != 0 || !enough(present | gone)) return Verdict::bad;
    RankSet left_out = alive() & ~present & ~gone;
    if (may_be_slow) for_each(left_out, [&](size_t r) { left_out &= may_be_slow(r) ? ~just(r) : ~RankSet{0}; });
    if (left_out != 0) return (left_out & ~accused) == 0 || may_be_slow ? Verdict::not_yet : Verdict::bad;
    if (!trims_fit || trims_fit(decision, open)) return Verdict::good;
    return trims_fit(decision, just(self_)) ? Verdict::not_yet : Verdict::bad;
}

// Survivors are as they were, in their order; newcomers come behind them, without state.
bool ViewChange::keeps_members(const View& next) const {
    size_t rank = 0, newcomers = 0;
    for (const Member& member : next.members) {
        if (!view_.holds(member.node, member.incarnation)) {
            if (member.shards_with_state != 0 || member.votes || ++newcomers > limits::joins_per_view_max) return false;
            continue;
        }
        const size_t r = raw(*view_.rank_of(member.node));
        if (newcomers != 0 || r < rank || member.address != view_.members[r].address) return false;
        rank = r + 1;
    }
    return true;
}

// Whose rows say that they accepted these very bytes, whatever the ballot.
RankSet ViewChange::accepted_by(const Proposal& proposal) const {
    RankSet same = 0;
    for (size_t r = 0; r < table_.size(); ++r) {
        const uint64_t ballot = table_.value(r, columns_.accepted);
        if (ballot != 0 && ballot <= table_.size() && proposal_in(r, ballot - 1) == proposal) same |= just(r);
    }
    return same;
}

// Whoever knows the decision passes it on in its row, so that it outlives the leader. What is decided stays so:
// suspects are believed in this too, or the word of one that left and is gone already would be lost. Nobody is believed
// who stands alone with it.
bool ViewChange::learn_decision() {
    for (RankSet left = first_ranks(table_.size()); left != 0; left &= left - 1) {
        const size_t rank = lowest(left);
        const uint64_t ballot = table_.value(rank, columns_.committed);
        if (ballot == 0) continue;
        const Proposal proposal = ballot > table_.size() ? Proposal{} : proposal_in(rank, ballot - 1);
        std::optional<Decision> decision = decode(proposal);
        if (!decision) {
            suspect(rank, "its decision is malformed");
            continue;
        }
        if (!enough(accepted_by(proposal))) {
            coverage::hit(coverage::Branch::decision_not_believed);
            continue;
        }
        decision_ = std::move(decision);
        if (rank != ballot - 1) coverage::hit(coverage::Branch::decision_from_follower);
        if (has(suspected_, rank)) coverage::hit(coverage::Branch::decision_from_suspect);
        keep(ballot - 1, proposal);
        set(columns_.committed, ballot);
        return true;
    }
    return false;
}

// ------------------------------------------------------------------------------------------------ who does not move

void ViewChange::read_wedged() {
    for_each(alive_and_wedged(), [&](size_t r) {
        const uint64_t held = table_.value(r, columns_.state_held);
        if (!held_at_wedge_[r]) held_at_wedge_[r] = held;
        if (held_at_wedge_[r] != held) suspect(r, "what it says of its state changed after it had wedged");
    });
}

}  // namespace libderecho
