// Members' wall clocks beside each other. Each shows its own with its heartbeats; one that is far from most counts, at
// its own node, as if it were half of the permitted drift away from them. So no two honest members' hybrid clocks
// (base/clock.hpp) are further apart than that drift, whatever a single wall clock does, and a frame that bears more is
// no honest member's. When most clocks are set, as when a host wakes up, its members do not learn of it all at once:
// their clocks follow only when all can know. Driver only.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "sst/predicates.hpp"

namespace libderecho {

// How far ahead of this member's clock, in drifts.
namespace drifts {
inline constexpr uint64_t suspicious = 1;  // a message: no honest member's; who convicts its sender is believed
inline constexpr uint64_t convicted = 2;   // a message: its sender is convicted
inline constexpr uint64_t proposable = 4;  // of what a leader may propose: it has delivered it, or accepted who has
}  // namespace drifts

class Clocks {
public:
    // `all_know`: what every member shows has come to all others after so long.
    Clocks(HybridClock& clock, Duration all_know) : clock_(clock), all_know_(all_know) {}

    void enter(size_t members, Rank self);
    // The wall clock that a member showed with so many heartbeats. Of the last few, the one that was on its way for the
    // shortest time counts.
    void note(size_t rank, uint64_t beats, uint64_t wall_ns, Instant now);
    // With this node's own: what the hybrid clock may follow, once all of these have shown theirs. Few could be led on
    // by one that is wrong.
    // True if it was time for that.
    bool judge(Now now, RankSet alive);
    // How this node's clock is wrong, in a sentence, if it is further from most members' than the drift; empty if not.
    std::string own_trouble() const;

private:
    static constexpr size_t kSamples = 8;
    struct Peer {
        uint64_t beats = 0;
        size_t samples = 0;
        std::array<int64_t, kSamples> offsets{};  // of its wall clock from this node's monotonic one
    };

    HybridClock& clock_;
    const Duration all_know_;
    static constexpr size_t kJudgements = 16;         // while all come to know
    std::array<int64_t, kJudgements + 1> middles_{};  // the last: what most clocks showed
    size_t judged_ = 0;
    std::vector<int64_t> offsets_;  // of a judgement
    std::vector<Peer> peers_;
    size_t self_ = 0;
    Instant next_{}, last_look_{};
    Instant back_{};        // since when this node looks regularly
    int64_t ahead_ns_ = 0;  // of most members
};

// "3600.0 s"
std::string in_seconds(uint64_t ns);

}  // namespace libderecho
