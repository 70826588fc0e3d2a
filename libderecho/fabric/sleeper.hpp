// How a node sleeps and is woken. Peers that share memory see the asleep word and write to the eventfd; sockets wake
// through an epoll set. Driver thread, except wake().
//
// Why no wake is lost: the sleeper stores "asleep", fences, and looks at memory once more; a peer stores its data,
// fences, and looks at "asleep". Whoever comes second in the order of the fences sees the other.
#pragma once

#include <cstdint>
#include <span>

#include "base/clock.hpp"
#include "base/status.hpp"
#include "fabric/memory.hpp"

namespace libderecho {

class Sleeper {
public:
    // Shared: with a control memory that can be given to peers. Without one if this kernel cannot seal memory.
    Status open(bool shared);

    int control_fd() const { return control_fd_.get(); }  // -1: not shared
    int wakeup_fd() const { return wakeup_.get(); }

    // What a socket in the set is: data of a TCP link is received by every poll anyway, so it is no reason to look.
    enum class Interest : uint64_t { look = 1, link_data = 2 };
    Status watch(int fd, Interest interest, bool readable, bool writable);
    void change(int fd, Interest interest, bool readable, bool writable);
    void unwatch(int fd);
    // Whether any watched socket other than link data has something to say.
    bool anything_to_look_at();

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
