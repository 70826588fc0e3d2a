// Views and decisions as bytes: what comes from a peer is checked.
#include "view/view.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/limits.hpp"

namespace libderecho {
namespace {

Decision sample() {
    Decision decision;
    decision.next.id = ViewId{7};
    for (uint32_t i = 0; i < 5; ++i) {
        decision.next.members.push_back(
            {NodeId{i * 3}, 100 + i, i, "127.0.0.1:" + std::to_string(7000 + i), i % 2 == 0});
    }
    decision.trims = {0, 8, 1ull << 40};
    return decision;
}

TEST(Decision, survives_being_written_and_read) {
    ByteWriter out;
    encode(out, sample());
    EXPECT_LE(out.bytes().size(), decision_bytes_max(5, 3));
    Decision read;
    ByteReader in(out.bytes());
    ASSERT_TRUE(decode(in, read));
    EXPECT_EQ(read, sample());
}

TEST(Decision, that_was_cut_is_refused) {
    ByteWriter out;
    encode(out, sample());
    for (size_t length = 0; length < out.bytes().size(); ++length) {
        Decision read;
        ByteReader in(out.bytes().first(length));
        EXPECT_FALSE(decode(in, read)) << length;
    }
}

TEST(Decision, made_of_noise_never_reads_out_of_bounds) {
    std::mt19937 random(1);
    ByteWriter out;
    encode(out, sample());
    for (int i = 0; i < 20000; ++i) {
        std::vector<std::byte> noisy(out.bytes().begin(), out.bytes().end());
        for (int k = 0; k < 4; ++k) noisy[random() % noisy.size()] = static_cast<std::byte>(random());
        Decision read;
        ByteReader in(noisy);
        decode(in, read);  // whatever comes out: the sanitizers look on
        EXPECT_LE(read.next.members.size(), limits::members_max);
    }
}

TEST(View, with_a_node_twice_is_refused) {
    View twice{ViewId{1}, {{NodeId{1}, 1, 0, "a:1"}, {NodeId{1}, 2, 0, "b:1"}}};
    ByteWriter out;
    encode(out, twice);
    View read;
    ByteReader in(out.bytes());
    EXPECT_FALSE(decode(in, read));
}

TEST(View, knows_a_life_from_the_next_one_of_the_same_node) {
    const View view = sample().next;
    EXPECT_TRUE(view.holds(NodeId{3}, 101));
    EXPECT_FALSE(view.holds(NodeId{3}, 102));
    EXPECT_EQ(view.rank_of(NodeId{3}), Rank{1});
    EXPECT_EQ(view.rank_of(NodeId{4}), std::nullopt);
}

}  // namespace
}  // namespace libderecho
