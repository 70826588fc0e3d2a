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
    EXPECT_EQ(events().size(), 2u);
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

}  // namespace
}  // namespace libderecho
