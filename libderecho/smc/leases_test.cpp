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

TEST(Leases, a_batch_of_a_few_rings_never_grows_its_buffer) {
    Leases leases;
    Leases::Batch batch;
    ReleasePoint points[Leases::kMarksAtFirst];
    for (size_t k = 0; k < 2 * limits::leases_max; ++k) {  // so that every buffer was the batch's
        const Leases::Mark* const buffer = batch.marks.data();
        const size_t rings = k < limits::leases_max ? 1 : Leases::kMarksAtFirst;
        for (size_t ring = 0; ring < rings; ++ring) batch.marks.push_back({&points[ring], k});
        EXPECT_EQ(batch.marks.data(), buffer) << "take " << k;
        EXPECT_TRUE(leases.release(leases.open(batch)));
        leases.retire();
    }
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
