#include "group/newcomers.hpp"

#include <gtest/gtest.h>

namespace libderecho {
namespace {

constexpr Duration kPatience = milliseconds(8000);

Instant at_ms(uint64_t ms) { return Instant{} + milliseconds(ms); }

PeerEvent up(uint32_t node, bool client = false) {
    PeerEvent event;
    event.kind = PeerEvent::Kind::up;
    event.peer = NodeId{node};
    event.incarnation = 1;
    event.client = client;
    return event;
}

View view_of(std::initializer_list<uint32_t> nodes) {
    View view{ViewId{1}, {}};
    for (const uint32_t node : nodes) view.members.push_back({NodeId{node}, 1, 0, "127.0.0.1:1"});
    return view;
}

using Nodes = std::vector<NodeId>;

TEST(Newcomers, who_does_not_ask_to_join_is_dropped_and_named_once) {
    Newcomers newcomers(kPatience);
    newcomers.peer_event(up(4), at_ms(1000));
    newcomers.peer_event(up(5), at_ms(1000));
    newcomers.peer_event(up(6, true), at_ms(1000));  // a client need not
    newcomers.peer_event(up(1), at_ms(1000));
    newcomers.heard_from(NodeId{5}, at_ms(6000));
    EXPECT_EQ(newcomers.take_silent(view_of({1, 2}), at_ms(8000)), Nodes{});
    EXPECT_EQ(newcomers.take_silent(view_of({1, 2}), at_ms(10'000)), Nodes{NodeId{4}});
    EXPECT_EQ(newcomers.take_silent(view_of({1, 2}), at_ms(12'000)), Nodes{});
    EXPECT_EQ(newcomers.take_silent(view_of({1, 2}), at_ms(15'000)), Nodes{NodeId{5}});
}

TEST(Newcomers, a_member_that_was_removed_has_as_long_again) {
    Newcomers newcomers(kPatience);
    newcomers.peer_event(up(2), at_ms(0));
    EXPECT_EQ(newcomers.take_silent(view_of({1, 2}), at_ms(20'000)), Nodes{});
    EXPECT_EQ(newcomers.take_silent(view_of({1}), at_ms(27'000)), Nodes{});
    EXPECT_EQ(newcomers.take_silent(view_of({1}), at_ms(29'000)), Nodes{NodeId{2}});
}

TEST(Newcomers, who_is_lost_is_forgotten) {
    Newcomers newcomers(kPatience);
    newcomers.peer_event(up(4), at_ms(0));
    PeerEvent lost = up(4);
    lost.kind = PeerEvent::Kind::lost;
    newcomers.peer_event(lost, at_ms(1));
    EXPECT_EQ(newcomers.take_silent(view_of({1}), at_ms(20'000)), Nodes{});
}

}  // namespace
}  // namespace libderecho
