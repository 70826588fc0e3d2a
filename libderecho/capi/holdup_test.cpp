// Nobody holds the others up unseen: errors, statistics and the view say who does, for how long and why; where an
// option says so it is removed, and finds out why. Real members, of which one's application stops.
#include "capi/capi_testing.hpp"

namespace libderecho {
namespace {

using namespace capi_testing;

const Texts kQuick{{"ring_bytes", "65536"}, {"heartbeat_ms", "10"}, {"suspect_ms", "400"}};

Texts quick_with(const std::string& key, const std::string& value) {
    Texts texts = kQuick;
    texts[key] = value;
    return texts;
}

derecho_holdup holdup_at(const TestNode& node, uint32_t of = DERECHO_ANY_NODE) {
    derecho_holdup holdup{};
    holdup.struct_bytes = sizeof holdup;
    EXPECT_DERECHO_OK(derecho_group_holdup(node.group, of, &holdup));
    return holdup;
}

class a_member_that_holds_the_others_up : public testing::Test {
protected:
    // Send until there is no room, while `polling` poll.
    void fill(TestNode& sender, const Nodes& polling) {
        const std::string text(1000, 'x');
        derecho_status status = DERECHO_OK;
        for (int n = 0; n < 1000 && status == DERECHO_OK; ++n) {
            status = derecho_shard_send(sender.shard, text.data(), text.size(), nullptr);
            for (TestNode* node : polling) node->poll();
        }
        ASSERT_EQ(DERECHO_AGAIN, status);
    }
    TestNode a{1}, b{2}, c{3};
};

TEST_F(a_member_that_holds_the_others_up, is_named_by_errors_statistics_and_view_when_it_does_not_poll) {
    ASSERT_NO_FATAL_FAILURE(form({&a, &b, &c}, kQuick));
    ASSERT_NO_FATAL_FAILURE(fill(a, {&a, &b}));
    ASSERT_TRUE(pump({&a, &b}, [&] {
        const auto told = [](const TestNode& at) { return holdup_at(at).cause == DERECHO_HOLDUP_NOT_POLLING; };
        return told(a) && told(b) && told(c);
    }));
    const derecho_holdup found = holdup_at(b);
    EXPECT_EQ(3u, found.node);
    EXPECT_GE(found.lasted_ms, 100u);
    EXPECT_NE(std::string::npos, std::string(found.text)
                                     .find("node 3 at " + c.address() +
                                           " holds others up: its "
                                           "application has not polled for "))
        << found.text;
    EXPECT_EQ(DERECHO_HOLDUP_NONE, holdup_at(a, 2).cause);
    EXPECT_STREQ("", holdup_at(a, 2).text);

    const std::string text(1000, 'x');
    EXPECT_EQ(DERECHO_AGAIN, derecho_shard_send(a.shard, text.data(), text.size(), nullptr));
    EXPECT_NE(std::string::npos, std::string(derecho_last_error()).find("there is no room: node 3 at "))
        << derecho_last_error();

    derecho_stats stats{};
    stats.struct_bytes = sizeof stats;
    EXPECT_DERECHO_OK(derecho_group_stats(a.group, &stats));
    EXPECT_EQ(3u, stats.holdup_node);
    EXPECT_EQ(DERECHO_HOLDUP_NOT_POLLING, stats.holdup);
    EXPECT_GE(stats.holdup_ms, 100u);
    EXPECT_EQ(DERECHO_HOLDUP_NOT_POLLING, a.view().members[2].holdup);
    EXPECT_EQ(DERECHO_HOLDUP_NONE, a.view().members[1].holdup);

    EXPECT_EQ(3u, holdup_at(c).node) << "it can find out itself";
    EXPECT_EQ(0, std::string(holdup_at(c).text).find("this node's own application has not polled for "));

    ASSERT_TRUE(pump({&a, &b, &c}, [&] { return holdup_at(a).cause == DERECHO_HOLDUP_NONE; })) << "it polls again";
    EXPECT_DERECHO_OK(derecho_shard_send(a.shard, text.data(), text.size(), nullptr));
}

TEST_F(a_member_that_holds_the_others_up, is_told_apart_when_it_polls_and_keeps_what_it_takes) {
    ASSERT_NO_FATAL_FAILURE(form({&a, &b, &c}, kQuick));
    std::vector<uint64_t> kept;
    const auto take_and_keep = [&] {
        derecho_event events[32];
        size_t count = 0;
        uint64_t lease = 0;
        EXPECT_DERECHO_OK(derecho_poll(c.group, events, 32, 0, &count, &lease));
        if (lease) kept.push_back(lease);
    };
    ASSERT_NO_FATAL_FAILURE(fill(a, {&a, &b}));
    ASSERT_TRUE(pump({&a, &b}, [&] {
        take_and_keep();
        return holdup_at(b).cause == DERECHO_HOLDUP_NOT_RELEASING;
    }));
    EXPECT_EQ(3u, holdup_at(b).node);
    for (const uint64_t lease : kept) EXPECT_DERECHO_OK(derecho_release(c.group, lease));
    ASSERT_TRUE(pump({&a, &b, &c}, [&] { return holdup_at(b).cause == DERECHO_HOLDUP_NONE; }));
}

TEST_F(a_member_that_holds_the_others_up, is_not_removed_unless_an_option_says_so) {
    ASSERT_NO_FATAL_FAILURE(form({&a, &b, &c}, kQuick));
    ASSERT_NO_FATAL_FAILURE(fill(a, {&a, &b}));
    ASSERT_TRUE(pump({&a, &b}, [&] { return holdup_at(a).lasted_ms > 1'500; })) << "longer than suspect_ms allows";
    EXPECT_EQ(3u, a.view().member_count);
}

TEST_F(a_member_that_holds_the_others_up, is_removed_where_an_option_says_so_and_learns_why) {
    ASSERT_NO_FATAL_FAILURE(form({&a, &b, &c}, quick_with("slow_member_ms", "300")));
    ASSERT_NO_FATAL_FAILURE(fill(a, {&a, &b}));
    ASSERT_TRUE(pump({&a, &b}, [&] { return a.view().member_count == 2 && b.view().member_count == 2; }));
    const std::string text(1000, 'x');
    EXPECT_DERECHO_OK(derecho_shard_send(a.shard, text.data(), text.size(), nullptr));
    ASSERT_TRUE(pump({&a, &b, &c}, [&] { return c.count(DERECHO_EVENT_CLOSED) == 1; }));
    EXPECT_EQ(DERECHO_EJECTED, c.all(DERECHO_EVENT_CLOSED)[0]->event.status);
    EXPECT_EQ(DERECHO_EJECTED, derecho_group_leave(c.group, 0));
    EXPECT_NE(std::string::npos, std::string(derecho_last_error()).find("this node's own application has not polled"))
        << derecho_last_error();
}

TEST_F(a_member_that_holds_the_others_up, is_not_removed_where_too_few_would_be_left) {
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}, quick_with("slow_member_ms", "200")));
    ASSERT_NO_FATAL_FAILURE(fill(a, {&a}));
    ASSERT_TRUE(pump({&a}, [&] { return holdup_at(a).lasted_ms > 600; }));
    EXPECT_EQ(2u, a.view().member_count) << "one of two is no majority";
    ASSERT_TRUE(pump({&a, &b}, [&] { return holdup_at(a).cause == DERECHO_HOLDUP_NONE; }));
}

TEST_F(a_member_that_holds_the_others_up, is_not_one_that_has_nothing_to_take) {
    ASSERT_NO_FATAL_FAILURE(form({&a, &b}, quick_with("slow_member_ms", "100")));
    const auto end = Clock::now() + std::chrono::milliseconds(500);
    ASSERT_TRUE(pump({&a}, [&] { return Clock::now() > end; }));
    EXPECT_EQ(DERECHO_HOLDUP_NONE, holdup_at(a).cause);
    EXPECT_EQ(2u, a.view().member_count);
}

}  // namespace
}  // namespace libderecho
