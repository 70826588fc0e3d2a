// What a wait is made of: its stages, the clock that is read at every step, the reactor's looks.
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <thread>

#include "node/node.hpp"
#include "node/patience.hpp"
#include "node/reactor.hpp"
#include "node/tick_clock.hpp"

namespace libderecho {
namespace {

using Stage = Patience::Stage;

TEST(Patience, spins_then_yields_then_sleeps_and_begins_again_when_something_moves) {
    Patience patience({microseconds(50), microseconds(200)}, Instant{0});
    const auto at = [&](uint64_t us, bool moved = false) { return patience.next(Instant{us * 1000}, moved); };
    EXPECT_EQ(at(0), Stage::spin);
    EXPECT_EQ(at(49), Stage::spin);
    EXPECT_EQ(at(50), Stage::yield);
    EXPECT_EQ(at(249), Stage::yield);
    EXPECT_EQ(at(250), Stage::sleep);
    EXPECT_EQ(at(300, true), Stage::spin);
    EXPECT_EQ(at(349), Stage::spin);
    EXPECT_EQ(at(350), Stage::yield);
}

TEST(Patience, sleeps_at_once_when_it_may_neither_spin_nor_yield) {
    Patience patience({}, Instant{0});
    EXPECT_EQ(patience.next(Instant{0}, false), Stage::sleep);
}

TEST(TickClock, follows_the_clocks_of_the_system_and_never_goes_back) {
    TickClock clock;
    const Instant until = monotonic_now() + milliseconds(100);
    uint64_t last = 0, worst = 0;
    while (monotonic_now() < until) {
        const Now before = read_clocks();
        const Now now = clock.now();
        const Now after = read_clocks();
        ASSERT_GE(now.monotonic.ns, last);
        last = now.monotonic.ns;
        const uint64_t early = (before.monotonic - now.monotonic).ns, late = (now.monotonic - after.monotonic).ns;
        const uint64_t wall_early = before.wall_ns - std::min(before.wall_ns, now.wall_ns);
        worst = std::max({worst, late, after.monotonic - before.monotonic < microseconds(5) ? early : 0});
        EXPECT_LT(wall_early, 10'000'000u);
    }
    EXPECT_LT(worst, 5'000'000u) << "ns off";
}

TEST(Reactor, looks_again_and_again_while_others_drive_and_rests_until_told) {
    std::atomic<int> looks{0};
    std::atomic<bool> rest{false};
    Reactor reactor;
    ASSERT_TRUE(reactor
                    .start([&] {
                        ++looks;
                        return rest ? Reactor::Look::rest : Reactor::Look::driven;
                    })
                    .ok());
    const auto wait_for = [](auto&& what) {
        const Instant give_up = monotonic_now() + milliseconds(5000);
        while (!what() && monotonic_now() < give_up) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return what();
    };
    EXPECT_TRUE(wait_for([&] { return looks > 5; }));
    rest = true;
    EXPECT_TRUE(wait_for([&] { return reactor.resting(); }));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const int before = looks;
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(looks, before);
    rest = false;
    reactor.end_rest();
    EXPECT_TRUE(wait_for([&] { return looks > before + 5; }));
    reactor.stop();
    reactor.stop();
}

TEST(NodeEnd, a_node_that_is_driven_by_its_reactor_can_be_destroyed_at_once) {
    NodeOptions options;
    options.group.self = options.fabric.self = NodeId{1};
    options.group.incarnation = 1;
    options.group.services = {{"raw", 0}};
    options.group.ring_bytes = options.mail_bytes = 64 << 10;
    options.group.message_max_bytes = 1000;
    options.group.found = true;
    options.group.new_group = {1, 2};
    options.fabric.listen = "127.0.0.1:0";
    std::unique_ptr<Node> node;
    const Status joined = Node::join(options, 5000, node);
    ASSERT_TRUE(joined.ok()) << joined.detail;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // the reactor drives, and sleeps
    std::packaged_task<void()> destroy([&] { node.reset(); });
    auto destroyed = destroy.get_future();
    std::thread(std::move(destroy)).detach();
    ASSERT_EQ(destroyed.wait_for(std::chrono::seconds(5)), std::future_status::ready);
}

}  // namespace
}  // namespace libderecho
