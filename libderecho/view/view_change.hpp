// How the members of one view agree on the next, in columns of their rows. Has never heard of rings or messages: the
// trim is a list of numbers that somebody computes from frozen counters.
//
//   suspected   ranks this member has given up on: never shrinks. A suspect's row is not read. What one member says of
//   another is believed as judge_accusations() says. leader      the lowest rank that a member does not suspect. wedged
//   set once this member's received counters stand still, which a suspicion or the leader's wish calls for. proposals
//   one area a leader, written once by each: the leader's own, then copied by all who accept it. accepted    1 + rank
//   of the leader whose proposal this member accepted last. committed   1 + rank of the leader whose proposal is
//   decided.
//
// It is Paxos for a single decision, with the leader's rank as ballot. Suspecting all lower ranks is the promise not to
// accept from them any more; it is visible only after what was accepted before. A new leader waits for the promise of
// every member it does not suspect, more than half of the view among them, and adopts the highest accepted proposal it
// then sees; only if there is none it proposes its own. A proposal that more than half of the view accepted is decided.
//
// "More than half" is of the members that vote, which the view names: who came in with it does not. A newcomer votes
// from the view on that begins after it held every state, so that those who come and go, or only say that they come,
// take nobody's majority.
//
// Rows are input. A decision is believed when rows of more than half of the view have accepted the very same; whoever
// accepts a proposal looks first whether it keeps what it must: see plausible(). A value that no honest member can
// write convicts its writer, and who lets a wedged view wait is given up on.
#pragma once

#include <functional>
#include <optional>

#include "base/clock.hpp"
#include "base/status.hpp"
#include "sst/layout.hpp"
#include "sst/predicates.hpp"
#include "sst/table.hpp"
#include "view/view.hpp"

namespace libderecho {

struct ViewChangeColumns {
    ViewChangeColumns(size_t members, size_t trims);

    size_t heartbeat;
    size_t polled;     // the last heartbeat at which the application had taken what there was; beside it
    size_t released;   // ... at which it kept no message that it had kept at the one before; beside it
    size_t clock;      // wall, at the last heartbeat; beside it
    size_t suspected;  // the rest of its line: pushed as one
    size_t change_wanted;
    size_t leave_wanted;
    size_t wedged;
    size_t accepted;
    size_t committed;
    size_t state_held;  // shards whose state this member holds by now
    size_t state_line_bytes;
    size_t proposals;  // of leader 0; each area: a length, then so many bytes
    size_t proposal_bytes;
    size_t counter_bytes;
    size_t row_bytes;

    size_t proposal_of(size_t leader) const { return proposals + leader * proposal_bytes; }
};

struct ViewChangeOptions {
    bool require_majority = true;
    Duration heartbeat = milliseconds(100);
    Duration suspect_after = milliseconds(2000);
};

class ViewChange {
public:
    enum class Want : uint8_t {
        nothing,
        wedge,     // freeze the counters, push them, then call wedged()
        proposal,  // this node leads and all are wedged: call propose()
        install,   // decision() stands
        stop,      // failure() says why
    };

    ViewChange(const View& view, Rank self, size_t trims, Table& table, ViewChangeOptions options, Instant now);

    // Whether these members, all of them wedged, can end the view at these trims. Asked before a proposal is accepted.
    std::function<bool(const Decision& decision, RankSet members)> trims_fit;
    // Whether this member may be removed for its application's sake. Empty where nobody is.
    std::function<bool(size_t rank)> may_be_slow;
    // Whether counters or messages of this member cannot be. Asked when another member says so.
    std::function<bool(size_t rank)> counters_lie;

    // Look at the rows. Cheap when nothing is going on.
    Want step(Instant now);
    Instant next_deadline() const { return next_beat_; }

    void suspect(size_t rank, const std::string& why);
    void lost(size_t rank, const std::string& why);  // its connection ended: nothing more of it becomes visible
    void want_change();                              // as leader: joins are waiting
    void want_leave();
    bool wants_leave() const { return table_.value(self_, columns_.leave_wanted) != 0; }
    void state_held(uint64_t shards);
    // For the next heartbeat: the application has polled since the last one, or had nothing to take; it has released
    // since the last one, or kept nothing.
    void note_application(bool polls, bool releases) {
        application_polls_ = polls;
        application_releases_ = releases;
    }
    // This node's, for the next heartbeat.
    void note_clock(uint64_t wall_ns) { wall_ns_ = wall_ns; }
    uint64_t clock_of(size_t rank) const { return table_.value(rank, columns_.clock); }
    uint64_t beats_of(size_t rank) const { return table_.value(rank, columns_.heartbeat); }
    uint64_t polled_by(size_t rank) const { return table_.value(rank, columns_.polled); }
    uint64_t released_by(size_t rank) const { return table_.value(rank, columns_.released); }
    bool enough(RankSet ranks) const;
    RankSet voters() const { return voters_; }
    // Whether it will vote in the next view.
    bool will_vote(size_t rank) const;

    void wedged();
    void propose(const Decision& decision);
    // As leader: the rows of these are needed before it can propose.
    void await_rows(RankSet missing) { rows_awaited_ = missing; }

    bool leads() const { return lowest(alive()) == self_; }
    size_t leader() const { return lowest(alive()); }
    RankSet alive() const { return first_ranks(table_.size()) & ~suspected_; }
    RankSet leaving() const { return at_least(table_, alive(), columns_.leave_wanted, 1); }
    // As it said when it wedged, if it has.
    uint64_t shards_held_by(size_t rank) const {
        return held_at_wedge_[rank].value_or(table_.value(rank, columns_.state_held));
    }
    bool is_wedged() const { return wedged_; }
    bool has_wedged(size_t rank) const { return table_.value(rank, columns_.wedged) != 0; }
    RankSet alive_and_wedged() const { return at_least(table_, alive(), columns_.wedged, 1); }
    const Decision& decision() const { return *decision_; }
    const Status& failure() const { return failure_; }

private:
    void beat(Instant now);
    // view/overdue.cpp
    RankSet awaited() const;
    void suspect_overdue(RankSet awaited, const std::string& what, Duration more);
    void watch_change(Instant now);
    void watch(size_t rank, Instant now);
    RankSet accused_by(size_t rank) const;
    void read_suspicions(size_t rank, Instant now);
    void judge_accusations(Instant now);
    bool learn_decision();
    using Proposal = std::vector<std::byte>;  // a copy: its writer may change what is looked at
    enum class Verdict : uint8_t { good, not_yet, bad };
    Want lead();
    void follow();
    void adopt(size_t holder, size_t ballot);
    void keep(size_t leader, const Proposal& proposal);
    std::optional<Decision> decode(const Proposal& proposal) const;
    Proposal proposal_in(size_t rank, size_t leader) const;
    Verdict believable(const Decision& decision, uint64_t ballot, RankSet accused);
    Verdict plausible(const Decision& decision, uint64_t ballot, RankSet accused) const;
    bool keeps_members(const View& next) const;
    RankSet accepted_by(const Proposal& proposal) const;
    bool convict_early_acceptors();
    void note_misfits(const Decision& decision);
    void judge_own_accusers(Instant now);
    RankSet accusers_of(size_t rank) const;
    bool could_go_on(size_t rank) const;
    bool answers_back(size_t rank, size_t other) const;
    bool suspect_most_accused();
    bool proof_against(size_t rank) const;
    void read_wedged();
    bool change_called_for() const;
    std::string who_is_left() const;
    void set(size_t column, uint64_t value);

    const View view_;
    const size_t self_;
    const size_t trims_;
    const RankSet voters_;
    Table& table_;
    const ViewChangeColumns columns_;
    const ViewChangeOptions options_;
    RankSet suspected_ = 0;
    RankSet accused_by_ = 0;  // those who suspect this node, and are lost to it
    struct Accusation {
        RankSet by = 0;
        Instant since;
    };
    std::vector<Accusation> accusations_;  // of each rank
    std::vector<Duration> waited_for_;     // each rank, in the change of this view
    std::vector<uint64_t> held_;           // shards whose state each said it holds
    RankSet left_ = 0;                     // who said that it leaves
    std::vector<std::optional<uint64_t>> held_at_wedge_;
    RankSet misfits_ = 0;  // members that cannot end the view where the leader proposes
    std::vector<Duration> misfit_for_;
    bool wedged_ = false;
    bool proposed_ = false;
    bool application_polls_ = true;
    bool application_releases_ = true;
    bool doubted_ = false;  // a proposal: this node may have been stopped between reading its clock and looking
    uint64_t wall_ns_ = 0;
    std::optional<Decision> decision_;
    Status failure_;

    struct Pulse {
        uint64_t beats = 0;
        Instant seen;
    };
    std::vector<Pulse> pulses_;
    RankSet rows_awaited_ = 0;  // by this node as leader
    Instant last_step_;
    Instant last_wait_;
    Instant next_beat_;
};

}  // namespace libderecho
