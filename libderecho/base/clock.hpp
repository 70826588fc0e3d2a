// Time as values. Protocol code gets `now` handed in and never reads a clock itself.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>

namespace libderecho {

// Nanoseconds since an arbitrary start, never going back.
struct Instant {
    uint64_t ns = 0;
    auto operator<=>(const Instant&) const = default;
};

struct Duration {
    uint64_t ns = 0;
    auto operator<=>(const Duration&) const = default;
};

constexpr Duration milliseconds(uint64_t ms) { return {ms * 1'000'000}; }
constexpr Duration microseconds(uint64_t us) { return {us * 1'000}; }
constexpr Instant operator+(Instant at, Duration by) { return {at.ns + by.ns}; }
constexpr Duration operator+(Duration a, Duration b) { return {a.ns + b.ns}; }
// Zero when `later` is not later.
constexpr Duration operator-(Instant later, Instant earlier) {
    return {later.ns > earlier.ns ? later.ns - earlier.ns : 0};
}
constexpr Instant kNever{~0ull};

// What a driver reads before it steps the core: monotonic time for deadlines, wall time for timestamps.
struct Now {
    Instant monotonic;
    uint64_t wall_ns = 0;  // since the Unix epoch
};

Instant monotonic_now();
Now read_clocks();

// What one member takes the time to be: its wall clock, as far as it is near those of the others, and never going back.
// No two members' are further apart than `drift`: see group/clocks.hpp.
class HybridClock {
public:
    explicit HybridClock(Duration drift) : drift_(drift) {}

    // What most members' wall clocks show, as an offset from this node's monotonic clock: at the least and at the most
    // of late. The own wall clock is followed within half of the drift of the least, for the others may not know better
    // yet; and what others say is compared with the most.
    void stay_near(int64_t least, int64_t most) {
        least_ = least - static_cast<int64_t>(drift_.ns / 2);
        most_ = least + static_cast<int64_t>(drift_.ns / 2);
        others_ = most;
    }
    // What a driver read before its step.
    void read(Now now) {
        read_at_ = now.monotonic;
        offset_ = std::clamp(static_cast<int64_t>(now.wall_ns - now.monotonic.ns), least_, most_);
        at_least(at(offset_));
    }
    // Of what was read of the wall clock, as far as it is believed, from the monotonic one.
    int64_t offset() const { return offset_; }
    // The group's time was this already.
    void at_least(uint64_t time_ns) { last_ = std::max(last_, time_ns); }
    // A timestamp for something that happens now.
    uint64_t tick() { return ++last_; }

    Duration drift() const { return drift_; }
    // So many drifts ahead of what any honest member's may be.
    uint64_t ahead_by(uint64_t drifts) const { return std::max(last_, at(others_)) + drifts * drift_.ns; }

private:
    uint64_t at(int64_t offset) const {
        const int64_t time_ns = static_cast<int64_t>(read_at_.ns) + offset;
        return time_ns > 0 ? static_cast<uint64_t>(time_ns) : 0;
    }

    Duration drift_;
    int64_t least_ = INT64_MIN, most_ = INT64_MAX;
    int64_t others_ = -(1ll << 62);
    Instant read_at_{};
    int64_t offset_ = 0;
    uint64_t last_ = 0;
};

}  // namespace libderecho
