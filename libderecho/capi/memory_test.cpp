// Registered memory through the C ABI, on every wire that this machine has: who may read and write what, in which
// order, and how buffers are taken back.
#include <atomic>

#include "capi/capi_testing.hpp"
#include "fabric/verbs/device.hpp"

namespace libderecho::capi_testing {
namespace {

constexpr uint32_t kBoth = DERECHO_MEMORY_READ | DERECHO_MEMORY_WRITE;

std::vector<const char*> rdma_wires() {
    std::unique_ptr<VerbsDevice> device;
    return open_verbs({}, device).ok() ? std::vector{"verbs"} : std::vector<const char*>{};
}
std::vector<const char*> wires() {
    std::vector<const char*> all{"shm", "tcp"};
    for (const char* wire : rdma_wires()) all.push_back(wire);
    return all;
}

// A buffer of a node's, with bytes that tell their place.
struct Buffer {
    Buffer(TestNode& node, size_t size, uint32_t access, uint8_t first = 0) : bytes(size) {
        for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(first + i * 7 + i / 251);
        EXPECT_DERECHO_OK(derecho_memory_register(node.group, bytes.data(), size, access, &memory));
    }
    derecho_memory_key key_for(uint32_t node) const {
        derecho_memory_key key{};
        EXPECT_DERECHO_OK(derecho_memory_key_for(memory, node, &key));
        return key;
    }
    derecho_piece all() const { return {memory, 0, bytes.size()}; }

    std::vector<uint8_t> bytes;
    derecho_memory* memory = nullptr;
};

using Pieces = std::vector<derecho_piece>;

uint64_t read(TestNode& node, uint32_t from, const derecho_memory_key& key, uint64_t offset, const Pieces& pieces) {
    uint64_t id = 0;
    EXPECT_DERECHO_OK(derecho_memory_read(node.group, from, &key, offset, pieces.data(), pieces.size(), &id));
    return id;
}

uint64_t write(TestNode& node, uint32_t to, const derecho_memory_key& key, uint64_t offset, const Pieces& pieces) {
    uint64_t id = 0;
    EXPECT_DERECHO_OK(derecho_memory_write(node.group, to, &key, offset, pieces.data(), pieces.size(), &id));
    return id;
}

class RegisteredMemory : public ::testing::TestWithParam<const char*> {
protected:
    void SetUp() override { form(all, {{"wire", GetParam()}}); }

    const Seen* event_of(TestNode& node, uint64_t id) {
        for (const Seen* one : node.all(DERECHO_EVENT_MEMORY))
            if (one->event.id == id) return one;
        return nullptr;
    }
    // How an operation of a node's ended.
    Seen wait(TestNode& node, uint64_t id) {
        EXPECT_TRUE(pump(
            all, [&] { return event_of(node, id); }, 60));
        const Seen* seen = event_of(node, id);
        return seen ? *seen : Seen{};
    }
    void succeeds(TestNode& node, uint64_t id) {
        const Seen seen = wait(node, id);
        EXPECT_EQ(seen.event.status, DERECHO_OK) << seen.data;
        EXPECT_EQ(seen.event.size_bytes, 0u);
    }
    void is_refused(TestNode& node, uint64_t id, const std::string& why) {
        const Seen seen = wait(node, id);
        EXPECT_EQ(seen.event.status, DERECHO_INVALID);
        EXPECT_NE(seen.data.find(why), std::string::npos) << seen.data;
    }

    TestNode a{1}, b{2}, c{3};
    Nodes all{&a, &b, &c};
};

INSTANTIATE_TEST_SUITE_P(Wires, RegisteredMemory, ::testing::ValuesIn(wires()),
                         [](const auto& instance) { return std::string(instance.param); });

// Where there is a device.
class RegisteredMemoryOverRdma : public RegisteredMemory {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(RegisteredMemoryOverRdma);
INSTANTIATE_TEST_SUITE_P(Wires, RegisteredMemoryOverRdma, ::testing::ValuesIn(rdma_wires()),
                         [](const auto& instance) { return std::string(instance.param); });

TEST_P(RegisteredMemory, a_member_reads_what_another_one_has) {
    const Buffer there(b, 1000, DERECHO_MEMORY_READ), here(a, 1000, 0, 99);
    const uint64_t id = read(a, 2, there.key_for(1), 0, {here.all()});
    succeeds(a, id);
    EXPECT_EQ(here.bytes, there.bytes);
    const Seen& seen = *a.all(DERECHO_EVENT_MEMORY)[0];
    EXPECT_EQ(seen.event.node, 2u);
    EXPECT_EQ(seen.event.flags, 0u);
    EXPECT_EQ(b.count(DERECHO_EVENT_MEMORY), 0u) << "it takes no part";
}

TEST_P(RegisteredMemory, a_member_writes_into_another_one) {
    const Buffer there(b, 1000, DERECHO_MEMORY_WRITE), here(a, 1000, 0, 99);
    succeeds(a, write(a, 2, there.key_for(1), 0, {here.all()}));
    EXPECT_EQ(here.bytes, there.bytes);
}

TEST_P(RegisteredMemory, a_node_reads_and_writes_its_own) {
    const Buffer there(a, 300'000, kBoth), here(a, 300'000, 0, 99);
    const std::vector<uint8_t> before = here.bytes;
    const derecho_memory_key key = there.key_for(1);
    succeeds(a, write(a, 1, key, 0, {here.all()}));
    EXPECT_EQ(there.bytes, before);
    const uint64_t id = read(a, 1, key, 299'999, {{here.memory, 0, 1}});
    EXPECT_EQ(wait(a, id).event.flags, DERECHO_FLAG_OWN);
    EXPECT_EQ(here.bytes[0], before.back());
    is_refused(a, read(a, 1, key, 300'000, {{here.memory, 0, 1}}), "reaches beyond");
}

// The application of the node whose memory it is does not poll: its reactor answers.
TEST_P(RegisteredMemory, the_application_whose_memory_it_is_takes_no_part) {
    const Buffer there(b, 100'000, kBoth), here(a, 100'000, 0, 99);
    const uint64_t id = read(a, 2, there.key_for(1), 0, {here.all()});
    ASSERT_TRUE(pump({&a}, [&] { return event_of(a, id); }));
    EXPECT_EQ(here.bytes, there.bytes);
}

TEST_P(RegisteredMemory, a_run_is_scattered_over_pieces_and_gathered_from_them) {
    const Buffer there(b, 1000, kBoth);
    const Buffer here(a, 100, 0, 50), also_here(a, 1000, 0, 60);
    const auto key = there.key_for(1);
    const auto bytes = there.bytes;
    const Pieces pieces{
        {also_here.memory, 900, 100}, {here.memory, 10, 1}, {here.memory, 0, 0}, {also_here.memory, 1, 3}};
    succeeds(a, read(a, 2, key, 200, pieces));
    EXPECT_TRUE(std::equal(&bytes[200], &bytes[300], &also_here.bytes[900]));
    EXPECT_EQ(here.bytes[10], bytes[300]);
    EXPECT_TRUE(std::equal(&bytes[301], &bytes[304], &also_here.bytes[1]));
    succeeds(a, write(a, 2, key, 500, pieces));
    EXPECT_TRUE(std::equal(&bytes[200], &bytes[304], &there.bytes[500]));
    EXPECT_EQ(there.bytes[499], bytes[499]);
    EXPECT_EQ(there.bytes[604], bytes[604]);
}

TEST_P(RegisteredMemory, more_pieces_than_a_letter_takes_are_moved) {
    Buffer there(b, 2000, kBoth), here(a, 4000, 0, 50);
    Pieces pieces;
    for (uint64_t i = 0; i < 2000; ++i) pieces.push_back({here.memory, 2 * i, 1});
    succeeds(a, write(a, 2, there.key_for(1), 0, pieces));
    for (size_t i = 0; i < 2000; ++i) ASSERT_EQ(there.bytes[i], here.bytes[2 * i]) << i;
    std::fill(there.bytes.begin(), there.bytes.end(), 77);
    succeeds(a, read(a, 2, there.key_for(1), 0, pieces));
    for (size_t i = 0; i < 2000; ++i) ASSERT_EQ(here.bytes[2 * i], 77) << i;
}

TEST_P(RegisteredMemory, a_large_buffer_goes_there_and_comes_back) {
    constexpr size_t kSize = (24 << 20) + 13;
    const Buffer there(b, kSize, kBoth, 1), here(a, kSize, 0, 2), back(c, kSize, 0, 3);
    succeeds(a, write(a, 2, there.key_for(1), 0, {here.all()}));
    EXPECT_TRUE(there.bytes == here.bytes);
    succeeds(c, read(c, 2, there.key_for(3), 0, {back.all()}));
    EXPECT_TRUE(back.bytes == here.bytes);
}

TEST_P(RegisteredMemory, all_read_and_write_each_other_at_once) {
    constexpr size_t kSize = 3 << 20;
    std::vector<std::unique_ptr<Buffer>> sources, sinks;
    std::vector<std::pair<TestNode*, uint64_t>> operations;
    for (TestNode* node : all) sources.push_back(std::make_unique<Buffer>(*node, kSize, kBoth, node->id()));
    for (TestNode* node : all)
        for (TestNode* other : all) {
            sinks.push_back(std::make_unique<Buffer>(*node, kSize, kBoth, 77));
            const auto key = sources[other->id() - 1]->key_for(node->id());
            operations.emplace_back(node, read(*node, other->id(), key, 0, {sinks.back()->all()}));
            const Buffer& sink = *sinks.emplace_back(std::make_unique<Buffer>(*other, kSize, kBoth, 78));
            const derecho_piece piece = sources[node->id() - 1]->all();
            operations.emplace_back(node, write(*node, other->id(), sink.key_for(node->id()), 0, {piece}));
        }
    for (const auto& [node, id] : operations) succeeds(*node, id);
    size_t at = 0;
    for (TestNode* node : all)
        for (TestNode* other : all) {
            EXPECT_TRUE(sinks[at++]->bytes == sources[other->id() - 1]->bytes);
            EXPECT_TRUE(sinks[at++]->bytes == sources[node->id() - 1]->bytes);
        }
}

TEST_P(RegisteredMemory, operations_are_carried_out_in_the_order_they_were_begun) {
    constexpr size_t kSize = 1 << 20;
    const Buffer there(b, kSize, kBoth);
    Buffer before(a, kSize, 0), fresh(a, kSize, 0), after(a, kSize, 0);
    const std::vector<uint8_t> old = there.bytes;
    std::fill(fresh.bytes.begin(), fresh.bytes.end(), 200);
    const auto key = there.key_for(1);
    const uint64_t first = read(a, 2, key, 0, {before.all()});
    const uint64_t second = write(a, 2, key, 0, {fresh.all()});
    const uint64_t third = read(a, 2, key, 0, {after.all()});
    succeeds(a, third);
    EXPECT_TRUE(before.bytes == old) << "the write has overtaken the read";
    EXPECT_TRUE(after.bytes == fresh.bytes) << "the read has overtaken the write";
    const auto events = a.all(DERECHO_EVENT_MEMORY);
    ASSERT_EQ(events.size(), 3u);
    EXPECT_EQ(events[0]->event.id, first);
    EXPECT_EQ(events[1]->event.id, second);
}

// Small ones on fresh buffers, large ones, and those whose pieces were used before: over RDMA some of them go by mail,
// some directly, and these in one request or many.
TEST_P(RegisteredMemory, operations_of_all_sizes_keep_their_order) {
    constexpr size_t kLargest = (5 << 20) + 13;
    constexpr size_t kSizes[] = {0, 1, 8, 4095, 65'535, 65'536, 65'537, (1 << 20) - 1, (1 << 20) + 1, kLargest};
    const Buffer there(b, kLargest, kBoth, 1);
    Buffer again(a, kLargest, 0, 2);
    const auto key = there.key_for(1);
    std::vector<std::unique_ptr<Buffer>> sources, sinks;
    std::vector<uint64_t> ids;
    for (const size_t size : kSizes)
        for (const bool fresh : {true, false}) {
            const auto first = static_cast<uint8_t>(10 + sources.size());
            Buffer& source = *sources.emplace_back(std::make_unique<Buffer>(a, size + 1, 0, first));
            Buffer& sink = *sinks.emplace_back(std::make_unique<Buffer>(a, size + 1, 0, 99));
            ids.push_back(write(a, 2, key, 0, {{source.memory, 1, size}}));
            ids.push_back(read(a, 2, key, 0, {{fresh ? sink.memory : again.memory, 0, size}}));
            if (!fresh) ids.push_back(read(a, 2, key, 0, {{sink.memory, 0, size}}));
        }
    for (const uint64_t id : ids) succeeds(a, id);
    for (size_t i = 0; i < sources.size(); ++i)
        EXPECT_TRUE(std::equal(&sources[i]->bytes[1], &sources[i]->bytes[1] + kSizes[i / 2], &sinks[i]->bytes[0])) << i;
    const auto events = a.all(DERECHO_EVENT_MEMORY);
    ASSERT_EQ(events.size(), ids.size());
    for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(events[i]->event.id, ids[i]) << "in the order they were begun";
}

// By mail a node answers each 64 KB that are read from it with as much; and whoever writes them sends no less.
TEST_P(RegisteredMemoryOverRdma, the_devices_alone_move_the_bytes) {
    constexpr size_t kSize = 16 << 20;
    const Buffer there(b, kSize, kBoth, 1), here(a, kSize, 0, 2);
    const auto key = there.key_for(1);
    const auto spent = [](TestNode& node) {
        derecho_stats stats{};
        stats.struct_bytes = sizeof stats;
        EXPECT_DERECHO_OK(derecho_group_stats(node.group, &stats));
        return stats.work_requests;
    };
    succeeds(a, read(a, 2, key, 0, {{here.memory, 0, 65'536}}));
    const uint64_t before_a = spent(a), before_b = spent(b);
    const auto begun = Clock::now();
    succeeds(a, read(a, 2, key, 0, {here.all()}));
    succeeds(a, write(a, 2, key, 0, {here.all()}));
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun).count();
    EXPECT_GE(spent(a) - before_a, 2u * 16);
    const uint64_t others = static_cast<uint64_t>(ms) / 10;  // signs of life
    EXPECT_LT(spent(b) - before_b, 100u + others) << "it took part";
    EXPECT_LT(spent(a) - before_a, 150u + others) << "it went by mail";
}

TEST_P(RegisteredMemory, a_message_after_the_event_comes_after_the_bytes) {
    const Buffer there(b, 4, kBoth);
    Buffer here(a, 4, 0, 99);
    for (uint8_t round = 1; round < 50; ++round) {
        here.bytes[0] = round;
        succeeds(a, write(a, 2, there.key_for(1), 0, {here.all()}));
        ASSERT_DERECHO_OK(derecho_shard_send(a.shard, &round, 1, nullptr));
        ASSERT_TRUE(pump(all, [&] { return b.count(DERECHO_EVENT_MESSAGE) == round; }));
        ASSERT_EQ(there.bytes[0], round);
    }
}

TEST_P(RegisteredMemory, no_bytes_are_moved_as_well) {
    const Buffer there(b, 10, kBoth), here(a, 10, 0);
    succeeds(a, read(a, 2, there.key_for(1), 10, {}));
    succeeds(a, write(a, 2, there.key_for(1), 0, {{here.memory, 10, 0}}));
    is_refused(a, read(a, 2, derecho_memory_key{}, 0, {}), "the key opens nothing");
}

// ---------------------------------------------------------------------------------------------------- keys

TEST_P(RegisteredMemory, a_key_is_of_use_to_the_member_it_was_made_for_only) {
    const Buffer there(b, 100, kBoth), here(c, 100, 0, 99), own(b, 100, 0, 98);
    const auto bytes = there.bytes;
    is_refused(c, read(c, 2, there.key_for(1), 0, {here.all()}), "the key opens nothing for this node");
    is_refused(c, write(c, 2, there.key_for(1), 0, {here.all()}), "the key opens nothing for this node");
    is_refused(b, write(b, 2, there.key_for(1), 0, {own.all()}), "the key opens nothing for this node");
    is_refused(c, write(c, 1, there.key_for(3), 0, {here.all()}), "the key opens nothing for this node");
    EXPECT_EQ(there.bytes, bytes);
    EXPECT_EQ(here.bytes[0], 99);
    succeeds(c, read(c, 2, there.key_for(3), 0, {here.all()}));
}

TEST_P(RegisteredMemory, a_key_with_any_bit_changed_opens_nothing) {
    const Buffer there(b, 100, kBoth), here(a, 100, 0, 99);
    const auto bytes = there.bytes;
    for (size_t bit = 0; bit < 256; bit += 5) {
        derecho_memory_key key = there.key_for(1);
        key.words[bit / 64] ^= 1ull << bit % 64;
        is_refused(a, write(a, 2, key, 0, {here.all()}), "the key opens nothing");
    }
    EXPECT_EQ(there.bytes, bytes);
}

TEST_P(RegisteredMemory, a_key_is_the_same_when_asked_for_again_and_another_for_every_node_and_buffer) {
    const Buffer one(b, 100, kBoth), two(b, 100, kBoth);
    const auto same = [](const derecho_memory_key& x, const derecho_memory_key& y) {
        return std::equal(std::begin(x.words), std::end(x.words), std::begin(y.words));
    };
    EXPECT_TRUE(same(one.key_for(1), one.key_for(1)));
    EXPECT_FALSE(same(one.key_for(1), one.key_for(3)));
    EXPECT_FALSE(same(one.key_for(1), two.key_for(1)));
}

TEST_P(RegisteredMemory, a_key_allows_what_the_memory_was_registered_for) {
    const Buffer readable(b, 100, DERECHO_MEMORY_READ), writable(b, 100, DERECHO_MEMORY_WRITE), here(a, 100, 0, 99);
    const auto bytes = readable.bytes;
    is_refused(a, write(a, 2, readable.key_for(1), 0, {here.all()}), "was not registered for that");
    is_refused(a, read(a, 2, writable.key_for(1), 0, {here.all()}), "was not registered for that");
    EXPECT_EQ(readable.bytes, bytes);
    EXPECT_EQ(here.bytes[0], 99);
    derecho_memory_key key;
    EXPECT_EQ(derecho_memory_key_for(here.memory, 2, &key), DERECHO_INVALID);
    EXPECT_STREQ(derecho_last_error(), "the memory was registered for no peer's access");
}

TEST_P(RegisteredMemory, nothing_is_moved_beyond_the_end) {
    const Buffer there(b, 100'000, kBoth), here(a, 200'000, 0, 99);
    const auto bytes = there.bytes, before = here.bytes;
    const auto key = there.key_for(1);
    const auto refused = [&](uint64_t offset, uint64_t size) {
        is_refused(a, write(a, 2, key, offset, {{here.memory, 0, size}}), "reaches beyond the end");
        is_refused(a, read(a, 2, key, offset, {{here.memory, 0, size}}), "reaches beyond the end");
    };
    refused(0, 100'001);  // several chunks, of which only the last would not fit
    refused(99'999, 2);
    refused(100'001, 0);
    refused(UINT64_MAX, 1);
    refused(UINT64_MAX, 200'000);           // the second chunk would begin inside of it
    refused(UINT64_MAX - 65'000, 150'000);  // ... and end there
    EXPECT_EQ(there.bytes, bytes);
    EXPECT_EQ(here.bytes, before);
}

TEST_P(RegisteredMemory, a_key_dies_with_the_membership_it_was_made_for) {
    const Buffer there(b, 100, kBoth);
    const derecho_memory_key key = there.key_for(3);
    c.close();
    all = {&a, &b};
    ASSERT_TRUE(pump(all, [&] { return b.view().member_count == 2; }));
    derecho_memory_key none;
    EXPECT_EQ(derecho_memory_key_for(there.memory, 3, &none), DERECHO_NOT_MEMBER);
    TestNode again{3};
    ASSERT_NO_FATAL_FAILURE(again.join(&a, {{"wire", GetParam()}}));
    all.push_back(&again);
    ASSERT_TRUE(pump(all, [&] { return b.view().member_count == 3 && again.view().member_count == 3; }));
    const Buffer here(again, 100, 0, 99);
    is_refused(again, read(again, 2, key, 0, {here.all()}), "the key opens nothing");
    succeeds(again, read(again, 2, there.key_for(3), 0, {here.all()}));
    all = {&a, &b};
}

// ---------------------------------------------------------------------------------------------------- deregistering

TEST_P(RegisteredMemory, a_key_is_dead_once_the_memory_was_deregistered) {
    const Buffer there(b, 100, kBoth), here(a, 100, 0, 99);
    const auto bytes = there.bytes;
    const auto key = there.key_for(1);
    ASSERT_DERECHO_OK(derecho_memory_deregister(there.memory, 0));
    is_refused(a, write(a, 2, key, 0, {here.all()}), "the key opens nothing");
    is_refused(a, read(a, 2, key, 0, {here.all()}), "the key opens nothing");
    EXPECT_EQ(there.bytes, bytes);
    derecho_memory_key none;
    EXPECT_EQ(derecho_memory_key_for(there.memory, 1, &none), DERECHO_CLOSED);
    EXPECT_EQ(derecho_memory_deregister(there.memory, 0), DERECHO_CLOSED);
    uint64_t id = 0;
    const derecho_piece piece = there.all();
    EXPECT_EQ(derecho_memory_read(b.group, 1, &key, 0, &piece, 1, &id), DERECHO_CLOSED);
}

// Large writes are under way when the buffer is taken back: what was written lies before a point, and stays so.
TEST_P(RegisteredMemory, nothing_lands_once_it_was_deregistered) {
    constexpr size_t kSize = 16 << 20;
    const Buffer here(a, kSize, 0);
    for (int round = 0; round < 5; ++round) {
        Buffer there(b, kSize, kBoth);
        std::fill(there.bytes.begin(), there.bytes.end(), 0);
        const uint64_t id = write(a, 2, there.key_for(1), 0, {here.all()});
        for (int i = 0; i < 20 * round; ++i) a.poll();
        ASSERT_DERECHO_OK(derecho_memory_deregister(there.memory, 0));
        const std::vector<uint8_t> then = there.bytes;
        const Seen seen = wait(a, id);
        EXPECT_TRUE(seen.event.status == DERECHO_INVALID || seen.event.status == DERECHO_OK);
        EXPECT_TRUE(there.bytes == then);
    }
}

// One write follows the other when the buffer is taken back: those from then on are refused, and those to another
// buffer go on.
TEST_P(RegisteredMemory, who_writes_to_what_is_taken_back_is_refused_from_then_on) {
    constexpr size_t kSize = 1 << 20, kWrites = 300;
    const Buffer there(b, kSize, kBoth), other(b, kSize, kBoth), here(a, kSize, 0, 99);
    const auto key = there.key_for(1), others = other.key_for(1);
    std::vector<uint64_t> ids;
    for (size_t i = 0; i < kWrites; ++i) ids.push_back(write(a, 2, i % 10 == 9 ? others : key, 0, {here.all()}));
    ASSERT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_MEMORY) >= kWrites / 4; }));
    ASSERT_DERECHO_OK(derecho_memory_deregister(there.memory, 0));
    const std::vector<uint8_t> then = there.bytes;
    size_t done = 0;
    for (size_t i = 0; i < kWrites; ++i) {
        const Seen seen = wait(a, ids[i]);
        if (i % 10 == 9) {
            EXPECT_EQ(seen.event.status, DERECHO_OK) << i << ": " << seen.data;
        } else if (seen.event.status == DERECHO_OK) {
            EXPECT_EQ(done, i - i / 10) << "none is done once one was refused";
            ++done;
        } else {
            EXPECT_EQ(seen.event.status, DERECHO_INVALID) << i;
        }
    }
    EXPECT_GE(done, kWrites / 5);
    EXPECT_LT(done, kWrites - kWrites / 10);
    EXPECT_TRUE(there.bytes == then);
    EXPECT_TRUE(other.bytes == here.bytes);
    EXPECT_EQ(a.view().member_count, 3u);
}

TEST_P(RegisteredMemory, deregistering_waits_for_the_own_operations) {
    constexpr size_t kSize = 16 << 20;
    const Buffer there(b, kSize, kBoth), here(a, kSize, 0);
    const auto key = there.key_for(1);
    const uint64_t id = read(a, 2, key, 0, {here.all()});
    ASSERT_DERECHO_OK(derecho_memory_deregister(here.memory, 20'000));
    EXPECT_TRUE(here.bytes == there.bytes) << "it did not wait";
    succeeds(a, id);
}

// Nobody drives the other two: what is begun with them does not get on.
TEST_P(RegisteredMemory, deregistering_that_times_out_says_for_whom_it_waited_and_changes_nothing) {
    TestNode x{11}, y{12}, z{13};
    const Texts options{{"wire", GetParam()}, {"reactor", "false"}};
    ASSERT_NO_FATAL_FAILURE(x.join(nullptr, options));
    all = {&x};
    ASSERT_TRUE(pump(all, [&] { return x.view().member_count == 1; }));  // it has an address from then on
    for (TestNode* node : {&y, &z}) {
        std::atomic<bool> joined{false};
        std::thread joiner([&] {
            EXPECT_EQ(node->try_join(&x, options), DERECHO_OK) << node->error;
            joined = true;
        });
        EXPECT_TRUE(pump(all, [&] { return joined.load(); }));
        joiner.join();
        all.push_back(node);
        ASSERT_TRUE(pump(all, [&] {
            return std::all_of(all.begin(), all.end(), [&](auto* n) { return n->view().member_count == all.size(); });
        }));
    }
    constexpr size_t kSize = 8 << 20;
    const Buffer there(y, kSize, kBoth), also_there(z, kSize, kBoth), here(x, kSize, 0), other(x, 10, 0);
    const uint64_t one = write(x, 12, there.key_for(11), 0, {here.all()});
    const uint64_t two = write(x, 12, there.key_for(11), 0, {{here.memory, 0, 10}, {here.memory, 50, 10}});
    const uint64_t three = write(x, 13, also_there.key_for(11), 0, {here.all(), {other.memory, 0, 0}});
    for (const int64_t timeout_ms : {0, 20}) {
        ASSERT_EQ(derecho_memory_deregister(here.memory, timeout_ms), DERECHO_TIMEOUT);
        EXPECT_EQ(derecho_last_error(), "after " + std::to_string(timeout_ms) +
                                            " ms operations that use the memory are pending: 2 with node 12, 1 with "
                                            "node 13");
    }
    EXPECT_DERECHO_OK(derecho_memory_deregister(other.memory, 0)) << "no piece of it is used";
    succeeds(x, one);
    succeeds(x, two);
    succeeds(x, three);
    EXPECT_TRUE(also_there.bytes == here.bytes);
    EXPECT_DERECHO_OK(derecho_memory_deregister(here.memory, 0));
}

TEST_P(RegisteredMemory, memory_ends_with_its_group) {
    const Buffer there(b, 100, kBoth);
    b.close();
    all = {&a, &c};
    derecho_memory_key key;
    EXPECT_EQ(derecho_memory_key_for(there.memory, 1, &key), DERECHO_CLOSED);
    EXPECT_EQ(derecho_memory_deregister(there.memory, 0), DERECHO_CLOSED);
}

// ---------------------------------------------------------------------------------------------------- members that go

TEST_P(RegisteredMemory, an_operation_with_a_member_that_goes_ends_as_removed) {
    constexpr size_t kSize = 64 << 20;
    const Buffer there(b, kSize, kBoth), here(a, kSize, 0);
    std::vector<uint64_t> ids;
    for (int i = 0; i < 5; ++i) ids.push_back(write(a, 2, there.key_for(1), 0, {here.all()}));
    for (int i = 0; i < 5; ++i) a.poll();
    b.close();
    all = {&a, &c};
    for (const uint64_t id : ids) {
        const Seen seen = wait(a, id);
        EXPECT_EQ(seen.event.status, DERECHO_REMOVED);
        EXPECT_EQ(seen.event.node, 2u);
        EXPECT_EQ(seen.event.size_bytes, 0u);
    }
    EXPECT_DERECHO_OK(derecho_memory_deregister(here.memory, 0));
    uint64_t id = 0;
    const derecho_memory_key key{};
    EXPECT_EQ(derecho_memory_read(a.group, 2, &key, 0, nullptr, 0, &id), DERECHO_NOT_MEMBER);
    EXPECT_STREQ(derecho_last_error(), "node 2 is not a member of the view, or was lost");
}

TEST_P(RegisteredMemory, who_leaves_is_told_of_all_its_operations_before_the_end) {
    constexpr size_t kSize = 64 << 20;
    const Buffer there(b, kSize, kBoth), here(a, kSize, 0);
    for (int i = 0; i < 10; ++i) write(a, 2, there.key_for(1), 0, {here.all()});
    std::thread leaver([&] { EXPECT_DERECHO_OK(derecho_group_leave(a.group, 20'000)); });
    EXPECT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_CLOSED) == 1; }));
    leaver.join();
    EXPECT_EQ(a.count(DERECHO_EVENT_MEMORY), 10u);
    EXPECT_EQ(a.seen.back().event.kind, uint32_t{DERECHO_EVENT_CLOSED});
    for (const Seen* seen : a.all(DERECHO_EVENT_MEMORY))
        EXPECT_TRUE(seen->event.status == DERECHO_OK || seen->event.status == DERECHO_CLOSED);
    EXPECT_EQ(a.all(DERECHO_EVENT_MEMORY).back()->event.status, DERECHO_CLOSED);
    uint64_t id = 0;
    const derecho_memory_key key{};
    EXPECT_EQ(derecho_memory_read(a.group, 2, &key, 0, nullptr, 0, &id), DERECHO_CLOSED);
    all = {&b, &c};
}

TEST_P(RegisteredMemory, a_client_has_no_part_in_it) {
    const Buffer there(b, 100, kBoth);
    TestNode client{9};
    ASSERT_NO_FATAL_FAILURE(client.join(&a, {{"role", "client"}, {"wire", GetParam()}}));
    derecho_memory_key key{};
    EXPECT_EQ(derecho_memory_key_for(there.memory, 9, &key), DERECHO_NOT_MEMBER);
    const Buffer here(client, 100, kBoth);
    EXPECT_EQ(derecho_memory_key_for(here.memory, 9, &key), DERECHO_NOT_MEMBER);
}

TEST_P(RegisteredMemory, too_many_operations_are_put_off_until_events_were_taken) {
    const Buffer there(b, 10, kBoth), here(a, 10, 0);
    const auto key = there.key_for(1);
    const derecho_piece piece = here.all();
    size_t begun = 0;
    uint64_t id = 0;
    derecho_status status = DERECHO_OK;
    while ((status = derecho_memory_read(a.group, 2, &key, 0, &piece, 1, &id)) == DERECHO_OK) ++begun;
    EXPECT_EQ(status, DERECHO_AGAIN);
    EXPECT_EQ(begun, 1024u);
    ASSERT_TRUE(pump(all, [&] { return a.count(DERECHO_EVENT_MEMORY) == begun; }));
    succeeds(a, read(a, 2, key, 0, {piece}));
}

}  // namespace
}  // namespace libderecho::capi_testing
