// The right to drive is held by one thread at a time, and nobody who waits for it is forgotten.
#include "node/right.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace libderecho {
namespace {

bool never() { return false; }

TEST(Right, is_held_by_one_thread_at_a_time) {
    Right right;
    uint64_t unprotected = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            for (int i = 0; i < 20'000; ++i) {
                const bool mine = right.try_take() || right.wait(kNever, never);
                ASSERT_TRUE(mine);
                ++unprotected;
                right.give();
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(unprotected, 80'000u);
    EXPECT_FALSE(right.somebody_waits());
}

TEST(Right, waiting_ends_at_the_deadline) {
    Right right;
    ASSERT_TRUE(right.try_take());
    const Instant deadline = monotonic_now() + milliseconds(20);
    EXPECT_FALSE(right.wait(deadline, never));
    EXPECT_GE(monotonic_now(), deadline);
    EXPECT_FALSE(right.somebody_waits());
}

TEST(Right, an_interrupt_makes_all_who_wait_look_whether_to_go_on) {
    Right right;
    ASSERT_TRUE(right.try_take());
    std::atomic<bool> stop{false};
    std::atomic<int> gone{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&] {
            EXPECT_FALSE(right.wait(kNever, [&] { return stop.load(); }));
            ++gone;
        });
    right.interrupt();
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    EXPECT_EQ(gone, 0);
    stop = true;
    right.interrupt();
    for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace libderecho
