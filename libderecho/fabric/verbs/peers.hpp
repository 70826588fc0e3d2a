// The peers over RDMA, all together: the device that reaches them, and what they are told of this node's sleep. Driver
// thread.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "fabric/os/sleeper.hpp"
#include "fabric/verbs/device.hpp"
#include "fabric/verbs/link.hpp"

namespace libderecho {

class VerbsPeers {
public:
    Status open(const VerbsOptions& options, Sleeper& sleeper);

    // Null: there is no RDMA here.
    VerbsDevice* device() const { return device_.get(); }
    // What the device has to say of itself: a failure, once, if it is gone. From then on it wakes nobody.
    Status take_events();

    void add(VerbsLink& link);
    void remove(VerbsLink& link) { std::erase(links_, &link); }
    bool none() const { return links_.empty(); }
    bool connecting() const { return device_ && device_->connecting(); }

    // Something was pushed to one of them.
    void pushed() { due_ = true; }
    void flush();

    // Wait until what was pushed to them has landed, or can no more, but so long at most: what is under way dies with
    // its queue pair.
    void settle(std::span<VerbsLink* const> links, Duration at_most);
    const std::vector<VerbsLink*>& links() const { return links_; }

    // Before a sleep: tell all of it, once more if one of them had woken this node. Step each link afterwards.
    void arm();
    // How long a sleep may last: as long as it likes once all know of it.
    Duration nap(Duration at_most);

private:
    static constexpr Duration kFirstNap = microseconds(200), kLongestNap = milliseconds(16);

    void tell(uint64_t epoch);

    Sleeper* sleeper_ = nullptr;
    std::unique_ptr<VerbsDevice> device_;
    bool gone_ = false;
    std::vector<VerbsLink*> links_;
    bool due_ = false;

    // Odd while this node sleeps. It may sleep for long once all have said that they know the newest: what they pushed
    // before they knew has landed then, and for what they push later they wake it. Until then the naps get ever longer,
    // for a peer may sleep itself.
    uint64_t epoch_ = 0;
    bool known_ = true;  // as of arm(): who looked for work since then has seen what came before they knew
    Duration nap_ = kFirstNap;
};

}  // namespace libderecho
