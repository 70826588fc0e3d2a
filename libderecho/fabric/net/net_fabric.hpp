// The fabric of real processes: memory for peers on this host, RDMA where both have it, TCP for others; chosen per pair
// when they meet.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fabric/fabric.hpp"
#include "fabric/regions/shares.hpp"
#include "fabric/verbs/device.hpp"
#include "fabric/wire_format.hpp"

namespace libderecho {

struct NetFabricOptions {
    NodeId self{};
    uint64_t incarnation = 1;  // differs between two lives of this node, over process restarts too
    bool client = false;

    std::string listen;  // "host:port", port 0 for any free one; may be empty for who only dials

    std::string advertise;  // what others are told instead, port 0 for that of `listen`; empty: `listen`

    // What both sides of a link must have alike.
    std::string group_name;
    std::vector<ServiceId> services;
    uint64_t abi_hash = 0;
    AgreedLimits limits;

    Wire wire = Wire::automatic;
    VerbsOptions verbs;
    Duration connect_timeout = milliseconds(2000);
    // A host that answers nothing for so long has vanished. Not for members, whose silence is noticed above, and
    // sooner.
    Duration vanished_after = milliseconds(10'000);
    uint64_t tcp_queue_bytes_max = 64 << 20;  // copies and notes held for one slow peer; data by reference is free
    Shares shares;
};

class NetFabric : public Fabric {
public:
    // Where others reach this node, with the port that was bound; empty if it does not listen.
    virtual const std::string& listen_address() const = 0;
    // As death would, stop listening and break all connections, without events here; what is mapped stays mapped.
    virtual void shut() = 0;
    // The wire used with a connected peer.
    virtual Wire wire_to(NodeId peer) const = 0;
};

// DERECHO_INVALID (an option is wrong), DERECHO_ADDRESS_IN_USE, DERECHO_NO_MEMORY; each with a sentence.
Status open_net_fabric(NetFabricOptions options, std::unique_ptr<NetFabric>& out);

}  // namespace libderecho
