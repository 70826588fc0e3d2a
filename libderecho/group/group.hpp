// One node's part in one group: joins, multicasts, changes views. Stepped and deterministic: it blocks on nothing,
// reads no clock, makes no random number; everything it learns comes through the Fabric and `now`.
//
// The driver (one thread at a time) calls everything here but what is marked "any thread".
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/status.hpp"
#include "fabric/fabric.hpp"
#include "group/admissions.hpp"
#include "group/clocks.hpp"
#include "group/epoch.hpp"
#include "group/holdups.hpp"
#include "group/joining.hpp"
#include "group/newcomers.hpp"
#include "group/options.hpp"
#include "smc/batch.hpp"
#include "smc/leases.hpp"
#include "view/view.hpp"

namespace libderecho {

class Group {
public:
    enum class Phase : uint8_t {
        joining,  // looking for the group, or waiting for a view that holds this node
        client,   // connected to a contact; never a member
        member,   // in a view
        ended,    // left, ejected, without majority or state: end() says which
    };

    static constexpr uint64_t kMailBytes = 64 << 10;  // of its ring to each peer

    // `store`: what outlives this incarnation; may be null.
    Group(GroupOptions options, Fabric& fabric, Now now, MarkerStore* store = nullptr);
    ~Group();

    // Advance everything that can be advanced. True if something moved, so that another step may be worth while.
    bool step(Now now);
    // When step() must be called again even if nothing arrives.
    Instant next_deadline() const;

    Phase phase() const { return phase_.load(std::memory_order_acquire); }  // any thread
    // Why the group ended, or why joining has not succeeded yet (a sentence for a time-out). OK otherwise.
    Status end() const;

    // Ask the others to go on without this node; the phase becomes `ended` when they do.
    void leave();

    // ---- receiving: events in their order, per shard: VIEW, STATE_REQUEST..., MESSAGE/CALL...; CLOSED is the last.
    // CALL events still have their call header in front of the data; rpc/ takes it off.
    // Marks in `leases` what has to be released later. Returns how many were filled in.
    size_t take(std::span<derecho_event> events, Leases::Batch& batch);
    // Whether take() would give something.
    bool has_events() const;
    // From now on take() ends before a view, also where there was nothing to give before it.
    void stop_before_views() { stops_before_views_ = true; }
    bool view_is_next() const { return !epochs_.empty() && !epochs_.front()->announced(); }
    // The view whose events take() is giving (or the last, once ended). Null before the first.
    const View* taken_view() const { return taken_view_.get(); }
    // The view installed by the protocol, which may be ahead of it. Null before the first.
    const View* view() const;
    // Shards whose state a member of it holds by now.
    uint64_t shards_held_by(Rank rank) const;
    // In that, or in one that the application has not taken all of.
    bool is_in_a_view(NodeId node) const;

    // ---- state transfer. A joiner's deliveries are held until its state is complete.
    // Non-null while `shard` waits for its state and everything before it was taken.
    const StateWanted* state_wanted(ShardIndex shard) const;
    // The application takes the last of it; it holds the state once it has released that, and may fail before.
    Leases::Mark state_taken(ShardIndex shard);
    // Both at once, for who needs no lease.
    void state_complete(ShardIndex shard);

    // ---- sending, any thread.
    // Status codes: OK, AGAIN, WEDGED, TOO_LARGE, NOT_MEMBER, CLOSED/EJECTED/NO_MAJORITY/STATE_LOST once ended.
    derecho_status claim(ShardIndex shard, uint64_t payload_bytes, Claim& claim);
    // All of these messages, at once; `bytes` as planned (smc/batch.hpp). Status codes as claim().
    derecho_status send_batch(ShardIndex shard, Messages messages, uint64_t bytes, uint64_t& ticket);
    // OK, AGAIN (the view changed since; the new ring is full), or why the group ended. `kind` is FrameKind::message or
    // FrameKind::call.
    derecho_status commit(ShardIndex shard, Claim& claim, FrameKind kind, uint8_t flags, uint64_t used_bytes);
    void abort(ShardIndex shard, Claim& claim);

    // ---- for rpc/: peers and their fate, in order. Filled by step().
    // A peer broke the rules: cut it off, and have it removed if it is a member.
    void expel(NodeId node, const std::string& why);
    // This node has no memory for what it needs with a peer: it does without that peer, or, where it cannot, ends.
    void lacks_memory_for(NodeId node);
    void end_for_lack(const std::string& of_what);
    // This node must not go on, and the others need not wait for heartbeats to see it.
    void end_because(Status why);
    void note_trouble(const std::string& text);
    std::vector<PeerEvent>& peer_events() { return peer_events_for_rpc_; }

    // ---- who holds others up
    // The application polled, and whatever came of it.
    void note_poll() { ++polls_; }
    // What else the application may have to take, by rpc/.
    void also_untaken(std::function<bool()> untaken) { also_untaken_ = std::move(untaken); }
    const Holdups& holdups() const { return holdups_; }  // current() and any(): any thread
    // What an operator should know, each once: another group of this name was met, a node in the options does not fit.
    const std::vector<std::string>& troubles() const { return troubles_; }

    Leases& leases() { return leases_; }
    const GroupOptions& options() const { return options_; }
    Fabric& fabric() { return fabric_; }

    struct Stats {
        uint64_t delivered_messages = 0, delivered_bytes = 0, sent_messages = 0, null_messages = 0, views = 0;
    };
    Stats stats() const;

private:
    using Sender = std::unique_ptr<RingWriter>;

    void poll_fabric(Now now);
    void read_letters(Now now);
    void refuse_join(NodeId node, derecho_status status, const std::string& why);
    void read_letter(const Mail::Letter& letter, Instant now);
    void answer_join(const Mail::Letter& letter, Instant now);
    void answer_join_from_outside(const Mail::Letter& letter);
    void client_takes(const Mail::Letter& letter);
    void seek_contacts(Now now);
    void meet_other_group(NodeId node, GroupId theirs);
    void step_joining(Now now);
    void step_member(Now now);
    void step_shards(Now now);
    void look_for_holdups(Now now);
    void look_at_clocks(Now now);
    bool may_be_slow(size_t rank) const;
    bool untaken() const;
    void convict_offenders();
    void look_at_wedged();
    void take_leave();
    bool all_sent() const;
    bool sequence_ends() const;
    bool change_due(Instant now);
    void install(const Decision& decision, Now now);
    void enter(View view, std::span<const ShardEpoch::SenderEnd> before, Now now);
    void cut_off(NodeId node, uint64_t incarnation, const std::string& why);
    static void add(Stats& stats, const Epoch& epoch);
    bool may_wedge(Instant now);
    std::vector<Member> admitted(Now now);
    void note_loaded();
    bool votes_due(Instant now);
    void fence_removed(const Epoch& old, const View& next);
    void tell_that_it_is_over(Now now);
    void drop_earlier_life(const Member& member);
    void tell_fabric(const View& view);
    void drop_silent_newcomers(Now now);
    void greet_members();
    derecho_status claim_room(ShardIndex shard, uint64_t payload_bytes, Claim& claim);
    void note_lost(NodeId node, uint64_t incarnation);
    bool needs(NodeId node, uint64_t incarnation) const;
    void look_for_shortage(Now now);
    bool is_up(const Member& member) const;
    bool is_lost(const Member& member) const;
    void finish_with(Status status);
    void cut_off_all();
    void bury_epochs();
    bool has_events_before_end() const;
    Epoch& current() { return *epochs_.back(); }
    derecho_status resend(RingWriter& writer, Claim& claim, FrameKind kind, uint8_t flags, uint64_t used_bytes);

    GroupOptions options_;
    Fabric& fabric_;
    Mail mail_;
    Leases leases_;
    HybridClock clock_;
    Clocks clocks_;
    Founding founding_;
    std::optional<Joining> joining_;              // until there is a view; for a client, always
    std::vector<Sender> senders_;                 // by shard, for as long as the group lives
    std::deque<std::unique_ptr<Epoch>> epochs_;   // front: being taken; back: the current view
    std::vector<std::unique_ptr<Epoch>> buried_;  // taken, perhaps still leased
    std::unique_ptr<View> taken_view_;
    std::optional<View> client_view_;
    bool client_view_new_ = false;
    Admissions admissions_;  // as leader: who asked
    std::vector<NodeId> clients_;
    Newcomers newcomers_;
    std::vector<std::pair<NodeId, uint64_t>> up_;    // lives that are connected
    std::vector<std::pair<NodeId, uint64_t>> lost_;  // lives that ended
    std::vector<PeerEvent> peer_events_;
    std::vector<PeerEvent> peer_events_for_rpc_;
    std::atomic<Phase> phase_{Phase::joining};
    std::array<ReleasePoint, limits::shards_max> loads_;             // of the last piece of a shard's state
    uint64_t loading_ = 0;                                           // shards, as bits: the application has it still
    std::atomic<uint64_t> stateless_{~0ull};                         // shards, as bits: no claims yet
    std::atomic<derecho_status> sealed_status_{DERECHO_NOT_MEMBER};  // what claims get while the senders are sealed
    bool leave_wanted_ = false;
    bool closed_taken_ = false;
    bool stops_before_views_ = false;
    bool moved_ = false;
    Holdups holdups_;
    std::function<bool()> also_untaken_;
    uint64_t polls_ = 0;
    uint64_t polls_at_beat_ = 0;
    uint64_t oldest_lease_ = 0;   // at the last heartbeat
    uint32_t steps_to_look_ = 0;  // at the slow columns
    Instant entered_{};           // the current view
    Instant first_ready_{};       // when somebody first held every state in it who does not vote; before it: not yet
    Instant wedged_at_{};         // the one before; then senders stood still
    Duration stood_still_{};      // until the current one began
    Instant next_seek_ = kNever;
    Instant turn_ = kNever;              // of those that wait to join
    std::vector<std::string> troubles_;  // that were told of
    Status end_;
    Stats stats_;
};

}  // namespace libderecho
