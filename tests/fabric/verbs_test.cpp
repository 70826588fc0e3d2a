// What a batch costs over RDMA, counted by the fabric itself. Only where there is a device: `make test-rdma`.
#include <cctype>
#include <fstream>
#include <string>

#include "contract.hpp"
#include "fabric/os/memory.hpp"
#include "net_world.hpp"

namespace libderecho::test {
namespace {

class VerbsBatch : public FabricContract {
protected:
    // What node A's device did since the last call.
    Fabric::RdmaCounts spent() {
        const Fabric::RdmaCounts now = at(kA).stats().rdma, before = std::exchange(counted_, now);
        return {now.work_requests - before.work_requests, now.doorbells - before.doorbells,
                now.completions - before.completions};
    }
    // A row whose counter and a ring whose messages nodes B and C read, both arrived, nothing under way.
    void start() {
        row_ = start_with_region(3);
        const NodeId readers[] = {kB, kC};
        ring_ = at(kA).expose({8}, kRegionBytes, readers);
        for (const NodeId reader : readers) ASSERT_TRUE(arrives(reader, kA, 8));
        send(1, 0);
        spent();
    }
    void send(uint64_t messages, uint64_t first) {
        for (uint64_t i = first; i < first + messages; ++i) {
            at(kA).push_data(*ring_, i % 512 * 128, 128);
            push_word(kA, *row_, 0, i + 1);
        }
        at(kA).flush();
        for (const NodeId reader : {kB, kC}) ASSERT_TRUE(shows(reader, kA, 7, 0, first + messages));
    }

    Region *row_ = nullptr, *ring_ = nullptr;
    Fabric::RdmaCounts counted_;
};

TEST_P(VerbsBatch, is_two_work_requests_and_one_doorbell_for_each_peer) {
    start();
    uint64_t first = 1;
    for (const uint64_t messages : {1ull, 8ull, 64ull}) {
        send(messages, first);
        first += messages;
        const Fabric::RdmaCounts cost = spent();
        EXPECT_EQ(cost.work_requests, 2u * 2) << messages << " messages: the data, and the newest counter";
        EXPECT_EQ(cost.doorbells, 2u) << messages << " messages";
    }
}

TEST_P(VerbsBatch, is_completed_once_in_half_a_queue) {
    start();
    constexpr uint64_t kBatches = 2000;
    for (uint64_t i = 1; i <= kBatches; ++i) send(1, i);
    const Fabric::RdmaCounts cost = spent();
    EXPECT_EQ(cost.work_requests, 4 * kBatches);
    EXPECT_GE(cost.completions, 2 * (2 * kBatches / 128 - 1));
    EXPECT_LE(cost.completions, 2 * (2 * kBatches / 128 + 1));
}

TEST_P(VerbsBatch, takes_quiet_counters_along) {
    start();
    for (uint64_t i = 1; i <= 100; ++i) {
        set_word(*row_, 64, i);
        at(kA).push_quietly(*row_, 64, 8);
        at(kA).flush();
        send(1, i);
    }
    EXPECT_EQ(spent().doorbells, 100u * 2);
    EXPECT_TRUE(shows(kB, kA, 7, 64, 100));
}

// Bytes of huge pages that the mapping at `data` has.
uint64_t huge_bytes(const std::byte* data) {
    std::ifstream maps("/proc/self/smaps");
    bool here = false;
    for (std::string line; std::getline(maps, line);) {
        const size_t dash = line.find('-');
        if (dash != std::string::npos && line.find(':') > dash && std::isxdigit(line[0])) {
            const auto begin = std::stoull(line.substr(0, dash), nullptr, 16);
            const auto end = std::stoull(line.substr(dash + 1), nullptr, 16);
            here = begin <= reinterpret_cast<uintptr_t>(data) && reinterpret_cast<uintptr_t>(data) < end;
        } else if (here && line.starts_with("AnonHugePages:")) {
            return std::stoull(line.substr(14)) << 10;
        }
    }
    return 0;
}

class VerbsMemoryTest : public FabricContract {};

TEST_P(VerbsMemoryTest, registered_memory_is_of_huge_pages) {
    std::ifstream setting("/sys/kernel/mm/transparent_hugepage/enabled");
    std::string word;
    std::getline(setting, word);
    if (word.find("[never]") != std::string::npos) GTEST_SKIP() << "this system gives no huge pages: " << word;
    std::unique_ptr<VerbsDevice> device;
    ASSERT_TRUE(open_verbs({}, device).ok());
    Mapping memory;
    std::shared_ptr<VerbsMemory> key;
    ASSERT_TRUE(map_anonymous(16 << 20, memory).ok());
    ASSERT_TRUE(device->register_memory(memory.bytes(), true, key).ok());
    EXPECT_GE(huge_bytes(memory.data() + (8 << 20)), 8u << 20);
}

std::vector<WorldFactory> with_a_device() {
    std::unique_ptr<VerbsDevice> device;
    if (!open_verbs({}, device).ok()) return {};
    return {{"verbs", [] { return std::make_unique<NetWorld>(Wire::verbs); }}};
}

std::string name(const ::testing::TestParamInfo<WorldFactory>& tested) { return tested.param.name; }

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VerbsBatch);
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(VerbsMemoryTest);
INSTANTIATE_TEST_SUITE_P(Wires, VerbsBatch, ::testing::ValuesIn(with_a_device()), name);
INSTANTIATE_TEST_SUITE_P(Wires, VerbsMemoryTest, ::testing::ValuesIn(with_a_device()), name);

}  // namespace
}  // namespace libderecho::test
