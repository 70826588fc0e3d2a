// The table of open calls: ids are never used twice, entries are found by id, and the table grows up to its bound.
#include "rpc/calls.hpp"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace libderecho {
namespace {

TEST(Calls, an_entry_is_found_by_its_id_until_it_is_closed) {
    Calls calls;
    const uint64_t id = calls.open(Call::Kind::query, NodeId{7});
    ASSERT_NE(id, 0u);
    Call* call = calls.find(id);
    ASSERT_NE(call, nullptr);
    EXPECT_EQ(call->target, NodeId{7});
    EXPECT_TRUE(calls.any_open());
    calls.close(*call);
    EXPECT_EQ(calls.find(id), nullptr);
    EXPECT_FALSE(calls.any_open());
}

TEST(Calls, what_was_closed_already_is_not_taken_back_once_more) {
    Calls calls;
    const uint64_t closed = calls.open(Call::Kind::query, NodeId{7});
    calls.close(*calls.find(closed));
    calls.withdraw(closed);
    EXPECT_FALSE(calls.any_open());
    const uint64_t open = calls.open(Call::Kind::query, NodeId{7});
    calls.withdraw(closed);
    EXPECT_NE(calls.find(open), nullptr);
    calls.withdraw(open);
    EXPECT_EQ(calls.find(open), nullptr);
    EXPECT_FALSE(calls.any_open());
}

TEST(Calls, ids_are_never_used_twice_even_in_the_same_place) {
    Calls calls;
    std::set<uint64_t> ids;
    for (int i = 0; i < 100'000; ++i) {
        const uint64_t id = i % 2 ? calls.anonymous() : calls.open(Call::Kind::ordered, NodeId{1});
        ASSERT_TRUE(ids.insert(id).second);
        if (Call* call = calls.find(id)) calls.close(*call);
    }
}

TEST(Calls, an_id_that_a_peer_made_up_finds_nothing) {
    Calls calls;
    const uint64_t id = calls.open(Call::Kind::ordered, NodeId{1});
    EXPECT_EQ(calls.find(0), nullptr);
    EXPECT_EQ(calls.find(~0ull), nullptr);
    EXPECT_EQ(calls.find(id + (1 << 17)), nullptr);
    EXPECT_EQ(calls.find(id ^ 1), nullptr);
    EXPECT_EQ(calls.find(calls.anonymous()), nullptr);
}

TEST(Calls, nearly_all_of_its_bound_can_be_open_and_then_no_more) {
    Calls calls;
    std::vector<uint64_t> ids;
    while (const uint64_t id = calls.open(Call::Kind::ordered, NodeId{1})) ids.push_back(id);
    EXPECT_GT(ids.size(), limits::calls_max * 9 / 10);
    EXPECT_LE(ids.size(), limits::calls_max);
    for (const uint64_t id : ids) {
        ASSERT_NE(calls.find(id), nullptr);
        calls.close(*calls.find(id));
    }
    EXPECT_NE(calls.open(Call::Kind::ordered, NodeId{1}), 0u);
}

TEST(Calls, threads_open_entries_at_once) {
    Calls calls;
    std::vector<std::vector<uint64_t>> ids(8);
    std::vector<std::thread> threads;
    for (auto& mine : ids)
        threads.emplace_back([&] {
            for (int i = 0; i < 2000; ++i) mine.push_back(calls.open(Call::Kind::query, NodeId{1}));
        });
    for (auto& thread : threads) thread.join();
    std::set<uint64_t> all;
    for (const auto& mine : ids)
        for (const uint64_t id : mine) {
            ASSERT_NE(id, 0u);
            EXPECT_TRUE(all.insert(id).second);
            EXPECT_NE(calls.find(id), nullptr);
        }
}

TEST(Roll, tells_a_life_of_a_member_from_the_next) {
    View before{ViewId{1}, {{NodeId{1}, 10, 0, "a"}, {NodeId{2}, 20, 0, "b"}, {NodeId{3}, 30, 0, "c"}}};
    View after{ViewId{2}, {{NodeId{1}, 10, 0, "a"}, {NodeId{3}, 31, 0, "c"}}};
    const Roll old(before), now(after);
    EXPECT_EQ(old.everybody(), 7u);
    EXPECT_EQ(old.rank_of(NodeId{3}), 2);
    EXPECT_EQ(old.rank_of(NodeId{4}), -1);
    EXPECT_TRUE(now.holds(old, 0));
    EXPECT_FALSE(now.holds(old, 1));
    EXPECT_FALSE(now.holds(old, 2));  // came back as another
}

}  // namespace
}  // namespace libderecho
