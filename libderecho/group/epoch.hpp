// All of one view at one member: its memory, the agreement on its end, the multicast of its shards, and what the
// application has still to be told about it. An epoch outlives its view until everything in it was taken and released.
// Driver only.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "group/options.hpp"
#include "group/shard_epoch.hpp"
#include "view/view.hpp"
#include "view/view_change.hpp"

namespace libderecho {

struct StateWanted {
    ViewId view{};   // the request: pieces that answer another one are stale
    NodeId donor{};  // who was asked, by the STATE_REQUEST event it got
};

// Memory that a member shows to the others for one view, at most: its row, and a region a shard.
struct ViewMemory {
    uint64_t region_bytes_max = 0;
    uint64_t bytes = 0;
    uint32_t regions = 0;
};
ViewMemory view_memory_max(const GroupOptions& options);

class Epoch {
public:
    // What this node has of the shards' states, whatever the view says: it may have got them too late to be counted.
    struct States {
        uint64_t taken = 0;    // by the application
        uint64_t loading = 0;  // of those: it is not done with them
    };
    Epoch(const GroupOptions& options, Fabric& fabric, View view, Rank self, States states, Instant now,
          HybridClock& clock);

    bool ok() const;  // false: no memory
    const View& view() const { return view_; }
    Rank self() const { return self_; }
    ViewChange& change() { return change_; }
    const ViewChange& change() const { return change_; }
    Table& rows() { return rows_; }
    size_t shard_count() const { return shards_.size(); }
    ShardEpoch& shard(size_t k) { return *shards_[k]; }
    const ShardEpoch& shard(size_t k) const { return *shards_[k]; }
    const std::vector<std::unique_ptr<ShardEpoch>>& shards() const { return shards_; }

    // Nobody in this view holds the state of some shard.
    bool state_lost() const;
    const StateWanted* state_wanted(size_t shard) const { return wanted_[shard] ? &*wanted_[shard] : nullptr; }
    void state_taken(size_t shard);
    void state_loaded(size_t shard);
    uint64_t shards_held() const;

    // Look for members that do not do their part.
    void watch(Instant now);
    void wedge();
    // A member's wedge may be seen before its shards' rows are, which come by another way.
    RankSet shard_rows_of(RankSet members) const;
    bool shard_rows_arrived(RankSet members) const { return shard_rows_of(members) == members; }
    // Whether these members, all of them wedged, can end the view together: see ShardEpoch::agreed().
    bool shards_agreed(RankSet members);
    // Who of those that want to may leave: not the last to hold a state that others still need, nor the last to vote.
    // `slow`: who has to.
    RankSet departures(size_t joins, RankSet slow) const;
    // Those that do not vote in this view: because of `ready` there should be another one.
    struct Newcomers {
        RankSet ready = 0;
        RankSet loading = 0;
    };
    Newcomers newcomers() const;
    Decision propose(std::span<const Member> joins, RankSet slow) const;
    bool finish(const Decision& decision);
    // Members that broke the rules of some shard.
    RankSet offenders() const;

    // ---- what the application takes, in order
    size_t take(std::span<derecho_event> events, Leases& leases, Leases::Batch& batch);
    bool has_events() const;
    bool untaken() const;                          // more than rounds in which nobody has anything to say
    bool announced() const { return announced_; }  // its VIEW event was taken
    bool drained() const;                          // over, and everything was taken
    bool leased() const;

private:
    struct StateRequest {
        NodeId joiner{};
        size_t shard = 0;
    };
    void plan_state_transfer(uint64_t held);
    bool trims_fit(const Decision& decision, RankSet members) const;
    uint64_t newest(const Decision& decision) const;

    const View view_;
    const Rank self_;
    const Duration suspect_after_;
    HybridClock& clock_;
    Table rows_;
    ViewChange change_;
    std::vector<std::unique_ptr<ShardEpoch>> shards_;
    std::vector<std::optional<StateWanted>> wanted_;  // by shard
    const uint32_t members_max_;
    std::vector<StateRequest> requests_;  // not yet taken; this node is the donor
    bool announced_ = false;
    bool finished_ = false;
    size_t turn_ = 0;
    Instant next_watch_;
};

}  // namespace libderecho
