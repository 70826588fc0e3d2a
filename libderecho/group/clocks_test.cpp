#include "group/clocks.hpp"

#include <gtest/gtest.h>

namespace libderecho {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr Duration kAllKnow{2 * kSecond};
constexpr uint64_t kEpoch = 1'700'000'000 * kSecond;  // what right wall clocks show at monotonic time 0

// Rank 0; the others' clocks are `off_s` seconds wrong.
class ClocksTest : public ::testing::Test {
protected:
    ClocksTest() { clocks.enter(3, Rank{0}); }
    void beat(size_t rank, double off_s, uint64_t late_ns = 0) {
        clocks.note(rank, ++beats, kEpoch + mono + static_cast<uint64_t>(static_cast<int64_t>(off_s * 1e9)),
                    {mono + late_ns});
    }
    // Where the hybrid clock is, in seconds from the right time.
    double read(double off_s) {
        mono += kAllKnow.ns / 16;
        const Now now{{mono}, kEpoch + mono + static_cast<uint64_t>(static_cast<int64_t>(off_s * 1e9))};
        clocks.judge(now, first_ranks(members));
        clock.read(now);
        HybridClock copy = clock;
        return static_cast<double>(static_cast<int64_t>(copy.tick() - 1 - kEpoch - mono)) / 1e9;
    }
    // What others' times are compared with.
    double limit() const { return static_cast<double>(static_cast<int64_t>(clock.ahead_by(0) - kEpoch - mono)) / 1e9; }

    HybridClock clock{milliseconds(500)};
    Clocks clocks{clock, kAllKnow};
    size_t members = 3;
    uint64_t beats = 0;
    uint64_t mono = 100 * kSecond;
};

TEST_F(ClocksTest, a_clock_among_the_others_is_believed) {
    beat(1, -0.1);
    beat(2, 0.3);
    EXPECT_NEAR(read(0.2), 0.2, 1e-6);
    EXPECT_EQ(clocks.own_trouble(), "");
}

TEST_F(ClocksTest, one_that_is_set_wrong_counts_as_half_of_the_drift_away_from_the_others) {
    beat(1, 0);
    beat(2, 0.1);
    EXPECT_NEAR(read(86400), 0.1 + 0.25, 1e-6);
    EXPECT_NE(clocks.own_trouble().find("far ahead of"), std::string::npos);
}

TEST_F(ClocksTest, a_node_that_was_stopped_does_not_take_its_own_clock_for_wrong) {
    read(0);
    const uint64_t stopped = 3 * kSecond;
    mono += stopped;
    beat(1, -3);  // shown before, and seen only now
    beat(2, -3);
    read(0);
    EXPECT_EQ(clocks.own_trouble(), "");
    for (int i = 0; i < 20; ++i) {
        beat(1, -3);
        beat(2, -3);
        read(0);
    }
    EXPECT_NE(clocks.own_trouble().find("far ahead of"), std::string::npos) << "what is so for long counts";
}

TEST_F(ClocksTest, time_never_goes_back) {
    EXPECT_EQ(read(0), 0) << "nobody else is known yet";
    beat(1, 0);
    beat(2, 0);
    EXPECT_NEAR(read(-86400), -0.125, 1e-6) << "it stood still";
    EXPECT_NEAR(read(-86400), -0.25, 1e-6) << "it goes on as soon as it may";
    EXPECT_NEAR(read(-86400), -0.25, 1e-6);
    EXPECT_NE(clocks.own_trouble().find("far behind"), std::string::npos);
}

TEST_F(ClocksTest, of_two_the_one_that_is_ahead_gives_way) {
    clocks.enter(members = 2, Rank{0});
    beat(1, 0);
    EXPECT_NEAR(read(3600), 0.25, 1e-6);
}

TEST_F(ClocksTest, when_all_clocks_are_set_the_time_follows_them_as_soon_as_all_can_know) {
    beat(1, 0);
    beat(2, 0);
    EXPECT_EQ(read(0), 0);
    for (int n = 0; n < 15; ++n) {
        beat(1, 3600);
        beat(2, 3600);
        EXPECT_NEAR(read(3600), 0.25, 1e-6) << "the others may not believe it yet";
        EXPECT_NEAR(limit(), 3600, 1e-6) << "and may know it already";
    }
    for (int n = 0; n < 3; ++n) read(3600);
    EXPECT_NEAR(read(3600), 3600, 1e-6);
}

TEST_F(ClocksTest, a_heartbeat_that_was_long_on_its_way_does_not_make_a_clock_late) {
    for (int n = 0; n < 8; ++n) {
        beat(1, 0, n == 3 ? 0 : 3 * kSecond);
        beat(2, 0, n == 5 ? 0 : 3 * kSecond);
    }
    EXPECT_EQ(read(0), 0);
    EXPECT_EQ(clocks.own_trouble(), "");
}

TEST_F(ClocksTest, at_the_beginning_of_a_view_what_was_known_stands) {
    beat(1, 0);
    beat(2, 0);
    EXPECT_EQ(read(0), 0);
    clocks.enter(members = 4, Rank{0});
    beat(1, -86400);
    EXPECT_NEAR(read(86400), 0.25, 1e-6);
}

TEST_F(ClocksTest, what_a_liar_shows_harms_nobody) {
    for (const uint64_t lie : {uint64_t{0}, ~uint64_t{0}, uint64_t{1} << 63}) {
        clocks.note(1, ++beats, lie, {mono});
        beat(2, 0.1);
        EXPECT_NEAR(read(0), 0, 0.1 + 1e-6) << lie;
    }
}

}  // namespace
}  // namespace libderecho
