// Option digest: whether the replicas of a service are what they should be, which is all alike.
//
// Calls of a shard are counted from the start of each view, which all that hold its state do alike; so many make an
// interval, and so does what is left at the end of the view. Of each interval a member makes a digest: of its answers
// to the calls that want one, whatever their order (of a failure, that it was one: texts name files and addresses), or
// of its state after the last call, which the application is asked for as for a joiner's. It tells all that were in the
// view. Where more than half of them say the same, whoever says otherwise differs; where that cannot be any more, they
// differ and none of them is right.
//
// What becomes of it is a policy. To eject: the member that differs ends by itself as soon as it knows; the others give
// it suspect_after, then give it up. Both only if those that agree are more than half of the present view.
//
// Any thread, behind a lock of its own, under which nothing else is locked.
#pragma once

#include <atomic>
#include <cstring>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <derecho.h>

#include "base/clock.hpp"
#include "base/digest.hpp"
#include "base/ids.hpp"
#include "base/status.hpp"
#include "group/options.hpp"
#include "rpc/letters.hpp"
#include "rpc/owed_answers.hpp"
#include "view/view.hpp"

namespace libderecho {

// Of one answer to an ordered call: alike at all replicas that answer alike.
uint64_t answer_digest(derecho_status status, std::span<const std::byte> data, uint64_t seed = 0);

class Digests {
public:
    explicit Digests(const GroupOptions& options);

    bool of_states() const { return options_.digest.of == DigestOptions::Of::state; }

    // ---- what the application takes, in its order
    // Calls and views of these events; `view` is the one they belong to, from a VIEW event on.
    void taken(std::span<const derecho_event> events, const View* view);
    // Of states: so many events may be taken before one is due, at least 1; what is due; and a view comes next.
    uint64_t events_until_due() const;
    bool take_due(derecho_event& request);
    void view_ends();
    // The next difference to be told of; its text stays.
    bool take_difference(derecho_event& event);
    bool has_events() const { return has_events_.load(std::memory_order_relaxed); }

    // ---- what it answers
    void answered(NodeId caller, uint64_t call, derecho_status status, std::span<const std::byte> data);
    derecho_status state_piece(uint64_t request, std::span<const std::byte> data, bool last);
    derecho_status state_failed(uint64_t request, std::string_view why);

    // ---- other members
    struct Letter {
        NodeId to{};
        DigestHeader header;
        uint64_t digest = 0;
    };
    bool has_letters() const { return has_letters_.load(std::memory_order_relaxed); }
    // Pass on what send(letter) takes.
    template <class Send>
    bool send_letters(Send&& send) {
        const Locked lock(*this);
        size_t sent = 0;
        while (sent < letters_.size() && send(letters_[sent])) ++sent;
        letters_.erase(letters_.begin(), letters_.begin() + static_cast<ptrdiff_t>(sent));
        return sent > 0;
    }
    // Only members of the interval's view are believed. False: nobody sends this.
    bool heard(NodeLife from, std::span<const std::byte> letter);

    // ---- what has to be done. Sentences to be logged; who has to go.
    struct Verdict {
        std::vector<std::string> troubles;
        std::optional<Status> end;  // of this node
        std::vector<std::pair<NodeId, std::string>> expel;
    };
    bool any_found() const { return any_found_.load(std::memory_order_relaxed); }
    Verdict judge(Instant now, const View& current);

    struct Totals {
        uint64_t compared = 0, differences = 0;
    };
    Totals totals() const;

private:
    struct Key {
        uint64_t view = 0;
        uint32_t shard = 0;
        uint32_t interval = 0;
        auto operator<=>(const Key&) const = default;
    };
    struct Interval {
        Key key;
        std::shared_ptr<const View> view;
        uint64_t version = 0;  // of its last call
        uint64_t calls = 0;
        uint64_t owed = 0;  // answers that the application has not given yet
        uint64_t answers = 0;
        uint64_t sum = 0;  // of their digests
        bool closed = false;
        bool lost = false;  // this node has no digest of it
        std::optional<uint64_t> own;
        uint64_t request = 0;  // of a state
        Digest state;
        size_t reports_seen = 0;
    };
    struct Report {
        Key key;
        uint64_t incarnation = 0;
        uint64_t digest = 0;
    };
    struct Shard {
        Interval* open = nullptr;
        uint32_t intervals = 0;  // closed in this view
        bool unsaved = false;    // the application could not: it is not asked again in this view
    };
    struct Difference {
        Key key;
        uint64_t version = 0;
        NodeLife who;  // node DERECHO_ANY_NODE: there is no majority
        std::vector<NodeLife> majority;
        std::string text;
        bool given = false;
        bool logged = false;
        bool over = false;  // nothing is to be done about it any more
        Instant found{};
    };

    // What can be asked without the lock is right again at its end.
    class Locked {
    public:
        explicit Locked(Digests& digests) : digests_(digests), lock_(digests.mutex_) {}
        ~Locked();

    private:
        Digests& digests_;
        const std::lock_guard<std::mutex> lock_;
    };

    void enter(const View& view);
    void count(const derecho_event& call);
    void owe(Interval& interval, const derecho_event& call);
    void close(uint32_t shard);
    void finish(Interval& interval, uint64_t digest);
    void give_up(Interval& interval);
    void forget(const Interval& interval);
    void drop_oldest();
    Interval* requested(uint64_t request);
    std::optional<uint64_t> reported(const Interval& interval, const Member& member) const;
    void compare(Interval& interval);
    void compare(const Key& key);
    void add(Difference difference);
    void tell(const Interval& interval, const Member& member, std::vector<NodeLife> majority);
    void tell_split(const Interval& interval, const std::map<uint64_t, std::vector<NodeLife>>& said);
    std::string subject(const Interval& interval) const;
    bool may_go(const Difference& difference, const View& current) const;
    void decide(Difference& difference, Instant now, const View& current, Verdict& verdict);

    const GroupOptions options_;
    const NodeId self_;
    mutable std::mutex mutex_;  // of what follows
    std::shared_ptr<const View> view_;
    std::vector<Shard> shards_;
    std::list<Interval> intervals_;  // the oldest first
    OwedAnswers<Interval> owed_;
    std::deque<uint64_t> due_;  // requests of states
    uint64_t requests_ = 0;
    std::map<NodeId, std::deque<Report>> reports_;
    std::deque<Letter> letters_;
    std::list<Difference> differences_;
    size_t not_given_ = 0, not_over_ = 0;  // of them
    std::vector<std::string> unsaved_;     // sentences, to be told
    Totals totals_;
    std::atomic<bool> has_events_{false}, has_letters_{false}, any_found_{false};
};

}  // namespace libderecho
