// One peer on this host: descriptors pass over a unix socket, everything else is memory. Driver thread.
#pragma once

#include <deque>
#include <memory>

#include "fabric/os/memory.hpp"
#include "fabric/regions/mirrors.hpp"
#include "fabric/regions/own_region.hpp"
#include "fabric/wire_format.hpp"

namespace libderecho {

// One message with descriptors over a SOCK_SEQPACKET unix socket.
// 1: sent or received; 0: would block; -1: failed, errno; for receiving, ENOLINK when the other side closed.
int send_unix(int socket, const UnixMessage& message, std::span<const int> fds);
int receive_unix(int socket, UnixMessage& message, std::span<UniqueFd> fds);

// The parts of a shm link that a handshake collects.
struct ShmParts {
    UniqueFd socket;
    Mapping control;   // the peer's
    UniqueFd process;  // a pidfd, if the kernel gives one

    bool complete() const { return socket.valid() && control.valid(); }
};

class ShmLink {
public:
    ShmLink(ShmParts parts, MirrorTable& mirrors);

    int fd() const { return parts_.socket.get(); }
    int process_fd() const { return parts_.process.get(); }

    void announce(const OwnRegion& region);
    void synced();
    Status send();
    // Take announcements. A failure means that the peer is lost, with the reason.
    Status receive();
    bool backlog() const { return !outgoing_.empty(); }

    // After a full fence that follows the pushes. Whether it had to be woken. Never blocks: a peer whose socket is full
    // has not looked at it, and will.
    bool wake_if_asleep();
    bool process_ended() const;

private:
    struct Outgoing {
        UnixMessage message;
        std::shared_ptr<const RegionMemory> memory;
    };
    Status take(const UnixMessage& message, const UniqueFd& fd);

    ShmParts parts_;
    MirrorTable& mirrors_;
    std::deque<Outgoing> outgoing_;
    uint64_t woken_epoch_ = 0;
};

}  // namespace libderecho
