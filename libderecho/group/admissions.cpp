#include "group/admissions.hpp"

#include <algorithm>

#include "base/coverage.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"

namespace libderecho {
namespace {

constexpr uint64_t kShareOfTime = 10;  // that changes may take: one part in so many
constexpr uint64_t kSilencesAtMost = 4;
constexpr Duration kLongestWait = milliseconds(500);  // a change may be slow for somebody who died in it
constexpr Duration kLongestPause = milliseconds(20'000);

}  // namespace

void Admissions::asked(Member joiner, Instant now) {
    forget(joiner.node);
    waiting_.push_back({std::move(joiner), now});
}

void Admissions::forget(NodeId node) {
    std::erase_if(waiting_, [&](const Waiting& w) { return w.joiner.node == node; });
}

void Admissions::entered(const View& view, Duration stood_still, Duration stalled, Instant now) {
    std::erase_if(waiting_, [&](const Waiting& w) { return view.holds(w.joiner.node, w.joiner.incarnation); });
    const Instant from = std::max(now, next_change_);  // a member that votes stood all still twice
    next_change_ = std::min(from + Duration{(kShareOfTime - 1) * stood_still.ns}, now + kLongestWait);
    if (stalled.ns == 0) return;
    coverage::hit(coverage::Branch::newcomer_stalled);
    const Duration pause = std::min(Duration{(kShareOfTime - 1) * stalled.ns}, kLongestPause);
    log::warn("a newcomer held all up for " + std::to_string(stalled.ns / 1'000'000) +
              " ms: nobody is let in for as long as makes that a tenth of the time, " +
              std::to_string(pause.ns / 1'000'000) + " ms");
    next_change_ = std::max(next_change_, now + pause);
}

std::vector<Member> Admissions::candidates(const View& view, Instant now) const {
    std::vector<Member> joiners;
    for (const auto& [joiner, asked] : waiting_) {
        if (joiners.size() == limits::joins_per_view_max || view.rank_of(joiner.node)) continue;
        const bool silent = now - asked > Duration{kSilencesAtMost * ask_again_.ns};
        if (silent) coverage::hit(coverage::Branch::silent_joiner);
        if (!silent) joiners.push_back(joiner);
    }
    return joiners;
}

}  // namespace libderecho
