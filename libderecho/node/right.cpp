#include "node/right.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cerrno>
#include <ctime>

namespace libderecho {

// FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC, which an Instant is.
bool Right::sleep_while(uint32_t word, Instant deadline) {
    const timespec at{static_cast<time_t>(deadline.ns / 1'000'000'000), static_cast<long>(deadline.ns % 1'000'000'000)};
    const timespec* until = deadline == kNever ? nullptr : &at;
    const long result = ::syscall(SYS_futex, &word_, FUTEX_WAIT_BITSET_PRIVATE, word, until, nullptr, ~0u);
    return result == 0 || errno != ETIMEDOUT;
}

void Right::wake(int threads) { ::syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, threads, nullptr, nullptr, 0); }

}  // namespace libderecho
