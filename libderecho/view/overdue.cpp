// A change of view waits for members word by word. One that shows signs of life and does not say its word would hold
// everybody up for ever: it is suspected in bounded time, as a crash is.
#include <utility>

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
    if (table_.value(leader, columns_.accepted) != ballot) return just(leader);
    const RankSet accepted = at_least(table_, all, columns_.accepted, ballot);
    return accepted != all ? all & ~accepted : just(leader);
}

// All the time counts that a member was waited for in this view: what it says in between does not make it another.
void ViewChange::watch_change(Instant now) {
    const Duration more = now - std::exchange(last_wait_, now);
    if (more > Duration{options_.suspect_after.ns / 2}) return;  // this node was away
    const RankSet missing = std::exchange(rows_awaited_, 0) & alive();
    suspect_overdue(missing, "its counters do not arrive", more);
    suspect_overdue(awaited() & ~missing, "it shows signs of life, but does not take part in the change of view", more);
    for_each(misfits_ & alive(), [&](size_t r) {
        misfit_for_[r] = misfit_for_[r] + more;
        if (misfit_for_[r] > options_.suspect_after) suspect(r, "its counters went on when it had wedged");
    });
}

void ViewChange::suspect_overdue(RankSet awaited, const std::string& what, Duration more) {
    for_each(awaited & ~just(self_), [&](size_t r) {
        const uint64_t periods = r == leader() ? kLeaderAtMost : kMemberAtMost;
        waited_for_[r] = waited_for_[r] + more;
        if (waited_for_[r] <= Duration{options_.suspect_after.ns * periods}) return;
        coverage::hit(coverage::Branch::change_standstill);
        suspect(r, what + " for " + std::to_string(waited_for_[r].ns / 1'000'000) + " ms");
    });
}

}  // namespace libderecho
