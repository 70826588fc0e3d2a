// Letters of peers that must wait, or that nobody answers any more.
#include "smc/mail.hpp"

#include <gtest/gtest.h>

#include <bit>

#include "fabric/fabric_testing.hpp"

namespace libderecho {
namespace {

constexpr NodeId kClient{9}, kOther{8};
constexpr uint64_t kRingBytes = 64 << 10;

class MailTest : public ::testing::Test {
protected:
    void SetUp() override {
        for (const NodeId peer : {kClient, kOther}) mail_.peer_up(peer, 1);
        mail_.step(1);
    }
    // Letters of 8 bytes.
    void arrive(NodeId peer, uint64_t count) {
        const auto region = fabric_.theirs(peer, 0);
        const size_t ring = region.size() - kRingBytes;
        const FrameTag frame{8, FrameKind::mail, 1, 0};
        for (uint64_t i = 0; i < count; ++i) put(region, ring + i * frame_bytes(8), std::bit_cast<uint64_t>(frame));
        put(region, 0, count * frame_bytes(8));
        mail_.step(1);
    }
    std::vector<NodeId> read_all() {
        std::vector<NodeId> from;
        for (Mail::Letter letter; mail_.read(letter); mail_.done(letter)) from.push_back(letter.from);
        return from;
    }

    FakeFabric fabric_{NodeId{1}};
    Mail mail_{fabric_, 1, 1, kRingBytes};
};

TEST_F(MailTest, of_a_peer_that_must_wait_stays_in_its_ring_and_holds_nobody_up) {
    mail_.hold(kClient, true);
    arrive(kClient, 2);
    EXPECT_FALSE(mail_.has_letters());
    arrive(kOther, 1);
    EXPECT_EQ(read_all(), std::vector{kOther});
    mail_.hold(kClient, false);
    EXPECT_TRUE(mail_.has_letters());
    EXPECT_EQ(read_all(), (std::vector{kClient, kClient}));
}

TEST_F(MailTest, of_a_peer_that_is_lost_can_still_be_read) {
    arrive(kClient, 2);
    mail_.peer_lost(kClient);
    mail_.step(1);
    EXPECT_EQ(read_all(), (std::vector{kClient, kClient}));
    mail_.step(1);
    EXPECT_TRUE(fabric_.theirs(kClient, 0).empty()) << "and then its memory is given back";
}

TEST_F(MailTest, that_nobody_answers_any_more_is_dropped_with_its_memory) {
    for (const NodeId client : {NodeId{20}, NodeId{21}}) {
        mail_.peer_up(client, 1);
        mail_.step(1);
        mail_.hold(client, client == NodeId{21});
        arrive(client, 2);
        mail_.peer_lost(client, true);
        EXPECT_EQ(read_all(), std::vector<NodeId>{});
        mail_.step(1);
        EXPECT_TRUE(fabric_.theirs(client, 0).empty());
    }
}

}  // namespace
}  // namespace libderecho
