#include "group/clocks.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace libderecho {
namespace {

constexpr int64_t kOffsetMax = 1ll << 62;  // 146 years: what a liar shows must not overflow

}  // namespace

std::string in_seconds(uint64_t ns) {
    return std::to_string(ns / 1'000'000'000) + "." + std::to_string(ns / 100'000'000 % 10) + " s";
}

void Clocks::enter(size_t members, Rank self) {
    peers_.assign(members, {});
    self_ = raw(self);
}

void Clocks::note(size_t rank, uint64_t beats, uint64_t wall_ns, Instant now) {
    Peer& peer = peers_[rank];
    if (beats == peer.beats || wall_ns == 0) return;  // 0: it is not here yet
    peer.beats = beats;
    peer.offsets[peer.samples++ % kSamples] =
        std::clamp(static_cast<int64_t>(wall_ns - now.ns), -kOffsetMax, kOffsetMax);
}

bool Clocks::judge(Now now, RankSet alive) {
    const Instant before = std::exchange(last_look_, now.monotonic);
    if (before != Instant{} && now.monotonic - before > Duration{clock_.drift().ns / 2}) back_ = now.monotonic;
    if (now.monotonic < next_) return false;
    next_ = now.monotonic + Duration{all_know_.ns / kJudgements};
    const auto own = static_cast<int64_t>(now.wall_ns - now.monotonic.ns);
    offsets_.assign(1, own);
    for (size_t r = 0; r < peers_.size(); ++r) {
        const size_t samples = std::min(peers_[r].samples, kSamples);
        if (r == self_ || !has(alive, r)) continue;
        if (samples == 0) return false;
        offsets_.push_back(*std::ranges::max_element(std::span(peers_[r].offsets).first(samples)));
    }
    // Of two, the one that is behind: nobody is led on by a clock that is ahead.
    const auto middle = offsets_.begin() + static_cast<ptrdiff_t>((offsets_.size() - 1) / 2);
    std::nth_element(offsets_.begin(), middle, offsets_.end());
    // Who was away took what others showed meanwhile for what they show now.
    const bool just_back = back_ != Instant{} && now.monotonic - back_ < all_know_;
    ahead_ns_ = just_back ? 0 : own - *middle;
    middles_[judged_++ % middles_.size()] = *middle;
    const auto [least, most] =
        std::ranges::minmax_element(std::span(middles_).first(std::min(judged_, middles_.size())));
    clock_.stay_near(*least, *most);
    return true;
}

std::string Clocks::own_trouble() const {
    const uint64_t off = ahead_ns_ < 0 ? -static_cast<uint64_t>(ahead_ns_) : static_cast<uint64_t>(ahead_ns_);
    if (off <= clock_.drift().ns) return {};
    return "the clock of this node is far " + std::string(ahead_ns_ > 0 ? "ahead of" : "behind") +
           " those of most members, further than option clock_drift_ms allows: it is not believed; set it, by NTP for "
           "instance";
}

}  // namespace libderecho
