// Direct access to applications' buffers between simulated processes. What the contract of fabric/direct.hpp leaves
// open is drawn: when a request is carried out, when one hears of it, how long a read may see later writes unless these
// are fenced, how far one that fails had come, and what of the others is carried out after its asker was told that the
// connection broke, as long as the other end is open.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/ids.hpp"
#include "fabric/direct.hpp"
#include "sim/random.hpp"

namespace libderecho::sim {

class Network;
class SimFabric;
class SimServer;
class SimAsker;

// All processes' devices.
struct Devices {
    explicit Devices(Random random);

    Random random;
    bool possible;
    double refuse;  // chance that memory is not taken
    double fail;    // chance that a request, or a connection, fails for no reason
    std::map<uint64_t, SimServer*> servers;
    uint64_t servers_made = 0;
    uint32_t keys_made = 0;
};

// What a device may reach, by key.
struct DeviceKeys {
    struct Memory {
        std::span<std::byte> bytes;
        DirectAccess::Rights rights;
    };
    std::map<uint32_t, Memory> memory;
};

class SimAccess final : public DirectAccess, public std::enable_shared_from_this<SimAccess> {
public:
    SimAccess(Network& network, SimFabric& self, NodeId peer) : network_(network), self_(self), peer_(peer) {}

    Limits limits() const override { return {.pieces_max = 3, .request_bytes_max = 1'500, .worth_bytes = 0}; }
    Status register_pieces(const DirectBuffer& buffer, std::unique_ptr<DirectMemory>& out) override;
    Status show(const DirectBuffer& buffer, Rights rights, std::unique_ptr<DirectMemory>& out) override;
    Status ask(std::unique_ptr<DirectAsker>& out) override;
    Status serve(const DirectEndpoint& asker, std::unique_ptr<DirectServer>& out) override;
    // The peer is lost, or this process.
    void shut();

    Network& network() const { return network_; }
    SimFabric& self() const { return self_; }
    NodeId peer() const { return peer_; }
    std::vector<SimAsker*> askers;
    std::vector<SimServer*> servers;

private:
    Status enter(DeviceKeys::Memory memory, const std::shared_ptr<DeviceKeys>& keys,
                 std::unique_ptr<DirectMemory>& out);

    Network& network_;
    SimFabric& self_;
    const NodeId peer_;
    std::shared_ptr<DeviceKeys> peers_ = std::make_shared<DeviceKeys>();
    bool shut_ = false;
};

}  // namespace libderecho::sim
