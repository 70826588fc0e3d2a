// The contract over shared memory and over TCP.
#include "contract.hpp"
#include "net_world.hpp"

namespace libderecho::test {
namespace {

WorldFactory net(const char* name, Wire wire) {
    return {name, [wire] { return std::make_unique<NetWorld>(wire); }};
}

const auto shm = net("shm", Wire::shm), tcp = net("tcp", Wire::tcp);
std::string name(const ::testing::TestParamInfo<WorldFactory>& tested) { return tested.param.name; }

INSTANTIATE_TEST_SUITE_P(Wires, FabricContract, ::testing::Values(shm, tcp), name);
INSTANTIATE_TEST_SUITE_P(Wires, FabricContractInTime, ::testing::Values(shm, tcp), name);
INSTANTIATE_TEST_SUITE_P(Wires, FabricContractOfCopies, ::testing::Values(tcp), name);

}  // namespace
}  // namespace libderecho::test
