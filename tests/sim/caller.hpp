// The part of a simulated application that talks to single nodes: calls and the replies they are owed, queries, and the
// pieces of a state. Checks what rpc/ promises: every ordered call is announced once, every member answers it once or
// is reported as removed, every query has one answer, and a state arrives whole.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <set>
#include <vector>

#include "rpc/rpc.hpp"
#include "sim/coverage.hpp"
#include "sim/ledger.hpp"
#include "sim/random.hpp"

namespace libderecho::sim {

struct CallManners {
    double wants_reply = 0.5;           // of the calls
    uint64_t query_pause_ns = 500'000;  // typical time between queries; 0: none
    uint64_t reply_bytes_max = 300;
    uint64_t think_ns = 200'000;  // before a late answer
    uint64_t state_padding_bytes = 20'000;
    bool alike = false;             // every member answers a call alike, and saves the same state as the same bytes
    bool removed_is_wrong = false;  // nobody ever leaves: no answer may be missing
};

class Caller {
public:
    Caller(Life self, Rpc& rpc, Coverage& coverage, CallManners manners, Random random);

    // Send what is due. True if anything went.
    bool act(Instant now, const Ledger::Replica& replica);
    Instant next_wish() const;
    void calm_down(Instant now);
    // Why not, if there is still something to do.
    const char* busy() const;
    void drop();  // the process is gone
    // From now on its answers, and the states that are not for joiners, are others than they should be.
    void begin_to_differ() { differs_ = true; }
    // In this view since then.
    uint64_t wrong_answers() const { return wrong_answers_; }

    uint32_t draw_flags() { return random_.chance(manners_.wants_reply) ? DERECHO_CALL_REPLY : 0; }
    // A call that wants replies was committed, or its claim was given up.
    void called(uint64_t call) { calls_[call].committed = true; }
    void gave_up(uint64_t call) { calls_.erase(call); }

    // ---- events
    void on_view(const View& view);
    void on_call(const derecho_event& event, const Ledger::Replica& replica, Instant now);
    void on_ordered(const derecho_event& event);
    void on_reply(const derecho_event& event, const Ledger::Replica& replica);
    void group_ended() { ended_ = true; }
    void on_query(const derecho_event& event, Instant now);
    void on_closed();
    void on_state_request(const derecho_event& event, const State& state, Instant now);
    // Complete when the last piece came.
    bool on_state(const derecho_event& event, State& state);

private:
    struct OwnCall {
        bool committed = false, delivered = false, ordered = false;
        View view;  // in which it was delivered
        uint32_t shard = 0;
        std::set<uint32_t> owe;      // nodes
        std::set<uint32_t> skipped;  // who went on without the state: the call is part of what it is given
    };
    struct Query {
        uint32_t node;
    };
    struct Answer {
        uint32_t node;
        uint64_t call;
        Instant due;
        bool ordered = false;
    };
    struct Transfer {
        NodeId joiner{};
        uint64_t request;
        std::vector<std::byte> bytes;
        size_t sent = 0;
        Instant due;
    };
    std::vector<std::byte> answer_to(const Answer& one, derecho_status& status);
    bool query_somebody(Instant now, const Ledger::Replica& replica);
    bool answer(Instant now);
    bool send_states(Instant now);
    void check_answer(const derecho_event& event, bool of_query) const;
    uint64_t answer_seed(uint64_t call, uint32_t caller, uint32_t replier) const;
    bool alike(bool of_query) const { return manners_.alike && !of_query; }
    std::string of_call(const derecho_event& event) const;

    const Life self_;
    Rpc& rpc_;
    Coverage& coverage_;
    CallManners manners_;
    Random random_;
    std::map<uint64_t, OwnCall> calls_;
    std::map<uint64_t, Query> queries_;
    std::deque<Answer> answers_;
    std::vector<Transfer> transfers_;
    std::vector<std::byte> arriving_[limits::shards_max];
    Instant next_query_{};
    bool calm_ = false;
    bool ended_ = false;
    bool differs_ = false;
    uint64_t wrong_answers_ = 0;
};

}  // namespace libderecho::sim
