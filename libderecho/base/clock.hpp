// Time as values. Protocol code gets `now` handed in and never reads a clock itself.
#pragma once

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

// Hybrid logical time: close to the wall clock, yet larger than every timestamp this node has seen.
class HybridClock {
public:
    // A timestamp for something that happens now.
    uint64_t tick(uint64_t wall_ns) {
        last_ = wall_ns > last_ ? wall_ns : last_ + 1;
        return last_;
    }
    void observe(uint64_t timestamp) {
        if (timestamp > last_) last_ = timestamp;
    }

private:
    uint64_t last_ = 0;
};

}  // namespace libderecho
