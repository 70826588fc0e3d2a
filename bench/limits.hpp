// What the machine allows, whatever runs on it. To be measured in the same run as what is compared with it.
#pragma once

#include <string>
#include <vector>

#include "histogram.hpp"
#include "settings.hpp"

namespace bench {

struct Cores {
    int first = 0;
    int second = 0;
    bool two = false;  // otherwise both are the same one
};
Cores two_cores();

// Memory
Histogram cache_line_round_trips(const Cores& cores, uint64_t rounds);
double cache_line_mean_ns(const Cores& cores, uint64_t rounds);  // without reading the clock in between
double ring_of_three_turn_ns(double seconds);                    // 3 processes that yield
double memcpy_bytes_per_s(size_t piece_bytes, size_t working_set_bytes, double seconds);

// Kernel
Histogram tcp_round_trips(const Cores& cores, size_t size_bytes, bool spin, uint64_t rounds);
double tcp_stream_bytes_per_s(const Cores& cores, double seconds);
Histogram futex_round_trips(int here, int there, uint64_t rounds);
Histogram eventfd_round_trips(int here, int there, uint64_t rounds);
double clock_read_ns();

int run_limits(Settings& settings);

}  // namespace bench
