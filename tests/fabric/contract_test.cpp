// The contract over shared memory, TCP and RDMA.
#include "contract.hpp"
#include "net_world.hpp"

namespace libderecho::test {
namespace {

WorldFactory net(const char* name, Wire wire) {
    return {name, [wire] { return std::make_unique<NetWorld>(wire); }};
}

const auto shm = net("shm", Wire::shm), tcp = net("tcp", Wire::tcp), verbs = net("verbs", Wire::verbs);

// RDMA only where there is a device: `make test-rdma` runs these in a machine that has one.
auto wires(std::vector<WorldFactory> wires) {
    std::unique_ptr<VerbsDevice> device;
    if (open_verbs({}, device).ok()) wires.push_back(verbs);
    return ::testing::ValuesIn(wires);
}

std::string name(const ::testing::TestParamInfo<WorldFactory>& tested) { return tested.param.name; }

INSTANTIATE_TEST_SUITE_P(Wires, FabricContract, wires({shm, tcp}), name);
INSTANTIATE_TEST_SUITE_P(Wires, FabricContractInTime, wires({shm, tcp}), name);
INSTANTIATE_TEST_SUITE_P(Wires, FabricContractOfCopies, wires({tcp}), name);

}  // namespace
}  // namespace libderecho::test
