// What the tests in contract.cpp stand on. To run them over another wire, instantiate the suites that it can run with a
// factory of its worlds:  INSTANTIATE_TEST_SUITE_P(Sim, FabricContract, ::testing::Values(WorldFactory{"sim", ...}));
//
//   FabricContract          every wire, the simulated one too
//   FabricContractInTime    those with real threads and sleeps
//   FabricContractOfCopies  those whose mirrors are copies, so that only what was pushed is seen; where mirrors are the
//                           owner's pages, what is written shows without a push, and there is nothing to tell apart
//
// Each test makes its own world, so that a failing one leaves nothing behind for the next.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>

#include "world.hpp"

namespace libderecho::test {

inline constexpr NodeId kA{1}, kB{2}, kC{3};
inline constexpr size_t kRegionBytes = 256 << 10;

// How often a loop goes round that waits for a rare moment: not so often where processor and device are emulated.
inline uint64_t often(uint64_t times) { return std::getenv("RDMA_VM") ? times / 4 : times; }

inline uint64_t word(std::span<const std::byte> bytes, size_t offset) {
    auto* at = reinterpret_cast<uint64_t*>(const_cast<std::byte*>(bytes.data() + offset));
    return std::atomic_ref<uint64_t>(*at).load(std::memory_order_acquire);
}
inline void set_word(Region& region, size_t offset, uint64_t value) {
    auto* at = reinterpret_cast<uint64_t*>(region.bytes().data() + offset);
    std::atomic_ref<uint64_t>(*at).store(value, std::memory_order_release);
}

class FabricContract : public ::testing::TestWithParam<WorldFactory> {
protected:
    void SetUp() override { world_ = GetParam().make(); }

    Fabric& at(NodeId id) { return world_->node(id); }
    std::span<const std::byte> mirror(NodeId reader, NodeId owner, uint64_t id) {
        return at(reader).mirror(owner, {id});
    }
    bool arrives(NodeId reader, NodeId owner, uint64_t id) {
        return world_->pump_until([&] { return !mirror(reader, owner, id).empty(); });
    }
    bool shows(NodeId reader, NodeId owner, uint64_t id, size_t offset, uint64_t value) {
        return world_->pump_until([&] {
            const auto seen = mirror(reader, owner, id);
            return !seen.empty() && word(seen, offset) == value;
        });
    }
    void push_word(NodeId owner, Region& region, size_t offset, uint64_t value) {
        set_word(region, offset, value);
        at(owner).push_counters(region, offset, 8);
    }
    // Nodes 1..count, all connected, and a region 7 of node 1 that all others read.
    Region* start_with_region(uint32_t count) {
        world_->start_connected(count);
        std::vector<NodeId> readers;
        for (uint32_t n = 1; n <= count; ++n) readers.push_back(NodeId{n});
        Region* region = at(kA).expose({7}, kRegionBytes, readers);
        for (uint32_t n = 2; n <= count; ++n) EXPECT_TRUE(arrives(NodeId{n}, kA, 7));
        return region;
    }

    std::unique_ptr<World> world_;
};
class FabricContractInTime : public FabricContract {};
class FabricContractOfCopies : public FabricContract {};

}  // namespace libderecho::test
