#include "fabric/verbs/peers.hpp"

#include <sched.h>
#include <algorithm>

#include "base/log.hpp"

namespace libderecho {

Status VerbsPeers::open(const VerbsOptions& options, Sleeper& sleeper) {
    if (Status status = open_verbs(options, device_); !status.ok()) return status;
    log::info("RDMA device " + device_->name());
    for (const int fd : {device_->wake_fd(), device_->event_fd()})
        if (Status status = sleeper.watch(fd, Sleeper::Interest::look, true, false); !status.ok()) {
            device_.reset();
            return status;
        }
    sleeper_ = &sleeper;
    return {};
}

// The descriptors of a device that is gone are readable for ever.
Status VerbsPeers::take_events() {
    if (!device_ || gone_) return {};
    Status status = device_->take_events();
    if (status.ok()) return {};
    gone_ = true;
    for (const int fd : {device_->wake_fd(), device_->event_fd()}) sleeper_->unwatch(fd);
    return status;
}

void VerbsPeers::add(VerbsLink& link) {
    link.tell(epoch_);
    links_.push_back(&link);
}

// Who pushes is awake. Peers are told no sooner: until then it costs them nothing to believe that this node sleeps.
void VerbsPeers::flush() {
    if (!due_) return;
    due_ = false;
    if (epoch_ % 2 == 1) tell(epoch_ + 1);
    for (VerbsLink* link : links_) link->flush();
}

void VerbsPeers::settle(std::span<VerbsLink* const> links, Duration at_most) {
    if (links.empty()) return;
    for (const Instant end = monotonic_now() + at_most; monotonic_now() < end; ::sched_yield()) {
        device_->poll();
        if (std::ranges::all_of(links, &VerbsLink::landed)) return;
    }
}

void VerbsPeers::arm() {
    if (none()) return;
    device_->arm();
    device_->poll();  // what came before it was armed
    bool woken = false;
    for (VerbsLink* link : links_) woken = link->take_wake() || woken;
    // A peer wakes this node once in an epoch.
    if (epoch_ % 2 == 0 || woken) tell(epoch_ + 1 + epoch_ % 2);
    known_ = std::ranges::all_of(links_, [this](const VerbsLink* link) { return link->is_known(epoch_); });
}

void VerbsPeers::tell(uint64_t epoch) {
    epoch_ = epoch;
    nap_ = kFirstNap;
    for (VerbsLink* link : links_) link->tell(epoch);
}

Duration VerbsPeers::nap(Duration at_most) {
    if (known_ || none()) return at_most;
    const Duration nap = std::min(at_most, nap_);
    nap_ = std::min(Duration{2 * nap_.ns}, kLongestNap);
    return nap;
}

}  // namespace libderecho
