// Messages survive a round trip; cut, lengthened or scrambled ones are turned away and never read beyond their end.
#include "fabric/wire_format.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

namespace libderecho {
namespace {

Hello sample() {
    Hello hello;
    hello.abi_hash = 0x1234567890;
    hello.page_bytes = 4096;
    hello.limits = {1, 2, 3};
    hello.group_name = "group";
    hello.services = {{"Cache", 7}, {"Log", 8}};
    hello.node = NodeId{3};
    hello.incarnation = 99;
    hello.client = true;
    hello.wire = Wire::tcp;
    hello.shm_possible = true;
    hello.address = "127.0.0.1:7001";
    hello.host.boot_id[5] = 1;
    hello.host.network_namespace = 4;
    hello.host.user = 1000;
    hello.cores = {3, 0, 1};
    hello.unix_name = "derecho-1";
    hello.token[15] = 0xff;
    hello.verbs = {.possible = true, .ethernet = true, .routable = true, .mtu = 5, .lid = 7, .gid = {10, 9}};
    return hello;
}

// Two nodes on different hosts, each with a RoCE port.
std::pair<Hello, Hello> far_apart() {
    std::pair<Hello, Hello> both{sample(), sample()};
    both.first.wire = both.second.wire = Wire::automatic;
    both.second.node = NodeId{4};
    both.second.host.boot_id[0] = 9;
    return both;
}

std::span<const std::byte> body_of(const std::vector<std::byte>& message) {
    return std::span(message).subspan(sizeof(BootstrapHeader));
}

TEST(WireFormat, a_hello_survives_the_round_trip) {
    const std::vector<std::byte> message = encode(sample());
    BootstrapHeader header;
    std::memcpy(&header, message.data(), sizeof header);
    EXPECT_TRUE(check(header).ok());
    EXPECT_EQ(header.length_bytes, message.size() - sizeof header);
    const auto got = decode_hello(body_of(message));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->services, sample().services);
    EXPECT_EQ(got->address, sample().address);
    EXPECT_EQ(got->incarnation, 99u);
    EXPECT_TRUE(got->host == sample().host);
    EXPECT_EQ(encode(*got), message) << "every field";
}

TEST(WireFormat, a_hello_that_is_cut_or_too_long_is_malformed) {
    std::vector<std::byte> message = encode(sample());
    for (size_t n = 0; n < body_of(message).size(); ++n) EXPECT_FALSE(decode_hello(body_of(message).first(n))) << n;
    message.push_back(std::byte{0});
    EXPECT_FALSE(decode_hello(body_of(message)));
}

TEST(WireFormat, scrambled_messages_are_survived) {
    std::mt19937 random(1);
    for (int round = 0; round < 20000; ++round) {
        std::vector<std::byte> message = encode(sample());
        for (uint32_t i = 0; i < 1 + random() % 4; ++i)
            message[sizeof(BootstrapHeader) + random() % body_of(message).size()] = static_cast<std::byte>(random());
        const auto got = decode_hello(body_of(message));
        EXPECT_LE(got ? got->services.size() : 0, kServicesMax);
        decode_refused(body_of(message));
        decode_ready(body_of(message));
        decode_endpoint(body_of(message));
    }
}

TEST(WireFormat, a_refusal_carries_its_reason_and_never_success) {
    const auto got = decode_refused(body_of(encode(Refusal{failure(DERECHO_DUPLICATE, "taken"), {}, {}})));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->why.code, DERECHO_DUPLICATE);
    EXPECT_EQ(got->why.detail, "taken");
    EXPECT_FALSE(decode_refused(body_of(encode(Refusal{}))));
}

TEST(WireFormat, a_refusal_carries_as_much_of_a_schema_as_there_is_room_for) {
    Refusal refusal{
        failure(DERECHO_INCOMPATIBLE, "the schema differs"), "Cache", {"service Cache", "query get()->i64"}};
    const auto whole = decode_refused(body_of(encode(refusal)));
    ASSERT_TRUE(whole);
    EXPECT_EQ(whole->service, "Cache");
    EXPECT_EQ(whole->schema, refusal.schema);
    EXPECT_FALSE(whole->schema_is_cut);
    refusal.schema.resize(1000, std::string(100, 'x'));
    const std::vector<std::byte> message = encode(refusal);
    EXPECT_LE(body_of(message).size(), kHelloBytesMax);
    const auto cut = decode_refused(body_of(message));
    ASSERT_TRUE(cut);
    EXPECT_TRUE(cut->schema_is_cut);
    EXPECT_GT(cut->schema.size(), 100u);
    EXPECT_EQ(encode(*cut).size(), message.size());
    for (size_t n = 0; n < body_of(message).size(); n += 50) EXPECT_FALSE(decode_refused(body_of(message).first(n)));
}

TEST(WireFormat, a_header_of_something_else_is_told_apart) {
    BootstrapHeader header;
    header.kind = 1;
    EXPECT_TRUE(check(header).ok());
    header.length_bytes = 1 << 20;
    EXPECT_FALSE(check(header).ok());
    header = {};
    header.kind = 1;
    header.version = 77;
    EXPECT_NE(check(header).detail.find("77"), std::string::npos);
    header.magic = __builtin_bswap32(kBootstrapMagic);
    EXPECT_NE(check(header).detail.find("byte order"), std::string::npos);
    std::memcpy(&header, "GET / HTTP/1.1\r\n", sizeof header);
    EXPECT_EQ(check(header).code, DERECHO_INCOMPATIBLE);
}

TEST(WireFormat, page_size_and_byte_order_are_compared) {
    Hello other = sample();
    other.page_bytes = 65536;
    EXPECT_NE(compare(sample(), other).detail.find("page size"), std::string::npos);
    other = sample();
    other.byte_order = 0x04030201;
    EXPECT_NE(compare(sample(), other).detail.find("byte order"), std::string::npos);
}

TEST(WireFormat, an_endpoint_survives_the_round_trip_and_is_within_bounds) {
    VerbsEndpoint endpoint{.address = sample().verbs, .pair = 17, .first_packet = 0xffffff};
    endpoint.control_address = 0x7f0000001000;
    endpoint.control_key = 5;
    const std::vector<std::byte> message = encode(endpoint);
    const auto got = decode_endpoint(body_of(message));
    ASSERT_TRUE(got);
    EXPECT_EQ(got->address, endpoint.address);
    EXPECT_EQ(encode(*got), message) << "every field";
    for (size_t n = 0; n < body_of(message).size(); ++n) EXPECT_FALSE(decode_endpoint(body_of(message).first(n))) << n;
    endpoint.pair = 1 << 24;
    EXPECT_FALSE(decode_endpoint(body_of(encode(endpoint)))) << "a queue pair number has 24 bits";
    endpoint.pair = 17;
    endpoint.address.mtu = 6;
    EXPECT_FALSE(decode_endpoint(body_of(encode(endpoint)))) << "an MTU is one of five";
}

TEST(WireFormat, the_wire_is_shared_memory_where_both_can_and_want) {
    Hello a = sample(), b = sample();
    a.wire = b.wire = Wire::automatic;
    b.node = NodeId{4};
    Wire wire{};
    EXPECT_TRUE(choose_wire(a, b, wire).ok() && wire == Wire::shm) << "although both have RDMA, too";
    a.verbs = {};
    b.host.boot_id[0] = 9;
    EXPECT_TRUE(choose_wire(a, b, wire).ok() && wire == Wire::tcp);
    a.wire = Wire::shm;
    const Status refused = choose_wire(a, b, wire);
    EXPECT_EQ(refused.code, DERECHO_INCOMPATIBLE);
    EXPECT_NE(refused.detail.find("another host"), std::string::npos);
    b.host = a.host;
    EXPECT_TRUE(choose_wire(a, b, wire).ok() && wire == Wire::shm);
    b.shm_possible = false;
    EXPECT_FALSE(choose_wire(a, b, wire).ok());
}

TEST(WireFormat, the_wire_between_hosts_is_rdma_where_their_ports_can_reach_each_other) {
    const auto chosen = [](auto change) {
        auto [a, b] = far_apart();
        change(a, b);
        Wire wire{};
        std::string why;
        EXPECT_TRUE(choose_wire(a, b, wire, &why).ok());
        EXPECT_TRUE(wire != Wire::tcp || why.find("no verbs: ") != std::string::npos) << why;
        return wire;
    };
    EXPECT_EQ(chosen([](Hello&, Hello&) {}), Wire::verbs);
    EXPECT_EQ(chosen([](Hello& a, Hello&) { a.verbs.possible = false; }), Wire::tcp);
    EXPECT_EQ(chosen([](Hello&, Hello& b) { b.verbs.ethernet = false; }), Wire::tcp) << "RoCE and InfiniBand";
    EXPECT_EQ(chosen([](Hello& a, Hello&) { a.verbs.routable = false; }), Wire::tcp);
    EXPECT_EQ(chosen([](Hello& a, Hello& b) { a.verbs.routable = b.verbs.routable = false; }), Wire::verbs);
    EXPECT_EQ(chosen([](Hello& a, Hello&) { a.verbs.gid = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10}; }), Wire::tcp)
        << "IPv4 and IPv6";
    EXPECT_EQ(chosen([](Hello& a, Hello& b) { a.verbs.ethernet = b.verbs.ethernet = false; }), Wire::verbs);
    EXPECT_EQ(chosen([](Hello& a, Hello& b) { a.verbs.ethernet = b.verbs.ethernet = false, b.verbs.gid[7] = 1; }),
              Wire::tcp)
        << "another InfiniBand subnet";
    EXPECT_EQ(chosen([](Hello& a, Hello&) { a.wire = Wire::tcp; }), Wire::tcp);
    EXPECT_EQ(chosen([](Hello& a, Hello& b) { a.wire = Wire::verbs, b.host = a.host; }), Wire::verbs);
}

TEST(WireFormat, who_insists_on_a_wire_that_cannot_be_is_told_why) {
    auto [a, b] = far_apart();
    a.wire = Wire::verbs;
    b.verbs = {};
    Wire wire{};
    const Status refused = choose_wire(a, b, wire);
    EXPECT_EQ(refused.code, DERECHO_INCOMPATIBLE);
    EXPECT_EQ(
        refused.detail,
        "node 3 is set to wire verbs, but node 4 has no RDMA device that it can use (its log says why); use wire auto");
    b.verbs = a.verbs;
    b.wire = Wire::tcp;
    EXPECT_NE(choose_wire(a, b, wire).detail.find("node 4 is set to wire tcp"), std::string::npos);
}

}  // namespace
}  // namespace libderecho
