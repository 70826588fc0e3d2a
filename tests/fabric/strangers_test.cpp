// What peers may cost that are in no view: links, handshakes, memory. All but the children are in this process; a Guest
// speaks the handshake and nothing else, so that many of them cost a descriptor each.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <cstring>
#include <fstream>

#include "contract.hpp"
#include "fabric/bootstrap/crowd.hpp"
#include "fabric/os/memory.hpp"
#include "net_world.hpp"

namespace libderecho::test {
namespace {

constexpr uint64_t kMiB = 1 << 20;

bool says(const Status& status, std::string_view part) { return status.detail.find(part) != std::string::npos; }

uint64_t resident_bytes() {
    std::ifstream file("/proc/self/statm");
    uint64_t all = 0, resident = 0;
    file >> all >> resident;
    return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

class StrangersTest : public ::testing::Test {
protected:
    // Greets as a node that fits, and goes on as far as it is told.
    struct Guest {
        UniqueFd socket;
        bool closed() const {
            char bytes[512];
            ssize_t n;
            do n = ::recv(socket.get(), bytes, sizeof bytes, MSG_DONTWAIT);
            while (n > 0);
            return n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
        }
        void send(std::span<const std::byte> message) const {
            ::send(socket.get(), message.data(), message.size(), MSG_NOSIGNAL);
        }
        // Until A has said something.
        bool hears(World& world) const {
            char byte;
            return world.pump_until([&] { return ::recv(socket.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) >= 0; });
        }
    };

    void SetUp() override { world_ = std::make_unique<NetWorld>(Wire::tcp); }

    NetFabric& start(const std::function<void(NetFabricOptions&)>& change = {}) {
        NetFabricOptions options = net_options(kA, 1, Wire::tcp);
        if (change) change(options);
        return world_->start(options);
    }
    Guest greet(uint32_t node, bool client = false) {
        const NetFabricOptions fitting = net_options(NodeId{node}, 1, Wire::tcp);
        Hello hello;
        hello.abi_hash = fitting.abi_hash;
        hello.page_bytes = static_cast<uint32_t>(::sysconf(_SC_PAGESIZE));
        hello.limits = fitting.limits;
        hello.group_name = fitting.group_name;
        hello.services = fitting.services;
        hello.node = fitting.self;
        hello.incarnation = 1;
        hello.client = client;
        hello.wire = Wire::tcp;
        const std::string address = world_->address(kA);
        Guest guest{UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0))};
        sockaddr_in to{};
        to.sin_family = AF_INET;
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
        EXPECT_EQ(::connect(guest.socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
        guest.send(encode(hello));
        return guest;
    }
    Guest link(uint32_t node, bool client = false) {
        Guest guest = greet(node, client);
        EXPECT_TRUE(guest.hears(*world_));
        guest.send(encode(Ready{Wire::tcp, true}));
        world_->pump_until([&] { return at().connected(NodeId{node}) || guest.closed(); });
        return guest;
    }
    NetFabric& at() { return world_->node(kA); }
    Status why_lost() { return world_->events_of(kA).back().status; }

    std::unique_ptr<NetWorld> world_;
};

// ------------------------------------------------------------------------------------------------- handshakes

TEST_F(StrangersTest, who_greets_and_then_says_nothing_keeps_no_node_out_and_takes_no_more_than_a_share) {
    start([](auto& options) { options.connect_timeout = milliseconds(20000); });
    std::vector<Guest> silent;
    for (uint32_t n = 0; n < 200; ++n) {
        silent.push_back(greet(1000 + n));
        world_->settle(milliseconds(1));
    }
    world_->start(net_options(kB, 1, Wire::tcp));
    EXPECT_TRUE(world_->join(kB, kA));
    const auto left = std::ranges::count_if(silent, [](const Guest& guest) { return !guest.closed(); });
    EXPECT_LE(left, limits::handshakes_max);
}

TEST_F(StrangersTest, a_member_on_its_way_is_not_driven_out_by_strangers) {
    start([](auto& options) { options.connect_timeout = milliseconds(20000); });
    const NodeLife member{NodeId{7}, 1};
    at().set_members({&member, 1});
    const Guest slow = greet(7);
    std::vector<Guest> silent;
    for (uint32_t n = 0; n < 200; ++n) {
        silent.push_back(greet(1000 + n));
        world_->settle(milliseconds(1));
    }
    slow.send(encode(Ready{Wire::tcp, true}));
    EXPECT_TRUE(world_->pump_until([&] { return at().connected(NodeId{7}); }));
}

TEST(WhoGivesWay, the_oldest_of_the_host_that_has_most) {
    const auto chosen = [](std::vector<std::string_view> sources) { return who_gives_way(sources); };
    EXPECT_EQ(chosen({"a"}), 0u);
    EXPECT_EQ(chosen({"a", "b", "c"}), 0u) << "all alike: the oldest of all";
    EXPECT_EQ(chosen({"a", "b", "c", "b"}), 1u) << "one from many hosts is not driven out by many from one";
    EXPECT_EQ(chosen({"a", "b", "b", "a", "a"}), 0u);
}

// ------------------------------------------------------------------------------------------------- links

TEST_F(StrangersTest, clients_beyond_clients_max_are_refused_by_its_name_and_members_are_not) {
    start([](auto& options) { options.shares.clients_max = 3; });
    std::vector<Guest> clients;
    for (uint32_t n = 0; n < 3; ++n) clients.push_back(link(1000 + n, true));
    NetFabricOptions fourth = net_options(kC, 1, Wire::tcp);
    fourth.client = true;
    world_->start(fourth);
    world_->node(kC).connect(world_->address(kA));
    ASSERT_TRUE(world_->pump_until([&] { return !world_->events_of(kC).empty(); }));
    const Status why = world_->events_of(kC)[0].status;
    EXPECT_EQ(why.code, DERECHO_NO_MEMORY);
    EXPECT_TRUE(says(why, "node 1 has 3 clients already") && says(why, "clients_max")) << why.detail;
    world_->start(net_options(kB, 1, Wire::tcp));
    EXPECT_TRUE(world_->join(kB, kA));

    clients.pop_back();
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kA, PeerEvent::Kind::lost) == 1; }));
    world_->node(kC).connect(world_->address(kA));
    EXPECT_TRUE(world_->pump_until([&] { return world_->node(kC).connected(kA); })) << "one has gone";
}

TEST_F(StrangersTest, of_too_many_newcomers_the_oldest_gives_way_and_a_member_never_does) {
    start();
    const NodeLife member{NodeId{999}, 1};
    at().set_members({&member, 1});
    const Guest first = link(999);
    std::vector<Guest> newcomers;
    for (uint32_t n = 0; n < limits::newcomers_max + 5; ++n) newcomers.push_back(link(1000 + n));
    ASSERT_TRUE(world_->pump_until([&] { return world_->count(kA, PeerEvent::Kind::lost) == 5; }));
    for (uint32_t n = 0; n < newcomers.size(); ++n) EXPECT_EQ(at().connected(NodeId{1000 + n}), n >= 5) << n;
    EXPECT_TRUE(at().connected(NodeId{999}));
    EXPECT_TRUE(says(why_lost(), "in no view")) << why_lost().detail;
}

TEST_F(StrangersTest, all_clients_and_newcomers_together_leave_room_for_every_member) {
    start();
    std::vector<NodeLife> members;
    for (uint32_t n = 0; n + 1 < limits::members_max; ++n) members.push_back({NodeId{5000 + n}, 1});
    at().set_members(members);
    std::vector<Guest> guests;
    for (uint32_t n = 0; n < limits::clients_max; ++n) guests.push_back(link(1000 + n, true));
    for (uint32_t n = 0; n < limits::newcomers_max; ++n) guests.push_back(link(2000 + n));
    for (const NodeLife& member : members) {
        guests.push_back(link(raw(member.node)));
        EXPECT_TRUE(at().connected(member.node)) << raw(member.node);
    }
    EXPECT_EQ(world_->count(kA, PeerEvent::Kind::lost), 0u);
}

TEST_F(StrangersTest, a_member_takes_its_id_back_from_a_stranger) {
    start();
    const Guest squatter = link(2, true);
    ASSERT_TRUE(at().connected(kB));
    const NodeLife member{kB, 1'000};
    at().set_members({&member, 1});
    NetFabricOptions real = net_options(kB, 1'000, Wire::tcp);
    world_->start(real);
    world_->node(kB).connect(world_->address(kA));
    EXPECT_TRUE(world_->pump_until([&] { return world_->node(kB).connected(kA); }));
    EXPECT_TRUE(world_->pump_until([&] { return squatter.closed(); }));
}

// ------------------------------------------------------------------------------------------------- memory

class StrangersMemoryTest : public StrangersTest, public ::testing::WithParamInterface<Wire> {
protected:
    void SetUp() override { world_ = std::make_unique<NetWorld>(GetParam()); }
    NetFabricOptions options(NodeId id, uint64_t incarnation, bool client) {
        NetFabricOptions made = net_options(id, incarnation, GetParam());
        made.client = client;
        return made;
    }
    // A process that shows a full region of that size, and stays until it is killed.
    pid_t show(const NetFabricOptions& mine, size_t size_bytes) {
        const std::string address = world_->address(kA);
        const pid_t child = ::fork();
        if (child != 0) return child;
        std::unique_ptr<NetFabric> fabric;
        if (!open_net_fabric(mine, fabric).ok()) ::_exit(1);
        fabric->connect(address);
        const NodeId readers[] = {kA};
        Region* region = fabric->expose({7}, size_bytes, readers);
        std::memset(region->bytes().data(), 1, size_bytes);
        fabric->push_data(*region, 0, size_bytes);
        fabric->flush();
        std::vector<PeerEvent> events;
        for (;;) {
            fabric->poll(monotonic_now(), events);
            ::usleep(100);
        }
    }
    static void end(pid_t child) {
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
    }
};

TEST_P(StrangersMemoryTest, what_nobody_asked_for_is_given_back_when_its_owner_goes) {
    world_->start(options(kA, 1, false));
    const uint64_t before = resident_bytes();
    const NodeLife member{kB, 5};
    at().set_members({&member, 1});
    for (uint64_t life = 1; life <= 5; ++life) {
        const pid_t child = show(options(kB, life, life % 2 == 0), 32 * kMiB);
        EXPECT_TRUE(world_->pump_until([&] { return at().stats().memory_bytes >= 32 * kMiB; }));
        if (GetParam() == Wire::tcp) world_->settle(milliseconds(20));  // some of it arrives
        end(child);
        EXPECT_TRUE(world_->pump_until([&] { return world_->count(kA, PeerEvent::Kind::lost) == life; }));
    }
    world_->settle();  // what a member showed last stays until that was heard of
    EXPECT_EQ(at().stats().memory_bytes, 0u);
    EXPECT_LT(resident_bytes(), before + 8 * kMiB);
}

TEST_P(StrangersMemoryTest, who_shows_more_than_its_share_is_lost_with_the_reason) {
    NetFabricOptions strict = options(kA, 1, false);
    strict.shares.client = {.region_bytes_max = kMiB, .total_bytes_max = 2 * kMiB, .regions_max = 2};
    strict.shares.newcomer = {.region_bytes_max = 2 * kMiB, .total_bytes_max = 3 * kMiB, .regions_max = 3};
    world_->start(strict);
    const struct {
        bool client;
        std::vector<size_t> regions;
        const char* why;  // null: that is allowed
    } cases[] = {
        {true, {kMiB + 4096}, "outside the limits"},         {true, {kMiB, kMiB}, nullptr},
        {true, {4096, 4096, 4096}, "exceeds the memory"},    {false, {2 * kMiB, kMiB}, nullptr},
        {false, {2 * kMiB, 2 * kMiB}, "exceeds the memory"},
    };
    uint64_t life = 0;
    for (const auto& each : cases) {
        world_->events_of(kA).clear();
        world_->start(options(kB, ++life, each.client));
        ASSERT_TRUE(world_->join(kB, kA));
        const NodeId readers[] = {kA};
        for (size_t i = 0; i < each.regions.size(); ++i) world_->node(kB).expose({7 + i}, each.regions[i], readers);
        const RegionId last{6 + each.regions.size()};
        const auto shown = [&] { return !at().mirror(kB, last).empty(); };
        const auto lost = [&] { return world_->count(kA, PeerEvent::Kind::lost) == 1; };
        EXPECT_TRUE(world_->pump_until([&] { return each.why ? lost() : shown(); })) << life;
        if (each.why) {
            EXPECT_TRUE(says(why_lost(), each.why)) << why_lost().detail;
        }
        for (size_t i = 0; i < each.regions.size(); ++i) world_->node(kA).forget(kB, {7 + i});
        world_->kill(kB);
        ASSERT_TRUE(world_->pump_until([&] { return !at().connected(kB); }));
    }
}

TEST_P(StrangersMemoryTest, who_becomes_a_member_may_show_what_members_may) {
    NetFabricOptions strict = options(kA, 1, false);
    strict.shares.newcomer = {.region_bytes_max = kMiB, .total_bytes_max = kMiB, .regions_max = 2};
    world_->start(strict);
    world_->start(options(kB, 1, false));
    ASSERT_TRUE(world_->join(kB, kA));
    const NodeLife member{kB, 1};
    at().set_members({&member, 1});
    const NodeId readers[] = {kA};
    world_->node(kB).expose({7}, 16 * kMiB, readers);
    EXPECT_TRUE(world_->pump_until([&] { return at().mirror(kB, {7}).size() == 16 * kMiB; }));
}

TEST_P(StrangersMemoryTest, newcomers_together_take_no_more_than_the_next_members_need) {
    NetFabricOptions strict = options(kA, 1, false);
    strict.shares.newcomers_bytes_max = 4 * kMiB;
    strict.shares.newcomer_idle_bytes = 64 << 10;
    world_->start(strict);
    const NodeLife self{kA, 1};
    at().set_members({&self, 1});
    const NodeId readers[] = {kA};
    for (uint32_t n = 2; n <= 7; ++n) {
        world_->start(options(NodeId{n}, 1, false));
        ASSERT_TRUE(world_->join(NodeId{n}, kA));
        const size_t size = n == 2 ? 32 << 10 : kMiB;  // the first asks to be let in, and waits
        world_->node(NodeId{n}).expose({7}, size, readers);
        world_->settle(milliseconds(5));
    }
    EXPECT_TRUE(world_->pump_until([&] { return world_->count(kA, PeerEvent::Kind::lost) == 1; }));
    EXPECT_TRUE(at().connected(kB)) << "it has not much";
    EXPECT_FALSE(at().connected(kC)) << "the oldest of those that have";
    EXPECT_TRUE(says(why_lost(), "memory that it takes is needed")) << why_lost().detail;
    EXPECT_LE(at().stats().memory_bytes, 4 * kMiB + (32 << 10));
}

INSTANTIATE_TEST_SUITE_P(Wires, StrangersMemoryTest, ::testing::Values(Wire::shm, Wire::tcp),
                         [](const auto& each) { return std::string(wire_name(each.param)); });

}  // namespace
}  // namespace libderecho::test
