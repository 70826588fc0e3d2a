// One peer over one TCP connection: what it is sent and what it sends. Driver thread.
#pragma once

#include "fabric/os/memory.hpp"
#include "fabric/regions/mirrors.hpp"
#include "fabric/regions/own_region.hpp"
#include "fabric/tcp/queue.hpp"
#include "fabric/tcp/receiver.hpp"

namespace libderecho {

class TcpLink {
public:
    TcpLink(UniqueFd socket, MirrorTable& mirrors, uint64_t queue_bytes_max);

    int fd() const { return socket_.get(); }

    void announce(const OwnRegion& region) { queue_.announce(region.id(), region.bytes().size()); }
    // A region older than the link: its contents as they are now, for they were pushed before.
    void announce_with_contents(const OwnRegion& region);
    void synced() { queue_.synced(); }

    void push_data(const OwnRegion& region, size_t offset, size_t size_bytes) {
        queue_.data(region.id(), region.memory(), offset, size_bytes);
    }
    void push_counters(const OwnRegion& region, size_t offset, size_t size_bytes) {
        queue_.counters(region.id(), offset, region.bytes().subspan(offset, size_bytes));
    }

    // Send what the socket takes. A failure means that the link is broken; what arrived before can still be received.
    Status send();
    // Receive what there is, up to a bound. A failure means that the peer is lost, with the reason.
    Status receive();
    bool backlog() const { return !queue_.empty(); }
    bool socket_full() const { return socket_full_; }
    // A queue over its bound is a peer that does not read. Asked after each flush.
    Status check_backlog() const;

private:
    UniqueFd socket_;
    TcpQueue queue_;
    TcpReceiver receiver_;
    uint64_t queue_bytes_max_;
    bool socket_full_ = false;    // at the last attempt
    uint64_t initial_bytes_ = 0;  // contents of older regions: not the peer's slowness
};

}  // namespace libderecho
