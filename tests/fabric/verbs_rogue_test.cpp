// A peer over RDMA that breaks the rules: it writes where it may not, drops its queue pair, lies in what it says. It
// loses its link, once and with the reason, and from then on nothing of it lands. Only where there is a device:
// `make test-rdma` runs these in a machine that has one.
#include <netinet/in.h>
#include <sys/socket.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <thread>
#include <vector>

#include "contract.hpp"
#include "fabric/bootstrap/handshake.hpp"
#include "fabric/verbs/device.hpp"
#include "net_world.hpp"

namespace libderecho::test {
namespace {

constexpr size_t kMirrorBytes = 8192;
constexpr uint64_t kRegion = 7;

// Speaks as a node does, as far as a test lets it.
class Rogue {
public:
    explicit Rogue(const std::string& address) {
        VerbsOptions options;
        options.ack_timeout = 14;
        options.retries = 6;  // with 7 Soft-RoCE would never give up
        if (Status status = open_verbs(options, device_); !status.ok()) throw std::runtime_error(status.detail);
        socket_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
        EXPECT_EQ(::connect(socket_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
        EXPECT_TRUE(map_anonymous(4096, memory_).ok() && device_->register_memory(memory_.bytes(), false, key_).ok());
    }

    Hello hello(const NetFabricOptions& like) const {
        Hello hello;
        hello.abi_hash = like.abi_hash;
        hello.page_bytes = static_cast<uint32_t>(::sysconf(_SC_PAGESIZE));
        hello.limits = like.limits;
        hello.group_name = like.group_name;
        hello.services = like.services;
        hello.node = kB;
        hello.incarnation = 1;
        hello.wire = like.wire;
        hello.address = "127.0.0.1:1";
        hello.verbs = device_->address();
        return hello;
    }

    void say(const std::vector<std::byte>& message) { EXPECT_TRUE(send_whole(socket_.get(), message)); }
    void say(VerbsMessageKind kind, uint64_t region, uint64_t size_bytes = 0) {
        VerbsMessage message;
        message.kind = static_cast<uint32_t>(kind);
        message.region = region;
        message.size_bytes = size_bytes;
        EXPECT_EQ(::send(socket_.get(), &message, sizeof message, MSG_NOSIGNAL), ssize_t{sizeof message});
    }
    // The next bootstrap message, which is to be of this kind.
    std::vector<std::byte> hear(World& world, BootstrapKind kind) {
        Status why;
        auto result = MessageReader::Result::nothing;
        world.pump_until([&] {
            result = reader_.read(socket_.get(), why);
            return result != MessageReader::Result::nothing;
        });
        EXPECT_EQ(result, MessageReader::Result::message) << why.detail;
        EXPECT_EQ(reader_.kind(), kind);
        return {reader_.body().begin(), reader_.body().end()};
    }
    // An answer on the link.
    VerbsMessage hear(World& world) {
        VerbsMessage message;
        EXPECT_TRUE(world.pump_until(
            [&] { return ::recv(socket_.get(), &message, sizeof message, MSG_DONTWAIT) == ssize_t{sizeof message}; }));
        return message;
    }

    // Its end of the RDMA connection, as the dialer.
    void connect(World& world) {
        ASSERT_TRUE(parts_.make(*device_, true).ok());
        say(encode(parts_.endpoint()));
        const auto theirs = decode_endpoint(hear(world, BootstrapKind::verbs));
        ASSERT_TRUE(theirs);
        parts_.connect(*theirs);
        ASSERT_TRUE(world.pump_until([&] { return pair().connected().has_value(); }));
        ASSERT_TRUE(pair().connected()->ok());
        parts_.probe();
        ASSERT_TRUE(world.pump_until([&] { return device_->poll(), pair().landed() == pair().added(); }));
        say(encode(Ready{.wire = Wire::verbs, .never_up = true}));
        hear(world, BootstrapKind::go);
    }
    // A region of its own, and the mirror that it may write to.
    void announce(World& world) {
        say(VerbsMessageKind::announce, kRegion, kMirrorBytes);
        mirror_ = hear(world);
        ASSERT_EQ(mirror_.kind, static_cast<uint32_t>(VerbsMessageKind::key));
        write(1, parts_.theirs.control_address + offsetof(VerbsControl, synced), parts_.theirs.control_key);
    }
    void write(uint64_t value, uint64_t to, uint32_t key) {
        std::memcpy(memory_.data(), &value, sizeof value);
        pair().add({memory_.data(), sizeof value, key_->local_key(), key, to}, true);
        pair().post();
    }
    void write(uint64_t value, uint64_t offset) { write(value, mirror_.address + offset, mirror_.key); }
    // Returns when it has landed, or never will.
    void fill_mirror(uint64_t value) {
        auto* words = reinterpret_cast<uint64_t*>(memory_.data());
        std::fill_n(words, memory_.size() / sizeof value, value);
        for (size_t at = 0; at < kMirrorBytes; at += memory_.size())
            pair().add(
                {words, static_cast<uint32_t>(memory_.size()), key_->local_key(), mirror_.key, mirror_.address + at},
                true);
        pair().post();
        while (!settled()) std::this_thread::yield();
    }
    // What became of its writes: landed, or an error.
    bool settled() { return device_->poll(), !pair().broken().ok() || pair().landed() == pair().added(); }

    VerbsPair& pair() { return *parts_.pair; }
    void drop_pair() { parts_.pair.reset(); }

private:
    std::unique_ptr<VerbsDevice> device_;
    UniqueFd socket_;
    MessageReader reader_;
    Mapping memory_;
    std::shared_ptr<VerbsMemory> key_;
    VerbsParts parts_;
    VerbsMessage mirror_;
};

std::vector<std::string> devices() {
    std::unique_ptr<VerbsDevice> device;
    return open_verbs({}, device).ok() ? std::vector{device->name()} : std::vector<std::string>{};
}

class RoguePeer : public ::testing::TestWithParam<std::string> {
protected:
    // Linked, with a mirror in which it has written 1.
    void meet() {
        NetFabricOptions options = net_options(kA, 1, Wire::verbs);
        options.verbs.ack_timeout = 14;
        options.verbs.retries = 6;  // with 7 Soft-RoCE would never give up
        node_ = &world_.start(options);
        rogue_ = std::make_unique<Rogue>(world_.address(kA));
        rogue_->say(encode(rogue_->hello(options)));
        rogue_->hear(world_, BootstrapKind::hello);
        rogue_->connect(world_);
        ASSERT_TRUE(world_.pump_until([&] { return node_->connected(kB); }));
        rogue_->announce(world_);
        rogue_->write(1, 0);
        ASSERT_TRUE(world_.pump_until([&] { return seen() == 1; }));
    }
    uint64_t seen(size_t offset = 0) {
        const auto mirror = node_->mirror(kB, {kRegion});
        return mirror.empty() ? 0 : word(mirror, offset);
    }
    // That it is lost; the reason.
    std::string loss() {
        EXPECT_TRUE(
            world_.pump_until([&] { return world_.count(kA, PeerEvent::Kind::lost) > 0; }, milliseconds(20'000)));
        return world_.events_of(kA).empty() ? "" : world_.events_of(kA).back().status.detail;
    }
    void expect_lost_once_and_for_good() {
        world_.settle(milliseconds(100));
        EXPECT_EQ(world_.count(kA, PeerEvent::Kind::lost), 1u);
        EXPECT_FALSE(node_->connected(kB));
        EXPECT_EQ(seen(), 1u) << "its mirror stays as it was";
        // The node itself is as good as ever.
        world_.start(NodeId{3});
        EXPECT_TRUE(world_.join(NodeId{3}, kA));
    }
    static void expect(const std::string& text, std::string_view part) {
        EXPECT_NE(text.find(part), std::string::npos) << text;
    }

    NetWorld world_{Wire::verbs};
    NetFabric* node_ = nullptr;
    std::unique_ptr<Rogue> rogue_;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RoguePeer);
INSTANTIATE_TEST_SUITE_P(Rdma, RoguePeer, ::testing::ValuesIn(devices()),
                         [](const auto& tested) { return tested.param; });

TEST_P(RoguePeer, a_write_outside_the_memory_it_was_given_costs_it_the_link) {
    meet();
    rogue_->write(2, kMirrorBytes);
    const std::string why = loss();
    expect(why, "its RDMA connection broke: this end of it stopped, as after a write to memory that is not given");
    ASSERT_TRUE(world_.pump_until([&] { return rogue_->settled(); }));
    expect(rogue_->pair().broken().detail, "it refused a write as one that it had not allowed");
    expect_lost_once_and_for_good();
}

TEST_P(RoguePeer, a_queue_pair_that_is_gone_is_a_lost_peer_as_soon_as_something_is_pushed) {
    meet();
    Region* const region = node_->expose({8}, 4096, std::array{kB});
    ASSERT_EQ(rogue_->hear(world_).region, 8u);
    rogue_->say(VerbsMessageKind::key, 8);
    rogue_->drop_pair();
    node_->push_counters(*region, 0, 8);
    node_->flush();
    expect(loss(), "its RDMA connection broke: it acknowledges nothing that is sent to it (transport retry counter ");
    expect_lost_once_and_for_good();
}

TEST_P(RoguePeer, a_key_that_opens_nothing_costs_it_the_link) {
    meet();
    Region* const region = node_->expose({8}, 4096, std::array{kB});
    ASSERT_EQ(rogue_->hear(world_).region, 8u);
    rogue_->say(VerbsMessageKind::key, 8);  // 0, at address 0
    node_->push_counters(*region, 0, 8);
    node_->flush();
    expect(loss(),
           "its RDMA connection broke: it refused a write as one that it had not allowed (remote access error)");
    expect_lost_once_and_for_good();
}

TEST_P(RoguePeer, nothing_lands_any_more_once_its_loss_was_reported) {
    meet();
    rogue_->say(VerbsMessageKind::key, 99);
    EXPECT_EQ(loss(), "it sent a malformed message");
    rogue_->write(2, 0);  // its queue pair knows of nothing yet
    ASSERT_TRUE(world_.pump_until([&] { return rogue_->settled(); }, milliseconds(20'000)));
    EXPECT_FALSE(rogue_->pair().broken().ok());
    expect_lost_once_and_for_good();
}

TEST_P(RoguePeer, a_region_that_was_forgotten_and_not_retired_cannot_be_announced_again) {
    meet();
    node_->forget(kB, {kRegion});
    rogue_->say(VerbsMessageKind::announce, kRegion, kMirrorBytes);
    EXPECT_EQ(loss(), "region 7 was announced twice");
}

TEST_P(RoguePeer, lies_on_the_link_cost_it_the_link) {
    const struct {
        VerbsMessageKind kind;
        uint64_t region, size_bytes;
        const char* why;
    } lies[] = {
        {VerbsMessageKind::announce, kRegion, kMirrorBytes, "region 7 was announced twice"},
        {VerbsMessageKind::announce, 9, 0, "region 9 of 0 bytes is outside the limits"},
        {VerbsMessageKind::announce, 9, 1ull << 40, "region 9 of 1099511627776 bytes is outside the limits"},
        {VerbsMessageKind::unwanted, 9, 0, "it sent a malformed message"},
        {static_cast<VerbsMessageKind>(77), kRegion, 0, "it sent a malformed message"},
    };
    meet();
    for (const auto& lie : lies) {
        if (&lie != lies) {
            world_.kill(kA);
            world_.events_of(kA).clear();
            meet();
        }
        rogue_->say(lie.kind, lie.region, lie.size_bytes);
        EXPECT_EQ(loss(), lie.why);
    }
}

// A peer fills its whole mirror over and over while it is cut off: the fence is not a write's end, but at once.
TEST_P(RoguePeer, nothing_lands_any_more_of_what_it_is_writing_when_it_is_cut_off) {
    meet();
    const auto mirror = node_->mirror(kB, {kRegion});
    std::atomic<bool> over = false;
    std::thread writer([&] {
        for (uint64_t round = 2; !over; ++round) rogue_->fill_mirror(round);
    });
    EXPECT_TRUE(world_.pump_until([&] { return seen() > 100; }));
    node_->disconnect(kB);
    const std::vector<std::byte> at_the_fence(mirror.begin(), mirror.end());
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    EXPECT_TRUE(std::ranges::equal(mirror, at_the_fence)) << seen() << " after " << word(at_the_fence, 0);
    over = true;
    writer.join();
}

}  // namespace
}  // namespace libderecho::test
