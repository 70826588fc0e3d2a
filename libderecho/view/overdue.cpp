// A change of view waits for members word by word. One that shows signs of life and does not say its word would hold
// everybody up for ever: it is suspected in bounded time, as a crash is.
#include "base/coverage.hpp"
#include "view/view_change.hpp"

namespace libderecho {
namespace {

// Of suspect_after, without any word of anybody. A leader may itself be waiting for one that is overdue.
constexpr uint64_t kMemberAtMost = 3;
constexpr uint64_t kLeaderAtMost = 6;

}  // namespace

// Those without whose next word the change does not go on.
RankSet ViewChange::awaited() const {
    const RankSet all = alive();
    const size_t leader = lowest(all);
    const uint64_t ballot = leader + 1;
    const RankSet ready =
        at_least(table_, all, columns_.wedged, 1) & containing(table_, all, columns_.suspected, below(leader));
    if (ready != all) return all & ~ready;
    if (table_.value(leader, columns_.accepted) < ballot) return just(leader);
    const RankSet accepted = at_least(table_, all, columns_.accepted, ballot);
    return accepted != all ? all & ~accepted : just(leader);
}

void ViewChange::watch_change(Instant now) {
    const RankSet all = first_ranks(table_.size());
    uint64_t moves = 0;
    for_each(all, [&](size_t r) {
        moves += count(table_.value(r, columns_.suspected)) + table_.value(r, columns_.wedged) +
                 table_.value(r, columns_.accepted) + table_.value(r, columns_.committed);
    });
    const RankSet waits_for = awaited();
    if (waits_for != awaited_ || moves != change_moves_) {
        awaited_ = waits_for;
        awaited_since_ = now;
        change_moves_ = moves;
    }
    suspect_overdue(awaited_, "it shows signs of life, but does not take part in the change of view", now);
}

// Before the leader can propose; it says nothing meanwhile, so that watch_change() would not stop the clock.
void ViewChange::await_rows(RankSet missing, Instant now) {
    suspect_overdue(missing, "its counters do not arrive", now);
}

void ViewChange::suspect_overdue(RankSet awaited, const std::string& what, Instant now) {
    const Duration waited = now - awaited_since_;
    for_each(awaited & ~just(self_), [&](size_t r) {
        const uint64_t periods = r == leader() ? kLeaderAtMost : kMemberAtMost;
        if (waited <= Duration{options_.suspect_after.ns * periods}) return;
        coverage::hit(coverage::Branch::change_standstill);
        suspect(r, what + " for " + std::to_string(waited.ns / 1'000'000) + " ms");
    });
}

}  // namespace libderecho
