// What a node does about peers that it cannot be linked with, and about one whose letters nobody can read.
#include "group/group.hpp"

#include <gtest/gtest.h>

#include <bit>

#include "fabric/fabric_testing.hpp"

namespace libderecho {
namespace {

constexpr NodeId kPeer{2};
constexpr size_t kMailRing = 4096;  // where it begins in a mail region, behind the counter of what was sent

GroupOptions founder() {
    GroupOptions options;
    options.self = NodeId{1};
    options.address = "127.0.0.1:7001";
    options.services = {{"Cache", 7}};
    options.found = true;
    options.new_group = {1, 2};
    return options;
}

PeerEvent refused(const char* why, uint64_t incarnation) {
    PeerEvent event;
    event.kind = PeerEvent::Kind::refused;
    event.address = "127.0.0.1:7002";
    event.incarnation = incarnation;  // known: it answered
    event.status = failure(DERECHO_UNREACHABLE, why);
    return event;
}

TEST(Group, is_founded_as_told_beside_contacts_that_are_down_but_not_beside_one_that_may_be_in_it) {
    FakeFabric fabric{NodeId{1}};
    GroupOptions options = founder();
    options.contacts = {options.address, "127.0.0.1:7002"};
    Group group(options, fabric, {});
    fabric.events.push_back(refused("RDMA does not work", 5));  // it may be in a group
    for (uint64_t i = 1; i < 5; ++i) group.step({Instant{i * 1'000'000'000}});
    EXPECT_EQ(group.phase(), Group::Phase::joining);
    EXPECT_EQ(group.end().detail, "a contact to answer: 127.0.0.1:7002 (RDMA does not work)");
    PeerEvent silent = refused("something accepted the connection but did not introduce itself", 0);
    silent.accepted = true;
    fabric.events.push_back(silent);
    group.step({Instant{5'000'000'000}});
    EXPECT_EQ(group.phase(), Group::Phase::joining);
    fabric.events.push_back(refused("connection refused", 0));
    group.step({Instant{6'000'000'000}});
    EXPECT_EQ(group.phase(), Group::Phase::member);
}

TEST(Group, is_never_founded_because_nobody_answers) {
    FakeFabric fabric{NodeId{1}};
    GroupOptions options = founder();
    options.found = false;
    options.contacts = {"127.0.0.1:7002"};
    Group group(options, fabric, {});
    fabric.events.push_back(refused("connection refused", 0));
    for (uint64_t i = 1; i < 5; ++i) group.step({Instant{i * 1'000'000'000}});
    EXPECT_EQ(group.phase(), Group::Phase::joining);
}

TEST(Group, a_node_whose_only_contact_is_itself_is_told_that_somebody_has_to_found_the_group) {
    FakeFabric fabric{NodeId{1}};
    GroupOptions options = founder();
    options.found = false;
    options.contacts = {options.address};
    Group group(options, fabric, {});
    group.step({});
    EXPECT_EQ(group.phase(), Group::Phase::ended);
    EXPECT_EQ(group.end().code, DERECHO_INVALID);
    EXPECT_NE(group.end().detail.find("set option found, or initial_members"), std::string::npos) << group.end().detail;
}

// Its clock may be shown to whoever connects from the first poll on.
TEST(Group, a_node_shows_its_clock_before_anybody_can_ask_for_it) {
    struct Watched final : FakeFabric {
        using FakeFabric::FakeFabric;
        void set_clock(int64_t offset_ns) override { clock = offset_ns; }
        void poll(Instant now, std::vector<PeerEvent>& out) override {
            if (!shown) shown = clock;
            FakeFabric::poll(now, out);
        }
        int64_t clock = 0;
        std::optional<int64_t> shown;
    } fabric{NodeId{1}};
    Group group(founder(), fabric, {});
    group.step({Instant{5}, 1'000'005});
    EXPECT_EQ(fabric.shown, 1'000'000);
}

TEST(Group, a_joiner_is_told_how_far_its_clock_is_from_that_of_the_group) {
    constexpr uint64_t kDay = 86'400'000'000'000;
    for (const bool ahead : {false, true}) {
        FakeFabric fabric{NodeId{1}};
        GroupOptions options = founder();
        options.found = false;
        options.contacts = {"127.0.0.1:7002"};
        Group group(options, fabric, {});
        group.step({Instant{1'000'000'000}, 2 * kDay});  // it dials
        PeerEvent up;
        up.peer = kPeer;
        up.incarnation = 5;
        up.address = options.contacts[0];
        up.dialed = true;
        up.group = {1, 1};
        up.time_ns = ahead ? kDay : 3 * kDay;
        fabric.events.push_back(up);
        group.step({Instant{1'000'000'001}, 2 * kDay + 1});
        EXPECT_EQ(group.phase(), Group::Phase::joining) << "with a clock that was read before the peer came";
        group.step({Instant{1'000'000'002}, 2 * kDay + 2});
        EXPECT_EQ(group.end().code, DERECHO_INCOMPATIBLE);
        const std::string how = ahead ? "86400.0 s ahead of that of node 2" : "86399.9 s behind that of node 2";
        EXPECT_NE(group.end().detail.find(how), std::string::npos) << group.end().detail;
        EXPECT_NE(group.end().detail.find("clock_drift_ms"), std::string::npos);
    }
}

void first_letter(FakeFabric& fabric, Letter kind, std::span<const std::byte> body) {
    const auto size = static_cast<uint32_t>(body.size());
    const FrameTag frame{size, FrameKind::mail, static_cast<uint8_t>(kind), 0};
    const auto mail = fabric.theirs(kPeer, 0);
    put(mail, kMailRing, std::bit_cast<uint64_t>(frame));
    std::memcpy(mail.data() + kMailRing + sizeof(FrameHeader), body.data(), size);
    put(mail, 0, frame_bytes(size));
}

// A joiner that is new, one that may found, and one that comes back: each has other things to wait for as well.
TEST(Group, a_joiner_tells_why_it_is_not_let_in_for_as_long_as_it_is_not) {
    const std::string contact = "127.0.0.1:7002";
    std::vector<GroupOptions> joiners(3, founder());
    for (GroupOptions& options : joiners) {
        options.found = false;
        options.contacts = {contact};
    }
    joiners[1].initial_members = {joiners[1].address, contact, "127.0.0.1:7003"};
    joiners[2].marker.kind = Marker::Kind::member;
    joiners[2].marker.known.group = {3, 4};
    for (const GroupOptions& options : joiners) {
        FakeFabric fabric{NodeId{1}};
        Group group(options, fabric, {});
        PeerEvent up;
        up.peer = kPeer;
        up.incarnation = 5;
        up.address = contact;
        fabric.events.push_back(up);
        group.step({Instant{1'000'000'000}});
        ByteWriter why;
        why.text("nobody is let in for another 7 ms: node 3 held all up");
        first_letter(fabric, Letter::later, why.bytes());
        group.step({Instant{1'000'001'000}});
        EXPECT_EQ(group.phase(), Group::Phase::joining);
        EXPECT_EQ(group.end().detail,
                  "a view that holds node 1; nobody is let in for another 7 ms: node 3 held all up");
        group.step({Instant{60'000'000'000}});
        EXPECT_EQ(group.end().detail.find("nobody is let in"), std::string::npos) << group.end().detail;
    }
}

TEST(Group, tells_of_the_loss_of_a_peer_that_it_cut_off_for_a_malformed_request_to_join) {
    FakeFabric fabric{NodeId{1}};
    Group group(founder(), fabric, {});
    group.step({});
    ASSERT_EQ(group.phase(), Group::Phase::member);
    PeerEvent up;
    up.peer = kPeer;
    up.incarnation = 5;
    fabric.events.push_back(up);
    group.step({});
    group.peer_events().clear();

    first_letter(fabric, Letter::join, std::vector<std::byte>(3));
    group.step({});
    ASSERT_EQ(group.peer_events().size(), 1u);
    EXPECT_EQ(group.peer_events()[0].kind, PeerEvent::Kind::lost);
    EXPECT_EQ(group.peer_events()[0].peer, kPeer);
    EXPECT_EQ(group.peer_events()[0].incarnation, 5u);
}

void come_up(FakeFabric& fabric, Group& group) {
    PeerEvent up;
    up.peer = kPeer;
    up.incarnation = 5;
    fabric.events.push_back(up);
    group.step({});
}

// The body of what the peer was written first.
ByteReader first_answer(FakeFabric& fabric, Letter kind) {
    const auto sent = fabric.ours(2);  // behind its row and its shard
    EXPECT_GT(sent.size(), kMailRing);
    const FrameTag frame = tag_at(sent.data() + kMailRing);
    EXPECT_EQ(static_cast<Letter>(frame.flags), kind);
    return ByteReader(sent.subspan(kMailRing + sizeof(FrameHeader), frame.size_bytes));
}

// What a joiner asks for, in its mail.
void ask_to_join(FakeFabric& fabric, Group& group) {
    come_up(fabric, group);
    ByteWriter join;
    join.number(uint64_t{5});
    join.text("127.0.0.1:7002");
    Outsider outside;
    outside.incarnation = 5;
    encode(join, outside);
    first_letter(fabric, Letter::join, join.bytes());
}

TEST(Group, that_is_full_says_so_to_whom_it_does_not_let_in) {
    FakeFabric fabric{NodeId{1}};
    GroupOptions options = founder();
    options.members_max = 1;
    Group group(options, fabric, {});
    group.step({});
    ask_to_join(fabric, group);
    for (int i = 0; i < 8; ++i) group.step({});
    EXPECT_EQ(group.view()->members.size(), 1u);
    ByteReader in = first_answer(fabric, Letter::refused);
    EXPECT_EQ(in.number<int32_t>(), DERECHO_TOO_LARGE);
    EXPECT_EQ(in.text(1024), "the group is full: it has 1 members, and more there cannot be; join when one has left");
}

// Who was about to join, or helped to found it, is bound to it, and would wait for its return.
TEST(Group, tells_whoever_is_there_that_it_is_over_when_its_last_member_leaves) {
    FakeFabric fabric{NodeId{1}};
    Group group(founder(), fabric, {});
    group.step({});
    come_up(fabric, group);
    group.leave();
    for (int i = 0; i < 8 && group.phase() != Group::Phase::ended; ++i) group.step({});
    EXPECT_EQ(group.phase(), Group::Phase::ended) << "and nobody steps it any more";
    ByteReader in = first_answer(fabric, Letter::outside);
    Outsider standing;
    ASSERT_TRUE(decode(in, standing));
    EXPECT_TRUE(standing.ended);
    EXPECT_EQ(standing.over, (GroupId{1, 2}));
    EXPECT_EQ(standing.marker, Marker{});
}

struct SlowDisk final : MarkerStore {
    void save(std::string) override { ++writes; }
    bool saved() override { return !slow; }
    const std::string& place() const override { return where; }
    bool slow = false;
    int writes = 0;
    std::string where = "a disk";
};

// Or a founder that is restarted takes its group for over, while those whom it let in go on with it.
TEST(Group, no_view_follows_one_that_is_not_written_down) {
    for (const bool for_good : {false, true}) {
        FakeFabric fabric{NodeId{1}};
        SlowDisk disk;
        GroupOptions options = founder();
        Group group(options, fabric, {}, &disk);
        group.step({});
        ask_to_join(fabric, group);
        for (int i = 0; i < 8; ++i) group.step({});
        ASSERT_EQ(group.view()->id, ViewId{2});
        disk.slow = true;
        PeerEvent lost;
        lost.kind = PeerEvent::Kind::lost;
        lost.peer = kPeer;
        lost.incarnation = 5;
        fabric.events.push_back(lost);
        const Duration wait = options.suspect_after;
        for (uint64_t i = 0; i < 40; ++i) group.step({Instant{i * wait.ns / 41}});
        EXPECT_EQ(group.view()->id, ViewId{2});
        disk.slow = for_good;
        for (uint64_t i = 0; i < 40; ++i) group.step({Instant{wait.ns + i}});
        EXPECT_EQ(group.view()->id, ViewId{3});
        EXPECT_EQ(group.troubles().size(), for_good ? 1u : 0u);
    }
}

// A link may have come up at this end only: its loss was not the death of that life, which then dials again.
TEST(Group, lets_a_life_in_whose_first_link_it_never_knew) {
    FakeFabric fabric{NodeId{1}};
    Group group(founder(), fabric, {});
    group.step({});
    PeerEvent event;
    event.peer = kPeer;
    event.incarnation = 5;
    for (const auto kind : {PeerEvent::Kind::up, PeerEvent::Kind::lost, PeerEvent::Kind::up}) {
        event.kind = kind;
        fabric.events.push_back(event);
        group.step({});
    }

    ByteWriter join;
    join.number(uint64_t{5});
    join.text("127.0.0.1:7002");
    Outsider outside;
    outside.incarnation = 5;
    encode(join, outside);
    const auto size = static_cast<uint32_t>(join.bytes().size());
    const FrameTag frame{size, FrameKind::mail, static_cast<uint8_t>(Letter::join), 0};
    const auto mail = fabric.theirs(kPeer, 0);
    put(mail, kMailRing, std::bit_cast<uint64_t>(frame));
    std::memcpy(mail.data() + kMailRing + sizeof(FrameHeader), join.bytes().data(), size);
    put(mail, 0, frame_bytes(size));
    for (int i = 0; i < 8; ++i) group.step({});
    ASSERT_NE(group.view(), nullptr);
    EXPECT_TRUE(group.view()->holds(kPeer, 5));
}

}  // namespace
}  // namespace libderecho
