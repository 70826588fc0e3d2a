// Some processes of one group, each a Group over its SimFabric with an Application, in virtual time and one thread.
// Everything follows from the seed. run() throws a Violation when a promise is broken.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "group/group.hpp"
#include "sim/application.hpp"
#include "sim/coverage.hpp"
#include "sim/ledger.hpp"
#include "sim/liar.hpp"
#include "sim/sim_network.hpp"

namespace libderecho::sim {

class World;

struct Scenario {
    std::string name;
    uint32_t nodes_min = 2, nodes_max = 5;
    // Whether the group must outlive the faults: those that are left have a majority and nobody is suspected wrongly.
    bool survives = true;
    bool rough_weather = false;
    bool has_liar = false;             // one of the first members
    bool has_digests = false;          // always; without, now and then
    std::function<void(World&)> plan;  // schedules the faults
};

struct Process {
    Life life;
    SimFabric* fabric = nullptr;
    std::unique_ptr<Group> group;
    std::unique_ptr<Rpc> rpc;  // in half of the runs
    std::unique_ptr<Application> application;
    Instant next_step{};
    Instant paused_until{};
    int64_t clock_skew_ns = 0;
    bool alive = true;
    bool was_paused = false;
    bool leaving = false;
    bool client = false;
    std::shared_ptr<Liar> liar;
    bool differs = false;       // its replica is not what the others are
    bool stands_still = false;  // its heart beats, and that is all
    uint64_t view = 0;          // installed

    bool member() const { return alive && group->phase() == Group::Phase::member; }
};

class World {
public:
    World(uint64_t seed, const Scenario& scenario);
    ~World();

    void run();

    // ---- for scenarios
    Random& random() { return random_; }
    Instant now() const { return network_.now(); }
    Network& network() { return network_; }
    Coverage& coverage() { return coverage_; }
    uint32_t nodes() const { return nodes_; }
    Instant faults_end() const { return faults_end_; }
    // Some time while messages flow; early in the run if asked so.
    Instant some_time(bool early = false);
    void at(Instant when, std::function<void()> act);
    Process* start(uint32_t node, bool client = false);  // null if it lives already
    // Its wall clock is set wrong, by so much.
    void set_clock(Process& process, int64_t off_ns);
    // All wall clocks are set, forward or back, by about so much: they may show the right time only now.
    void set_all_clocks(int64_t by_ns);
    void crash(Process& process, Death death);
    // Right after its count-th push from now on: of anything, or of the slow columns of a view.
    void crash_at_push(Process& process, uint64_t count, bool of_rows_only, Death death);
    void pause(Process& process, uint64_t for_ns);
    // From the end of this step, or the one in which it makes its count-th push of the slow columns of a view: its
    // heart beats on, and it does nothing else any more.
    void stand_still(Process& process);
    void stand_still_at_push(Process& process, uint64_t count);
    // Its application neither takes nor releases, or keeps all that it takes, for ever.
    void stop_application(Process& process, bool takes_on);
    // Of the nodes that start from now on: option slow_member_ms.
    Duration slow_after{};
    void leave(Process& process);
    Death some_death();
    Process* leader();  // lowest-ranked live member of the newest view
    Process* some_member();
    std::vector<Process*> members();  // live, of the newest view, by rank
    Process* alive(uint32_t node);
    Process* liar() { return liar_node_ ? alive(*liar_node_) : nullptr; }
    const DigestOptions& digest() const { return digest_; }
    // From now on its replica is not what the others are.
    void begin_to_differ(Process& process);
    // From now on what leaves this process is not what it means.
    void begin_to_lie(Process& process);
    // Called when a node has installed a view.
    std::function<void(Process&)> on_install;
    // Called when somebody is asked for a state.
    std::function<void(Process& donor, NodeId joiner)> on_transfer;
    // A node that is no more comes back, as a new life, after a while.
    bool restarts = false;
    bool changing() const;  // some live member has not installed the newest view
    // One view of all live nodes, at least three, all with their state and none about to leave: one may be lost.
    bool healthy();

    // One line to say how it went.
    std::string summary() const;

private:
    struct Action {
        Instant at;
        uint64_t number;
        std::function<void()> act;
        bool operator<(const Action& other) const { return at != other.at ? at > other.at : number > other.number; }
    };
    void run_until(Instant end);
    void step(Process& process);
    void after_step(Process& process);
    void bury(Process& process, const char* how);
    void note_view(Process& process);
    void note_kind_of_change(const View& view);
    bool was_leader(const Process& process) const;
    uint32_t host_of(uint32_t node) const;
    void maybe_restart(uint32_t node);
    void beat_on(Process& process);
    size_t standing_still(const View& view) const;
    void note_slow(const Process& process);
    void draw_digests(Random random);
    void note_differences(const Process& process);
    bool differs(uint32_t node) const;
    std::optional<std::string> unnoticed();
    void send_state(Process& donor, NodeId joiner, uint32_t shard, ViewId request, const State& state);
    void state_arrives(Life donor, NodeId joiner, uint32_t shard, ViewId request, std::shared_ptr<State> state);
    Manners draw_manners();
    void calm_down();
    std::optional<std::string> unsettled();
    bool group_is_lost();
    uint32_t contacts() const { return std::max(nodes_, 3u); }
    bool knows_a_member();
    void final_checks();
    std::string describe() const;
    std::string lied() const;
    void trace(const std::string& line) const;

    const Scenario& scenario_;
    Random random_;
    Network network_;
    Coverage coverage_;
    uint32_t nodes_;
    uint32_t shards_;
    Ledger ledger_;
    MemoryUsers memory_users_;
    Instant start_;
    Instant faults_end_;
    uint64_t theme_;
    uint32_t hosts_;
    bool with_rpc_;
    DigestOptions digest_;
    std::optional<uint32_t> liar_node_;
    int64_t all_clocks_ns_ = 1'700'000'000'000'000'000;  // ahead of the monotonic clocks, more or less
    uint64_t clocks_led_ns_ = 0;  // the latest that clocks set right have shown when they were set back
    bool calming_ = false;
    std::string lie_;
    uint64_t actions_made_ = 0;
    std::priority_queue<Action> actions_;
    std::vector<std::unique_ptr<Process>> processes_;
    std::map<uint32_t, uint64_t> incarnations_;
    std::map<uint64_t, View> installed_;
    const bool traced_;
};

}  // namespace libderecho::sim
