// What a queue sends, put together by a receiver, is what was pushed: for any pushes, any sizes of partial writes and
// reads, and with an order among counters that coalescing never breaks.
#include "fabric/tcp/queue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <random>

#include "fabric/tcp/receiver.hpp"

namespace libderecho {
namespace {

std::shared_ptr<RegionMemory> memory_of(size_t size_bytes) {
    auto memory = std::make_shared<RegionMemory>();
    EXPECT_TRUE(map_anonymous(size_bytes, memory->mapping).ok());
    return memory;
}

// A wire that takes so many bytes at a time.
class Pipe {
public:
    size_t move(TcpQueue& queue, size_t at_most) {
        std::array<iovec, 16> pieces;
        const size_t n = queue.gather(pieces);
        size_t moved = 0;
        for (size_t i = 0; i < n && moved < at_most; ++i) {
            const size_t take = std::min(pieces[i].iov_len, at_most - moved);
            const auto* from = static_cast<const std::byte*>(pieces[i].iov_base);
            bytes_.insert(bytes_.end(), from, from + take);
            moved += take;
        }
        queue.sent(moved);
        return moved;
    }
    Status deliver(TcpReceiver& receiver, size_t at_most) {
        std::array<iovec, 2> pieces;
        const size_t n = receiver.prepare(pieces);
        size_t moved = 0;
        for (size_t i = 0; i < n && moved < at_most; ++i) {
            const size_t take = std::min({pieces[i].iov_len, at_most - moved, bytes_.size() - moved});
            std::memcpy(pieces[i].iov_base, bytes_.data() + moved, take);
            moved += take;
        }
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(moved));
        return receiver.received(moved);
    }
    void feed(const void* from, size_t n) {
        const auto* first = static_cast<const std::byte*>(from);
        bytes_.insert(bytes_.end(), first, first + n);
    }
    size_t waiting() const { return bytes_.size(); }

private:
    std::vector<std::byte> bytes_;
};

constexpr MirrorTable::Limits kLimits{.region_bytes_max = 1 << 20, .total_bytes_max = 4 << 20};

struct TcpQueueTest : ::testing::Test {
    MirrorTable mirrors{kLimits};
    TcpReceiver receiver{mirrors};
    TcpQueue queue;
    Pipe pipe;

    void all() {
        while (pipe.move(queue, 1 << 20) > 0) continue;
        while (pipe.waiting() > 0) ASSERT_TRUE(pipe.deliver(receiver, 1 << 20).ok());
    }
    size_t entries() const {
        std::array<iovec, 4096> pieces;
        return queue.gather(pieces);
    }
    void counter(uint64_t region, uint64_t offset, uint64_t value) {
        queue.counters({region}, offset, std::as_bytes(std::span(&value, 1)));
    }
    uint64_t seen(uint64_t region, uint64_t offset) {
        uint64_t value;
        std::memcpy(&value, mirrors.visible({region}).data() + offset, 8);
        return value;
    }
    void announce(uint64_t region, size_t size_bytes) {
        queue.announce({region}, size_bytes);
        queue.synced();
    }
};

TEST_F(TcpQueueTest, contiguous_data_becomes_one_frame) {
    const auto memory = memory_of(4096);
    for (uint64_t at = 0; at < 4000; at += 100) queue.data({1}, memory, at, 100);
    EXPECT_EQ(entries(), 2u) << "a header and the bytes";
    queue.data({1}, memory, 500, 100);
    EXPECT_EQ(entries(), 2u) << "it waits already";
}

TEST_F(TcpQueueTest, a_counter_pushed_again_takes_the_place_of_the_one_that_waits) {
    const auto memory = memory_of(4096);
    for (uint64_t i = 1; i <= 100; ++i) {
        queue.data({1}, memory, i * 8, 8);
        counter(2, 0, i);
    }
    EXPECT_EQ(entries(), 3u) << "data with its header, one counter";
}

TEST_F(TcpQueueTest, a_counter_does_not_overtake_another) {
    announce(1, 4096);
    all();
    counter(1, 0, 1);
    counter(1, 8, 1);
    counter(1, 0, 2);  // must not be seen before 8 is 1
    for (int i = 0; i < 200 && seen(1, 0) != 2; ++i) {
        pipe.move(queue, 1);
        if (pipe.waiting()) pipe.deliver(receiver, 1);
        ASSERT_GE(seen(1, 8) + 1, seen(1, 0));
    }
    EXPECT_EQ(seen(1, 0), 2u);
}

TEST_F(TcpQueueTest, a_stalled_peer_costs_bounded_memory_and_gets_the_newest_values_at_once) {
    announce(1, 4096);
    all();
    for (uint64_t i = 1; i <= 100000; ++i) {
        counter(1, 0, i);
        counter(1, 8, i);
        counter(1, 16, i);
        if (i == 1) pipe.move(queue, 5);  // stalls in the middle of a frame
        if (i % 10000 == 0) pipe.move(queue, 7);
    }
    EXPECT_LT(queue.held_bytes(), 200u << 10);
    all();
    EXPECT_EQ(seen(1, 0), 100000u);
    EXPECT_EQ(seen(1, 8), 100000u);
    EXPECT_EQ(seen(1, 16), 100000u);
}

TEST_F(TcpQueueTest, regions_older_than_the_link_are_shown_all_at_once) {
    queue.announce({1}, 4096);
    counter(1, 0, 5);
    all();
    EXPECT_TRUE(mirrors.visible({1}).empty());
    announce(2, 4096);
    all();
    EXPECT_EQ(seen(1, 0), 5u);
}

TEST_F(TcpQueueTest, memory_of_a_region_lives_while_it_waits_to_be_sent) {
    auto memory = memory_of(4096);
    const std::weak_ptr<RegionMemory> watch = memory;
    std::memset(memory->mapping.data(), 5, 4096);
    announce(1, 4096);
    queue.data({1}, memory, 0, 4096);
    memory.reset();
    EXPECT_FALSE(watch.expired());
    all();
    EXPECT_TRUE(watch.expired());
    EXPECT_EQ(mirrors.visible({1})[4095], std::byte{5});
}

// Random pushes of a writer that keeps the rules (data before its counter, counters in turns), random partial writes
// and reads; the reader checks, at every moment, that it sees no counter without what was pushed before it.
TEST_F(TcpQueueTest, any_schedule_keeps_data_before_counters_and_counters_in_order) {
    for (uint32_t seed = 1; seed <= 60; ++seed) {
        std::mt19937 random(seed);
        MirrorTable table(kLimits);
        TcpReceiver into(table);
        TcpQueue from;
        Pipe wire;
        const auto ring = memory_of(1 << 20);
        auto* words = reinterpret_cast<uint64_t*>(ring->mapping.data());
        from.announce({1}, 1 << 20);
        from.announce({2}, 4096);
        from.synced();
        uint64_t written = 0;
        std::array<uint64_t, 3> counters{};
        const auto at = [&](size_t offset) {
            uint64_t value = 0;
            if (!table.visible({2}).empty()) std::memcpy(&value, table.visible({2}).data() + offset, 8);
            return value;
        };
        for (int step = 0; step < 4000 || wire.waiting() || !from.empty(); ++step) {
            if (step < 4000 && random() % 4 != 0) {
                const uint64_t n = 1 + random() % (random() % 50 == 0 ? 4000 : 20);
                if (written + n <= (1 << 17)) {
                    for (uint64_t i = 0; i < n; ++i) words[written + i] = written + i + 1;
                    from.data({1}, ring, written * 8, n * 8);
                    written += n;
                }
                counters[0] = written;
                from.counters({2}, 0, std::as_bytes(std::span(&counters[0], 1)));
                if (random() % 3 == 0) {  // the second follows the first, the third the second
                    counters[2] = counters[1];
                    counters[1] = written;
                    from.counters({2}, 128, std::as_bytes(std::span(&counters[2], 1)));
                    from.counters({2}, 64, std::as_bytes(std::span(&counters[1], 1)));
                }
            }
            if (random() % (seed % 2 ? 3 : 200) == 0 || step >= 4000) wire.move(from, 1 + random() % 5000);
            if (wire.waiting()) {
                ASSERT_TRUE(wire.deliver(into, 1 + random() % 5000).ok());
            }
            ASSERT_GE(at(0), at(64)) << "seed " << seed;
            if (const uint64_t n = at(0); n > 0) {
                const auto data = table.visible({1});
                uint64_t last;
                std::memcpy(&last, data.data() + (n - 1) * 8, 8);
                ASSERT_EQ(last, n) << "seed " << seed << ": a counter came before its data";
            }
        }
        EXPECT_EQ(at(0), counters[0]);
        EXPECT_EQ(at(64), counters[1]);
        EXPECT_EQ(at(128), counters[2]);
        EXPECT_EQ(std::memcmp(table.visible({1}).data(), words, written * 8), 0);
    }
}

// ------------------------------------------------------------------------------------------------- bad input

TEST_F(TcpQueueTest, malformed_frames_are_refused_with_a_reason) {
    const WireFrameHeader frames[] = {
        {.kind = 77, .region = 1},
        {.kind = 2, .region = 1, .offset = 4096, .length_bytes = 1},
        {.kind = 2, .region = 1, .offset = ~0ull, .length_bytes = 2},
        {.kind = 2, .region = 1, .offset = 8, .length_bytes = ~0ull},
        {.kind = 3, .region = 1, .offset = 0, .length_bytes = 4097},
        {.kind = 4, .length_bytes = kBatchBytesMax + 1},
        {.kind = 1, .region = 1, .length_bytes = 4096},  // announced before
        {.kind = 1, .region = 2, .length_bytes = 0},
        {.kind = 1, .region = 2, .length_bytes = 2 << 20},
    };
    for (const WireFrameHeader& frame : frames) {
        MirrorTable table(kLimits);
        TcpReceiver into(table);
        Pipe wire;
        const WireFrameHeader first{.kind = 1, .region = 1, .length_bytes = 4096};
        wire.feed(&first, sizeof first);
        wire.feed(&frame, sizeof frame);
        const Status status = wire.deliver(into, 1 << 20);
        EXPECT_FALSE(status.ok()) << frame.kind;
        EXPECT_FALSE(status.detail.empty());
    }
}

TEST_F(TcpQueueTest, random_bytes_are_survived) {
    for (uint32_t seed = 1; seed <= 3000; ++seed) {
        std::mt19937 random(seed);
        MirrorTable table(kLimits);
        TcpReceiver into(table);
        Pipe wire;
        for (int i = 0; i < 40; ++i) {
            const WireFrameHeader frame{
                .kind = static_cast<uint32_t>(random() % 6),
                .region = random() % 3,
                .offset = random() % 3 ? random() % 5000 : (uint64_t{random()} << 32 | random()),
                .length_bytes = random() % 5 ? random() % 5000 : (uint64_t{random()} << 32 | random())};
            wire.feed(&frame, sizeof frame);
            std::vector<std::byte> rubbish(random() % 200);
            for (std::byte& byte : rubbish) byte = static_cast<std::byte>(random());
            wire.feed(rubbish.data(), rubbish.size());
        }
        while (wire.waiting() > 0 && wire.deliver(into, 1 + random() % 700).ok()) continue;
    }
}

TEST_F(TcpQueueTest, a_mirror_forgotten_while_its_data_arrives_is_skipped) {
    const auto memory = memory_of(65536);
    announce(1, 65536);
    queue.announce({2}, 4096);
    queue.data({1}, memory, 0, 65536);
    counter(2, 0, 9);
    while (pipe.move(queue, 1 << 20) > 0) continue;
    ASSERT_TRUE(pipe.deliver(receiver, 20000).ok());
    mirrors.forget({1});
    while (pipe.waiting() > 0) ASSERT_TRUE(pipe.deliver(receiver, 1000).ok());
    EXPECT_EQ(seen(2, 0), 9u);
}

}  // namespace
}  // namespace libderecho
