// What a member makes of counters and frames that no honest peer writes: it blames who lied, and nobody else, and it
// does not stop for long.
#include "group/shard_epoch.hpp"

#include <gtest/gtest.h>

#include <bit>

#include "fabric/fabric_testing.hpp"

namespace libderecho {
namespace {

constexpr RegionId kRegion{1 << 8 | 1};
constexpr uint64_t kRingBytes = 1024;
constexpr uint32_t kBillions = ~0u;
const std::vector<NodeId> kMembers{NodeId{10}, NodeId{11}, NodeId{12}};

// Rank 0; the test plays ranks 1 and 2.
class ShardEpochTest : public ::testing::Test {
protected:
    ShardEpochTest() {
        epoch.start(writer, {}, 1);
        step();
    }
    void step() { epoch.step(writer, clock, {{++steps}, steps}); }
    size_t take() {
        Leases::Batch batch;
        derecho_event events[8];
        return epoch.take(events, leases, batch, clock);
    }
    void say(size_t rank, size_t offset, uint64_t value) { put(fabric.theirs(kMembers[rank], kRegion), offset, value); }
    // The next frame of a peer, which all three have received.
    void frame(size_t rank, uint64_t at, FrameTag tag) {
        say(rank, columns.ring + at, std::bit_cast<uint64_t>(tag));
        say(rank, columns.sent, at + whole_frame_bytes(tag));
        for (const size_t r : {1u, 2u}) say(r, columns.received + 8 * rank, at + whole_frame_bytes(tag));
    }
    void send() {
        Claim claim;
        ASSERT_EQ(writer.claim(8, claim), RingWriter::Result::ok);
        ASSERT_TRUE(writer.commit(claim, FrameKind::message, 0, 8));
    }

    const ShardColumns columns{3, kRingBytes};
    FakeFabric fabric{kMembers[0]};
    RingWriter writer{kRingBytes};
    ShardEpoch epoch{fabric, kRegion, {ViewId{1}, ShardIndex{0}, Rank{0}, kMembers}, kRingBytes};
    HybridClock clock;
    Leases leases;
    uint64_t steps = 0;
};

TEST_F(ShardEpochTest, half_a_frame_is_not_acknowledged_by_anybody_honest) {
    send();
    step();
    say(1, columns.received, 24);
    say(2, columns.received, 8);
    step();
    EXPECT_EQ(take(), 0u);
    EXPECT_EQ(epoch.offenders(), just(2));
}

TEST_F(ShardEpochTest, half_a_frame_is_not_sent_by_anybody_honest) {
    send();
    step();
    for (const size_t r : {1u, 2u}) say(r, columns.received, 24);
    frame(1, 0, {.size_bytes = 64, .kind = FrameKind::message, .flags = 0, .ticket = 0});
    say(1, columns.sent, 24);
    for (const size_t r : {1u, 2u}) say(r, columns.received + 8, 24);
    step();
    EXPECT_EQ(take(), 1u);
    EXPECT_EQ(epoch.offenders(), just(1));
}

TEST_F(ShardEpochTest, nobody_honest_is_ahead_by_more_rounds_than_rings_hold) {
    say(1, columns.sent_rounds, 3 * kRingBytes / sizeof(FrameHeader));
    step();
    EXPECT_EQ(epoch.offenders(), 0u);
    const uint64_t caught_up = writer.published_rounds();
    say(1, columns.sent_rounds, 1ull << 40);
    step();
    EXPECT_EQ(epoch.offenders(), just(1));
    EXPECT_EQ(writer.published_rounds(), caught_up);
}

TEST_F(ShardEpochTest, billions_of_rounds_in_which_nobody_says_anything_are_passed_at_once) {
    ASSERT_TRUE(writer.claim_nulls(kBillions));
    step();
    for (const size_t r : {1u, 2u}) {
        say(r, columns.received, writer.published_bytes());
        frame(r, 0, {.size_bytes = kBillions, .kind = FrameKind::nulls, .flags = 0, .ticket = 0});
    }
    step();
    EXPECT_EQ(take(), 0u);
    EXPECT_EQ(epoch.sequence(), 3ull * kBillions);
    EXPECT_FALSE(epoch.deliverable());
}

TEST_F(ShardEpochTest, billions_of_rounds_of_one_are_passed_at_once_when_the_others_have_ended) {
    frame(1, 0, {.size_bytes = kBillions, .kind = FrameKind::nulls, .flags = 0, .ticket = 0});
    step();
    epoch.wedge();
    const uint64_t trims[] = {0, 16, 0};
    ASSERT_TRUE(epoch.finish(trims));
    EXPECT_EQ(take(), 0u);
    EXPECT_TRUE(epoch.drained());
}

}  // namespace
}  // namespace libderecho
