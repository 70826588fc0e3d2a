#include "group/admissions.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace libderecho {
namespace {

constexpr Instant at_ms(uint64_t ms) { return {milliseconds(ms).ns}; }
Member node(uint32_t id) { return {NodeId{id}, 1, 0, "10.0.0.1:7000"}; }

class AdmissionsTest : public ::testing::Test {
protected:
    View view{ViewId{1}, {node(1)}};
    Admissions admissions{milliseconds(50)};
};

TEST_F(AdmissionsTest, who_asked_is_a_candidate_until_it_is_in) {
    admissions.asked(node(2), at_ms(0));
    admissions.asked(node(2), at_ms(50));
    EXPECT_EQ(admissions.candidates(view, at_ms(60)), std::vector{node(2)});
    EXPECT_EQ(admissions.next_change(), Instant{});
    view.members.push_back(node(2));
    admissions.entered(view, milliseconds(1), at_ms(70));
    EXPECT_TRUE(admissions.candidates(view, at_ms(70)).empty());
}

TEST_F(AdmissionsTest, who_has_fallen_silent_is_not_let_in_before_it_asks_again) {
    admissions.asked(node(2), at_ms(0));
    admissions.asked(node(3), at_ms(150));
    EXPECT_EQ(admissions.candidates(view, at_ms(250)), std::vector{node(3)});
    admissions.asked(node(2), at_ms(260));
    EXPECT_EQ(admissions.candidates(view, at_ms(260)).size(), 2u);
}

TEST_F(AdmissionsTest, changes_take_no_more_than_a_tenth_of_the_time) {
    uint64_t stood_still = 0, ms = 0;
    while (ms < 10'000) {
        if (at_ms(++ms) < admissions.next_change()) continue;
        stood_still += 3;
        admissions.entered(view, milliseconds(3), at_ms(ms += 3));
    }
    EXPECT_NEAR(static_cast<double>(stood_still) / static_cast<double>(ms), 0.1, 0.01);
}

TEST_F(AdmissionsTest, after_a_slow_change_nobody_waits_for_ever) {
    admissions.entered(view, milliseconds(30'000), at_ms(0));
    EXPECT_EQ(admissions.next_change(), at_ms(500));
}

TEST_F(AdmissionsTest, after_a_newcomer_that_held_all_up_nobody_is_let_in_for_a_while_whyever_the_view_changes) {
    const auto may_come = [&](uint64_t ms) {
        admissions.asked(node(3), at_ms(ms));
        return !admissions.candidates(view, at_ms(ms)).empty();
    };
    admissions.pause("node 2", milliseconds(2000), at_ms(10'000));
    admissions.pause("node 4", milliseconds(2000), at_ms(10'000));  // with it: that counts once
    EXPECT_FALSE(may_come(10'000));
    EXPECT_EQ(admissions.paused(at_ms(10'500)),
              "nobody is let in for another 1501 ms: node 2 joined, held all up for 2000 ms and is removed");
    EXPECT_EQ(admissions.paused(at_ms(12'000)), "");
    admissions.entered(view, milliseconds(1), at_ms(10'500));
    EXPECT_FALSE(may_come(11'999));
    EXPECT_TRUE(may_come(12'000));
    admissions.pause("node 2", milliseconds(2000), at_ms(14'000));
    EXPECT_FALSE(may_come(17'999));
    EXPECT_TRUE(may_come(18'000));
    for (uint64_t ms : {20'000u, 40'000u, 70'000u}) admissions.pause("node 2", milliseconds(2000), at_ms(ms));
    EXPECT_EQ(admissions.next_change(), at_ms(88'000));
    admissions.pause("node 2", milliseconds(2000), at_ms(160'000));  // long after
    EXPECT_EQ(admissions.next_change(), at_ms(162'000));
}

TEST_F(AdmissionsTest, a_view_takes_in_so_many_at_once) {
    for (uint32_t id = 2; id < 200; ++id) admissions.asked(node(id), at_ms(0));
    EXPECT_EQ(admissions.candidates(view, at_ms(1)).size(), size_t{limits::joins_per_view_max});
}

}  // namespace
}  // namespace libderecho
