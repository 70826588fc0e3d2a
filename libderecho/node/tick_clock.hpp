// The time for a driver that asks for it at every step: the processor's counter, tied to the system's clocks again and
// again. A system clock costs 24 ns and a step needs two of them; this costs a third of one. One thread at a time.
#pragma once

#include <cstdint>

#include "base/clock.hpp"

namespace libderecho {

class TickClock {
public:
    TickClock();

    Now now() {
#if defined(__x86_64__)
        const uint64_t passed = ticks() - anchor_ticks_;
        if (passed < valid_ticks_) [[likely]] {
            const uint64_t ns = passed * ns_per_tick_ >> kShift;
            const uint64_t monotonic = anchor_.monotonic.ns + ns;
            if (monotonic > last_ns_) last_ns_ = monotonic;
            return {{last_ns_}, anchor_.wall_ns + ns};
        }
#endif
        return tie();
    }

private:
    static constexpr unsigned kShift = 32;
    static uint64_t ticks() {
#if defined(__x86_64__)
        return __builtin_ia32_rdtsc();
#else
        return 0;
#endif
    }
    Now tie();

    Now anchor_;
    uint64_t anchor_ticks_ = 0;
    uint64_t valid_ticks_ = 0;  // after the anchor; 0 while the counter's speed is not known
    uint64_t ns_per_tick_ = 0;  // << kShift
    Now first_;                 // the speed is measured from here on
    uint64_t first_ticks_ = 0;
    uint64_t last_ns_ = 0;  // time never goes back, not even from one processor to another
};

}  // namespace libderecho
