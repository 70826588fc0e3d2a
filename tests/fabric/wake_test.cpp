// Waking a node that sleeps never blocks, whatever a peer does with the descriptors that it has: it could fill, empty
// and shut what it shares with others, and take O_NONBLOCK from it.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <thread>

#include <gtest/gtest.h>

#include "net_world.hpp"

namespace libderecho::test {
namespace {

constexpr NodeId kA{1}, kB{2};

// What a hostile peer could do with descriptors that it had copies of: fill eventfds, and let everything block.
void fill_eventfds_and_make_everything_block() {
    for (int fd = 3; fd < 1024; ++fd) {
        const int flags = ::fcntl(fd, F_GETFL);
        if (flags < 0) continue;
        std::error_code gone;
        const auto link = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), gone).string();
        const uint64_t full = ~uint64_t{1};
        if (link.find("[eventfd]") != std::string::npos) {
            EXPECT_EQ(::write(fd, &full, sizeof full), 8);
        }
        int listens = 0;
        socklen_t size = sizeof listens;
        ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size);
        if (!listens) ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
    }
}

// Run on a thread of its own, which is left behind if it hangs.
bool returns_within(int seconds, std::function<void()> what) {
    auto done = std::make_shared<std::promise<void>>();
    std::thread([done, what = std::move(what)] {
        what();
        done->set_value();
    }).detach();
    return done->get_future().wait_for(std::chrono::seconds(seconds)) == std::future_status::ready;
}

TEST(waking, a_peer_that_sleeps_and_never_looks_blocks_nobody_that_wakes_it) {
    auto world = std::make_shared<NetWorld>(Wire::shm);  // left behind with the thread, should it hang
    world->start_connected(2);
    const NodeId readers[] = {kB};
    Region* const region = world->node(kA).expose({7}, 4096, readers);
    ASSERT_TRUE(world->pump_until([&] { return !world->node(kB).mirror(kA, {7}).empty(); }));
    fill_eventfds_and_make_everything_block();
    ASSERT_TRUE(returns_within(20, [world, region] {
        for (int n = 0; n < 20'000; ++n) {
            world->node(kB).arm();  // asleep anew, and it reads nothing
            world->node(kA).push_counters(*region, 0, 8);
            world->node(kA).flush();
            world->node(kB).disarm();
        }
    })) << "a wake blocked";
    EXPECT_GE(world->node(kA).stats().wakes, 20'000u);
    ASSERT_TRUE(returns_within(20, [world] {
        for (const NodeId id : {kB, kA}) {
            world->pump(id);
            world->node(id).arm();
            world->node(id).wait(milliseconds(10));
        }
    })) << "reading blocked";
    EXPECT_TRUE(world->node(kA).connected(kB));
    EXPECT_TRUE(world->node(kB).connected(kA));
}

size_t eventfds() {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        count += std::filesystem::read_symlink(entry, gone).string().find("[eventfd]") != std::string::npos;
    }
    return count;
}

TEST(waking, nothing_that_wakes_a_node_is_given_to_its_peers) {
    const size_t before = eventfds();
    NetWorld world(Wire::shm);
    world.start_connected(3);
    EXPECT_EQ(eventfds() - before, 3u) << "each has one of its own, and no copies of the others'";
}

}  // namespace
}  // namespace libderecho::test
