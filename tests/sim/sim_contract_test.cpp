// The simulated fabric keeps the very contract of the real ones: what the simulator proves holds for them.
#include <map>

#include "../fabric/contract.hpp"
#include "sim/sim_network.hpp"

namespace libderecho::test {
namespace {

class SimWorld : public World {
public:
    SimWorld(uint64_t seed, bool one_host) : network_(seed, {}), one_host_(one_host) {}

    Fabric& start(NodeId id, uint64_t incarnation) override {
        sim::SimFabric& fabric = network_.start({id, incarnation, address(id), one_host_ ? 0 : raw(id)});
        nodes_[id] = &fabric;
        return fabric;
    }
    void kill(NodeId id) override {
        network_.kill(*nodes_.at(id), sim::Death::clean);
        nodes_.erase(id);
    }
    Fabric& node(NodeId id) override { return *nodes_.at(id); }
    std::string address(NodeId id) override { return "sim:" + std::to_string(raw(id)); }
    std::vector<NodeId> alive() override {
        std::vector<NodeId> ids;
        for (const auto& [id, fabric] : nodes_) ids.push_back(id);
        return ids;
    }
    Instant now() override { return network_.now(); }
    void advance() override { network_.advance_to(std::min(network_.next(), now() + microseconds(100))); }

private:
    sim::Network network_;
    bool one_host_;
    std::map<NodeId, sim::SimFabric*> nodes_;
};

std::vector<WorldFactory> worlds(std::initializer_list<bool> one_host_or_far_apart) {
    std::vector<WorldFactory> all;
    for (uint64_t seed = 1; seed <= 10; ++seed)
        for (const bool one_host : one_host_or_far_apart)
            all.push_back({std::string(one_host ? "one_host_" : "far_apart_") + std::to_string(seed),
                           [=] { return std::make_unique<SimWorld>(seed, one_host); }});
    return all;
}
std::string name(const ::testing::TestParamInfo<WorldFactory>& tested) { return tested.param.name; }

INSTANTIATE_TEST_SUITE_P(Sim, FabricContract, ::testing::ValuesIn(worlds({false, true})), name);
INSTANTIATE_TEST_SUITE_P(Sim, FabricContractOfCopies, ::testing::ValuesIn(worlds({false})), name);
// FabricContractInTime is not for the simulator: there is one thread, and nothing sleeps.

}  // namespace
}  // namespace libderecho::test
