// Rare branches by name, counted. The simulator asserts that some seed reached each; production never looks.
//
// A hit is one relaxed addition, on paths that are rare by definition: never on the message path.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace libderecho::coverage {

enum class Branch : uint8_t {
    new_leader_adopted_proposal,    // took over what a leader before had proposed
    new_leader_found_no_proposal,   // took over and proposed its own
    decision_from_non_leader,       // learned what was decided from somebody other than its proposer
    proposal_of_lower_leader_late,  // a proposal of a leader that this node had given up on
    leader_waits_for_promises,      // some member that is alive had not suspected the ranks below yet
    trim_ragged,                    // survivors had received different amounts of some sender's
    trim_cut_own_messages,          // some own published messages fell behind the trim: sent again
    dead_sender_delivered_to_trim,  // messages of a dead sender were delivered while installing
    restored_open_claim,            // a claim made in the view before was committed in this one
    joins_and_removals_together,    // one proposal with both
    no_majority,                    // stopped because too few of the view were left
    accused_by_majority,            // stopped because the others suspect this node
    missed_the_decision,            // stopped because the others went on without this node
    state_lost,                     // nobody with the state was left
    nulls_sent,                     // rounds skipped so that others need not wait
    count
};

inline constexpr std::array<std::string_view, static_cast<size_t>(Branch::count)> kNames{
    "new leader adopted a proposal",
    "new leader found no proposal",
    "decision learned from a non-leader",
    "late proposal of a leader given up on",
    "leader waited for promises",
    "trim was ragged",
    "trim cut own messages",
    "dead sender delivered to the trim",
    "claim of the last view committed in the next",
    "joins and removals in one proposal",
    "no majority",
    "accused by a majority",
    "missed the decision",
    "state lost",
    "nulls sent",
};

inline std::array<std::atomic<uint64_t>, static_cast<size_t>(Branch::count)> hits{};

inline void hit(Branch branch) { hits[static_cast<size_t>(branch)].fetch_add(1, std::memory_order_relaxed); }

}  // namespace libderecho::coverage
