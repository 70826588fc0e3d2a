#include "node/tick_clock.hpp"

namespace libderecho {
namespace {

constexpr Duration kMeasureAtLeast = milliseconds(2);
constexpr Duration kMeasureAtMost = milliseconds(1000);
constexpr Duration kValid = microseconds(200);

}  // namespace

TickClock::TickClock() : anchor_(read_clocks()), anchor_ticks_(ticks()), first_(anchor_), first_ticks_(anchor_ticks_) {}

Now TickClock::tie() {
    anchor_ = read_clocks();
    const uint64_t after = ticks();
    if (anchor_.monotonic.ns < last_ns_) anchor_.monotonic.ns = last_ns_;
    last_ns_ = anchor_.monotonic.ns;
    anchor_ticks_ = after;  // a thread put aside in between only makes the clock late, until it is tied again
    const uint64_t passed_ns = (anchor_.monotonic - first_.monotonic).ns;
    const uint64_t passed_ticks = after - first_ticks_;
    if (passed_ns > kMeasureAtMost.ns || passed_ticks > 1ull << 40) {
        first_ = anchor_;
        first_ticks_ = after;
    } else if (passed_ns >= kMeasureAtLeast.ns && passed_ticks > passed_ns / 100) {
        ns_per_tick_ = (passed_ns << 20) / passed_ticks << (kShift - 20);
        valid_ticks_ = kValid.ns * passed_ticks / passed_ns;
    }
    return anchor_;
}

}  // namespace libderecho
