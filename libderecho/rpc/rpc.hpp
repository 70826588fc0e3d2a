// Calls, replies, queries, state transfer and registered memory, over a group's ordered messages and mail of its own.
// Stepped like the group: no threads, no clocks. It merges all that the application is to hear of into one stream of
// events.
//
// The driver (one thread at a time) calls everything here but what is marked "any thread".
//
// An ordered call goes in a CALL frame, with its id. Its caller, too, learns by taking the event that it was ordered,
// and in which view: the members of that view owe a reply each, which comes as mail. ORDERED follows the caller's own
// CALL event; replies that are faster than that are copied and kept.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "group/group.hpp"
#include "rpc/calls.hpp"
#include "rpc/digests.hpp"
#include "rpc/letters.hpp"
#include "rpc/loopback.hpp"
#include "rpc/memory.hpp"
#include "rpc/outbox.hpp"
#include "smc/mail.hpp"

namespace libderecho {

class Rpc {
public:
    // `mail_bytes`: of the ring to each peer, a power of two; the same at all nodes.
    Rpc(Group& group, uint64_t mail_bytes);

    // Step the group and everything here. True if something moved.
    bool step(Now now);

    // Events for the application, in place until `lease` is released (0: nothing is held). Not while leases are full.
    size_t take(std::span<derecho_event> events, uint64_t& lease);
    bool has_events();
    bool has_events_of_its_own();  // beside the group's
    // The last event was taken.
    bool over() const { return over_; }

    // ---- sending, any thread. Results as in derecho.h.
    derecho_status claim_call(ShardIndex shard, uint32_t method, uint32_t flags, uint64_t args_bytes, Claim& claim,
                              uint64_t& call);
    derecho_status commit_call(ShardIndex shard, Claim& claim, uint64_t used_args_bytes);
    // `open`: the claim is still there, not only the call.
    void abort_call(ShardIndex shard, Claim& claim, uint32_t flags, uint64_t call, bool open);

    derecho_status query(ShardIndex shard, NodeId node, uint32_t method, std::span<const std::byte> args,
                         uint64_t& call);
    derecho_status reply(NodeId node, uint64_t call, derecho_status status, std::span<const std::byte> data);
    derecho_status send_state(NodeId node, uint64_t request, std::span<const std::byte> data, bool last);
    // Before the first piece: how long all of them are.
    derecho_status announce_state(NodeId node, uint64_t request, uint64_t total_bytes);
    // Instead of any further piece.
    derecho_status fail_state(NodeId node, uint64_t request, std::string_view why);

    // ---- registered memory
    Status begin(Memory::Kind kind, NodeId node, const MemoryKey& key, uint64_t offset,
                 std::span<const Memory::Piece> pieces, uint64_t& operation);
    Memory& memory() { return memory_; }
    // Of option digest, where it is on.
    Digests::Totals digest_totals() const { return digests_ ? digests_->totals() : Digests::Totals{}; }

    // Most bytes of a query, a reply or a piece of state.
    uint64_t letter_max_bytes() const { return mail_.message_max_bytes() - kLetterHeaderBytes; }

private:
    // An event source writes here until it is full.
    struct Out {
        std::span<derecho_event> events;
        size_t count = 0;
        bool full() const { return count == events.size(); }
        derecho_event& add();
    };
    // A letter, whoever carried it.
    struct Incoming {
        NodeId from{};
        LetterKind kind{};
        std::span<const std::byte> bytes;
        Leases::Mark mark;
    };
    enum class Verdict : uint8_t {
        give,   // an event was made of it
        drop,   // nobody wants it any more
        break_  // it breaks the rules
    };
    // A reply that came before its call was known to be ordered. Copied; the memory is held while leased.
    struct EarlyReply {
        uint64_t call;
        NodeId node{};
        derecho_status status;
        std::vector<std::byte> data;
        bool ready = false;  // its call was announced
        bool given = false;
        ReleasePoint point;
    };
    // Mail is for those who have something to say here: members, and clients with them.
    struct Peer {
        uint64_t incarnation = 0;
        bool client = false;
        bool member = false;
        bool has_mail = false;
        bool held = false;  // its queries stay in its ring while many answers wait for it
    };
    struct Transfer {
        NodeId node{};
        uint64_t request;
        uint64_t total_bytes = ~0ull;  // unknown
        bool announced = false;        // its envelope is on the way
        bool started = false;          // its first piece is
        Moment as_of{};
    };

    // step
    void peer_changed(const PeerEvent& event);
    void members_changed(const View& view);
    void lose_queries_to(NodeId node);
    void drain_outbox();
    void give_mail(NodeId node, Peer& peer);
    void hold_slow_clients();
    void expel(NodeId node, const std::string& why);
    bool send_digests();
    void judge_differences(Now now);

    // take
    void take_ordered(Out& out);
    size_t take_some(Out& out, size_t most);
    void take_up_to_digests(Out& out);
    void take_differences(Out& out);
    bool strip_call(derecho_event& event);
    void note_last(std::span<const derecho_event> events);
    void stamp(derecho_event& event) const;
    void announce(Out& out);
    void sweep(Out& out);
    bool sweep_call(Call& call, Out& out);
    void give_early(Out& out);
    void take_letters(Out& out);
    void take_memory(Out& out);
    bool next_letter(Incoming& letter);
    void park(const Incoming& letter);
    void unpark();
    Verdict give(const Incoming& letter, Out& out);
    Verdict give_query(const Incoming& letter, Out& out);
    Verdict give_reply(const Incoming& letter, Out& out);
    Verdict give_state(const Incoming& letter, Out& out);
    Verdict hear_digest(const Incoming& letter);
    bool owes_replies(NodeId node) const;
    Verdict keep_early(const Incoming& letter, const ReplyHeader& header);
    bool has_to_wait(const Incoming& letter);
    bool marked(const ReleasePoint& point) const;
    void mark(const Leases::Mark& mark);
    void done(const Incoming& letter);
    void start_sweep() { sweep_slot_ = 0; }
    bool sweeping() const { return sweep_slot_ < calls_.capacity(); }
    void enter_view();
    void note_skipped(Roll& before, const View& view) const;
    bool is_gone(const Call& call, uint32_t rank) const;

    derecho_status sending_status() const;
    uint64_t request_id(ViewId view, uint32_t shard) const { return raw(view) << 8 | shard; }
    derecho_status find_transfer(NodeId node, uint64_t request, Transfer*& transfer);  // null: it is over
    bool post_state(const Transfer& transfer, uint32_t flags, std::span<const std::byte> data);
    Verdict open_envelope(std::span<const std::byte> bytes, const StateHeader& header, Out& out);
    void add_state(Out& out, NodeId donor, const StateHeader& header, derecho_status status,
                   std::span<const std::byte> data);

    Group& group_;
    Mail mail_;
    const NodeId self_;
    Loopback loopback_;
    Memory memory_;
    Calls calls_;
    std::optional<Digests> digests_;
    std::map<NodeId, uint64_t> lives_;  // of members, also when they are gone: whose a digest is
    Leases::Batch batch_;

    // The view whose events are given now, and earlier ones that calls or leases still refer to.
    std::vector<std::unique_ptr<Roll>> rolls_;
    Roll* roll_ = nullptr;
    ViewId members_of_{};  // the view that `peers_` knows the members of

    uint32_t announce_first_ = kNone;  // list of calls whose ORDERED is due, through Call::next
    uint32_t announce_last_ = kNone;
    size_t sweep_slot_ = ~size_t{0};  // calls from here on have to be looked at for members that are gone
    uint32_t sweep_delays_ = 0;
    uint64_t clients_held_ = 0;
    std::optional<derecho_event> closed_;  // the group's last event: given after everything else
    bool over_ = false;                    // it was given
    std::list<EarlyReply> early_;
    std::list<EarlyReply> spare_early_;  // to be used again: nothing is allocated once warm
    uint64_t early_bytes_ = 0;
    std::optional<Incoming> parked_;     // a letter that has to wait, and all after it
    std::vector<uint64_t> state_bytes_;  // by shard: of the state that is coming; 0: unknown
    std::vector<Moment> states_as_of_;   // by shard: likewise
    std::vector<Moment> taken_;          // by shard: its last ordered event that was given; what queries see

    std::mutex mutex_;  // of what follows
    std::map<NodeId, Peer> peers_;
    std::vector<Transfer> transfers_;
    uint64_t newest_request_ = 0;
    Outbox outbox_;

    static constexpr uint32_t kNone = ~0u;
};

}  // namespace libderecho
