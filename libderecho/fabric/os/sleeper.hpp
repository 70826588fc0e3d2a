// How a node sleeps and is woken. Peers that share memory see the asleep word and send a message over their unix
// socket; all sockets wake through an epoll set. Driver thread, except wake().
//
// No descriptor of a node is ever given to a peer but that of sealed memory: whoever holds a copy of an eventfd, or of
// one end of a socket, could fill it, empty it, or make it block (O_NONBLOCK belongs to all copies alike). A connection
// of two nodes concerns these two, and nothing is sent or received on it that may block (MSG_DONTWAIT).
//
// Why no wake is lost: the sleeper stores "asleep", fences, and looks at memory once more; a peer stores its data,
// fences, and looks at "asleep". Whoever comes second in the order of the fences sees the other.
#pragma once

#include <cstdint>
#include <span>

#include "base/clock.hpp"
#include "base/status.hpp"
#include "fabric/link_set.hpp"
#include "fabric/os/memory.hpp"

namespace libderecho {

// What a node tells its peers about whether it sleeps. Owner-written, one page, read-only to everybody else.
struct ControlMemory {
    alignas(64) uint64_t asleep_epoch;  // odd while asleep
};
inline constexpr size_t kControlBytes = 4096;

class Sleeper {
public:
    // Shared: with a control memory that can be given to peers. Without one if this kernel cannot seal memory.
    Status open(bool shared);

    int control_fd() const { return control_fd_.get(); }  // -1: not shared

    // What a socket in the set is: data of a TCP link is received by every poll anyway, so it is no reason to look; of
    // a peer on this host it is told which.
    enum class Interest : uint64_t { look = 1, link_data = 2, peer = 3 };
    Status watch(int fd, Interest interest, bool readable, bool writable, uint32_t slot = 0);
    void change(int fd, Interest interest, bool readable, bool writable, uint32_t slot = 0);
    void unwatch(int fd);
    // What watched sockets other than link data have something to say.
    struct Found {
        bool anything = false;
        bool more = false;  // perhaps of every peer
        LinkSet peers;
    };
    Found look();

    void arm();
    void disarm();
    void wait(Duration at_most);
    void wake();

private:
    void set_asleep(bool asleep);

    UniqueFd epoll_, wakeup_, control_fd_;
    Mapping control_;
    uint64_t epoch_ = 0;
};

}  // namespace libderecho
