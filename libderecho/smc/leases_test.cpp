// Leases: released in any order, rings move on in the order they were made.
#include "smc/leases.hpp"

#include <gtest/gtest.h>

namespace libderecho {
namespace {

TEST(Leases, a_ring_moves_on_only_when_all_earlier_leases_are_released) {
    Leases leases;
    ReleasePoint point;
    std::vector<uint64_t> ids;
    for (const uint64_t end : {100u, 200u, 300u}) {
        Leases::Batch batch;
        batch.marks.push_back({&point, end});
        ids.push_back(leases.open(batch));
    }
    EXPECT_TRUE(leases.release(ids[2]));
    EXPECT_FALSE(leases.retire());
    EXPECT_EQ(point.position, 0u);
    EXPECT_EQ(point.leases_held, 3u);
    EXPECT_TRUE(leases.release(ids[0]));
    EXPECT_TRUE(leases.retire());
    EXPECT_EQ(point.position, 100u);
    EXPECT_TRUE(leases.release(ids[1]));
    EXPECT_TRUE(leases.retire());
    EXPECT_EQ(point.position, 300u);
    EXPECT_EQ(point.leases_held, 0u);
}

TEST(Leases, nothing_can_be_released_twice_or_unheld) {
    Leases leases;
    ReleasePoint point;
    Leases::Batch batch;
    batch.marks.push_back({&point, 8});
    const uint64_t id = leases.open(batch);
    EXPECT_TRUE(leases.release(id));
    EXPECT_FALSE(leases.release(id));
    EXPECT_FALSE(leases.release(id + 1));
    EXPECT_TRUE(leases.release(0));
    leases.retire();
    EXPECT_FALSE(leases.release(id));
}

TEST(Leases, their_number_is_bounded) {
    Leases leases;
    ReleasePoint point;
    std::vector<uint64_t> ids;
    while (!leases.full()) {
        Leases::Batch batch;
        batch.marks.push_back({&point, 8});
        ids.push_back(leases.open(batch));
    }
    EXPECT_EQ(ids.size(), limits::leases_max);
    leases.release(ids[0]);
    EXPECT_TRUE(leases.full());  // until the driver has seen it
    leases.retire();
    EXPECT_FALSE(leases.full());
}

}  // namespace
}  // namespace libderecho
