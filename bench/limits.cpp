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
    const std::string only = "," + settings.text("only", "") + ",";  // names, with commas between
    settings.all_known();
    const auto wanted = [&](const std::string& name) {
        return only == ",," || only.find("," + name + ",") != std::string::npos;
    };
    const Cores cores = two_cores();
    Json out;
    const auto time = [&](const std::string& name, auto&& measure) {
        if (wanted(name)) out.object(name, measure().json());
    };
    const auto number = [&](const std::string& name, auto&& measure) {
        if (wanted(name)) out.number(name, measure());
    };
    out.count("processors", processors().size());
    number("clock_read_ns", [] { return clock_read_ns(); });
    if (cores.two) {  // two that spin on one processor would wait for each other's time slices
        time("cache_line_ns", [&] { return cache_line_round_trips(cores, 5 * rounds); });
        number("cache_line_mean_ns", [&] { return cache_line_mean_ns(cores, 5 * rounds); });
        time("tcp_spin_100b_ns", [&] { return tcp_round_trips(cores, 100, true, rounds); });
    }
    number("ring_of_3_turn_ns", [&] { return ring_of_three_turn_ns(seconds); });
    number("memcpy_streaming_bytes_per_s", [&] { return memcpy_bytes_per_s(10'240, 256 << 20, 2 * seconds); });
    number("memcpy_10kb_cached_bytes_per_s", [&] { return memcpy_bytes_per_s(10'240, 10'240, seconds / 3); });
    time("tcp_blocking_100b_ns", [&] { return tcp_round_trips(cores, 100, false, rounds / 4); });
    number("tcp_stream_bytes_per_s", [&] { return tcp_stream_bytes_per_s(cores, 2 * seconds); });
    time("futex_other_core_ns", [&] { return futex_round_trips(cores.first, cores.second, rounds / 4); });
    time("futex_same_core_ns", [&] { return futex_round_trips(cores.first, cores.first, rounds); });
    time("eventfd_other_core_ns", [&] { return eventfd_round_trips(cores.first, cores.second, rounds / 4); });
    std::puts(out.str().c_str());
    return 0;
}

}  // namespace bench
