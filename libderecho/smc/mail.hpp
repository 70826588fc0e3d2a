// Messages between two nodes: one byte ring in each direction, each a region of its sender that only the other one
// sees. In order and lossless for as long as both live and stay connected. Driver only.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "fabric/fabric.hpp"
#include "smc/leases.hpp"
#include "smc/ring_writer.hpp"

namespace libderecho {

// Sends to one peer and receives from it.
class MailBox;

class Mail {
public:
    // `channel` tells two Mails of one node apart; both ends use the same number and ring size.
    Mail(Fabric& fabric, uint64_t incarnation, uint32_t channel, uint64_t ring_bytes);
    ~Mail();

    void peer_up(NodeId peer, uint64_t incarnation);
    // What it sent before can still be read; or is dropped, if nobody answers it any more.
    void peer_lost(NodeId peer, bool drop_unread = false);
    bool knows(NodeId peer) const;
    uint64_t message_max_bytes() const { return ring_bytes_ / limits::ring_share; }
    // What each end shows to the other.
    static uint64_t region_bytes(uint64_t ring_bytes);

    // Copies the parts, one after the other. False if the ring is full or the peer unknown. At most message_max_bytes.
    bool send(NodeId peer, uint8_t kind, std::span<const std::span<const std::byte>> parts);

    // Make public what was sent, see what arrived, hand back space. True if something moved.
    bool step(uint64_t timestamp_ns);
    // Peers that broke the rules of the ring since the last call; to be disconnected.
    std::vector<NodeId> take_offenders();
    // Peers that came since the last call, and for whose letters this node has no memory.
    std::vector<NodeId> take_unserved() { return std::exchange(unserved_, {}); }

    struct Letter {
        NodeId from{};
        uint8_t kind = 0;
        std::span<const std::byte> bytes;  // in place
        Leases::Mark mark;                 // to be leased while the application looks at it...
    };
    // The next unread one of any peer, each peer's in order. False if there is none.
    bool read(Letter& letter);
    // A peer whose letters stay in its ring meanwhile, so that it must wait.
    void hold(NodeId peer, bool held);
    bool has_letters() const;
    // ... or given back at once: only by who never leases any of this Mail's letters.
    void done(const Letter& letter);

private:
    Fabric& fabric_;
    uint64_t incarnation_;  // of this node
    uint32_t channel_;
    uint64_t ring_bytes_;
    std::vector<std::unique_ptr<MailBox>> boxes_;
    size_t turn_ = 0;
    bool maybe_unread_ = false;  // something moved since nothing was found to read
    std::vector<NodeId> offenders_, unserved_;
    void collect_dead();
    MailBox* find(NodeId peer) const;
};

}  // namespace libderecho
