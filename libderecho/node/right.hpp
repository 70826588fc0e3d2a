// The right to drive a node: held by one thread at a time, taken and given without a system call unless somebody waits.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/clock.hpp"

namespace libderecho {

class Right {
public:
    bool try_take() {
        uint32_t word = word_.load(std::memory_order_relaxed);
        return !(word & kHeld) && word_.compare_exchange_strong(word, word | kHeld, std::memory_order_acquire);
    }
    void give() {
        if (waiters(word_.fetch_sub(kHeld, std::memory_order_release)) > 0) [[unlikely]]
            wake(1);
    }
    bool held() const { return word_.load(std::memory_order_relaxed) & kHeld; }
    bool somebody_waits() const { return waiters(word_.load(std::memory_order_relaxed)) > 0; }

    // Wait for it until `deadline`, or until interrupt() and stop() answers true. True if it was taken.
    template <class Stop>
    bool wait(Instant deadline, Stop&& stop) {
        word_.fetch_add(kWaiter, std::memory_order_seq_cst);
        while (true) {
            uint32_t word = word_.load(std::memory_order_acquire);
            if (!(word & kHeld)) {
                if (word_.compare_exchange_weak(word, (word | kHeld) - kWaiter, std::memory_order_acquire)) return true;
                continue;
            }
            if (stop() || !sleep_while(word, deadline)) break;
        }
        word_.fetch_sub(kWaiter, std::memory_order_relaxed);
        return false;
    }
    // Make those who wait ask their stop() again.
    void interrupt() {
        word_.fetch_add(kTurn, std::memory_order_seq_cst);
        wake(INT32_MAX);
    }

private:
    // One word, so that nothing is missed between looking and sleeping: held, how many wait, a count of interrupts.
    static constexpr uint32_t kHeld = 1;
    static constexpr uint32_t kWaiter = 2;
    static constexpr uint32_t kTurn = 1 << 16;
    static uint32_t waiters(uint32_t word) { return (word & (kTurn - 1)) >> 1; }

    bool sleep_while(uint32_t word, Instant deadline);  // false: the deadline passed
    void wake(int threads);

    std::atomic<uint32_t> word_{0};
};

}  // namespace libderecho
