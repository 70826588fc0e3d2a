// The ordered multicast of one shard in one view: receive, acknowledge, find what is stable, deliver in turn.
//
// A row is one push wide in front (the counters) and carries its owner's byte ring behind. Counters are byte positions:
//   sent, sent_rounds   how much of its ring this member published, and how many rounds that is (messages and nulls)
//   received[s]         how much of sender s's ring this member has
//   released[s]         how much of it this member's application needs no more
//   stable[s]           how much of it this member knows that all have; written once, at the wedge
// A byte is stable once every member received it. Round k of sender s is sequence number k * senders + s; rounds are
// delivered in that order as they become stable.
//
// What others write is input. A value that no honest member can write convicts its writer (offenders()). What others
// can have delivered because of it stays delivered: at the wedge each member says how far it got (stable), and nobody
// accepts a trim that contradicts a member that it believes alive. A frame that is malformed, or cut by the trim, is
// where its sender's messages end, for everybody alike. Driver only, but for the sending side (RingWriter).
//
// Times: a frame bears its sender's, and is delivered at the latest that a frame so far has borne: the same everywhere,
// and never going back. A frame far ahead of this member's clock is not delivered, nor counted as stable at the wedge,
// and convicts its sender: group/shard_time.cpp.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"
#include "group/clocks.hpp"
#include "smc/leases.hpp"
#include "smc/ring_writer.hpp"
#include "sst/layout.hpp"
#include "sst/predicates.hpp"
#include "sst/table.hpp"

namespace libderecho {

struct ShardColumns {
    ShardColumns(size_t members, uint64_t ring_bytes);
    size_t sent;
    size_t sent_rounds;
    size_t received;  // of sender 0
    size_t released;  // of sender 0
    size_t counter_bytes;
    size_t stable;  // of sender 0
    size_t front_bytes;
    size_t ring;
    size_t row_bytes;
};

class ShardEpoch {
public:
    struct Identity {
        ViewId view{};
        ShardIndex shard{};
        Rank self{};
        std::vector<NodeId> members;
        uint64_t time_ns = 0;  // nothing is delivered before it
    };

    // `clock`: this member's, which outlives the epoch.
    ShardEpoch(Fabric& fabric, RegionId region, Identity identity, uint64_t ring_bytes, HybridClock& clock);

    bool ok() const { return table_.ok(); }
    // Where the own messages that are delivered in an epoch end.
    struct SenderEnd {
        uint64_t trim = 0;
        uint64_t ticket = 0;
    };
    // Take over the sending side, with what it still has to send since the epoch before.
    void start(RingWriter& writer, const SenderEnd& before);

    // Publish, receive, acknowledge, free ring space. True if anything moved.
    bool step(RingWriter& writer, Instant now);
    // When step() has to set an open claim aside that others wait for.
    Instant next_deadline() const;
    // Every member has everything that was claimed here.
    bool all_sent(const RingWriter& writer) const {
        return !writer.anything_claimed() && cursors_[self_].stable == writer.published_bytes();
    }
    // Rounds of this view so far.
    uint64_t sequence() const { return sequence_; }
    // Look for members, out of these, that live and do not do their part: acknowledge, and fill rounds that others wait
    // for. To be called now and then: proof when another member says so (lies()).
    void watch(RankSet members, Instant now, Duration patience);
    // Members whose counters cannot be true.
    RankSet offenders() const { return offenders_; }

    // How a member stands to what others wait for.
    struct Standing {
        bool behind = false;       // somebody's messages are not acknowledged
        bool holds_room = false;   // more than half of a ring is kept for it
        bool owes_rounds = false;  // others have sent more rounds, and it has room to say that it skips them
        uint64_t acknowledged = 0, released = 0, rounds = 0;
    };
    Standing standing(size_t rank) const;
    // Show what was released and not worth a push of its own.
    void push_releases();

    // Whether this member's counters or frames cannot be, or it has not done its part for so long.
    bool lies(size_t rank, Duration for_so_long) const;

    // The latest time at which something is delivered up to these trims, which are here.
    uint64_t newest(std::span<const uint64_t> trims) const;

    // Stop receiving and publishing, for good.
    void wedge();
    // Those of them whose rows are here, as they must be before a trim can be read from them.
    RankSet arrived(RankSet members) const;
    // Whether each of these members, all of them wedged, has all that any other of them may have delivered. Who
    // contradicts this member is an offender.
    bool agreed(RankSet members);
    // Whether each of these members can deliver up to exactly here.
    bool fits(std::span<const uint64_t> trims, RankSet members) const;
    // The least received of each sender over `survivors`, all of them wedged: appended to `trims`.
    void append_trims(RankSet survivors, std::vector<uint64_t>& trims) const;
    // Deliver up to exactly here and then no more. False if that cannot be.
    bool finish(std::span<const uint64_t> trims);
    SenderEnd own_end() const;  // once finished

    // Fill in ordered events; adds marks for what they refer to.
    size_t take(std::span<derecho_event> events, Leases& leases, Leases::Batch& batch);
    // Whether take() would move: perhaps only over nulls.
    bool deliverable() const;
    // Whether there is a message for the application among it.
    bool untaken() const;
    // Everything up to the trims was taken.
    bool drained() const;
    // The application gets none of what is left: it will be given a later state instead.
    void skip();
    bool leased() const;

    uint64_t delivered_messages() const { return delivered_messages_; }
    uint64_t delivered_bytes() const { return delivered_bytes_; }
    uint64_t null_rounds() const { return null_rounds_; }

private:
    // Where delivery stands in one sender's ring.
    struct Cursor {
        const std::byte* ring = nullptr;  // null until its row has arrived
        uint64_t at = 0;                  // next frame
        uint64_t stable = 0;              // deliverable up to here
        uint64_t nulls = 0;               // rounds to skip before the next frame
        uint64_t marked = 0;              // leased, or released, up to here
        uint64_t ticket = 0;              // full ticket of the last frame (own ring only)
        ReleasePoint released;
    };

    bool send(RingWriter& writer, Instant now);
    bool receive();
    bool fill_rounds(RingWriter& writer);
    void find_stable();
    uint64_t least_of(size_t column) const;
    void reuse(RingWriter& writer);
    void blame_below(size_t column, uint64_t least);
    bool note_releases(const RingWriter& writer);
    bool publish_claims(RingWriter& writer, uint64_t timestamp_ns, Instant now);
    void announce(const RingWriter& writer, uint64_t before);
    void push_published(uint64_t from, uint64_t to);
    const std::byte* frame_at(const Cursor& cursor) const;
    static void note_ticket(Cursor& cursor, const FrameTag& frame);
    void pass_turn();
    bool pass_silent_rounds();
    uint64_t quiet_rounds() const;
    void pass_rounds(size_t run, uint64_t quiet);
    RankSet whoever_broke(const Cursor& cursor, uint64_t whole) const;
    bool malformed_behind(Cursor cursor, uint64_t received) const;
    // group/shard_time.cpp
    uint64_t first_ahead(const Cursor& cursor, uint64_t until, uint64_t limit) const;
    bool is_ahead(size_t rank) const;
    bool waits_for_its_time(const std::byte* frame);
    void note_ahead(size_t rank, uint64_t time_ns);
    void judge_ahead();
    void stop_at_ahead();
    void note_leaps(std::span<const derecho_event> events, uint64_t before);
    uint64_t latest_time() const { return finished_ ? ~0ull : clock_.ahead_by(drifts::convicted); }
    bool take_silent(Cursor& cursor);
    bool message_waits(const Cursor& cursor) const;
    size_t take_turns(derecho_event* event, size_t most);
    size_t take_run(Cursor& cursor, derecho_event* event, size_t most);
    void mark(bool any_events, Leases& leases, Leases::Batch& batch);
    uint64_t furthest_round() const;
    bool lags(size_t rank);
    bool is_waited_for() const;
    const uint64_t* counters(size_t rank) const { return table_.word(rank, 0); }

    const Identity identity_;
    HybridClock& clock_;
    const size_t self_;
    const size_t senders_;
    const uint64_t ring_bytes_;
    const ShardColumns columns_;
    Table table_;
    std::vector<Cursor> cursors_;
    size_t turn_ = 0;
    uint64_t sequence_ = 0;
    uint64_t most_rounds_ = 0;
    Instant blocked_since_ = kNever;  // by an open claim, while others are ahead
    uint64_t unpushed_releases_ = 0;  // bytes
    uint64_t reusable_ = 0;           // of the own ring: every member has released it
    bool wedged_ = false;
    bool finished_ = false;
    RankSet offenders_ = 0;
    uint64_t time_ns_;        // of what was delivered last
    RankSet seen_ahead_ = 0;  // members of whom something was ahead of the clock: to be judged by a later reading
    RankSet were_ahead_ = 0;  // members that were suspiciously far
    struct Diligence {
        uint64_t acknowledged = 0, sent = 0;  // bytes, the most so far
        uint64_t ahead_ns = 0;                // the latest time that was seen ahead
        Duration lags_for, silent_for;
    };
    std::vector<Diligence> diligence_;
    Instant watched_at_;
    uint64_t delivered_messages_ = 0, delivered_bytes_ = 0, null_rounds_ = 0;
};

}  // namespace libderecho
