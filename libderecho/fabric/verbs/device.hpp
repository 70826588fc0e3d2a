// One port of one RDMA device as this node uses it: memory registered with it, the completions of all its queue pairs,
// and the channel that ends a sleep. Driver thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/status.hpp"
#include "fabric/fabric.hpp"
#include "fabric/wire_format.hpp"

namespace libderecho {

// How often a write is sent that is not acknowledged, and, as an exponent of 4.096 us, how long each time is waited, so
// that a peer is not lost over a silence of that length, but before long after it: silence is for the layers above.
inline constexpr uint32_t kRdmaRetries = 7;  // the most there is: so the shortest waits will do
constexpr uint32_t ack_timeout_beyond(Duration silence, uint32_t retries) {
    constexpr uint32_t kLongest = 31;
    uint32_t exponent = 14;  // what is lost on the way is sent again soon
    while (exponent < kLongest && (retries + 1) * (uint64_t{4096} << exponent) < silence.ns) ++exponent;
    return exponent;
}

struct VerbsOptions {
    std::string device;          // such as mlx5_0; empty: the first with a port that reaches beyond its link, or any
    uint32_t port = 0;           // 0: chosen like the device
    int32_t gid_index = -1;      // -1: RoCE v2 with a routable address if there is one
    uint32_t service_level = 0;  // 0 to 15
    uint32_t traffic_class = 0;  // of RoCE v2: the IP header's DSCP and ECN
    uint32_t pkey_index = 0;     // in the port's table
    uint32_t ack_timeout = ack_timeout_beyond(milliseconds(2000), kRdmaRetries);  // 4.096 us * 2^n
    uint32_t retries = kRdmaRetries;  // before a peer that does not acknowledge is lost; Soft-RoCE takes 7 for no limit
    bool direct = true;               // applications' memory is read and written by the device
    uint32_t queue_depth = 256;       // work requests in flight to one peer; less if the device has less

    // What is going to be locked, reckoned with beforehand: a limit that is too low is told when the device is opened
    // or a peer comes, not by a link that breaks once it is used.
    uint64_t rings_bytes = 0;  // of this node's own memory if it is a member, and as much of each other member's
    uint64_t mail_bytes = 0;   // with each peer
};

// Memory that the device can reach, until this is dropped. The memory outlives it. Dropped by any thread.
class VerbsMemory {
public:
    virtual ~VerbsMemory() = default;
    uint32_t local_key() const { return local_key_; }
    uint32_t remote_key() const { return remote_key_; }

protected:
    uint32_t local_key_ = 0, remote_key_ = 0;
};

class VerbsPair;
class VerbsDirect;

class VerbsDevice {
public:
    virtual ~VerbsDevice() = default;

    virtual const std::string& name() const = 0;
    // What peers are told: how this port is reached.
    virtual const VerbsAddress& address() const = 0;

    // `remote`: peers may write to it. The error names the limit on locked memory if that is what stands in the way.
    virtual Status register_memory(std::span<std::byte> memory, bool remote, std::shared_ptr<VerbsMemory>& out) = 0;
    // A queue pair that is not connected yet. It must not outlive the device. `rings`: the peer's are mirrored here.
    virtual Status make_pair(bool rings, std::unique_ptr<VerbsPair>& out) = 0;

    // For one life of one peer. Null: the application's memory is not to be reached by the device.
    virtual std::shared_ptr<VerbsDirect> make_direct() = 0;

    // Hand completions to their queue pairs.
    virtual void poll() = 0;
    // Whether a queue pair is being connected, which wakes nobody when it is done.
    virtual bool connecting() const = 0;
    // Ask for the next wake to make fd() readable; then poll once more before sleeping.
    virtual void arm() = 0;
    virtual int wake_fd() const = 0;
    // The device's own news: why nothing works any more, or ok.
    virtual int event_fd() const = 0;
    virtual Status take_events() = 0;

    // Drop these on another thread, in the order of the calls: queue pairs once they are fenced, and registered memory
    // that nobody writes to any more. Dropping either may take the device seconds; ends with the device at the latest.
    virtual void bury(std::shared_ptr<void> remains) = 0;

    virtual Fabric::RdmaCounts counts() const = 0;
};

// Whether this library was built with verbs at all, the system has libibverbs, a device, an active port, the device
// lets itself be opened, and memory enough for one peer may be locked; otherwise what is missing, in a sentence.
Status open_verbs(const VerbsOptions& options, std::unique_ptr<VerbsDevice>& out);

}  // namespace libderecho
