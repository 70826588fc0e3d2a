// A node of a real process: its fabric, its group and calls, and the threads that drive them. "Whoever waits, drives":
// an application thread that waits takes the right to drive and steps the protocol itself; the reactor does it when
// nobody else does.
//
// Everything is any-thread unless it says otherwise.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>

#include "base/clock.hpp"
#include "base/fences.hpp"
#include "base/status.hpp"
#include "fabric/net/net_fabric.hpp"
#include "group/group.hpp"
#include "node/patience.hpp"
#include "node/reactor.hpp"
#include "node/right.hpp"
#include "node/tick_clock.hpp"
#include "rpc/rpc.hpp"

namespace libderecho {

struct NodeOptions {
    GroupOptions group;
    NetFabricOptions fabric;
    uint64_t mail_bytes = 1 << 20;
    int64_t spin_us = -1;  // -1: 50 if every member on this host can have a core of its own, else 0
    uint64_t yield_us = 200;
    bool reactor = true;
    std::string data_dir;  // where the node remembers its group; empty: in the user's state folder, if there is one
    std::shared_ptr<const std::atomic<bool>> join_cancelled;  // if it can be: looked at while it joins
};

class Node {
public:
    // Open the fabric and join. `timeout_ms` < 0: no deadline.
    static Status join(NodeOptions options, int64_t timeout_ms, std::unique_ptr<Node>& out);
    ~Node();
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

    derecho_status poll(std::span<derecho_event> events, int64_t timeout_ns, size_t& count, uint64_t& lease);
    bool release(uint64_t lease);
    // Make one poll that waits, or the next that would, return.
    void wake();
    Status leave(int64_t timeout_ms);
    // Wait until registered memory is not used any more, and take it back.
    Status deregister(uint64_t memory, int64_t timeout_ms);
    // After a poll that answered DERECHO_CLOSED.
    std::string why_closed() const;
    // The descriptor to wait on; -1 if there is none (without reactor).
    int event_fd();
    void view(derecho_view& out);
    // Of this member, or of any: whoever holds others up the longest.
    Holdup holdup(uint32_t node) const;
    bool stats(derecho_stats& out);  // false: it is being closed
    bool troubles(std::vector<std::string>& out);

    // To send: use these, then nudge().
    Group& group() { return *group_; }
    Rpc& rpc() { return *rpc_; }
    // The driver, should it sleep, has something to do. Costs a load otherwise.
    void nudge() {
        Fences::light();
        if (asleep_.load(std::memory_order_relaxed)) [[unlikely]]
            wake_driver();
    }

    // ---- the end
    // All waiting returns DERECHO_CLOSED from now on. May be repeated.
    void interrupt();
    // Once no thread is inside any more: stop for good. False if something is still leased.
    bool stop();
    // Look dead to the others, while what is leased or claimed stays readable.
    void play_dead();
    // After stop().
    bool nothing_leased();

private:
    enum class Driver : uint32_t { none, application, reactor };
    enum class Wakeable { no, yes };  // by derecho_wake()
    // Of a wait. Dispossessed: it ended without the right.
    enum class Outcome { done, timed_out, woken, closed, dispossessed };

    Node(NodeOptions options, std::unique_ptr<NetFabric> fabric, std::unique_ptr<MarkerStore> marker);
    Status come_in(int64_t timeout_ms);
    Outcome drive_until_joined(Instant deadline);
    bool join_cancelled() const { return options_.join_cancelled && options_.join_cancelled->load(); }
    WaitStages wait_stages() const;

    // ---- holding the right
    derecho_status poll_as_driver(std::span<derecho_event> events, int64_t timeout_ns, size_t& count, uint64_t& lease);
    bool step();
    template <class Attempt>
    Outcome drive(Instant deadline, Wakeable wakeable, Attempt&& attempt);
    template <class Attempt>
    bool drive_until(Instant deadline, Attempt&& done);
    bool sleep(Instant deadline, Driver as, Wakeable wakeable);
    bool called_away(Wakeable wakeable) const;
    bool let_guests_in(Instant deadline);
    void begin_to_drive();
    void note_events();
    void note_view();
    void note_states();
    bool lacks_states() const;
    bool has_all_states(const Member& member) const;
    derecho_status take(std::span<derecho_event> events, size_t& count, uint64_t& lease);
    void give_right();

    // ---- getting it
    Outcome take_right(int64_t timeout_ns);
    bool nothing_to_poll();
    template <class Visit>
    bool visit(Visit&& visitor);

    void wake_driver();
    bool consume_wake();
    derecho_status found_nothing();
    bool event_fd_used() const { return event_fd_used_.load(std::memory_order_relaxed); }
    void arm_event_fd();
    bool signal_event_fd();
    bool reactor_gives_way() const;
    Reactor::Look look();
    void drive_as_reactor();

    const NodeOptions options_;
    const uint64_t allocations_before_;
    std::unique_ptr<NetFabric> fabric_;
    std::unique_ptr<MarkerStore> marker_;  // null: nothing outlives this process
    std::unique_ptr<Group> group_;
    std::unique_ptr<Rpc> rpc_;
    Right right_;

    // Written by the driver only.
    TickClock clock_;
    Now now_;
    uint64_t steps_ = 0;
    uint64_t sleeps_ = 0;
    bool told_application_ = false;  // by the reactor, since it drives: there is something to poll
    bool slept_ = false;             // in this poll, so that the reactor may rest
    ViewId noted_view_{};
    bool states_missing_ = false;  // of some member of it

    alignas(64) std::atomic<bool> asleep_{false};  // the driver sleeps, or is about to
    std::atomic<Driver> driver_{Driver::none};     // who holds the right
    std::atomic<uint32_t> drives_{0};              // times an application thread took it
    uint32_t drives_seen_ = 0;                     // by the reactor
    std::atomic<bool> events_ready_{false};        // the reactor saw events; cleared when there are none
    std::atomic<bool> right_wanted_back_{false};   // by an application that polls without waiting
    std::atomic<uint32_t> guests_{0};              // threads that want the right for a moment
    std::atomic<bool> wake_wanted_{false};
    std::atomic<bool> closing_{false};

    int event_fd_ = -1;
    std::atomic<bool> event_fd_used_{false};
    std::atomic<bool> event_fd_armed_{false};
    std::atomic<bool> event_fd_signalled_{false};

    std::mutex view_mutex_;
    View view_;  // that the events given now belong to

    Reactor reactor_;
};

}  // namespace libderecho
