// Worlds of real fabrics, over one wire, in this process.
#pragma once

#include <map>
#include <stdexcept>

#include "fabric/net/net_fabric.hpp"
#include "world.hpp"

namespace libderecho::test {

inline NetFabricOptions net_options(NodeId id, uint64_t incarnation, Wire wire) {
    NetFabricOptions options;
    options.self = id;
    options.incarnation = incarnation;
    options.listen = "127.0.0.1:0";
    options.group_name = "contract";
    options.services = {{"Cache", 0x11}, {"Log", 0x22}};
    options.abi_hash = 0xab1;
    options.limits = {.ring_bytes = 1 << 20, .mail_bytes = 1 << 18, .message_max_bytes = 1 << 16};
    options.wire = wire;
    return options;
}

class NetWorld : public World {
public:
    explicit NetWorld(Wire wire) : wire_(wire) {}

    Fabric& start(NodeId id, uint64_t incarnation = 1) override { return start(net_options(id, incarnation, wire_)); }
    NetFabric& start(NetFabricOptions options) {
        const NodeId id = options.self;
        std::unique_ptr<NetFabric> fabric;
        const Status status = open_net_fabric(std::move(options), fabric);
        if (!status.ok()) throw std::runtime_error(status.detail);
        addresses_[id] = fabric->listen_address();
        fabrics_[id] = std::move(fabric);
        return *fabrics_[id];
    }
    void kill(NodeId id) override { fabrics_.erase(id); }
    NetFabric& node(NodeId id) override { return *fabrics_.at(id); }
    std::string address(NodeId id) override { return addresses_.at(id); }
    std::vector<NodeId> alive() override {
        std::vector<NodeId> ids;
        for (const auto& [id, fabric] : fabrics_) ids.push_back(id);
        return ids;
    }
    Instant now() override { return monotonic_now(); }
    void advance() override {}

private:
    Wire wire_;
    std::map<NodeId, std::unique_ptr<NetFabric>> fabrics_;
    std::map<NodeId, std::string> addresses_;
};

}  // namespace libderecho::test
