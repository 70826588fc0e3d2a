// Registered memory with peers that the test plays: it writes their letters into their rings.
#include "rpc/memory.hpp"

#include <gtest/gtest.h>

#include <bit>

#include "fabric/fabric_testing.hpp"

namespace libderecho {
namespace {

constexpr uint64_t kRingBytes = 64 << 10;
constexpr size_t kRing = 4096;  // where it begins in a mail region, behind the counters
constexpr NodeId kSelf{1}, kTwo{2}, kThree{3};
constexpr uint32_t kBoth = DERECHO_MEMORY_READ | DERECHO_MEMORY_WRITE;

View view_of(std::vector<NodeId> nodes) {
    View view{ViewId{1}, {}};
    for (const NodeId node : nodes) view.members.push_back({node, raw(node) + 100, 0, "a:1"});
    return view;
}

class PlayedPeers : public ::testing::Test {
protected:
    void SetUp() override {
        memory.members_changed(view_of({kSelf, kTwo, kThree}));
        for (const NodeId peer : {kTwo, kThree}) memory.peer_up(peer, raw(peer) + 100);
        memory.step(1);
        id = memory.enrol(bytes, kBoth);
    }
    uint64_t read(NodeId node, uint64_t size) {
        const Memory::Piece piece{id, 0, size};
        uint64_t operation = 0;
        EXPECT_EQ(memory.begin(Memory::Kind::read, node, {}, 0, std::span(&piece, 1), operation).code, DERECHO_OK);
        memory.step(1);
        return operation;
    }
    MemoryKey key_for(NodeId node) {
        MemoryKey key;
        EXPECT_EQ(memory.key_for(id, node, {1, 2, raw(node)}, key).code, DERECHO_OK);
        return key;
    }
    void post(NodeId peer, MemoryLetter kind, std::span<const std::byte> header, size_t data_bytes = 0) {
        const auto region = fabric.theirs(peer, 0);
        uint64_t& sent = sent_by[raw(peer)];
        const size_t at = kRing + sent;
        const auto size = static_cast<uint32_t>(header.size() + data_bytes);
        put(region, at, std::bit_cast<uint64_t>(FrameTag{size, FrameKind::mail, static_cast<uint8_t>(kind), 0}));
        std::ranges::copy(header, region.begin() + static_cast<ptrdiff_t>(at + sizeof(FrameHeader)));
        std::memset(region.data() + at + sizeof(FrameHeader) + header.size(), 0xdd, data_bytes);
        sent += frame_bytes(size);
        put(region, 0, sent);
    }
    void answer(NodeId peer, size_t data_bytes) {
        post(peer, MemoryLetter::answer, bytes_of(MemoryAnswer{}), data_bytes);
    }
    bool is_expelled(NodeId peer) {
        memory.step(1);
        return memory.take_offenders() == std::vector{peer};
    }
    std::vector<derecho_event> events() {
        std::vector<derecho_event> taken(10);
        taken.resize(memory.take(taken));
        return taken;
    }

    FakeFabric fabric{kSelf};
    Memory memory{fabric, 101, kRingBytes};
    std::vector<std::byte> bytes = std::vector<std::byte>(1000);
    uint64_t id = 0;
    std::map<uint32_t, uint64_t> sent_by;
};

// Node 2's memory can be reached directly.
class PlayedDevices : public PlayedPeers {
protected:
    void SetUp() override {
        fabric.devices[kTwo] = device;
        PlayedPeers::SetUp();
        read(kTwo, 100);  // the first to use the buffer, if it is small, but 100 bytes are not
    }
    void grant(uint32_t access = kBoth, uint64_t size_bytes = 1000) {
        struct {
            MemoryAnswer header;
            MemoryGrant grant{.address = 5000, .remote_key = 9};
        } letter;
        letter.grant.access = access;
        letter.grant.size_bytes = size_bytes;
        letter.grant.server[0] = std::byte{2};
        post(kTwo, MemoryLetter::answer, bytes_of(letter));
        memory.step(1);
    }
    void carry_out_all() {
        while (!device->asked().empty()) device->carry_out(std::byte{0xdd}), memory.step(1);
    }
    uint64_t write(uint64_t size, uint64_t offset = 0) {
        const Memory::Piece piece{id, 0, size};
        uint64_t operation = 0;
        EXPECT_TRUE(memory.begin(Memory::Kind::write, kTwo, {}, offset, std::span(&piece, 1), operation).ok());
        memory.step(1);
        return operation;
    }
    // How many bytes of letters it has been sent.
    uint64_t sent() {
        uint64_t count = 0;
        std::memcpy(&count, fabric.ours(0).data(), sizeof count);
        return count;
    }
    // What the letter says that begins there.
    MemoryGrant granted(uint64_t at) {
        MemoryGrant grant;
        const auto letter = fabric.ours(0).subspan(kRing + at + sizeof(FrameHeader));
        EXPECT_TRUE(read_header(letter.subspan(sizeof(MemoryAnswer)), grant));
        return grant;
    }
    void ask_for_connection() {
        MemoryAccess access{.key = key_for(kTwo), .want = MemoryWant::grant_and_connection};
        access.asker[0] = std::byte{1};
        post(kTwo, MemoryLetter::access, bytes_of(access));
        memory.step(1);
    }
    std::shared_ptr<FakeDirect> device = std::make_shared<FakeDirect>();
    const Status no_way = failure(DERECHO_UNREACHABLE, "there is no way to the peer");
};

// Memory of a device that the processor cannot touch.
class Unmapped final : public DeviceMemory {
public:
    explicit Unmapped(std::span<std::byte> bytes) { bytes_ = bytes; }
    void begin_touching(bool) const override { ADD_FAILURE() << "it is not to be touched"; }
    void end_touching(bool) const override {}
};

class PlayedUnmapped : public PlayedDevices {
protected:
    void SetUp() override {
        PlayedDevices::SetUp();
        grant();
        carry_out_all();
        events();
        unmapped = memory.enrol(std::make_unique<Unmapped>(there), kBoth);
    }
    void read_into_it() {
        const Memory::Piece piece{unmapped, 0, 20};
        uint64_t operation = 0;
        EXPECT_TRUE(memory.begin(Memory::Kind::read, kTwo, {}, 0, std::span(&piece, 1), operation).ok());
        memory.step(1);
    }
    std::vector<std::byte> there = std::vector<std::byte>(100);
    uint64_t unmapped = 0;
};

TEST_F(PlayedPeers, an_answer_brings_what_was_asked_for) {
    const uint64_t operation = read(kTwo, 100);
    answer(kTwo, 100);
    memory.step(1);
    const auto ended = events();
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].id, operation);
    EXPECT_EQ(ended[0].status, DERECHO_OK);
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0xdd}), 100);
}

// Its entry belongs to another operation by then.
TEST_F(PlayedPeers, an_answer_to_what_has_ended_changes_nothing) {
    read(kTwo, 100);
    memory.members_changed(view_of({kSelf, kThree}));
    EXPECT_EQ(events().at(0).status, DERECHO_REMOVED);
    const uint64_t next = read(kThree, 200);
    answer(kTwo, 100);
    memory.step(1);
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0xdd}), 0);
    EXPECT_TRUE(events().empty());
    answer(kThree, 200);
    memory.step(1);
    EXPECT_EQ(events().at(0).id, next);
    EXPECT_TRUE(memory.take_offenders().empty());
}

TEST_F(PlayedPeers, the_loss_of_a_peer_ends_its_operations_at_once_and_the_others_go_on) {
    read(kTwo, 100);
    read(kThree, 100);
    EXPECT_EQ(memory.withdraw(id), DERECHO_AGAIN);
    EXPECT_EQ(memory.users_of(id), "1 with node 2, 1 with node 3");
    memory.peer_lost(kTwo);
    const auto ended = events();
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].node, raw(kTwo));
    EXPECT_EQ(ended[0].status, DERECHO_REMOVED);
    EXPECT_EQ(memory.users_of(id), "1 with node 3");
}

TEST_F(PlayedPeers, what_a_peer_had_answered_before_its_loss_is_done) {
    read(kTwo, 100);
    answer(kTwo, 100);
    memory.peer_lost(kTwo);
    EXPECT_EQ(events().at(0).status, DERECHO_OK);
}

TEST_F(PlayedPeers, the_end_of_the_group_ends_all_operations) {
    read(kTwo, 100);
    read(kThree, 100);
    memory.end();
    const auto ended = events();
    ASSERT_EQ(ended.size(), 2u);
    for (const derecho_event& event : ended) EXPECT_EQ(event.status, DERECHO_CLOSED);
    EXPECT_EQ(memory.withdraw(id), DERECHO_OK);
    uint64_t operation = 0;
    EXPECT_EQ(memory.begin(Memory::Kind::read, kTwo, {}, 0, {}, operation).code, DERECHO_CLOSED);
}

TEST_F(PlayedPeers, who_answers_what_was_not_asked_is_expelled) {
    answer(kTwo, 0);
    EXPECT_TRUE(is_expelled(kTwo));
}

TEST_F(PlayedPeers, who_answers_with_more_than_was_asked_for_is_expelled) {
    read(kTwo, 100);
    answer(kTwo, 101);
    EXPECT_TRUE(is_expelled(kTwo));
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0xdd}), 0);
}

TEST_F(PlayedPeers, who_sends_other_bytes_than_it_announces_is_expelled) {
    post(kTwo, MemoryLetter::write, bytes_of(MemoryRequest{key_for(kTwo), 0, 100, 100}), 101);
    EXPECT_TRUE(is_expelled(kTwo));
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0xdd}), 0);
}

TEST_F(PlayedPeers, who_asks_for_more_at_once_than_it_may_is_expelled) {
    const MemoryRequest request{key_for(kTwo), 0, kRingBytes, kRingBytes};
    post(kTwo, MemoryLetter::read, bytes_of(request));
    EXPECT_TRUE(is_expelled(kTwo));
}

TEST_F(PlayedPeers, who_waits_for_no_answers_is_expelled) {
    fabric.theirs(kTwo, 0);  // it never says that it has read one: the ring to it fills up
    const MemoryRequest request{key_for(kTwo), 0, 1000, 1000};
    bool expelled = false;
    for (int i = 0; i < 500 && !expelled; ++i) {
        post(kTwo, MemoryLetter::read, bytes_of(request));
        expelled = is_expelled(kTwo);
    }
    EXPECT_TRUE(expelled);
}

TEST_F(PlayedPeers, a_key_is_refused_to_whom_it_was_not_made_for_without_a_grudge) {
    post(kThree, MemoryLetter::write, bytes_of(MemoryRequest{key_for(kTwo), 0, 100, 100}), 100);
    EXPECT_FALSE(is_expelled(kThree));
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0xdd}), 0);
    post(kTwo, MemoryLetter::write, bytes_of(MemoryRequest{key_for(kTwo), 0, 100, 100}), 100);
    memory.step(1);
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0xdd}), 100);
}

// ---------------------------------------------------------------------------------------------------- directly

TEST_F(PlayedDevices, a_grant_is_asked_for_once_and_then_the_devices_move_the_bytes) {
    EXPECT_TRUE(device->asked().empty()) << "before it was granted";
    grant();
    const auto first = device->asked();
    ASSERT_EQ(first.size(), 1u);
    EXPECT_TRUE(first[0].read);
    EXPECT_EQ(first[0].address, 5000u);
    EXPECT_EQ(first[0].remote_key, 9u);
    EXPECT_TRUE(events().empty()) << "it has not been carried out";
    carry_out_all();
    EXPECT_EQ(events().at(0).status, DERECHO_OK);
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0xdd}), 100);
    write(30, 7);
    const auto second = device->asked();
    ASSERT_EQ(second.size(), 1u);
    EXPECT_FALSE(second[0].read);
    EXPECT_EQ(second[0].address, 5007u);
    EXPECT_EQ(second[0].size_bytes, 30u);
}

TEST_F(PlayedDevices, a_write_is_fenced_if_reads_came_before_it) {
    grant();
    write(100);
    write(100);
    read(kTwo, 100);
    write(100);
    const auto asked = device->asked();
    ASSERT_EQ(asked.size(), 5u);
    EXPECT_TRUE(asked[1].fenced);
    EXPECT_FALSE(asked[2].fenced);
    EXPECT_FALSE(asked[3].fenced);
    EXPECT_TRUE(asked[4].fenced);
}

TEST_F(PlayedDevices, no_more_requests_are_under_way_than_the_device_takes) {
    grant();
    carry_out_all();
    for (int i = 0; i < 5; ++i) write(1000);  // ten requests each
    for (int i = 0; i < 20; ++i) memory.step(1);
    EXPECT_EQ(device->asked().size(), kDirectRequestsMax);
    carry_out_all();
    EXPECT_EQ(events().size(), 6u);
}

TEST_F(PlayedDevices, what_is_not_granted_goes_by_mail) {
    grant(0);
    EXPECT_FALSE(device->asks());
    answer(kTwo, 100);
    memory.step(1);
    EXPECT_EQ(events().at(0).status, DERECHO_OK);
}

TEST_F(PlayedDevices, what_the_grant_does_not_cover_goes_by_mail_which_tells_why) {
    grant(DERECHO_MEMORY_WRITE);
    EXPECT_TRUE(device->asked().empty());
    post(kTwo, MemoryLetter::answer, bytes_of(MemoryAnswer{MemoryOutcome::no_access, 0}));
    memory.step(1);
    EXPECT_EQ(events().at(0).status, DERECHO_INVALID);
    write(100, 901);
    EXPECT_TRUE(device->asked().empty());
    write(100, 900);
    EXPECT_TRUE(device->asked().empty()) << "it waits for what goes by mail";
    post(kTwo, MemoryLetter::answer, bytes_of(MemoryAnswer{MemoryOutcome::outside, 0}));
    memory.step(1);
    EXPECT_EQ(device->asked().size(), 1u);
}

TEST_F(PlayedDevices, what_was_under_way_when_it_broke_goes_by_mail) {
    grant();
    write(250);
    device->carry_out(std::byte{0xdd});
    device->carry_out(std::byte{0xdd});
    device->fail();
    memory.step(1);
    EXPECT_FALSE(device->asks());
    EXPECT_EQ(events().size(), 1u) << "the read was carried out";
    grant(0);         // the answer to: close your end
    answer(kTwo, 0);  // to the rest of the write
    memory.step(1);
    EXPECT_EQ(events().at(0).status, DERECHO_OK);
    EXPECT_TRUE(memory.take_offenders().empty());
}

TEST_F(PlayedDevices, a_peer_that_is_lost_is_out_of_reach_before_its_operations_end) {
    grant();
    memory.peer_lost(kTwo);
    EXPECT_FALSE(device->asks());
    EXPECT_EQ(events().at(0).status, DERECHO_REMOVED);
}

TEST_F(PlayedDevices, the_device_forgets_memory_that_was_deregistered) {
    key_for(kTwo);
    EXPECT_EQ(device->memories(), 2u) << "for this node's pieces, and for the peer";
    EXPECT_EQ(memory.withdraw(id), DERECHO_AGAIN);
    grant();
    EXPECT_EQ(device->memories(), 2u);
    carry_out_all();
    EXPECT_EQ(memory.withdraw(id), DERECHO_OK);
    EXPECT_EQ(device->memories(), 0u);
}

TEST_F(PlayedDevices, a_peer_reaches_what_it_has_a_key_to_until_it_leaves) {
    ask_for_connection();
    EXPECT_EQ(device->servers(), 1u);
    memory.members_changed(view_of({kSelf, kThree}));
    EXPECT_EQ(device->servers(), 0u);
    EXPECT_EQ(device->memories(), 1u) << "the key died";
}

TEST_F(PlayedDevices, nobody_is_served_who_has_no_key_and_closing_is_done_when_it_is_read) {
    MemoryAccess access{.key = {id, {1, 2, 3}}, .want = MemoryWant::grant_and_connection};
    post(kTwo, MemoryLetter::access, bytes_of(access));
    memory.step(1);
    EXPECT_EQ(device->servers(), 0u);
    access.key = key_for(kTwo);
    post(kTwo, MemoryLetter::access, bytes_of(access));
    memory.step(1);
    EXPECT_EQ(device->servers(), 1u);
    access.want = MemoryWant::close;
    post(kTwo, MemoryLetter::access, bytes_of(access));
    memory.step(1);
    EXPECT_EQ(device->servers(), 0u);
    EXPECT_TRUE(memory.take_offenders().empty());
}

TEST_F(PlayedDevices, who_asks_for_a_connection_is_answered_once_it_can_be_asked_over_it) {
    const uint64_t before = sent();
    device->connects = std::nullopt;
    ask_for_connection();
    memory.step(1);
    EXPECT_EQ(sent(), before);
    device->connects = Status{};
    memory.step(1);
    ASSERT_GT(sent(), before);
    EXPECT_EQ(granted(before).access, kBoth);
    EXPECT_EQ(device->servers(), 1u);
}

TEST_F(PlayedDevices, who_asks_for_a_connection_that_does_not_come_about_is_granted_nothing) {
    const uint64_t before = sent();
    device->connects = no_way;
    ask_for_connection();
    ASSERT_GT(sent(), before);
    EXPECT_EQ(granted(before).access, 0u);
    EXPECT_EQ(device->servers(), 0u);
}

TEST_F(PlayedDevices, nothing_is_asked_for_before_the_connection_is_there) {
    device->connects = std::nullopt;
    grant();
    write(100);
    EXPECT_TRUE(device->asked().empty());
    device->connects = Status{};
    memory.step(1);
    EXPECT_EQ(device->asked().size(), 2u);
}

TEST_F(PlayedDevices, a_connection_that_does_not_come_about_is_tried_three_times_and_then_it_is_mail) {
    device->connects = no_way;
    for (int n = 0; n < 3; ++n) {
        EXPECT_TRUE(device->asks()) << n;
        grant();
    }
    EXPECT_FALSE(device->asks());
    grant(0);  // close
    answer(kTwo, 100);
    memory.step(1);
    EXPECT_EQ(events().at(0).status, DERECHO_OK);
}

TEST_F(PlayedDevices, a_peer_may_be_lost_while_it_is_being_connected) {
    device->connects = std::nullopt;
    grant();
    memory.peer_lost(kTwo);
    EXPECT_EQ(events().at(0).status, DERECHO_REMOVED);
    EXPECT_FALSE(device->asks());
    device->connects = Status{};
    memory.step(1);
    EXPECT_TRUE(device->asked().empty());
}

TEST_F(PlayedDevices, who_answers_a_question_for_access_with_something_else_is_expelled) {
    answer(kTwo, 100);
    EXPECT_TRUE(is_expelled(kTwo));
}

TEST_F(PlayedDevices, after_three_failures_in_a_row_it_is_mail_for_good) {
    for (int n = 0; n < 3; ++n) {
        if (n > 0) write(100);
        grant();
        ASSERT_EQ(device->asked().size(), 1u) << n;
        device->fail();
        memory.step(1);
        grant(0);                        // close
        answer(kTwo, n == 0 ? 100 : 0);  // by mail
        memory.step(1);
        ASSERT_EQ(events().size(), 1u) << n;
    }
    write(100);
    EXPECT_FALSE(device->asks());
    answer(kTwo, 0);
    memory.step(1);
    EXPECT_EQ(events().size(), 1u);
}

TEST_F(PlayedUnmapped, however_little_it_is_devices_move_it) {
    read_into_it();
    EXPECT_EQ(device->asked().size(), 1u);
    carry_out_all();
    EXPECT_EQ(events().at(0).status, DERECHO_OK);
    const Memory::Piece host{id, 0, 20};
    uint64_t operation = 0;
    ASSERT_TRUE(
        memory.begin(Memory::Kind::write, kTwo, {kByDevicesOnly | 7, {}}, 0, std::span(&host, 1), operation).ok());
    memory.step(1);
    grant();
    EXPECT_EQ(device->asked().size(), 1u) << "the key says that it is such memory";
}

TEST_F(PlayedUnmapped, it_is_tried_three_times_before_it_is_out_of_reach) {
    read_into_it();
    for (int n = 0; n < 3; ++n) {
        ASSERT_EQ(device->asked().size(), 1u) << n;
        device->fail();
        memory.step(1);
        ASSERT_TRUE(events().empty()) << n;
        if (n < 2) grant();  // and a connection
    }
    grant(0);         // close
    answer(kTwo, 0);  // by mail there was nothing wrong with it
    memory.step(1);
    const auto ended = events();
    ASSERT_EQ(ended.size(), 1u);
    EXPECT_EQ(ended[0].status, DERECHO_UNREACHABLE);
}

TEST_F(PlayedUnmapped, by_mail_nothing_of_it_is_served) {
    MemoryKey key;
    ASSERT_TRUE(memory.key_for(unmapped, kTwo, {1, 2, 3}, key).ok());
    post(kTwo, MemoryLetter::write, bytes_of(MemoryRequest{key, 0, 10, 10}), 10);
    post(kTwo, MemoryLetter::read, bytes_of(MemoryRequest{key, 0, 10, 10}));
    memory.step(1);
    EXPECT_TRUE(memory.take_offenders().empty()) << "it may have known no better";
    EXPECT_EQ(std::ranges::count(there, std::byte{0}), 100);
}

TEST_F(PlayedUnmapped, a_member_that_connects_later_reaches_it) {
    memory.peer_lost(kTwo);
    View later = view_of({kSelf, kTwo});
    later.members[1].incarnation = 300;
    memory.members_changed(later);
    const uint32_t before = device->memories();
    MemoryKey key;
    ASSERT_TRUE(memory.key_for(unmapped, kTwo, {1, 2, 3}, key).ok());
    EXPECT_EQ(device->memories(), before) << "nobody knows yet how it will be connected";
    read_into_it();
    memory.peer_up(kTwo, 300);
    memory.step(1);
    EXPECT_EQ(device->memories(), before + 1) << "its own pieces";
    sent_by.clear();
    MemoryAccess access{.key = key, .want = MemoryWant::grant_and_connection};
    access.asker[0] = std::byte{1};
    post(kTwo, MemoryLetter::access, bytes_of(access));
    memory.step(1);
    EXPECT_EQ(device->memories(), before + 2) << "and for that member";
    EXPECT_EQ(device->servers(), 1u);
}

TEST_F(PlayedDevices, small_operations_on_fresh_buffers_go_by_mail_the_first_time) {
    grant();
    carry_out_all();
    std::vector<std::byte> fresh(20);
    const uint64_t other = memory.enrol(fresh, 0);
    const Memory::Piece piece{other, 0, 20};
    uint64_t operation = 0;
    for (int n = 0; n < 2; ++n) {
        ASSERT_TRUE(memory.begin(Memory::Kind::read, kTwo, {}, 0, std::span(&piece, 1), operation).ok());
        memory.step(1);
        EXPECT_EQ(device->asked().size(), n == 0 ? 0u : 1u);
        if (n == 0) answer(kTwo, 20);
        memory.step(1);
    }
}

}  // namespace
}  // namespace libderecho
