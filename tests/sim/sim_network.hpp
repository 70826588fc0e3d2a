// A network of simulated processes in one thread: virtual time, one seed, faults on request.
//
// Everything the Fabric contract leaves open is drawn anew each time: how long a push takes, whether the pushes of one
// flush arrive together, in which order the words of one counter push show, whether data is read when it is pushed or
// when it is delivered, whether an unpushed store shows (pairs on one host share memory), whether something arrives in
// the middle of a reader's step, how much of what a dead process posted still arrives, and when its loss is reported.
#pragma once

#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "sim/random.hpp"
#include "sim/sim_fabric.hpp"

namespace libderecho::sim {

struct Weather {
    uint64_t delay_min_ns = 500;
    uint64_t delay_max_ns = 20'000;
    double stall = 0.002;  // chance that a flush to one reader takes up to stall_max_ns
    uint64_t stall_max_ns = 2'000'000;
    double tear = 0.2;        // words of a counter push arrive one by one, in any order
    double scatter = 0.3;     // pushes of one flush arrive apart
    double copy_early = 0.5;  // data is read when pushed rather than when delivered
    double mid_step = 0.02;   // at a call into the fabric, something arrives ahead of its time
    uint64_t lost_min_ns = 1'000;
    uint64_t lost_max_ns = 3'000'000;  // from a death to its report
};

// Which of what a process posted before it died still arrives.
enum class Death : uint8_t {
    clean,   // everything, then the loss is reported
    cut,     // at each reader some prefix, then the loss is reported
    silent,  // at each reader some prefix; nobody reports anything
};

struct ProcessOptions {
    NodeId id{};
    uint64_t incarnation = 0;
    std::string address;
    uint32_t host = 0;  // processes on one host share memory
    bool client = false;
};

class Network {
public:
    Network(uint64_t seed, Weather weather);
    ~Network();

    Instant now() const { return now_; }
    // The time of the next arrival, or kNever.
    Instant next() const;
    // Let everything arrive that is due by then.
    void advance_to(Instant to);

    // A process starts and listens. The fabric stays (dead) after its end; addresses are free again then.
    SimFabric& start(const ProcessOptions& options);
    void kill(SimFabric& process, Death death);
    // The two lose each other, each at its own time, though both live.
    void cut(SimFabric& a, SimFabric& b);
    // What `from` pushes to `to` waits, until unblocked. Shared memory cannot be blocked.
    void block(NodeId from, NodeId to, bool blocked);

    // Called when something arrived that a sleeping reader is woken for.
    std::function<void(SimFabric&)> on_wake;

    // ---- for SimFabric
    Random& random() { return random_; }
    const Weather& weather() const { return weather_; }
    void connect(SimFabric& from, std::string address);
    void disconnect(SimFabric& at, Link& incoming);
    void post(Link& link, Item item, Instant earliest);
    Instant draw_arrival();
    void deliver_some_early(SimFabric& reader);
    Link* outgoing(const SimFabric& from, const SimFabric& to);
    void wake(SimFabric& process);

    // ---- for SimAccess
    Devices& devices() { return devices_; }
    void at(Instant when, std::function<void()> act);
    bool is_blocked(NodeId a, NodeId b) const;

private:
    struct Event {
        Instant at;
        uint64_t number;  // of two at one time, the first scheduled comes first
        std::function<void()> act;
        bool operator<(const Event& other) const { return at != other.at ? at > other.at : number > other.number; }
    };
    void schedule(Link& link);
    void deliver_due(Link& link);
    void deliver_front(Link& link);
    void apply(Link& link, Item& item);
    void close_incoming(Link& link);
    void try_connect(SimFabric& from, const std::string& address);
    // `who` answered there, if anybody did.
    void refuse(SimFabric& from, const std::string& address, Status why, const SimFabric* who = nullptr);
    void meet(SimFabric& from, SimFabric& listener, const std::string& address);
    void make_connection(SimFabric& dialer, SimFabric& listener);
    bool duplicate_refused(SimFabric& from, SimFabric& listener);
    void truncate(Link& link, Death death);
    bool is_blocked(const Link& link) const;
    SimFabric* listening(const std::string& address);

    Instant now_{1'000'000'000};
    Weather weather_;
    Random random_;
    Devices devices_;
    uint64_t events_made_ = 0;
    std::priority_queue<Event> events_;
    std::vector<std::unique_ptr<SimFabric>> processes_;
    std::vector<std::unique_ptr<Link>> links_;
    std::vector<std::pair<NodeId, NodeId>> blocked_;
};

}  // namespace libderecho::sim
