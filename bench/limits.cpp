#include "limits.hpp"

#include <algorithm>
#include <cstdio>

#include "machine.hpp"

namespace bench {

Cores two_cores() {
    const std::vector<int> usable = processors();
    if (usable.empty()) return {};
    return {usable.front(), usable.back(), usable.size() > 1};
}

int run_limits(Settings& settings) {
    const double seconds = settings.real("seconds", 0.3);  // for each bandwidth
    const uint64_t rounds = settings.number("rounds", 20'000);
    settings.all_known();
    const Cores cores = two_cores();
    Json out;
    out.count("processors", processors().size()).number("clock_read_ns", clock_read_ns());
    if (cores.two) {  // two that spin on one processor would wait for each other's time slices
        out.number("cache_line_mean_ns", cache_line_mean_ns(cores, 10 * rounds));
        out.object("cache_line_ns", cache_line_round_trips(cores, 10 * rounds).json());
        out.object("tcp_spin_100b_ns", tcp_round_trips(cores, 100, true, rounds).json());
    }
    out.number("ring_of_3_turn_ns", ring_of_three_turn_ns(seconds));
    out.number("memcpy_streaming_bytes_per_s", memcpy_bytes_per_s(10'240, 256 << 20, 2 * seconds));
    out.number("memcpy_10kb_cached_bytes_per_s", memcpy_bytes_per_s(10'240, 10'240, seconds / 3));
    out.object("tcp_blocking_100b_ns", tcp_round_trips(cores, 100, false, rounds / 4).json());
    out.number("tcp_stream_bytes_per_s", tcp_stream_bytes_per_s(cores, 2 * seconds));
    out.object("futex_other_core_ns", futex_round_trips(cores.first, cores.second, rounds / 4).json());
    out.object("futex_same_core_ns", futex_round_trips(cores.first, cores.first, rounds).json());
    out.object("eventfd_other_core_ns", eventfd_round_trips(cores.first, cores.second, rounds / 4).json());
    std::puts(out.str().c_str());
    return 0;
}

}  // namespace bench
