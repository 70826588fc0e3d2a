// One life of one peer that is, or was, linked. Driver thread.
#pragma once

#include <cstdint>
#include <memory>

#include "fabric/regions/mirrors.hpp"
#include "fabric/regions/shares.hpp"
#include "fabric/shm/link.hpp"
#include "fabric/tcp/link.hpp"
#include "fabric/verbs/direct.hpp"
#include "fabric/verbs/link.hpp"
#include "fabric/wire_format.hpp"

namespace libderecho {

struct Peer {
    Hello hello;
    uint32_t slot = 0;
    std::unique_ptr<MirrorTable> mirrors;
    // One of the three. The bootstrap socket of a shm link stays open: its end is the end of the peer.
    std::unique_ptr<ShmLink> shm;
    std::unique_ptr<TcpLink> tcp;
    std::unique_ptr<VerbsLink> verbs;
    std::shared_ptr<VerbsDirect> direct;  // once it was asked for
    UniqueFd bootstrap;
    Status broken;  // why it is lost, until that is reported
    Standing standing{};
    bool was_member = false;
    bool dialed = false;  // by this node
    std::string source;   // the host that it comes from
    bool watched_for_room = false;

    ~Peer() {
        if (direct) direct->shut();
    }
    NodeId node() const { return hello.node; }
    Wire wire() const { return shm ? Wire::shm : verbs ? Wire::verbs : Wire::tcp; }
    // Something waits for room in link_fd().
    bool backlog() const { return shm ? shm->backlog() : verbs ? verbs->unsent() : tcp->backlog(); }
    int link_fd() const { return shm ? shm->fd() : verbs ? verbs->fd() : tcp->fd(); }
};

// What is left of a life that ended.
struct PastLife {
    NodeId node{};
    uint64_t incarnation = 0;
    uint64_t ended_at_poll = 0;
    bool cut_off = false;  // by this node, for good
    bool member = false;   // it was in a view
    std::unique_ptr<MirrorTable> mirrors;
};

}  // namespace libderecho
