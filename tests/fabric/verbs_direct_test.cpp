// Reads and writes between applications' buffers, carried out by RDMA devices: who reaches what, in which order, and
// what becomes of it when memory is taken back, or a peer goes. Only where there is a device: `make test-rdma` runs
// these in a machine that has one.
#include <sys/mman.h>
#include <cstring>
#include <thread>

#include "contract.hpp"
#include "fabric/os/memory.hpp"
#include "net_world.hpp"

namespace libderecho::test {
namespace {

using Bytes = std::vector<std::byte>;

Bytes pattern(size_t size, uint8_t first) {
    Bytes bytes(size);
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(first + i * 7 + i / 251);
    return bytes;
}

// Two nodes: one asks, and what the other one has shown it.
class Reach {
public:
    Reach(World& world, NodeId asking, NodeId serving)
        : world_(world), access(world.node(asking).direct(serving)), served(world.node(serving).direct(asking)) {
        connect();
    }
    void connect() {
        asker = nullptr;
        server = nullptr;
        ASSERT_TRUE(access->ask(asker).ok());
        ASSERT_TRUE(served->serve(asker->endpoint(), server).ok());
        asker->connect(server->endpoint());
        const auto connected = [&] { return server->connected() && asker->connected(); };
        ASSERT_TRUE(world_.pump_until(connected, milliseconds(20'000)));
        ASSERT_TRUE(server->connected()->ok() && asker->connected()->ok());
    }
    std::unique_ptr<DirectMemory> show(Bytes& bytes, DirectAccess::Rights rights = {true, true}) {
        std::unique_ptr<DirectMemory> memory;
        EXPECT_TRUE(served->show({bytes}, rights, memory).ok());
        return memory;
    }
    std::unique_ptr<DirectMemory> mine(Bytes& bytes) {
        std::unique_ptr<DirectMemory> memory;
        EXPECT_TRUE(access->register_pieces({bytes}, memory).ok());
        return memory;
    }
    void post(bool read, std::span<std::byte> here, const DirectMemory& key, const std::byte* there, uint32_t remote,
              bool fenced = false) {
        const DirectAsker::Piece piece{here, key.key()};
        asker->post({read, fenced, reinterpret_cast<uintptr_t>(there), remote, {&piece, 1}});
        ++posted;
    }
    // Whether what was posted has been carried out.
    bool done() {
        const auto over = [&] { return came += asker->take_done(), came == posted || asker->settled(); };
        EXPECT_TRUE(world_.pump_until(over, milliseconds(20'000)));
        return came == posted && asker->broken().ok();
    }

private:
    World& world_;

public:
    std::shared_ptr<DirectAccess> access, served;
    std::unique_ptr<DirectAsker> asker;
    std::unique_ptr<DirectServer> server;
    uint64_t posted = 0, came = 0;
};

class VerbsDirectTest : public FabricContract {
protected:
    // That messages go from A to B as before.
    void expect_linked(Region& region) {
        push_word(kA, region, 0, ++pushed_);
        at(kA).flush();
        EXPECT_TRUE(shows(kB, kA, 7, 0, pushed_));
        EXPECT_EQ(world_->count(kA, PeerEvent::Kind::lost) + world_->count(kB, PeerEvent::Kind::lost), 0u);
    }
    uint64_t pushed_ = 0;
};

TEST_P(VerbsDirectTest, bytes_go_there_and_come_back_in_pieces) {
    world_->start_connected(2);
    Reach reach(*world_, kA, kB);
    Bytes there(10'000), here = pattern(10'000, 3);
    const Bytes before = here;
    const auto remote = reach.show(there), local = reach.mine(here);
    std::vector<DirectAsker::Piece> pieces;
    const size_t count = reach.access->limits().pieces_max;
    for (size_t i = 0; i < count; ++i) pieces.push_back({std::span(here).subspan(100 * i, i + 1), local->key()});
    const auto address = reinterpret_cast<uintptr_t>(there.data());
    reach.asker->post({false, false, address + 5, remote->key(), pieces});
    reach.posted = 1;
    ASSERT_TRUE(reach.done());
    size_t offset = 5;
    for (const auto& piece : pieces) {
        EXPECT_TRUE(std::ranges::equal(piece.bytes, std::span(there).subspan(offset, piece.bytes.size())));
        offset += piece.bytes.size();
    }
    std::ranges::fill(here, std::byte{});
    reach.asker->post({true, false, address + 5, remote->key(), pieces});
    reach.posted = 2;
    ASSERT_TRUE(reach.done());
    for (size_t i = 0; i < count; ++i)
        for (size_t j = 0; j < 100; ++j)
            ASSERT_EQ(here[100 * i + j], j <= i ? before[100 * i + j] : std::byte{}) << i << ", " << j;
    EXPECT_EQ(at(kA).stats().rdma.direct_bytes, 2 * (offset - 5));
    EXPECT_EQ(at(kB).stats().rdma.direct_bytes, 0u);
}

TEST_P(VerbsDirectTest, a_key_is_of_no_use_to_any_peer_but_the_one_it_was_made_for) {
    Region* const region = start_with_region(3);
    Reach good(*world_, kA, kB), bad(*world_, kC, kB);
    Bytes there(4096), here = pattern(4096, 3), other = pattern(4096, 5);
    const auto remote = good.show(there), local = good.mine(here), others = bad.mine(other);
    bad.post(false, other, *others, there.data(), remote->key());
    EXPECT_FALSE(bad.done());
    EXPECT_EQ(there, Bytes(4096));
    bad.connect();
    bad.posted = bad.came = 0;
    bad.post(true, other, *others, there.data(), remote->key());
    EXPECT_FALSE(bad.done());
    EXPECT_EQ(other, pattern(4096, 5));
    // Nor over the connection on which it was told this key, to what it was not told of.
    Bytes secret(4096);
    const auto own = bad.show(secret);
    good.post(false, here, *local, there.data(), remote->key());
    EXPECT_TRUE(good.done());
    EXPECT_EQ(there, here);
    good.post(false, here, *local, secret.data(), own->key());
    EXPECT_FALSE(good.done());
    EXPECT_EQ(secret, Bytes(4096));
    expect_linked(*region);
}

TEST_P(VerbsDirectTest, a_key_opens_what_it_was_made_for_and_nothing_beyond_its_end) {
    Region* const region = start_with_region(2);
    Reach reach(*world_, kA, kB);
    Bytes there(64), here(128);
    const auto local = reach.mine(here);
    const auto readable = reach.show(there, {.read = true, .write = false});
    const auto writable = reach.show(there, {.read = false, .write = true});
    const auto refused = [&](bool read, size_t offset, size_t size, uint32_t key) {
        reach.post(read, std::span(here).first(size), *local, there.data() + offset, key);
        EXPECT_FALSE(reach.done()) << read << ", " << offset << ", " << size;
        reach.connect();
        reach.posted = reach.came = 0;
    };
    refused(false, 0, 8, readable->key());
    refused(true, 0, 8, writable->key());
    refused(true, 60, 8, readable->key());
    refused(false, 60, 8, writable->key());
    reach.post(true, std::span(here).first(64), *local, there.data(), readable->key());
    reach.post(false, std::span(here).first(64), *local, there.data(), writable->key());
    EXPECT_TRUE(reach.done());
    expect_linked(*region);
}

TEST_P(VerbsDirectTest, a_fenced_write_does_not_overtake_the_reads_before_it) {
    world_->start_connected(2);
    Reach reach(*world_, kA, kB);
    constexpr size_t kSize = 1 << 20;
    Bytes there = pattern(kSize, 9), here(kSize), fresh(kSize, std::byte{77});
    const Bytes before = there;
    const auto remote = reach.show(there), local = reach.mine(here), source = reach.mine(fresh);
    reach.post(true, here, *local, there.data(), remote->key());
    reach.post(false, fresh, *source, there.data(), remote->key(), true);
    ASSERT_TRUE(reach.done());
    EXPECT_TRUE(here == before);
    EXPECT_TRUE(there == fresh);
}

// Writes and reads follow each other without end when the memory is taken back.
TEST_P(VerbsDirectTest, nothing_lands_once_the_device_was_told_and_the_link_stays) {
    Region* const region = start_with_region(2);
    Reach reach(*world_, kA, kB);
    constexpr size_t kSize = 256 << 10;
    Bytes there(kSize), here(kSize);
    const auto local = reach.mine(here);
    for (uint32_t round = 0; round < 6; ++round) {
        auto remote = reach.show(there);
        const uint32_t key = remote->key();
        Bytes then;
        for (uint32_t n = 0; reach.asker->broken().ok() && n < 1000; ++n) {
            std::ranges::fill(here, static_cast<std::byte>(n));
            while (reach.asker->broken().ok() && reach.posted - reach.came < 8)
                reach.post(reach.posted % 4 == 3, here, *local, there.data(), key, true);
            reach.came += reach.asker->take_done();
            if (remote && n > 10 * round) {
                remote = nullptr;
                then = there;
            }
        }
        EXPECT_FALSE(reach.done()) << "it was not noticed";
        EXPECT_TRUE(there == then);
        expect_linked(*region);
        reach.connect();
        reach.posted = reach.came = 0;
    }
}

TEST_P(VerbsDirectTest, a_lost_peer_reaches_nothing_any_more_and_its_own_requests_end) {
    world_->start_connected(3);
    Reach reach(*world_, kA, kB), other(*world_, kC, kB);
    Bytes there(1 << 20), here(1 << 20, std::byte{1});
    const auto remote = reach.show(there), local = reach.mine(here), others = other.show(there);
    const auto own = other.mine(here);
    for (int i = 0; i < 8; ++i) reach.post(false, here, *local, there.data(), remote->key());
    at(kB).disconnect(kA);  // as by a view without it
    const Bytes then = there;
    std::ranges::fill(here, std::byte{2});
    for (int i = 0; i < 8; ++i) reach.post(false, here, *local, there.data(), remote->key());
    EXPECT_FALSE(reach.done());
    EXPECT_TRUE(there == then);
    std::unique_ptr<DirectServer> again;
    EXPECT_FALSE(reach.served->serve(reach.asker->endpoint(), again).ok()) << "that life is over";
    other.post(false, here, *own, there.data(), others->key());
    EXPECT_TRUE(other.done());
    EXPECT_TRUE(there == here);
}

TEST_P(VerbsDirectTest, an_end_may_go_while_it_is_being_connected) {
    Region* const region = start_with_region(2);
    Reach reach(*world_, kA, kB);
    for (int n = 0; n < 30; ++n) {
        ASSERT_TRUE(reach.access->ask(reach.asker).ok());
        ASSERT_TRUE(reach.served->serve(reach.asker->endpoint(), reach.server).ok());
        reach.asker->connect(reach.server->endpoint());
        std::this_thread::sleep_for(std::chrono::microseconds(100 * n));
    }
    reach.connect();
    Bytes there(100), here = pattern(100, 3);
    const auto remote = reach.show(there), local = reach.mine(here);
    reach.post(false, here, *local, there.data(), remote->key());
    EXPECT_TRUE(reach.done());
    EXPECT_EQ(there, here);
    expect_linked(*region);
}

TEST_P(VerbsDirectTest, a_peer_that_dies_breaks_off_what_is_under_way_before_its_loss_is_told) {
    world_->start_connected(2);
    Reach reach(*world_, kA, kB);
    Bytes there(1 << 20), here(1 << 20);
    const auto remote = reach.show(there), local = reach.mine(here);
    for (int i = 0; i < 16; ++i) reach.post(true, here, *local, there.data(), remote->key());
    reach.server = nullptr;
    world_->kill(kB);
    const auto lost = [&] { return world_->count(kA, PeerEvent::Kind::lost) == 1; };
    ASSERT_TRUE(world_->pump_until(lost, milliseconds(20'000)));
    EXPECT_TRUE(reach.asker->settled());
    const Bytes then = here;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_TRUE(here == then);
    EXPECT_FALSE(at(kA).direct(kB));
}

// Memory that may only be looked at, such as that of a file.
TEST_P(VerbsDirectTest, what_may_not_be_written_to_can_be_sent) {
    world_->start_connected(2);
    Reach reach(*world_, kA, kB);
    Mapping page;
    ASSERT_TRUE(map_anonymous(4096, page).ok());
    std::memset(page.data(), 5, 4096);
    ASSERT_EQ(::mprotect(page.data(), 4096, PROT_READ), 0);
    std::unique_ptr<DirectMemory> local;
    const Status status = reach.access->register_pieces({page.bytes()}, local);
    ASSERT_TRUE(status.ok()) << status.detail;
    Bytes there(4096);
    const auto remote = reach.show(there);
    reach.post(false, page.bytes(), *local, there.data(), remote->key());
    EXPECT_TRUE(reach.done());
    EXPECT_EQ(there, Bytes(4096, std::byte{5}));
}

std::vector<WorldFactory> with_a_device() {
    std::unique_ptr<VerbsDevice> device;
    if (!open_verbs({}, device).ok()) return {};
    return {{"verbs", [] { return std::make_unique<NetWorld>(Wire::verbs); }}};
}

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VerbsDirectTest);
INSTANTIATE_TEST_SUITE_P(Wires, VerbsDirectTest, ::testing::ValuesIn(with_a_device()),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace libderecho::test
