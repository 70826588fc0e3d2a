// A simulated application on one node: sends, takes, keeps leases, holds claims open, answers state requests; hands all
// it sees to the ledger. It drives nothing: the world steps its group.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <vector>

#include "group/group.hpp"
#include "rpc/rpc.hpp"
#include "sim/caller.hpp"
#include "sim/coverage.hpp"
#include "sim/ledger.hpp"
#include "sim/memory_user.hpp"
#include "sim/random.hpp"

namespace libderecho::sim {

// How an application behaves; drawn per run and node.
struct Manners {
    uint64_t send_pause_ns = 100'000;  // typical time between bursts; 0: never sends
    uint32_t burst_max = 8;
    uint64_t size_max = 200;  // of most messages
    double huge = 0.0;        // chance of the largest message
    double hold_claim = 0.05;
    uint64_t hold_claim_ns = 300'000;
    double abort = 0.1;  // of held claims
    uint32_t batch_max = 64;
    double sleepy = 0.0;  // chance, at a take, to look away for sleep_ns
    uint64_t sleep_ns = 1'000'000;
    double hold_lease = 0.2;
    uint64_t hold_lease_ns = 300'000;
    CallManners calls;
    uint64_t memory_pause_ns = 300'000;  // typical time between operations on members' memory; 0: none
};

class Application {
public:
    // Without `rpc` it uses the group alone, and the world carries states.
    Application(Life self, Group& group, Rpc* rpc, Ledger& ledger, MemoryUsers& users, Coverage& coverage,
                Manners manners, Random random);

    // Do something or nothing. True if the group should be stepped again soon.
    bool act(Instant now);
    // When there is something to do of its own accord.
    Instant next_wish() const;
    // No more sending; finish what is open, as soon as possible.
    void calm_down(Instant now);
    // From now on it takes nothing, or it releases nothing of what it takes; in both cases for ever.
    void stop(bool takes_on);
    bool stopped() const { return stopped_; }
    // From now on its replica is not what the others are.
    void begin_to_differ() { caller_->begin_to_differ(); }
    uint64_t wrong_answers() const { return caller_->wrong_answers(); }
    // Nodes that it was told differ; DERECHO_ANY_NODE: some, and none are a majority.
    const std::set<uint32_t>& differing() const { return differing_; }
    // Why not, if it has still something to do.
    const char* busy() const;
    // The process is gone: nothing of its is given back any more.
    void drop();

    const Ledger::Replica& replica() const { return replica_; }
    derecho_status end_status() const { return end_status_; }
    // A snapshot that was sent to this node has arrived. False if it is too early for it.
    bool state_arrived(uint32_t shard, ViewId request, NodeId donor, const State& state);

    // A joiner needs a state; given the snapshot at this very event.
    std::function<void(NodeId joiner, uint32_t shard, ViewId request, const State& state)> on_state_request;

private:
    struct OpenClaim {
        Claim claim;
        uint32_t shard = 0;
        uint64_t number = 0;
        Instant until;
        uint64_t view = 0;  // in which it was made
        bool through_rpc = false;
        uint32_t flags = 0;  // of a call
        uint64_t call = 0;
    };
    struct Held {
        uint64_t seed;
        const void* data;
        uint64_t size;
        Life sender;
        uint64_t number;
    };
    struct Lease {
        uint64_t id = 0;
        Instant until;
        std::vector<Held> messages;
    };

    void send_burst(Instant now);
    bool send_one(Instant now);
    bool send_batch(uint32_t shard);
    uint64_t draw_size();
    bool finish_claim(OpenClaim& claim);
    void abort_claim(OpenClaim& claim);
    derecho_status commit_claim(OpenClaim& claim, Ledger::Content& content);
    bool finish_claims(Instant now);
    bool take(Instant now);
    void handle(const derecho_event& event, Lease& lease, Instant now);
    void take_state(uint32_t shard, const State& state);
    void handle_message(const derecho_event& event, Lease& lease);
    bool has_events() const { return rpc_ ? rpc_->has_events() : group_.has_events(); }
    bool release(Instant now);
    void verify(const Lease& lease, const char* when) const;

    const Life self_;
    Group& group_;
    Rpc* rpc_;
    std::unique_ptr<Caller> caller_;  // with rpc
    std::unique_ptr<MemoryUser> memory_user_;
    Ledger& ledger_;
    Coverage& coverage_;
    Manners manners_;
    Random random_;
    Ledger::Replica replica_;
    Instant next_send_{};
    Instant awake_at_{};
    std::vector<OpenClaim> claims_;
    std::deque<Lease> leases_;
    Leases::Batch batch_;
    std::vector<derecho_event> events_;
    std::vector<uint64_t> bytes_sent_in_view_;
    derecho_status end_status_ = DERECHO_OK;
    std::set<uint32_t> differing_;
    bool calm_ = false;
    bool stopped_ = false;
};

}  // namespace libderecho::sim
