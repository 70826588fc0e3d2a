#include "base/clock.hpp"

#include <ctime>

namespace libderecho {
namespace {

uint64_t read(clockid_t id) {
    timespec t{};
    clock_gettime(id, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1'000'000'000ull + static_cast<uint64_t>(t.tv_nsec);
}

}  // namespace

Instant monotonic_now() { return {read(CLOCK_MONOTONIC)}; }
Now read_clocks() { return {{read(CLOCK_MONOTONIC)}, read(CLOCK_REALTIME)}; }

}  // namespace libderecho
