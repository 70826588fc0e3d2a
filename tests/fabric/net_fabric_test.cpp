// What is special about real fabrics: who may connect, what strangers can do on the listen port, what the kernel
// guards.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <thread>

#include "contract.hpp"
#include "fabric/os/host.hpp"
#include "fabric/os/memory.hpp"
#include "net_world.hpp"

namespace libderecho::test {
namespace {

class NetFabricTest : public ::testing::Test {
protected:
    NetFabricOptions options(NodeId id, Wire wire = Wire::automatic) { return net_options(id, 1, wire); }
    NetFabricOptions impatient_options(NodeId id) {
        NetFabricOptions made = options(id);
        made.connect_timeout = milliseconds(300);
        return made;
    }
    // What B is told when it dials A.
    Status refusal(const NetFabricOptions& a, const NetFabricOptions& b) {
        NetWorld world(Wire::automatic);
        world.start(a);
        world.start(b);
        world.node(b.self).connect(world.address(a.self));
        const bool ended = world.pump_until([&] { return !world.events_of(b.self).empty(); });
        EXPECT_TRUE(ended);
        if (!ended) return {};
        EXPECT_EQ(world.events_of(b.self)[0].kind, PeerEvent::Kind::refused);
        EXPECT_EQ(world.events_of(b.self)[0].address, world.address(a.self));
        EXPECT_FALSE(world.node(a.self).connected(b.self));
        return world.events_of(b.self)[0].status;
    }
    static bool says(const Status& status, std::string_view part) {
        return status.detail.find(part) != std::string::npos;
    }
};

// A plain TCP client that knows nothing of Derecho.
UniqueFd stranger(const std::string& address) {
    UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1))));
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return socket;
}
bool closed_by_other_side(int socket) {
    char byte;
    const ssize_t n = ::recv(socket, &byte, 1, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
}

// ------------------------------------------------------------------------------------------------- opening

TEST_F(NetFabricTest, a_bad_listen_address_is_refused_with_what_is_accepted) {
    for (const char* address :
         {"nowhere", "127.0.0.1", "127.0.0.1:", "127.0.0.1:70000", ":7001", "127.0.0.1:7x", "::1:7001"}) {
        NetFabricOptions wrong = options(kA);
        wrong.listen = address;
        std::unique_ptr<NetFabric> fabric;
        const Status status = open_net_fabric(wrong, fabric);
        EXPECT_EQ(status.code, DERECHO_INVALID) << address;
        EXPECT_TRUE(says(status, address)) << status.detail;
    }
    NetFabricOptions none = options(kA);
    none.listen = "";
    std::unique_ptr<NetFabric> fabric;
    EXPECT_EQ(open_net_fabric(none, fabric).code, DERECHO_INVALID);
}

TEST_F(NetFabricTest, an_address_in_use_is_named) {
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    NetFabricOptions second = options(kB);
    second.listen = world.address(kA);
    std::unique_ptr<NetFabric> fabric;
    const Status status = open_net_fabric(second, fabric);
    EXPECT_EQ(status.code, DERECHO_ADDRESS_IN_USE);
    EXPECT_TRUE(says(status, world.address(kA))) << status.detail;
}

TEST_F(NetFabricTest, an_address_of_another_host_cannot_be_listened_at) {
    NetFabricOptions wrong = options(kA);
    wrong.listen = "192.0.2.1:0";
    std::unique_ptr<NetFabric> fabric;
    EXPECT_EQ(open_net_fabric(wrong, fabric).code, DERECHO_INVALID);
}

TEST_F(NetFabricTest, who_listens_everywhere_says_where_it_is_reached) {
    for (const char* everywhere : {"0.0.0.0:0", "[::]:0"}) {
        NetFabricOptions open = options(kA);
        open.listen = everywhere;
        std::unique_ptr<NetFabric> fabric;
        const Status status = open_net_fabric(open, fabric);
        EXPECT_EQ(status.code, DERECHO_INVALID) << everywhere;
        EXPECT_TRUE(says(status, "advertise")) << status.detail;
    }
    NetFabricOptions open = options(kA);
    open.listen = "0.0.0.0:0";
    open.advertise = "127.0.0.1:0";
    NetWorld world(Wire::automatic);
    world.start(open);
    EXPECT_EQ(world.address(kA).substr(0, 10), "127.0.0.1:");
    EXPECT_NE(world.address(kA), "127.0.0.1:0");
    world.start(options(kB));
    ASSERT_TRUE(world.join(kB, kA));
    EXPECT_EQ(world.events_of(kB).back().address, world.address(kA));

    open.advertise = "nowhere";
    std::unique_ptr<NetFabric> fabric;
    EXPECT_EQ(open_net_fabric(open, fabric).code, DERECHO_INVALID);
}

TEST_F(NetFabricTest, without_descriptors_it_does_not_open_and_says_so) {
    {
        // UBSan looks at a type it has not met before through a pipe, which cannot be had below: let it meet them here.
        std::unique_ptr<NetFabric> first;
        ASSERT_TRUE(open_net_fabric(options(kA), first).ok());
    }
    rlimit old{};
    ::getrlimit(RLIMIT_NOFILE, &old);
    const rlimit few{3, old.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
    std::unique_ptr<NetFabric> fabric;
    const Status status = open_net_fabric(options(kA), fabric);
    ::setrlimit(RLIMIT_NOFILE, &old);
    EXPECT_EQ(status.code, DERECHO_NO_MEMORY);
    EXPECT_FALSE(status.detail.empty());
}

// ------------------------------------------------------------------------------------------------- who fits

TEST_F(NetFabricTest, a_difference_is_refused_and_named) {
    const struct {
        std::function<void(NetFabricOptions&)> change;
        std::vector<std::string> words;
    } cases[] = {
        {[](auto& o) { o.abi_hash = 0xbad; }, {"ABI", "0xab1", "0xbad"}},
        {[](auto& o) { o.group_name = "other"; }, {"group", "'contract'", "'other'"}},
        {[](auto& o) { o.services[0].schema_hash = 0x99; }, {"schema of service 'Cache'", "0x11", "0x99"}},
        {[](auto& o) { o.services[1].name = "Logs"; }, {"service 1", "'Log'", "'Logs'"}},
        {[](auto& o) { o.services.pop_back(); }, {"number of services", "2", "1"}},
        {[](auto& o) { o.limits.ring_bytes *= 2; }, {"ring_bytes", "1048576", "2097152"}},
        {[](auto& o) { o.limits.mail_bytes = 5; }, {"mail_bytes", "262144", "5"}},
        {[](auto& o) { o.limits.message_max_bytes = 6; }, {"message_max_bytes", "65536", "6"}},
    };
    for (const auto& each : cases) {
        NetFabricOptions different = options(kB);
        each.change(different);
        const Status status = refusal(options(kA), different);
        EXPECT_EQ(status.code, DERECHO_INCOMPATIBLE) << status.detail;
        for (const std::string& word : each.words) EXPECT_TRUE(says(status, word)) << word << ": " << status.detail;
        EXPECT_TRUE(says(status, "node 1") && says(status, "node 2")) << status.detail;
    }
}

TEST_F(NetFabricTest, a_wire_that_cannot_be_is_refused_naming_why) {
    const Status status = refusal(options(kA, Wire::shm), options(kB, Wire::tcp));
    EXPECT_EQ(status.code, DERECHO_INCOMPATIBLE);
    EXPECT_TRUE(says(status, "wire shm") && says(status, "wire tcp")) << status.detail;
}

TEST_F(NetFabricTest, the_wire_is_chosen_per_pair) {
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    world.start(options(kB));
    world.start(options(kC, Wire::tcp));
    ASSERT_TRUE(world.join(kA, kB) && world.join(kA, kC) && world.join(kC, kB));
    EXPECT_EQ(world.node(kA).wire_to(kB), Wire::shm);
    EXPECT_EQ(world.node(kA).wire_to(kC), Wire::tcp);
    EXPECT_EQ(world.node(kC).wire_to(kB), Wire::tcp);
    const CoreSet cores = cores_of_this_process();  // of three nodes in one process
    EXPECT_EQ(world.node(kA).crowded(), crowded(cores, std::vector{cores, cores}));
    const NodeId readers[] = {kB, kC};
    Region* region = world.node(kA).expose({7}, 1 << 20, readers);
    set_word(*region, 0, 3);
    world.node(kA).push_counters(*region, 0, 8);
    world.node(kA).flush();
    for (const NodeId reader : readers)
        EXPECT_TRUE(world.pump_until([&] {
            const auto seen = world.node(reader).mirror(kA, {7});
            return !seen.empty() && word(seen, 0) == 3;
        }));
}

TEST_F(NetFabricTest, a_node_id_that_is_taken_is_refused_naming_its_holder) {
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    world.start(options(kB));
    ASSERT_TRUE(world.join(kB, kA));
    NetFabricOptions impostor = options(kB);
    impostor.incarnation = 2;
    std::unique_ptr<NetFabric> second;
    ASSERT_TRUE(open_net_fabric(impostor, second).ok());
    second->connect(world.address(kA));
    std::vector<PeerEvent> events;
    ASSERT_TRUE(world.pump_until([&] {
        second->poll(world.now(), events);
        return !events.empty();
    }));
    EXPECT_EQ(events[0].kind, PeerEvent::Kind::refused);
    EXPECT_EQ(events[0].status.code, DERECHO_DUPLICATE);
    EXPECT_TRUE(says(events[0].status, "node id 2") && says(events[0].status, world.address(kB)))
        << events[0].status.detail;
    EXPECT_TRUE(world.node(kA).connected(kB));
}

TEST_F(NetFabricTest, a_peer_shows_its_clock_as_it_is_between_being_dialed_and_being_there) {
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    world.start(options(kB));
    constexpr uint64_t kHour = 3'600'000'000'000;
    for (const NodeId node : {kA, kB}) world.node(node).set_clock(kHour);
    const uint64_t before = world.now().ns + kHour;
    ASSERT_TRUE(world.join(kB, kA));
    for (const NodeId node : {kA, kB}) {
        const auto& events = world.events_of(node);
        const auto up = std::ranges::find(events, PeerEvent::Kind::up, &PeerEvent::kind);
        ASSERT_NE(up, events.end());
        EXPECT_GE(up->time_ns, before);
        EXPECT_LE(up->time_ns, world.now().ns + kHour);
    }
}

TEST_F(NetFabricTest, the_id_of_the_dialed_node_itself_is_refused) {
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    NetFabricOptions impostor = options(kA);
    impostor.incarnation = 2;
    std::unique_ptr<NetFabric> second;
    ASSERT_TRUE(open_net_fabric(impostor, second).ok());
    second->connect(world.address(kA));
    std::vector<PeerEvent> events;
    ASSERT_TRUE(world.pump_until([&] {
        second->poll(world.now(), events);
        return !events.empty();
    }));
    EXPECT_EQ(events[0].status.code, DERECHO_DUPLICATE);
}

TEST_F(NetFabricTest, a_client_need_not_listen) {
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    NetFabricOptions client = options(kB);
    client.listen = "";
    client.client = true;
    world.start(client);
    ASSERT_TRUE(world.join(kB, kA));
    EXPECT_TRUE(world.events_of(kA)[0].client);
    EXPECT_EQ(world.events_of(kA)[0].address, "");
}

TEST_F(NetFabricTest, a_host_may_be_named) {
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    world.start(options(kB));
    const std::string address = world.address(kA);
    world.node(kB).connect("localhost" + address.substr(address.rfind(':')));
    EXPECT_TRUE(world.pump_until([&] { return world.node(kB).connected(kA); }));
    world.node(kB).connect("no-such-host.invalid:1");
    ASSERT_TRUE(world.pump_until([&] { return world.count(kB, PeerEvent::Kind::refused) == 1; }));
    EXPECT_EQ(world.events_of(kB).back().status.code, DERECHO_UNREACHABLE);
}

TEST_F(NetFabricTest, a_bad_address_to_dial_is_refused_as_invalid) {
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    world.node(kA).connect("rubbish");
    ASSERT_TRUE(world.pump_until([&] { return !world.events_of(kA).empty(); }));
    EXPECT_EQ(world.events_of(kA)[0].status.code, DERECHO_INVALID);
    EXPECT_EQ(world.events_of(kA)[0].address, "rubbish");
}

// Each on a thread of its own, so that every interleaving of the two handshakes comes up sooner or later.
TEST_F(NetFabricTest, dialing_each_other_on_two_threads_ends_in_one_link_that_lasts) {
    for (int round = 0; round < 150; ++round) {
        const Wire wire = round % 2 ? Wire::shm : Wire::tcp;
        std::array<std::unique_ptr<NetFabric>, 2> nodes;
        ASSERT_TRUE(open_net_fabric(options(kA, wire), nodes[0]).ok());
        ASSERT_TRUE(open_net_fabric(options(kB, wire), nodes[1]).ok());
        std::array<std::vector<PeerEvent>, 2> events;
        std::atomic<int> ready{0}, done{0};
        const auto run = [&](size_t here) {
            Fabric& self = *nodes[here];
            const NodeId other = nodes[1 - here]->self();
            const std::string address = nodes[1 - here]->listen_address();
            ++ready;
            while (ready < 2) continue;
            self.connect(address);
            const Instant end = monotonic_now() + milliseconds(5000);
            while (!self.connected(other) && monotonic_now() < end) self.poll(monotonic_now(), events[here]);
            ++done;
            while (done < 2 && monotonic_now() < end) self.poll(monotonic_now(), events[here]);
            const Instant later = monotonic_now() + milliseconds(1);
            while (monotonic_now() < later) self.poll(monotonic_now(), events[here]);
        };
        std::thread other(run, 1);
        run(0);
        other.join();
        for (const auto& seen : events) {
            ASSERT_EQ(seen.size(), 1u) << "round " << round;
            ASSERT_EQ(seen[0].kind, PeerEvent::Kind::up);
        }
    }
}

// ------------------------------------------------------------------------------------------------- strangers

TEST_F(NetFabricTest, garbage_on_the_port_costs_its_sender_the_connection_and_nobody_else) {
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    srandom(7);
    for (int round = 0; round < 50; ++round) {
        const UniqueFd socket = stranger(world.address(kA));
        std::vector<char> bytes(1 + static_cast<size_t>(random() % 300));
        for (char& byte : bytes) byte = static_cast<char>(random());
        // A right beginning reaches deeper.
        BootstrapHeader header;
        header.kind = static_cast<uint16_t>(random() % 7);
        header.length_bytes = static_cast<uint32_t>(random() % 300);
        if (round % 2 && bytes.size() > sizeof header) std::memcpy(bytes.data(), &header, sizeof header);
        ASSERT_GT(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL), 0);
        ::shutdown(socket.get(), SHUT_WR);
        EXPECT_TRUE(world.pump_until([&] { return closed_by_other_side(socket.get()); }));
    }
    world.start(options(kB));
    EXPECT_TRUE(world.join(kB, kA));
    EXPECT_EQ(world.events_of(kA).size(), 1u);
}

TEST_F(NetFabricTest, who_says_nothing_is_dropped_at_the_deadline) {
    NetWorld world(Wire::automatic);
    world.start(impatient_options(kA));
    const UniqueFd silent = stranger(world.address(kA));
    const Instant start = world.now();
    EXPECT_TRUE(world.pump_until([&] { return closed_by_other_side(silent.get()); }));
    EXPECT_GE(world.now() - start, milliseconds(250));
    EXPECT_LT(world.now() - start, milliseconds(2000));
}

TEST_F(NetFabricTest, many_silent_strangers_do_not_keep_a_node_out) {
    NetWorld world(Wire::automatic);
    NetFabricOptions patient = options(kA);
    patient.connect_timeout = milliseconds(20000);
    world.start(patient);
    std::vector<UniqueFd> crowd;
    for (int i = 0; i < 300; ++i) {
        crowd.push_back(stranger(world.address(kA)));
        if (i % 50 == 0) world.settle(milliseconds(1));
    }
    world.start(options(kB));
    EXPECT_TRUE(world.join(kB, kA));
    const auto left = std::count_if(crowd.begin(), crowd.end(),
                                    [](const UniqueFd& socket) { return !closed_by_other_side(socket.get()); });
    EXPECT_LE(left, 64) << "and take no more than their share";
    EXPECT_GT(left, 0);
}

TEST_F(NetFabricTest, a_listener_that_never_answers_is_given_up_at_the_deadline) {
    NetWorld world(Wire::automatic);
    world.start(impatient_options(kA));
    UniqueFd silent;
    std::string address;
    // Listens, never accepts: the kernel completes the connection.
    UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    ASSERT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), size), 0);
    ASSERT_EQ(::listen(listener.get(), 5), 0);
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &size);
    world.node(kA).connect("127.0.0.1:" + std::to_string(ntohs(at.sin_port)));
    ASSERT_TRUE(world.pump_until([&] { return !world.events_of(kA).empty(); }));
    EXPECT_EQ(world.events_of(kA)[0].status.code, DERECHO_UNREACHABLE);
    EXPECT_TRUE(says(world.events_of(kA)[0].status, "did not introduce itself"));
}

TEST_F(NetFabricTest, the_deadline_of_a_dial_ends_a_sleep) {
    NetWorld world(Wire::automatic);
    world.start(impatient_options(kA));
    world.node(kA).connect("192.0.2.1:7001");  // a network that is not there
    const Instant start = world.now();
    while (world.events_of(kA).empty() && world.now() - start < milliseconds(3000)) {
        world.pump(kA);
        if (!world.events_of(kA).empty()) break;  // no route at all
        world.node(kA).arm();
        world.node(kA).wait(milliseconds(3000));
    }
    EXPECT_LT(world.now() - start, milliseconds(2000));
    ASSERT_EQ(world.events_of(kA).size(), 1u);
    EXPECT_EQ(world.events_of(kA)[0].status.code, DERECHO_UNREACHABLE);
}

// ------------------------------------------------------------------------------------------------- the kernel's part

TEST_F(NetFabricTest, a_reader_cannot_write_the_owners_memory) {
    NetWorld world(Wire::shm);
    world.start_connected(2);
    const NodeId readers[] = {kB};
    ASSERT_NE(world.node(kA).expose({7}, 8192, readers), nullptr);
    ASSERT_TRUE(world.pump_until([&] { return !world.node(kB).mirror(kA, {7}).empty(); }));
    const auto seen = world.node(kB).mirror(kA, {7});
    EXPECT_NE(::mprotect(const_cast<std::byte*>(seen.data()), seen.size(), PROT_READ | PROT_WRITE), 0)
        << "the kernel must refuse to make it writable";
    EXPECT_DEATH(const_cast<std::byte*>(seen.data())[0] = std::byte{1}, "");
}

TEST_F(NetFabricTest, a_slow_reader_over_its_bound_is_lost_with_the_reason) {
    NetWorld world(Wire::tcp);
    NetFabricOptions strict = options(kA, Wire::tcp);
    strict.tcp_queue_bytes_max = 1 << 20;
    world.start(strict);
    world.start(options(kB, Wire::tcp));
    ASSERT_TRUE(world.join(kB, kA));
    const NodeId readers[] = {kB};
    Region* region = world.node(kA).expose({7}, 64 << 20, readers);
    // Counters at ever other places: nothing takes the place of anything.
    for (size_t i = 0; i < 8000 && world.events_of(kA).size() < 2; ++i) {
        world.node(kA).push_counters(*region, i * 4096, 4096);
        world.node(kA).flush();
        world.pump(kA);
    }
    ASSERT_EQ(world.count(kA, PeerEvent::Kind::lost), 1u);
    EXPECT_TRUE(says(world.events_of(kA).back().status, "tcp_queue_bytes_max"));
}

TEST_F(NetFabricTest, a_sender_that_sleeps_goes_on_when_a_slow_reader_has_room) {
    NetWorld world(Wire::tcp);
    world.start_connected(2);
    const NodeId readers[] = {kB};
    constexpr size_t kBytes = 64 << 20;
    Region* region = world.node(kA).expose({7}, kBytes, readers);
    ASSERT_TRUE(world.pump_until([&] { return !world.node(kB).mirror(kA, {7}).empty(); }));
    const auto seen = world.node(kB).mirror(kA, {7});
    Fabric &writer = world.node(kA), &reader = world.node(kB);
    std::memset(region->bytes().data(), 1, kBytes);
    writer.push_data(*region, 64, kBytes - 64);
    set_word(*region, 0, 9);
    writer.push_counters(*region, 0, 8);
    writer.flush();
    std::atomic<bool> whole{false};
    std::thread reading([&] {
        std::vector<PeerEvent> events;
        const Instant end = monotonic_now() + milliseconds(20000);
        while (!whole && monotonic_now() < end) {
            reader.poll(monotonic_now(), events);
            if (word(seen, 0) == 9) whole = true;
        }
        writer.wake();
    });
    const Instant start = monotonic_now();
    std::vector<PeerEvent> events;
    while (!whole && monotonic_now() - start < milliseconds(20000)) {
        writer.poll(monotonic_now(), events);
        writer.arm();
        if (whole) break;
        writer.wait(milliseconds(20000));
    }
    reading.join();
    EXPECT_LT(monotonic_now() - start, milliseconds(15000));
    EXPECT_TRUE(whole);
}

TEST_F(NetFabricTest, kill_9_is_noticed_at_once_and_what_it_left_can_be_read_and_given_back) {
    for (const Wire wire : {Wire::shm, Wire::tcp}) {
        NetWorld world(wire);
        world.start(net_options(kA, 1, wire));
        const pid_t child = ::fork();
        if (child == 0) {
            const NetFabricOptions mine = net_options(kB, 1, wire);
            std::unique_ptr<NetFabric> fabric;
            if (!open_net_fabric(mine, fabric).ok()) ::_exit(1);
            fabric->connect(world.address(kA));
            const NodeId readers[] = {kA};
            fabric->expose({7}, 1 << 20, readers);
            std::vector<PeerEvent> events;
            for (;;) {
                fabric->poll(monotonic_now(), events);
                ::usleep(100);
            }
        }
        EXPECT_TRUE(world.pump_until([&] { return !world.node(kA).mirror(kB, {7}).empty(); }));
        ::kill(child, SIGKILL);
        const Instant killed = world.now();
        EXPECT_TRUE(world.pump_until([&] { return world.count(kA, PeerEvent::Kind::lost) == 1; }));
        EXPECT_LT(world.now() - killed, milliseconds(1000));
        ::waitpid(child, nullptr, 0);
        EXPECT_EQ(world.node(kA).mirror(kB, {7}).size(), 1u << 20);
        EXPECT_EQ(world.node(kA).mirror(kB, {7})[0], std::byte{0});
        world.node(kA).forget(kB, {7});
        EXPECT_EQ(world.node(kA).stats().memory_bytes, 0u);
    }
}

TEST_F(NetFabricTest, descriptors_are_given_back_over_many_lives) {
    const auto open_descriptors = [] {
        const std::filesystem::directory_iterator all("/proc/self/fd");
        return std::distance(begin(all), end(all));
    };
    NetWorld world(Wire::automatic);
    world.start(options(kA));
    const NodeId readers[] = {kA, kB};
    world.node(kA).expose({7}, 4096, readers);
    world.settle(milliseconds(1));
    const auto before = open_descriptors();
    for (uint64_t life = 1; life <= 20; ++life) {
        NetFabricOptions other = options(kB, life % 2 ? Wire::automatic : Wire::tcp);
        other.incarnation = life;
        world.start(other);
        ASSERT_TRUE(world.join(kB, kA));
        world.node(kB).expose({7}, 4096, readers);
        ASSERT_TRUE(world.pump_until([&] { return !world.node(kA).mirror(kB, {7}).empty(); }));
        world.kill(kB);
        ASSERT_TRUE(world.pump_until([&] { return !world.node(kA).connected(kB); }));
        world.node(kA).forget(kB, {7});
    }
    EXPECT_EQ(open_descriptors(), before);
    EXPECT_EQ(world.node(kA).stats().memory_bytes, 4096u);
}

}  // namespace
}  // namespace libderecho::test
