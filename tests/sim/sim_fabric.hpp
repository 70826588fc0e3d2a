// One simulated process's Fabric. All of it lives in the simulator's one thread; Network moves the bytes.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "fabric/fabric.hpp"
#include "sim/pages.hpp"
#include "sim/sim_direct.hpp"

namespace libderecho::sim {

class Network;
class SimFabric;
struct ProcessOptions;

// What travels from one process to another, in order.
struct Item {
    enum class Kind : uint8_t { up, announce, bytes, wake, lost };
    Kind kind{};
    bool wakes = true;
    RegionId region{};
    std::shared_ptr<Pages> source{};  // the mirror to be, if memory is shared; or where data is read on delivery
    size_t offset = 0;
    size_t size_bytes = 0;
    std::vector<std::byte> values{};  // what arrives, unless it is read on delivery
    Status reason{};                  // of a loss
    std::vector<Item> together{};     // announcements to whoever connects: all at once, or a counter could be seen
                                      // without the data pushed before it
    Instant due{};
};

// One direction of one connection, and what has arrived over it.
struct Link {
    SimFabric* from = nullptr;
    SimFabric* to = nullptr;
    uint64_t made = 0;      // the writer's pushes before this number are in the first announcement already
    bool shared = false;    // one host: mirrors are the owner's pages
    bool sending = true;    // the writer's end
    bool reported = false;  // `up` was given to the reader
    bool dialed = false;    // by the reader
    GroupId group{};        // that the writer was in when it was made
    uint64_t time_ns = 0;   // of the writer's clock, then
    bool open = true;       // the reader's end: nothing becomes visible any more once closed
    std::deque<Item> queue;
    Instant last_due{};
    Instant scheduled = kNever;  // when the network looks at the queue next
    std::map<RegionId, std::shared_ptr<Pages>> mirrors;
    std::set<RegionId> refused;
    std::shared_ptr<SimAccess> access;  // the reader's, to the writer's memory
};

class SimRegion final : public Region {
public:
    SimRegion(RegionId name, std::shared_ptr<Pages> memory, std::vector<NodeId> seen_by)
        : id(name), pages(std::move(memory)), readers(std::move(seen_by)) {
        bytes_ = pages->bytes();
    }
    bool read_by(NodeId peer) const;

    const RegionId id;
    std::shared_ptr<Pages> pages;
    const std::vector<NodeId> readers;
    bool retired = false;
};

class SimFabric final : public Fabric {
public:
    SimFabric(Network& network, const ProcessOptions& options);

    NodeId self() const override { return id_; }
    void enter_group(GroupId group) override { group_ = group; }
    void set_clock(int64_t offset_ns) override { clock_offset_ns_ = offset_ns; }
    int64_t clock_offset_ns() const { return clock_offset_ns_; }
    void connect(std::string_view address) override;
    void disconnect(NodeId peer) override;
    bool connected(NodeId peer) const override;
    Region* expose(RegionId id, size_t size_bytes, std::span<const NodeId> readers) override;
    void retire(Region* region) override;
    std::span<const std::byte> mirror(NodeId peer, RegionId id) override;
    void forget(NodeId peer, RegionId id) override;
    void push_data(Region& region, size_t offset, size_t size_bytes) override;
    void push_counters(Region& region, size_t offset, size_t size_bytes) override;
    void push_quietly(Region& region, size_t offset, size_t size_bytes) override;
    void flush() override;
    void poll(Instant now, std::vector<PeerEvent>& events) override;
    void arm() override {}
    void disarm() override {}
    void wait(Duration) override {}
    void wake() override;
    std::shared_ptr<DirectAccess> direct(NodeId peer) override;
    bool crowded() const override { return false; }
    std::string why_not_exposed() const override { return "the simulator gives none"; }
    Stats stats() const override;

    // ---- for the world
    bool no_memory = false;  // for regions, from now on
    bool alive() const { return alive_; }
    bool has_peer_events() const { return !events_.empty(); }
    // Called after each push and each flush, in the middle of a step: the world may kill the process here. It goes on
    // to the end of its step, and nobody ever sees what it does.
    struct Post {
        enum class Kind : uint8_t { data, counters, flush } kind;
        RegionId region{};
        size_t region_bytes = 0;
    };
    std::function<void(const Post&)> on_post;
    // Given what is pushed, on its way out: a liar changes it. Only for who shares memory with nobody.
    std::function<void(RegionId, size_t offset, std::span<std::byte>)> on_bytes;
    // Once more, or for the first time, what its owner has no reason to push.
    void push_again(RegionId region, size_t offset, size_t size_bytes);

    // ---- for Network
    const std::string& address() const { return address_; }
    uint64_t incarnation() const { return incarnation_; }
    uint32_t host() const { return host_; }
    bool client() const { return client_; }
    GroupId group() const { return group_; }
    void die();
    void add_event(PeerEvent event) { events_.push_back(std::move(event)); }
    // The open connection from a peer, whatever its incarnation; null if there is none.
    Link* incoming(NodeId peer) const;
    std::vector<Link*>& all_incoming() { return incoming_; }
    std::vector<Link*>& all_outgoing() { return outgoing_; }
    const std::vector<std::unique_ptr<SimRegion>>& regions() const { return regions_; }
    const std::shared_ptr<DeviceKeys>& own_keys() const { return own_keys_; }
    uint64_t pushes_made() const { return pushes_made_; }
    std::set<std::pair<uint32_t, uint64_t>>& cut_off() { return cut_off_; }
    std::set<std::pair<NodeId, RegionId>>& refused_in_advance() { return refused_in_advance_; }

private:
    struct Push {
        SimRegion* region = nullptr;
        std::shared_ptr<Pages> source;
        size_t offset = 0, size_bytes = 0;
        std::vector<std::byte> values{};
        bool by_reference = false, wakes = true;
        uint64_t number = 0;
    };
    SimRegion& own(Region& region);
    void push(Region& region, size_t offset, size_t size_bytes, bool counters, bool wakes);
    void send(Link& link, const Push& push, Instant at);
    void send_torn(Link& link, const Push& push, Instant at);
    void stop_reading_from(SimRegion& region);

    Network& network_;
    NodeId id_;
    uint64_t incarnation_;
    std::string address_;
    uint32_t host_;
    bool client_;
    GroupId group_{};
    int64_t clock_offset_ns_ = 0;
    bool alive_ = true;
    std::vector<std::unique_ptr<SimRegion>> regions_;  // retired ones too, so that using one again is noticed
    std::vector<Push> pending_;
    uint64_t pushes_made_ = 0;
    std::vector<PeerEvent> events_;
    std::vector<Link*> incoming_, outgoing_;
    std::set<std::pair<uint32_t, uint64_t>> cut_off_;  // lives (id, incarnation) that were disconnected for good
    std::set<std::pair<NodeId, RegionId>> refused_in_advance_;
    std::shared_ptr<DeviceKeys> own_keys_ = std::make_shared<DeviceKeys>();
    Stats stats_;
};

}  // namespace libderecho::sim
