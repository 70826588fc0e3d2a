// Stepping and sending; what the application takes is in take.cpp.
#include "rpc/rpc.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"

namespace libderecho {
namespace {

// The group's own mail uses channel 0.
constexpr uint32_t kChannel = 1;

bool may_be_reply_status(derecho_status status) {
    return status == DERECHO_OK || status == DERECHO_REMOTE_ERROR || status == DERECHO_UNKNOWN_METHOD;
}

}  // namespace

Rpc::Rpc(Group& group, uint64_t mail_bytes)
    : group_(group),
      mail_(group.fabric(), group.options().incarnation, kChannel, mail_bytes),
      self_(group.options().self),
      loopback_(mail_bytes),
      memory_(group.fabric(), group.options().incarnation, mail_bytes),
      state_bytes_(group.options().services.size()),
      states_as_of_(group.options().services.size()),
      taken_(group.options().services.size()) {
    group_.also_untaken([this] { return !over_ && has_events_of_its_own(); });
    if (group.options().digest.of == DigestOptions::Of::off || group.options().client) return;
    digests_.emplace(group.options());
    if (digests_->of_states()) group.stop_before_views();
}

// ---------------------------------------------------------------------------------------------------- stepping

bool Rpc::step(Now now) {
    bool moved = group_.step(now);
    if (digests_ && digests_->any_found()) judge_differences(now);
    if (auto& events = group_.peer_events(); !events.empty()) {
        for (const PeerEvent& event : events) peer_changed(event);
        events.clear();
        moved = true;
    }
    if (const View* view = group_.view(); view && view->id != members_of_) members_changed(*view);
    if (digests_ && digests_->has_letters()) moved |= send_digests();
    if (outbox_.any_waiting()) drain_outbox();
    if (mail_.step(now.wall_ns)) {
        group_.fabric().flush();
        moved = true;
    }
    if (group_.phase() == Group::Phase::ended) memory_.end();
    moved |= memory_.step(now.wall_ns);
    for (const NodeId node : mail_.take_unserved()) group_.lacks_memory_for(node);
    for (const NodeId node : memory_.take_unserved()) group_.lacks_memory_for(node);
    for (const NodeId node : mail_.take_offenders()) expel(node, "its mail breaks the rules of the ring");
    for (const NodeId node : memory_.take_offenders()) expel(node, "its mail about memory breaks the rules");
    return moved;
}

bool Rpc::send_digests() {
    const std::lock_guard lock(mutex_);
    return digests_->send_letters([this](const Digests::Letter& letter) {
        const auto kind = static_cast<uint8_t>(LetterKind::digest);
        return outbox_.post(letter.to, kind, bytes_of(letter.header), bytes_of(letter.digest));
    });
}

void Rpc::judge_differences(Now now) {
    if (group_.phase() != Group::Phase::member) return;
    Digests::Verdict verdict = digests_->judge(now.monotonic, *group_.view());
    for (const std::string& trouble : verdict.troubles) group_.note_trouble(trouble);
    for (const auto& [node, why] : verdict.expel) expel(node, why);
    if (verdict.end) group_.end_because(std::move(*verdict.end));
}

void Rpc::peer_changed(const PeerEvent& event) {
    const bool self_is_client = group_.options().client;
    if (event.kind == PeerEvent::Kind::up) {
        if (digests_ && !event.client) lives_[event.peer] = event.incarnation;
        if (!event.client && !self_is_client) memory_.peer_up(event.peer, event.incarnation);
        const View* view = group_.view();
        const std::lock_guard lock(mutex_);
        Peer& peer = peers_[event.peer] = {.incarnation = event.incarnation, .client = event.client};
        peer.member = view && view->rank_of(event.peer).has_value();
        if (event.client || self_is_client || (view && view->holds(event.peer, event.incarnation)))
            give_mail(event.peer, peer);
    }
    if (event.kind == PeerEvent::Kind::lost) {
        memory_.peer_lost(event.peer);
        if (!group_.is_in_a_view(event.peer)) lives_.erase(event.peer);
        {
            const std::lock_guard lock(mutex_);
            const auto peer = peers_.find(event.peer);
            const bool answers_nobody_awaits = peer != peers_.end() && peer->second.client;
            mail_.peer_lost(event.peer, answers_nobody_awaits);
            if (peer != peers_.end()) {
                clients_held_ -= peer->second.held;
                peers_.erase(peer);
            }
            outbox_.drop(event.peer);
            std::erase_if(transfers_, [&](const Transfer& t) { return t.node == event.peer; });
        }
        lose_queries_to(event.peer);
    }
}

void Rpc::members_changed(const View& view) {
    members_of_ = view.id;
    if (!group_.options().client) memory_.members_changed(view);
    std::vector<NodeId> removed;
    {
        const std::lock_guard lock(mutex_);
        newest_request_ = request_id(view.id, limits::shards_max);
        for (auto& [node, peer] : peers_) {
            const bool member = view.rank_of(node).has_value();
            if (peer.member && !member) removed.push_back(node);
            peer.member = member;
            if (view.holds(node, peer.incarnation)) give_mail(node, peer);
        }
    }
    for (const NodeId node : removed) lose_queries_to(node);
}

void Rpc::give_mail(NodeId node, Peer& peer) {
    if (std::exchange(peer.has_mail, true)) return;
    mail_.peer_up(node, peer.incarnation);
}

// A client that asks for more than it reads: its next questions wait in its own ring. (Members never do: what they wait
// for might be behind what this node waits for.)
void Rpc::hold_slow_clients() {
    for (auto& [node, peer] : peers_) {
        if (!peer.client) continue;
        const bool slow = outbox_.waiting_bytes(node) > letter_max_bytes();
        if (slow == peer.held) continue;
        peer.held = slow;
        clients_held_ += slow ? 1 : -1ull;
        mail_.hold(node, slow);
    }
}

// At once, not when the application next takes events: the node may have come back by then.
void Rpc::lose_queries_to(NodeId node) {
    if (!calls_.any_open()) return;
    for (size_t slot = 0; slot < calls_.capacity(); ++slot) {
        Call* call = calls_.at(slot);
        if (call && call->kind == Call::Kind::query && call->target == node) call->lost = true;
    }
    start_sweep();
}

void Rpc::drain_outbox() {
    const std::lock_guard lock(mutex_);
    const View* view = group_.view();
    outbox_.drain([&](NodeId node, uint8_t kind, std::span<const std::byte> letter) {
        if (node == self_) return loopback_.send(kind, letter);
        // Gone meanwhile; or a joiner, whose donor may hear of it before they are connected.
        if (!mail_.knows(node)) return !view || !view->rank_of(node);
        const std::span<const std::byte> parts[] = {letter};
        return mail_.send(node, kind, parts);
    });
    if (outbox_.any_waiting() || clients_held_ > 0) hold_slow_clients();
}

// The group reports the loss back as a peer event.
void Rpc::expel(NodeId node, const std::string& why) { group_.expel(node, why); }

// ---------------------------------------------------------------------------------------------------- ordered calls

derecho_status Rpc::claim_call(ShardIndex shard, uint32_t method, uint32_t flags, uint64_t args_bytes, Claim& claim,
                               uint64_t& call) {
    const bool wants_reply = flags & DERECHO_CALL_REPLY;
    call = wants_reply ? calls_.open(Call::Kind::ordered, self_) : calls_.anonymous();
    if (call == 0) return DERECHO_AGAIN;
    const derecho_status status = group_.claim(shard, sizeof(CallHeader) + args_bytes, claim);
    if (status != DERECHO_OK) {
        if (wants_reply) calls_.withdraw(call);
        return status;
    }
    const CallHeader header{call, method, flags & DERECHO_CALL_REPLY};
    std::memcpy(claim.payload, &header, sizeof header);
    return DERECHO_OK;
}

derecho_status Rpc::commit_call(ShardIndex shard, Claim& claim, uint64_t used_args_bytes) {
    return group_.commit(shard, claim, FrameKind::call, 0, sizeof(CallHeader) + used_args_bytes);
}

void Rpc::abort_call(ShardIndex shard, Claim& claim, uint32_t flags, uint64_t call, bool open) {
    if (open) group_.abort(shard, claim);
    if (flags & DERECHO_CALL_REPLY) calls_.withdraw(call);
}

// ---------------------------------------------------------------------------------------------------- letters

derecho_status Rpc::sending_status() const {
    if (group_.phase() != Group::Phase::ended) return DERECHO_OK;
    const derecho_status code = group_.end().code;
    return code == DERECHO_OK ? DERECHO_CLOSED : code;
}

derecho_status Rpc::query(ShardIndex shard, NodeId node, uint32_t method, std::span<const std::byte> args,
                          uint64_t& call) {
    if (args.size() > letter_max_bytes()) return DERECHO_TOO_LARGE;
    if (const derecho_status status = sending_status(); status != DERECHO_OK) return status;
    const std::lock_guard lock(mutex_);
    if (node != self_) {
        const auto peer = peers_.find(node);
        if (peer == peers_.end() || peer->second.client) return DERECHO_NOT_MEMBER;
        // The fate of whoever is in no view is not watched: it might be dead, and nobody would say so.
        const bool knows_a_view = newest_request_ != 0;
        if ((knows_a_view || !group_.options().client) && !peer->second.member) return DERECHO_NOT_MEMBER;
    }
    const uint64_t id = calls_.open(Call::Kind::query, node);
    if (id == 0) return DERECHO_AGAIN;
    const QueryHeader header{id, method, raw(shard)};
    if (!outbox_.post(node, static_cast<uint8_t>(LetterKind::query), bytes_of(header), args)) {
        calls_.withdraw(id);
        return DERECHO_AGAIN;
    }
    call = id;
    return DERECHO_OK;
}

derecho_status Rpc::reply(NodeId node, uint64_t call, derecho_status status, std::span<const std::byte> data) {
    if (!may_be_reply_status(status)) return DERECHO_INVALID;
    if (data.size() > letter_max_bytes()) return DERECHO_TOO_LARGE;
    {
        const std::lock_guard lock(mutex_);
        const ReplyHeader header{call, status, 0};
        const bool awaited = node == self_ || peers_.contains(node);
        if (awaited && !outbox_.post(node, static_cast<uint8_t>(LetterKind::reply), bytes_of(header), data))
            return DERECHO_AGAIN;
    }
    if (digests_) digests_->answered(node, call, status, data);
    return DERECHO_OK;
}

derecho_status Rpc::find_transfer(NodeId node, uint64_t request, Transfer*& transfer) {
    transfer = nullptr;
    if ((request & 0xff) >= group_.options().services.size() || request > newest_request_) return DERECHO_INVALID;
    const auto found = std::find_if(transfers_.begin(), transfers_.end(),
                                    [&](const Transfer& t) { return t.node == node && t.request == request; });
    if (found != transfers_.end()) transfer = &*found;
    return DERECHO_OK;
}

bool Rpc::post_state(const Transfer& transfer, uint32_t flags, std::span<const std::byte> data) {
    const StateHeader header{transfer.request >> 8, static_cast<uint32_t>(transfer.request & 0xff), flags};
    return outbox_.post(transfer.node, static_cast<uint8_t>(LetterKind::state), bytes_of(header), data);
}

derecho_status Rpc::announce_state(NodeId node, uint64_t request, uint64_t total_bytes) {
    if (node == self_ && digests_) return digests_->state_piece(request, {}, false);
    const std::lock_guard lock(mutex_);
    Transfer* transfer = nullptr;
    const derecho_status status = find_transfer(node, request, transfer);
    if (status == DERECHO_OK && transfer && !transfer->announced) transfer->total_bytes = total_bytes;
    return status;
}

derecho_status Rpc::send_state(NodeId node, uint64_t request, std::span<const std::byte> data, bool last) {
    if (data.size() > letter_max_bytes()) return DERECHO_TOO_LARGE;
    if (node == self_ && digests_) return digests_->state_piece(request, data, last);
    const std::lock_guard lock(mutex_);
    Transfer* transfer = nullptr;
    const derecho_status status = find_transfer(node, request, transfer);
    if (!transfer) return status;  // the joiner is gone, or it has everything
    if (!transfer->announced) {
        struct {
            StateEnvelope envelope;
            StateCore core;
        } const opening{{.core_bytes = sizeof(StateCore), .service_bytes = transfer->total_bytes}, {transfer->as_of}};
        if (!post_state(*transfer, kStateEnvelope, bytes_of(opening))) return DERECHO_AGAIN;
        transfer->announced = true;
    }
    const uint32_t first = transfer->started ? 0 : DERECHO_FLAG_FIRST;
    if (!post_state(*transfer, first | (last ? DERECHO_FLAG_LAST : 0), data)) return DERECHO_AGAIN;
    transfer->started = true;
    if (last) transfers_.erase(transfers_.begin() + (transfer - transfers_.data()));
    return DERECHO_OK;
}

derecho_status Rpc::fail_state(NodeId node, uint64_t request, std::string_view why) {
    why = why.substr(0, letter_max_bytes());
    if (node == self_ && digests_) return digests_->state_failed(request, why);
    const std::lock_guard lock(mutex_);
    Transfer* transfer = nullptr;
    const derecho_status status = find_transfer(node, request, transfer);
    if (!transfer) return status;
    if (!post_state(*transfer, kStateFailed, std::as_bytes(std::span(why)))) return DERECHO_AGAIN;
    transfers_.erase(transfers_.begin() + (transfer - transfers_.data()));
    return DERECHO_OK;
}

// ---------------------------------------------------------------------------------------------------- memory

Status Rpc::begin(Memory::Kind kind, NodeId node, const MemoryKey& key, uint64_t offset,
                  std::span<const Memory::Piece> pieces, uint64_t& operation) {
    if (const derecho_status status = sending_status(); status != DERECHO_OK) return {status, {}};
    if (group_.options().client)
        return failure(DERECHO_NOT_MEMBER, "this node is a client, and only members use each other's memory");
    return memory_.begin(kind, node, key, offset, pieces, operation);
}

}  // namespace libderecho
