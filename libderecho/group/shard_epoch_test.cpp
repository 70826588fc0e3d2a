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
        epoch.start(writer, {});
        step();
    }
    void step() {
        clock.read({{++steps}, steps});
        epoch.step(writer, {steps});
    }
    size_t take(std::span<derecho_event> events) {
        Leases::Batch batch;
        return epoch.take(events, leases, batch);
    }
    size_t take() {
        derecho_event events[8];
        return take(events);
    }
    void all_receive();
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
    HybridClock clock{milliseconds(500)};
    ShardEpoch epoch{fabric, kRegion, {ViewId{1}, ShardIndex{0}, Rank{0}, kMembers}, kRingBytes, clock};
    Leases leases;
    uint64_t steps = 0;
};

TEST_F(ShardEpochTest, whoever_has_acknowledged_half_a_frame_acknowledges_the_rest_or_lags) {
    send();
    step();
    say(1, columns.received, 24);
    say(2, columns.received, 8);
    step();
    EXPECT_EQ(take(), 0u);
    EXPECT_EQ(epoch.offenders(), 0u);
    for (uint64_t ms = 0; ms < 300; ms += 10) epoch.watch(first_ranks(3), {milliseconds(ms).ns}, milliseconds(200));
    EXPECT_TRUE(epoch.lies(2, milliseconds(200)));
    EXPECT_FALSE(epoch.lies(1, milliseconds(200)));
}

TEST_F(ShardEpochTest, who_acknowledges_in_time_does_not_lag) {
    for (const size_t r : {1u, 2u}) frame(r, 0, {.size_bytes = 99, .kind = FrameKind::nulls, .flags = 0, .ticket = 0});
    for (uint64_t ms = 0; ms < 900; ms += 30) {
        send();
        step();
        for (const size_t r : {1u, 2u}) say(r, columns.received, writer.published_bytes() - 8);
        for (const size_t r : {1u, 2u}) say(r, columns.released, writer.published_bytes());
        epoch.watch(first_ranks(3), {milliseconds(ms).ns}, milliseconds(200));
        (void)take();
    }
    for (const size_t r : {1u, 2u}) EXPECT_FALSE(epoch.lies(r, milliseconds(100)));
}

TEST_F(ShardEpochTest, who_lets_others_wait_for_its_rounds_is_found) {
    frame(1, 0, {.size_bytes = 8, .kind = FrameKind::message, .flags = 0, .ticket = 0});
    say(1, columns.sent_rounds, 1);
    step();  // rank 0 fills its round
    step();
    for (const size_t r : {1u, 2u}) say(r, columns.received, writer.published_bytes());
    step();
    EXPECT_EQ(take(), 1u);
    frame(1, 24, {.size_bytes = 8, .kind = FrameKind::message, .flags = 0, .ticket = 0});
    say(1, columns.sent_rounds, 2);
    for (uint64_t ms = 0; ms < 300; ms += 10) {
        step();
        for (const size_t r : {1u, 2u}) say(r, columns.received, writer.published_bytes());
        (void)take();
        epoch.watch(first_ranks(3), {milliseconds(ms).ns}, milliseconds(200));
    }
    EXPECT_TRUE(epoch.lies(2, milliseconds(200)));
    EXPECT_FALSE(epoch.lies(1, milliseconds(200)));
}

TEST_F(ShardEpochTest, what_was_acknowledged_stays_so) {
    send();
    step();
    for (const size_t r : {1u, 2u}) say(r, columns.received, 24);
    step();
    EXPECT_EQ(take(), 1u);
    say(2, columns.received, 8);
    step();
    EXPECT_EQ(epoch.offenders(), just(2));
}

TEST_F(ShardEpochTest, where_a_frame_is_malformed_its_sender_ends_for_all_once_the_view_has) {
    frame(1, 0, {.size_bytes = 8, .kind = FrameKind::message, .flags = 0, .ticket = 0});
    frame(1, 24, {.size_bytes = ~0u - 15, .kind = FrameKind::message, .flags = 0, .ticket = 0});
    say(1, columns.sent, 128);
    say(1, columns.sent_rounds, 2);
    for (const size_t r : {1u, 2u}) say(r, columns.received + 8, 128);
    for (int n = 0; n < 3; ++n) {
        step();
        for (const size_t r : {1u, 2u}) say(r, columns.received, writer.published_bytes());
    }
    frame(2, 0, {.size_bytes = 3, .kind = FrameKind::nulls, .flags = 0, .ticket = 0});
    step();
    EXPECT_EQ(take(), 1u);
    EXPECT_EQ(take(), 0u);
    EXPECT_EQ(epoch.offenders(), just(1));
    send();
    step();
    for (const size_t r : {1u, 2u}) say(r, columns.received, writer.published_bytes());
    step();
    epoch.wedge();
    std::vector<uint64_t> trims;
    epoch.append_trims(first_ranks(3), trims);
    ASSERT_TRUE(epoch.finish(trims));
    EXPECT_EQ(take(), 1u);
    EXPECT_TRUE(epoch.drained());
}

// Honest receivers of what a liar announced half: nobody delivers a half, and an honest sender sends the whole again.
TEST_F(ShardEpochTest, a_message_that_the_trim_cuts_is_delivered_by_nobody_and_sent_again) {
    send();
    step();
    for (const size_t r : {1u, 2u}) say(r, columns.received, 8);
    step();
    epoch.wedge();
    ASSERT_TRUE(epoch.finish(std::vector<uint64_t>{8, 0, 0}));
    EXPECT_EQ(epoch.own_end().trim, 0u);
    EXPECT_EQ(take(), 0u);
    EXPECT_TRUE(epoch.drained());
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

constexpr uint64_t kDrift = milliseconds(500).ns;
constexpr FrameTag kMessage{.size_bytes = 8, .kind = FrameKind::message, .flags = 0, .ticket = 0};

// All have all, and nobody has anything more to say.
void ShardEpochTest::all_receive() {
    for (const size_t r : {1u, 2u}) {
        frame(r, r == 1 ? 24 : 0, {.size_bytes = 9, .kind = FrameKind::nulls, .flags = 0, .ticket = 0});
        say(r, columns.sent_rounds, r == 1 ? 10 : 9);
    }
    for (int n = 0; n < 3; ++n) {
        step();
        for (const size_t r : {1u, 2u}) say(r, columns.received, writer.published_bytes());
    }
}

TEST_F(ShardEpochTest, a_message_is_delivered_at_the_latest_time_that_one_has_borne) {
    send();
    send();
    step();
    say(1, columns.ring + 8, 100);  // its time
    frame(1, 0, kMessage);
    all_receive();
    derecho_event events[8];
    ASSERT_EQ(take(events), 3u);
    EXPECT_LT(events[0].timestamp_ns, 9u) << "its own sender's";
    EXPECT_EQ(events[1].timestamp_ns, 100u);
    EXPECT_EQ(events[2].timestamp_ns, 100u) << "it was sent earlier, and comes later";
}

TEST_F(ShardEpochTest, a_message_from_too_far_ahead_is_not_delivered_and_convicts_its_sender) {
    frame(1, 0, kMessage);
    say(1, columns.ring + 8, 2 * kDrift + 1'000'000);
    all_receive();
    for (const uint64_t time : {2 * kDrift + 1'000'000, uint64_t{1} << 63, ~uint64_t{0}}) {
        say(1, columns.ring + 8, time);
        EXPECT_EQ(take(), 0u);
        EXPECT_TRUE(epoch.lies(1, Duration{kNever.ns}));
    }
    EXPECT_EQ(epoch.offenders(), 0u) << "the clock has not been read since";
    step();
    EXPECT_EQ(epoch.offenders(), just(1));
}

TEST_F(ShardEpochTest, a_clock_that_was_not_read_for_a_while_convicts_nobody) {
    say(1, columns.ring + 8, 3 * kDrift);
    frame(1, 0, kMessage);
    all_receive();
    EXPECT_EQ(take(), 0u);
    steps += 2 * kDrift;  // this node was stopped
    step();
    EXPECT_EQ(epoch.offenders(), 0u);
    EXPECT_EQ(take(), 1u);
}

TEST_F(ShardEpochTest, what_a_clock_that_is_a_little_ahead_delivered_is_held_against_its_sender) {
    say(1, columns.ring + 8, kDrift + 1'000'000);
    frame(1, 0, kMessage);
    all_receive();
    EXPECT_EQ(take(), 1u);
    step();  // by a clock that was read after it
    EXPECT_EQ(epoch.offenders(), 0u);
    EXPECT_TRUE(epoch.lies(1, Duration{kNever.ns}));
    EXPECT_FALSE(epoch.lies(2, Duration{kNever.ns}));
    epoch.wedge();
    step();
    EXPECT_EQ(epoch.offenders(), 0u) << "it is for those to accuse it whose clocks say more";
}

TEST_F(ShardEpochTest, what_was_delivered_by_a_clock_that_was_not_read_for_a_while_is_held_against_nobody) {
    say(1, columns.ring + 8, kDrift + 1'000'000);
    frame(1, 0, kMessage);
    all_receive();
    EXPECT_EQ(take(), 1u);
    steps += kDrift;  // this node was stopped
    step();
    EXPECT_FALSE(epoch.lies(1, Duration{kNever.ns}));
    epoch.wedge();
    step();
    EXPECT_EQ(epoch.offenders(), 0u);
}

TEST_F(ShardEpochTest, a_trim_ends_before_what_is_ahead_unless_somebody_has_delivered_it) {
    say(1, columns.ring + 24 + 8, 3 * kDrift);
    frame(1, 0, kMessage);
    frame(1, 24, kMessage);
    step();
    epoch.wedge();
    EXPECT_EQ(load(reinterpret_cast<const uint64_t*>(fabric.ours(kRegion).data() + columns.stable + 8)), 24u);
    std::vector<uint64_t> trims;
    epoch.append_trims(first_ranks(3), trims);
    EXPECT_EQ(trims, (std::vector<uint64_t>{0, 24, 0}));
    say(2, columns.stable + 8, 48);
    trims.clear();
    epoch.append_trims(first_ranks(3), trims);
    EXPECT_EQ(trims, (std::vector<uint64_t>{0, 48, 0}));
    EXPECT_TRUE(epoch.fits(trims, first_ranks(3)));
    say(1, columns.ring + 24 + 8, 6 * kDrift);
    EXPECT_FALSE(epoch.fits(trims, first_ranks(3))) << "no honest leader's clock, nor anybody's that it believed";
}

TEST_F(ShardEpochTest, rounds_are_followed_as_far_as_rings_have_room_for_and_nobody_is_blamed_for_more) {
    constexpr uint64_t reach = 3 * kRingBytes / sizeof(FrameHeader);
    say(1, columns.sent_rounds, reach / 2);
    step();
    EXPECT_EQ(writer.published_rounds(), reach / 2);
    say(1, columns.sent_rounds, 1ull << 39);  // it may have been led there from further on
    step();
    EXPECT_EQ(writer.published_rounds(), reach);
    EXPECT_EQ(epoch.offenders(), 0u);
    say(1, columns.sent_rounds, limits::rounds_max + 1);
    step();
    EXPECT_EQ(epoch.offenders(), just(1));
    EXPECT_EQ(writer.published_rounds(), reach);
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
