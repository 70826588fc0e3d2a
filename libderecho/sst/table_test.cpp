// Rows arrive one by one, read as zero before, and predicates over their columns answer from what is there.
#include "sst/table.hpp"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "fabric/fabric_testing.hpp"
#include "sst/layout.hpp"
#include "sst/predicates.hpp"

namespace libderecho {
namespace {

// Memory only: what "arrives" is what a test puts there.
class Shelf final : public FakeFabric {
public:
    Shelf() : FakeFabric(NodeId{1}) {}
    struct Memory final : Region {
        explicit Memory(size_t size) : words(size / 8) { bytes_ = std::as_writable_bytes(std::span(words)); }
        std::vector<uint64_t> words;
    };
    Region* expose(RegionId, size_t size, std::span<const NodeId>) override {
        own = std::make_unique<Memory>(size);
        return own.get();
    }
    void retire(Region*) override { retired = true; }
    std::span<const std::byte> mirror(NodeId peer, RegionId) override {
        return arrived.contains(peer) ? arrived.at(peer)->bytes() : std::span<std::byte>{};
    }
    void forget(NodeId, RegionId) override { ++forgotten; }

    std::unique_ptr<Memory> own;
    std::map<NodeId, std::unique_ptr<Memory>> arrived;
    bool retired = false;
    int forgotten = 0;
};

constexpr size_t kRowBytes = 128, kColumn = 8;
const std::vector<NodeId> kMembers{NodeId{1}, NodeId{2}, NodeId{3}};

class TableTest : public ::testing::Test {
protected:
    void arrive(uint32_t node, uint64_t value, size_t size = kRowBytes) {
        shelf.arrived[NodeId{node}] = std::make_unique<Shelf::Memory>(size);
        shelf.arrived[NodeId{node}]->words[kColumn / 8] = value;
        table.refresh();
    }
    Shelf shelf;
    Table table{shelf, RegionId{7}, kMembers, Rank{0}, kRowBytes, 64};
};

TEST_F(TableTest, a_row_that_has_not_arrived_reads_as_zero) {
    EXPECT_EQ(table.value(1, kColumn), 0u);
    EXPECT_FALSE(table.arrived(1));
    arrive(2, 5);
    EXPECT_EQ(table.value(1, kColumn), 5u);
    EXPECT_TRUE(table.arrived(1));
    EXPECT_FALSE(table.arrived(2));
}

TEST_F(TableTest, a_row_of_another_size_never_arrives) {
    arrive(2, 5, kRowBytes / 2);
    EXPECT_EQ(table.value(1, kColumn), 0u);
}

TEST_F(TableTest, the_own_row_is_always_there) {
    publish(table.own_word(kColumn), 9);
    EXPECT_EQ(table.value(0, kColumn), 9u);
}

TEST_F(TableTest, predicates_look_at_the_rows_they_are_asked_about) {
    publish(table.own_word(kColumn), 4);
    arrive(2, 6);
    arrive(3, 3);
    EXPECT_EQ(least(table, first_ranks(3), kColumn), 3u);
    EXPECT_EQ(least(table, just(0) | just(1), kColumn), 4u);
    EXPECT_EQ(greatest(table, first_ranks(3), kColumn), 6u);
    EXPECT_EQ(at_least(table, first_ranks(3), kColumn, 4), just(0) | just(1));
    EXPECT_EQ(equal_to(table, first_ranks(3), kColumn, 3), just(2));
    EXPECT_EQ(containing(table, first_ranks(3), kColumn, 0b110), just(1));
}

TEST(TableLife, gives_back_what_it_took) {
    Shelf shelf;
    { Table table(shelf, RegionId{7}, kMembers, Rank{0}, kRowBytes, 64); }
    EXPECT_TRUE(shelf.retired);
    EXPECT_EQ(shelf.forgotten, 2);
}

TEST(Counter, only_grows) {
    alignas(8) uint64_t counter = 5;
    publish(&counter, 5);
    EXPECT_DEATH(publish(&counter, 4), "assertion failed");
}

TEST(RankSets, cover_all_64_ranks) {
    EXPECT_EQ(first_ranks(64), ~0ull);
    EXPECT_EQ(first_ranks(0), 0u);
    EXPECT_EQ(below(3), 0b111u);
    EXPECT_EQ(lowest(just(63)), 63u);
    std::vector<size_t> seen;
    for_each(just(0) | just(5) | just(63), [&](size_t r) { seen.push_back(r); });
    EXPECT_EQ(seen, (std::vector<size_t>{0, 5, 63}));
}

TEST(Layouts, keep_columns_apart_and_lines_aligned) {
    Layout layout;
    EXPECT_EQ(layout.words(1), 0u);
    EXPECT_EQ(layout.words(2), 8u);
    layout.align();
    EXPECT_EQ(layout.bytes(3), 64u);
    EXPECT_EQ(layout.end(), 72u);
}

}  // namespace
}  // namespace libderecho
