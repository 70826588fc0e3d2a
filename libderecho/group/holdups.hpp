// Who holds the others back, for how long, and why: told from counters, once a heartbeat. Nothing here is on the path
// of a message.
//
// A member's row says how far it has acknowledged and released each sender's messages, how many rounds it has sent, and
// the last heartbeat at which its application had taken what there was to take. A counter that others wait for and that
// stands still is a holdup; which counter it is says whether the protocol of that member stands still, or its
// application.
// Driver only, but for what says otherwise.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "group/shard_epoch.hpp"
#include "view/view.hpp"
#include "view/view_change.hpp"

namespace libderecho {

struct Holdup {
    NodeId node{};
    uint32_t cause = DERECHO_HOLDUP_NONE;
    Duration lasted{};
    std::string address{};
    bool self = false;
    bool unfelt = false;  // it keeps messages that nobody waits for: no holdup, but why an answer may be missing

    std::string text() const;  // a sentence about that node
};

// How long a word has stood still while something waited for it.
class Standstill {
public:
    void look(bool waited_for, uint64_t word, Instant now) {
        waited_for_ = waited_for;
        if (waited_for && word == word_) return;
        word_ = word;
        since_ = now;
    }
    void restart(uint64_t word, Instant now) { *this = {word, now}; }
    // The word begins anew, and it is still the same standstill.
    void carry_over() { word_ = 0; }
    // Nothing can be said about this while.
    void leave_out(Duration elapsed) { since_ = since_ + elapsed; }
    Duration lasted(Instant now) const { return now - since_; }
    Duration waited(Instant now) const { return waited_for_ ? lasted(now) : Duration{}; }

    Standstill() = default;
    Standstill(uint64_t word, Instant since) : word_(word), since_(since) {}

private:
    uint64_t word_ = 0;
    Instant since_{};
    bool waited_for_ = false;  // when it was looked at last
};

class Holdups {
public:
    struct Limits {
        Duration named_after;          // a holdup is worth a word
        Duration protocol_at_most;     // a member whose protocol stands still for longer is suspected
        Duration application_at_most;  // ... whose application does; 0: never
    };
    struct Suspect {
        size_t rank;
        std::string why;
    };

    explicit Holdups(Limits limits) : limits_(limits) {}

    // A new view: counters begin anew, applications go on.
    void enter(const View& view, Rank self, Instant now);
    // Look at the rows. Appends those members to suspect.
    void look(const ViewChange& change, const std::vector<std::unique_ptr<ShardEpoch>>& shards, Instant now,
              std::vector<Suspect>& suspects);
    // As of the last look: those to be removed for their application's sake. Their protocol is alive, and takes part in
    // the change of view: they are not suspected, for they would suspect whoever does.
    RankSet slow() const { return slow_; }
    // For how long others had waited for a member's protocol before the change of this view began.
    Duration stalled_by(size_t rank, Instant now) const;
    // Of this node's own application, as of the last look.
    std::optional<Holdup> own() const;

    // ---- any thread
    bool any() const { return any_.load(std::memory_order_relaxed); }
    std::vector<Holdup> current() const;

private:
    struct Watched {
        Member member;
        Standstill acknowledging, releasing, rounds, polling, keeping;
        uint64_t beats = 0;
    };
    struct Facts {
        bool behind = false, holds_room = false, owes_rounds = false;
        uint64_t acknowledged = 0, released = 0, rounds = 0;
    };
    void watch_application(Watched& watched, const ViewChange& change, size_t rank, bool was_away, Instant now);
    static Facts facts(const std::vector<std::unique_ptr<ShardEpoch>>& shards, size_t rank);
    Holdup judge(Watched& watched, const Facts& facts, bool has_state, Instant now) const;
    RankSet too_slow(const ViewChange& change, const std::vector<Holdup>& found) const;
    void tell();

    const Limits limits_;
    size_t self_ = 0;
    std::vector<Watched> watched_;  // by rank
    Instant last_look_{};
    RankSet slow_ = 0;
    std::vector<Holdup> found_;

    std::atomic<bool> any_{false};
    mutable std::mutex mutex_;     // of what follows
    std::vector<Holdup> current_;  // longest first
};

}  // namespace libderecho
