// What must hold of a group, checked from outside as the applications of all nodes see it. Knows nothing of protocols.
//
// The first application that takes an event writes it down; every other one must take the very same. Each broken
// promise throws a Violation that names the promise, the nodes and the place.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include <derecho.h>
#include "sim/random.hpp"
#include "smc/frame.hpp"
#include "view/view.hpp"

namespace libderecho::sim {

struct Violation : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// One life of a node: a process.
struct Life {
    uint32_t node = 0;
    uint64_t incarnation = 0;
    auto operator<=>(const Life&) const = default;
    std::string name() const { return std::to_string(node) + "." + std::to_string(incarnation); }
};

// The replicated state of one shard: what an application computes from what it was given.
struct State {
    uint64_t hash = 0;
    uint64_t messages = 0;
    uint64_t version = 0, timestamp_ns = 0;  // of the last message
    std::map<Life, uint64_t> next;           // of each sender: place of its first claim not delivered yet
};

class Ledger {
public:
    explicit Ledger(uint32_t shards) : shards_(shards) {}

    // ---- senders
    enum class Fate : uint8_t { open, committed, aborted };
    // A claim was made. Returns its number, which names the message from now on. Those of one batch have one ticket.
    uint64_t claimed(const Life& sender, uint32_t shard, uint64_t ticket, bool same_batch = false);
    uint64_t next_number(const Life& sender, uint32_t shard) { return sent_[{sender, shard}].place_of.size(); }
    // It was committed. Tickets give the order in which a sender's messages arrive; a claim that was open for long may
    // have lost its turn and got a later one.
    struct Content {
        FrameKind kind{};
        uint32_t flags = 0;  // of its events
        uint64_t size = 0;
        uint64_t id = 0;  // of its event at the sender
    };
    void committed(const Life& sender, uint32_t shard, uint64_t number, uint64_t ticket, const Content& content);
    void aborted(const Life& sender, uint32_t shard, uint64_t number);
    // The bytes of a message follow from who sent it.
    static uint64_t seed_of(const Life& sender, uint32_t shard, uint64_t number);
    static void fill(uint64_t seed, std::byte* to, uint64_t size);
    static bool filled(uint64_t seed, const void* at, uint64_t size);

    // ---- receivers
    // What one application knows.
    struct Replica {
        Life self;
        View view;  // whose events it takes; id 0 before the first
        std::vector<State> states;
        std::vector<bool> has_state;
        std::vector<uint64_t> taken;         // messages of this view
        std::vector<uint64_t> last_version;  // taken
        bool closed = false;
    };
    Replica joining(const Life& self) const;
    void view(Replica& at, const View& view);
    void client_view(Replica& at, const View& view);
    // Which message it was: the sender's number. kUnknown if a liar sent it, or takes it.
    static constexpr uint64_t kUnknown = ~0ull;
    uint64_t delivered(Replica& at, const derecho_event& event);
    // A query, a state that is asked for or one that came says as of which message it is.
    void as_of(const Replica& at, const derecho_event& event, uint64_t version) const;
    // The state a joiner was given as of the start of its view.
    void state_received(Replica& at, uint32_t shard, const State& state);
    void closed(Replica& at, derecho_status status);

    // Its messages may be anything...
    void may_lie(const Life& life) { suspects_.insert(life); }
    // ... and from now on what it takes is its own business.
    void lies(const Life& life) { liars_.insert(life); }
    void leaves(const Life& life) { leavers_.insert(life); }
    // Who was told that it left.
    const std::set<Life>& departed() const { return departed_; }

    // The latest that any message may be said to be from, at this moment.
    std::function<uint64_t()> latest_time;

    // ---- at the end
    // Views are one chain, each with more than half of those that vote in the one before.
    void check_chain() const;
    // Everything that `sender` committed was delivered at `at`.
    void check_all_delivered(const Life& sender, const Replica& at) const;
    void check_equal(const Replica& a, const Replica& b) const;

    const View* last_view() const { return views_.empty() ? nullptr : &views_.rbegin()->second; }
    uint64_t views() const { return views_.size(); }
    uint64_t messages() const { return messages_; }

private:
    struct Message {
        uint64_t number = 0;
        uint64_t ticket = 0;
        Fate fate = Fate::open;
        Content content;
    };
    struct Entry {
        Life sender;
        uint64_t number = 0, version = 0, timestamp = 0, hash_after = 0;
        uint32_t kind = 0;
    };
    struct Log {  // of one shard in one view
        std::vector<Entry> entries;
        bool started = false, ended = false;
        uint64_t hash_at_start = 0;
        Life started_by, ended_by, longest_by;
    };
    struct Sent {
        std::vector<Message> in_order;  // of tickets
        std::vector<size_t> place_of;   // of each number
        uint64_t reached = 0;           // places below were delivered somewhere, or passed over
    };
    using Place = std::pair<uint64_t, uint32_t>;  // view, shard

    const Message& next_of(const Replica& at, const Life& sender, uint32_t shard, uint64_t& place) const;
    void note(Replica& at, const derecho_event& event, const Entry& entry, const std::string& what);
    uint64_t delivered_by_liar(Replica& at, const derecho_event& event, const Life& sender);
    void check_view(const Replica& at, const View& view);
    void end_view(Replica& at);
    void start_view(Replica& at, uint32_t shard);
    Life sender_of(const Replica& at, const derecho_event& event) const;
    std::string where(const Replica& at, uint32_t shard) const;

    uint32_t shards_;
    std::map<std::pair<Life, uint32_t>, Sent> sent_;
    std::map<uint64_t, View> views_;
    std::map<uint64_t, Life> first_seen_by_;
    std::map<Place, Log> logs_;
    std::map<uint32_t, uint64_t> last_time_;  // by shard
    std::set<Life> leavers_, departed_, suspects_, liars_;
    uint64_t messages_ = 0;
};

}  // namespace libderecho::sim
