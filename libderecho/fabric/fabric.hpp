// The one thing the layers above know about the network: memory that its owner writes and its readers see.
//
// Contract, kept by every wire and held by tests/fabric (the same suite for all of them):
//
//   1. A region has one owner, who writes it, and readers, each of whom has a *mirror* of it, read-only. A reader that
//   is
//      not connected yet gets the region when it connects. Fresh memory is zero; a mirror that has not arrived is
//      empty.
//   2. What is pushed becomes visible at each reader in the order it was pushed, across all regions of the owner:
//      whoever sees a counter sees the data and the counters pushed before it. An aligned 8-byte word is never torn.
//      What is written and not pushed may or may not be visible. A counter that is pushed again before a slow reader
//      got it may skip the value between, never the order with other counters.
//   3. push_data is by reference: the bytes must stay as they are until the readers said (by a counter) that they have
//      them, or the region is retired. push_counters takes its values at the time of the call.
//   4. Pushes are collected until flush(), which posts them; a flush wakes readers that sleep and costs nothing extra
//   for
//      those awake. push_quietly is for what nobody needs to be woken for.
//   5. The loss of a peer is reported once. After that report nothing more of that peer's becomes visible; its mirrors
//      stay readable, as they were, until forgotten.
//   6. Memory of a region stays mapped while its owner has not retired it, and of a mirror that was asked for while it
//      is not forgotten; both survive the loss of the other side.
//
// One thread at a time calls into a Fabric (the driver), except wake(), which any thread may call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/status.hpp"
#include "fabric/direct.hpp"

namespace libderecho {

// Names a region among those of its owner. Upper layers pick them; a number is never used twice by one owner.
struct RegionId {
    uint64_t value = 0;
    auto operator<=>(const RegionId&) const = default;
};

// A region of this node's own. The handle stays valid until retired.
class Region {
public:
    virtual ~Region() = default;
    std::span<std::byte> bytes() const { return bytes_; }

protected:
    std::span<std::byte> bytes_;
};

struct PeerEvent {
    enum class Kind : uint8_t {
        up,       // connected and checked: `peer`, `address` (its listen address), `incarnation`
        lost,     // its process or its connection died, or it broke the rules: `status`; DERECHO_NO_MEMORY: it may be
                  // well, and this node lacks what it needs for it
        refused,  // connect(`address`) came to nothing: `status` says why (unreachable, incompatible, duplicate, ...)
        other_group,  // somebody who connected is in another group of this name, and was turned away: `status`
    };
    Kind kind = Kind::up;
    NodeId peer{};
    uint64_t incarnation = 0;  // differs between two lives of one node id
    bool client = false;       // the peer is a client, not a would-be member
    bool dialed = false;       // up: this node connected to it, by an address that it was given
    bool accepted = false;     // refused: something there accepted the connection; it may be paused
    GroupId group{};           // up: that it is in; none: not in one yet
    uint64_t time_ns = 0;      // up: what its clock showed, between the peers' first words and this event
    std::string address;
    Status status;
};

class Fabric {
public:
    virtual ~Fabric() = default;

    virtual NodeId self() const = 0;
    // The group that this node is in from now on: who is in another one is turned away.
    virtual void enter_group(GroupId) {}
    // What this node takes the time to be, as an offset from the monotonic clock: for who connects.
    virtual void set_clock(int64_t) {}

    // Start connecting to whoever listens at `address` ("host:port"). Ends in one `up` or `refused` event; `up` is not
    // repeated if that node was connected already. Retrying is up to the caller.
    virtual void connect(std::string_view address) = 0;
    // Cut a peer off, for good: nothing more of its becomes visible. No `lost` event follows.
    virtual void disconnect(NodeId peer) = 0;
    virtual bool connected(NodeId peer) const = 0;
    // Who is in the view. Links and memory are kept for them; all other peers have a share, and give way when they are
    // too many.
    virtual void set_members(std::span<const NodeLife>) {}

    // Make a region of own memory, zeroed, cache-line aligned, to be seen by `readers` (self is ignored among them).
    // Null when the system has no memory left.
    virtual Region* expose(RegionId id, size_t size_bytes, std::span<const NodeId> readers) = 0;
    // Stop pushing it. Its memory is unmapped once nothing refers to it any more; what was pushed is still sent.
    virtual void retire(Region* region) = 0;
    // A peer's region as far as it has arrived; empty if it has not been announced to this node yet.
    virtual std::span<const std::byte> mirror(NodeId peer, RegionId id) = 0;
    // Unmap a mirror, or refuse it should it still arrive.
    virtual void forget(NodeId peer, RegionId id) = 0;

    virtual void push_data(Region& region, size_t offset, size_t size_bytes) = 0;
    virtual void push_counters(Region& region, size_t offset, size_t size_bytes) = 0;  // at most 4096 bytes
    virtual void push_quietly(Region& region, size_t offset, size_t size_bytes) = 0;   // counters, waking nobody
    virtual void flush() = 0;

    // Make progress: accept, connect, receive. Appends to `events`. Must be cheap when there is nothing to do.
    virtual void poll(Instant now, std::vector<PeerEvent>& events) = 0;

    // To sleep: arm(), look once more whether there is work, then wait() or disarm(). Between arm() and the end of
    // wait() every push of a peer, every event and every wake() ends the wait at once. It may end early while a peer
    // that shares no memory with this node does not know yet that it sleeps.
    virtual void arm() = 0;
    virtual void disarm() = 0;
    virtual void wait(Duration at_most) = 0;
    virtual void wake() = 0;  // any thread; also ends a wait() that has not begun yet

    // Reads and writes between applications' buffers, with the life of that peer that is connected. Null: not over this
    // wire.
    virtual std::shared_ptr<DirectAccess> direct(NodeId) { return nullptr; }

    // What this node lacks, so that it cannot go on; null while it lacks nothing.
    virtual const Status* lacking() const { return nullptr; }
    // Why the last expose() gave nothing.
    virtual std::string why_not_exposed() const { return {}; }
    // When it last had to turn a connection away, or could not make one, for want of memory or descriptors, and why.
    struct Shortage {
        Instant at{};
        std::string why{};
    };
    virtual Shortage shortage() const { return {}; }

    // Whether this host has more nodes than cores for them, so that who spins, spins away another's time.
    virtual bool crowded() const = 0;

    // What an RDMA device was asked to do, and said.
    struct RdmaCounts {
        uint64_t work_requests = 0;
        uint64_t doorbells = 0;
        uint64_t completions = 0;
        uint64_t direct_bytes = 0;  // asked for between applications' buffers
    };
    struct Stats {
        uint64_t pushes = 0;
        uint64_t wakes = 0;
        uint64_t memory_bytes = 0;  // regions and mirrors mapped now
        RdmaCounts rdma = {};
    };
    virtual Stats stats() const = 0;
};

}  // namespace libderecho
