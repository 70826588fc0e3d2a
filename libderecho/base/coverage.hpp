// Rare branches of the core by name, counted. The simulator asserts that some seed reached each; production never
// looks.
//
// A hit is one relaxed addition, on paths that are rare by definition: never on the message path. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace libderecho::coverage {

enum class Branch : uint8_t {
    new_leader_adopted_proposal,   // took over what a leader before it had proposed
    new_leader_found_no_proposal,  // took over and proposed its own
    leader_waited_for_promises,    // somebody alive does not suspect all lower ranks yet
    leader_waited_for_rows,        // somebody has wedged, and its counters are not here yet
    decision_from_follower,        // not from the leader that proposed it
    decision_from_suspect,         // who may be gone already
    lost_each_other,               // two members, both of them alive
    accuser_was_right,             // this node found proof of its own
    accuser_stood_alone,           // with its suspicion of a member that lives
    decision_not_believed,         // not enough rows have accepted it, as far as this node sees
    removed_before_wedged,         // the others decided without this node
    joins_and_removals_together,
    state_kept,              // the view was made before all knew that this node has its state
    earlier_life_dropped,    // still connected when a view had the next life of a node
    departure_put_off,       // the last to hold a state that others need stays for now
    trim_ragged,             // survivors had received different amounts
    trim_cut_own_messages,   // published messages have to be sent again
    trim_released_messages,  // delivered only because the trim says that all survivors have them
    rest_of_sender_skipped,  // from a malformed frame to the trim
    early_reply,             // it came before this node had taken its own call
    letter_parked,           // state of a view that this node has not taken yet
    standstill_suspected,    // a member with signs of life, and nothing else
    change_standstill,       // ... in a view change
    slow_removed,            // for its application's sake
    ahead_of_time,           // a member whose messages bear times that no honest clock shows
    clock_not_believed,      // this node's own, far from most
    silent_joiner,           // was not let in
    newcomer_stalled,        // was let in, held all up, and was removed
    told_to_wait,            // a joiner, for that
    clocks_apart,            // of a node and one that it would join
    direct_done,             // an operation on memory was carried out by the devices
    direct_broken,           // what was under way had to be done again
    direct_denied,           // a grant was asked for, and not given
    direct_given_up,         // after too many failures
    replica_differs,         // from those of a majority, by its digest
    replicas_split,          // and no majority
    candidate_gave_up,       // another one may found the group
    grant_taken_back,        // the one that it was given to has not founded, and never will
    group_is_over,           // its last members are all here, and none is in it
    other_group_met,         // a member of another group of this name
    count
};

inline constexpr std::array<std::string_view, static_cast<size_t>(Branch::count)> kNames{
    "new leader adopted a proposal",
    "new leader found no proposal",
    "leader waited for promises",
    "leader waited for rows",
    "decision learned from a follower",
    "decision learned from a suspect",
    "two live members lost each other",
    "an accuser was right",
    "an accuser stood alone",
    "a decision was not believed",
    "removed before it wedged",
    "joins and removals in one proposal",
    "state kept though the view does not know",
    "earlier life dropped",
    "departure put off",
    "trim was ragged",
    "trim cut own messages",
    "trim released messages",
    "the rest of a sender was skipped",
    "a reply before its call was ordered",
    "a letter that had to wait",
    "standstill suspected",
    "standstill in a view change suspected",
    "slow member removed",
    "a message ahead of time",
    "own clock not believed",
    "silent joiner not let in",
    "a newcomer held all up",
    "a joiner was told to wait",
    "clocks apart at a join",
    "memory reached directly",
    "direct access broke",
    "direct access denied",
    "direct access given up",
    "a replica differed",
    "replicas differed without a majority",
    "candidate gave up",
    "grant taken back",
    "a group was over",
    "another group was met",
};

inline std::array<std::atomic<uint64_t>, static_cast<size_t>(Branch::count)> hits{};

// How groups begin and meet has a simulation of its own.
constexpr bool is_of_founding(Branch branch) {
    return branch == Branch::candidate_gave_up || branch == Branch::grant_taken_back ||
           branch == Branch::group_is_over || branch == Branch::other_group_met;
}

inline void hit(Branch branch) { hits[static_cast<size_t>(branch)].fetch_add(1, std::memory_order_relaxed); }

}  // namespace libderecho::coverage
