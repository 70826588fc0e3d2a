// The contract over shared memory and over TCP.
#include "contract.hpp"
#include "net_world.hpp"

namespace libderecho::test {
namespace {

WorldFactory net(const char* name, Wire wire) {
    return {name, [wire] { return std::make_unique<NetWorld>(wire); }};
}

INSTANTIATE_TEST_SUITE_P(Wires, FabricContract, ::testing::Values(net("shm", Wire::shm), net("tcp", Wire::tcp)),
                         [](const auto& tested) { return tested.param.name; });

}  // namespace
}  // namespace libderecho::test
