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
constexpr Duration kStallsRemembered = milliseconds(60'000);

}  // namespace

void Admissions::asked(Member joiner, Instant now) {
    forget(joiner.node);
    waiting_.push_back({std::move(joiner), now});
}

void Admissions::forget(NodeId node) {
    std::erase_if(waiting_, [&](const Waiting& w) { return w.joiner.node == node; });
}

void Admissions::entered(const View& view, Duration stood_still, Instant now) {
    std::erase_if(waiting_, [&](const Waiting& w) { return view.holds(w.joiner.node, w.joiner.incarnation); });
    const Instant from = std::max(now, next_change_);  // each newcomer costs two changes
    next_change_ = std::min(from + Duration{(kShareOfTime - 1) * stood_still.ns}, now + kLongestWait);
}

// One may be an accident, and others wait to come back: the pause grows with each, until they take their share of time.
void Admissions::pause(const std::string& newcomer, Duration stalled, Instant now) {
    if (now < paused_until_) return;  // they fell silent together
    coverage::hit(coverage::Branch::newcomer_stalled);
    const bool again = stalls_ != 0 && now < paused_until_ + kStallsRemembered;
    stalls_ = again ? std::min(2 * stalls_, kShareOfTime - 1) : 1;
    const Duration pause = std::min(Duration{stalls_ * stalled.ns}, kLongestPause);
    paused_until_ = now + pause;
    paused_why_ =
        newcomer + " joined, held all up for " + std::to_string(stalled.ns / 1'000'000) + " ms and is removed";
    log::warn(paused_why_ + ": nobody is let in for " + std::to_string(pause.ns / 1'000'000) + " ms");
}

std::string Admissions::paused(Instant now) const {
    if (now >= paused_until_) return {};
    const uint64_t left_ms = (paused_until_ - now).ns / 1'000'000 + 1;
    return "nobody is let in for another " + std::to_string(left_ms) + " ms: " + paused_why_;
}

std::vector<Member> Admissions::candidates(const View& view, Instant now) const {
    std::vector<Member> joiners;
    if (now < paused_until_) return joiners;
    for (const auto& [joiner, asked] : waiting_) {
        if (joiners.size() == limits::joins_per_view_max || view.rank_of(joiner.node)) continue;
        const bool silent = now - asked > Duration{kSilencesAtMost * ask_again_.ns};
        if (silent) coverage::hit(coverage::Branch::silent_joiner);
        if (!silent) joiners.push_back(joiner);
    }
    return joiners;
}

}  // namespace libderecho
