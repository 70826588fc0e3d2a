#include "sim/caller.hpp"

#include <algorithm>
#include <cstring>

namespace libderecho::sim {
namespace {

void put(std::vector<std::byte>& to, uint64_t value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);
    to.insert(to.end(), bytes, bytes + sizeof value);
}

uint64_t get(std::span<const std::byte>& from) {
    uint64_t value = 0;
    if (from.size() < sizeof value) throw Violation("a state arrives whole: it is too short");
    std::memcpy(&value, from.data(), sizeof value);
    from = from.subspan(sizeof value);
    return value;
}

std::vector<std::byte> encode(const State& state, uint64_t padding) {
    std::vector<std::byte> bytes;
    put(bytes, padding);
    put(bytes, state.hash);
    put(bytes, state.messages);
    put(bytes, state.version);
    put(bytes, state.timestamp_ns);
    put(bytes, state.next.size());
    for (const auto& [life, next] : state.next) {
        put(bytes, life.node);
        put(bytes, life.incarnation);
        put(bytes, next);
    }
    const size_t at = bytes.size();
    bytes.resize(at + padding);
    Ledger::fill(state.hash, bytes.data() + at, padding);
    return bytes;
}

State decode(std::span<const std::byte> bytes) {
    State state;
    const uint64_t padding = get(bytes);
    state.hash = get(bytes);
    state.messages = get(bytes);
    state.version = get(bytes);
    state.timestamp_ns = get(bytes);
    for (uint64_t left = get(bytes); left > 0; --left) {
        Life life;
        life.node = static_cast<uint32_t>(get(bytes));
        life.incarnation = get(bytes);
        state.next[life] = get(bytes);
    }
    if (bytes.size() != padding || !Ledger::filled(state.hash, bytes.data(), padding))
        throw Violation("a state arrives whole: its end is not the one that was sent");
    return state;
}

}  // namespace

Caller::Caller(Life self, Rpc& rpc, Coverage& coverage, CallManners manners, Random random)
    : self_(self), rpc_(rpc), coverage_(coverage), manners_(manners), random_(random) {}

bool Caller::act(Instant now, const Ledger::Replica& replica) {
    bool acted = answer(now);
    acted |= send_states(now);
    if (!calm_ && manners_.query_pause_ns != 0 && now >= next_query_ && !replica.closed)
        acted |= query_somebody(now, replica);
    return acted;
}

Instant Caller::next_wish() const {
    Instant next = calm_ || manners_.query_pause_ns == 0 ? kNever : next_query_;
    for (const Answer& answer : answers_) next = std::min(next, answer.due);
    for (const Transfer& transfer : transfers_) next = std::min(next, transfer.due);
    return next;
}

void Caller::calm_down(Instant now) {
    calm_ = true;
    for (Answer& answer : answers_) answer.due = now;
}

const char* Caller::busy() const {
    if (!calls_.empty())
        return !calls_.begin()->second.delivered ? "a call was not ordered"
               : !calls_.begin()->second.ordered ? "a call was not announced as ordered"
                                                 : "a call still awaits replies";
    if (!queries_.empty()) return "a query still awaits its reply";
    if (!answers_.empty()) return "somebody waits for its answer";
    return transfers_.empty() ? nullptr : "it is still sending a state";
}

void Caller::drop() {
    calls_.clear();
    queries_.clear();
    answers_.clear();
    transfers_.clear();
}

std::string Caller::of_call(const derecho_event& event) const {
    return "node " + self_.name() + ", call " + std::to_string(event.id) + ", node " + std::to_string(event.node);
}

// ------------------------------------------------------------------------------------------------- asking

uint64_t Caller::answer_seed(uint64_t call, uint32_t caller, uint32_t replier) const {
    return Ledger::seed_of({caller, replier}, 77, call);
}

bool Caller::query_somebody(Instant now, const Ledger::Replica& replica) {
    next_query_ = now + Duration{random_.between(manners_.query_pause_ns / 4, manners_.query_pause_ns * 2)};
    if (raw(replica.view.id) == 0) return false;
    const Member& target = replica.view.members[random_.below(replica.view.members.size())];
    std::vector<std::byte> args(random_.magnitude(0, 2'000));
    Ledger::fill(answer_seed(args.size(), self_.node, raw(target.node)), args.data(), args.size());
    uint64_t call = 0;
    const derecho_status status = rpc_.query(ShardIndex{0}, target.node, 7, args, call);
    if (status == DERECHO_NOT_MEMBER) coverage_.hit("query to a node that is not connected");
    if (status != DERECHO_OK) return false;
    if (target.node == NodeId{self_.node}) coverage_.hit("query to oneself");
    queries_[call] = {raw(target.node)};
    return true;
}

void Caller::on_view(const View& view) {
    wrong_answers_ = 0;
    for (auto& [id, call] : calls_) {
        if (!call.delivered || raw(call.view.id) + 1 != raw(view.id)) continue;
        for (const Member& member : view.members)
            if (!(member.shards_with_state >> call.shard & 1)) call.skipped.insert(raw(member.node));
    }
}

void Caller::on_ordered(const derecho_event& event) {
    const auto found = calls_.find(event.id);
    if (found == calls_.end() || found->second.ordered) throw Violation("a call is announced once: " + of_call(event));
    OwnCall& call = found->second;
    if (!call.delivered) throw Violation("a call is announced after it was delivered: " + of_call(event));
    std::set<uint32_t> nodes;
    for (uint64_t n = 0; n < event.size_bytes / 4; ++n) nodes.insert(static_cast<const uint32_t*>(event.data)[n]);
    for (const Member& member : call.view.members) call.owe.insert(raw(member.node));
    if (nodes != call.owe) throw Violation("the members of its view owe a reply to a call: " + of_call(event));
    call.ordered = true;
}

void Caller::on_reply(const derecho_event& event, const Ledger::Replica& replica) {
    if (const auto query = queries_.find(event.id); query != queries_.end()) {
        if (query->second.node != event.node) throw Violation("who was asked answers: " + of_call(event));
        if (event.status == DERECHO_REMOVED) coverage_.hit("query to a node that went away");
        if (event.status == DERECHO_REMOVED && manners_.removed_is_wrong)
            throw Violation("who is there answers: " + of_call(event));
        check_answer(event, true);
        queries_.erase(query);
        return;
    }
    const auto found = calls_.find(event.id);
    if (found == calls_.end() || !found->second.ordered)
        throw Violation("no reply before its call was announced, none after the last: " + of_call(event));
    OwnCall& call = found->second;
    if (call.owe.erase(event.node) == 0) throw Violation("every member answers once: " + of_call(event));
    if (event.status == DERECHO_REMOVED) {
        coverage_.hit("call to a member that was removed");
        const auto member = std::find_if(call.view.members.begin(), call.view.members.end(),
                                         [&](const Member& m) { return raw(m.node) == event.node; });
        if (call.skipped.contains(event.node))
            coverage_.hit("call to a member that skipped it");
        else if (replica.view.holds(member->node, member->incarnation))
            throw Violation("only who was removed is reported as removed: " + of_call(event));
    }
    check_answer(event, false);
    if (call.owe.empty()) calls_.erase(found);
}

void Caller::check_answer(const derecho_event& event, bool of_query) const {
    if (event.status == DERECHO_CLOSED && !ended_)
        throw Violation("no call ends with a group that goes on: " + of_call(event));
    if (event.status == DERECHO_REMOVED || event.status == DERECHO_CLOSED) {
        if (event.size_bytes != 0) throw Violation("who did not answer says nothing: " + of_call(event));
        return;
    }
    if (event.status != DERECHO_OK && event.status != DERECHO_REMOTE_ERROR)
        throw Violation("a reply has the status it was given: " + of_call(event));
    const uint64_t expected =
        answer_digest(event.status, {static_cast<const std::byte*>(event.data), event.size_bytes});
    if (event.version != (of_query ? 0 : expected)) throw Violation("a reply has its digest: " + of_call(event));
    const uint32_t replier = alike(of_query) ? 0 : event.node;
    if (!alike(of_query) && !Ledger::filled(answer_seed(event.id, self_.node, replier), event.data, event.size_bytes))
        throw Violation("a reply arrives as it was sent: " + of_call(event));
}

void Caller::on_closed() {
    for (const auto& [id, call] : calls_)
        if (call.ordered)
            throw Violation("the end comes after all replies: node " + self_.name() + ", call " + std::to_string(id));
    if (!queries_.empty()) throw Violation("the end comes after all replies: node " + self_.name());
    drop();
    calm_ = true;
}

// ------------------------------------------------------------------------------------------------- answering

void Caller::on_call(const derecho_event& event, const Ledger::Replica& replica, Instant now) {
    const bool wants_reply = event.flags & DERECHO_FLAG_REPLY;
    if (wants_reply && (event.flags & DERECHO_FLAG_OWN)) {
        OwnCall& own = calls_[event.id];
        own.delivered = true;
        own.view = replica.view;
        own.shard = event.shard;
    }
    if (!wants_reply) return;
    const bool late = !calm_ && random_.chance(0.3);
    answers_.push_back({event.node, event.id, late ? now + Duration{random_.below(manners_.think_ns)} : now, true});
}

void Caller::on_query(const derecho_event& event, Instant now) {
    if (!Ledger::filled(answer_seed(event.size_bytes, event.node, self_.node), event.data, event.size_bytes))
        throw Violation("a query arrives as it was sent: " + of_call(event));
    answers_.push_back({event.node, event.id, calm_ ? now : now + Duration{random_.below(manners_.think_ns)}});
}

// Replicas agree on values, and on what fails; texts of failures are their own.
std::vector<std::byte> Caller::answer_to(const Answer& one, derecho_status& status) {
    std::vector<std::byte> data(random_.chance(0.02) ? rpc_.letter_max_bytes()
                                                     : random_.magnitude(0, manners_.reply_bytes_max));
    status = random_.chance(0.1) ? DERECHO_REMOTE_ERROR : DERECHO_OK;
    uint64_t seed = answer_seed(one.call, one.node, self_.node);
    if (alike(!one.ordered)) {
        seed = answer_seed(one.call, one.node, 0);
        Random same(seed);
        status = same.chance(0.1) ? DERECHO_REMOTE_ERROR : DERECHO_OK;
        data.resize(same.magnitude(1, manners_.reply_bytes_max));
        if (status == DERECHO_REMOTE_ERROR) seed += self_.node;
    }
    Ledger::fill(seed, data.data(), data.size());
    if (one.ordered && differs_ && status == DERECHO_REMOTE_ERROR) status = DERECHO_OK;
    if (one.ordered && differs_) data.front() ^= std::byte{1};
    return data;
}

bool Caller::answer(Instant now) {
    bool acted = false;
    for (size_t n = answers_.size(); n > 0; --n) {
        Answer one = answers_.front();
        answers_.pop_front();
        if (one.due <= now) {
            derecho_status result = DERECHO_OK;
            const std::vector<std::byte> data = answer_to(one, result);
            if (rpc_.reply(NodeId{one.node}, one.call, result, data) != DERECHO_AGAIN) {
                acted = true;
                wrong_answers_ += differs_ && one.ordered;
                continue;
            }
            coverage_.hit("a reply had to wait");
            one.due = now + microseconds(20);
        }
        answers_.push_back(one);
    }
    return acted;
}

// ------------------------------------------------------------------------------------------------- states

void Caller::on_state_request(const derecho_event& event, const State& state, Instant now) {
    const uint64_t padding =
        manners_.alike ? state.messages % 1'000 : random_.magnitude(0, manners_.state_padding_bytes);
    std::erase_if(transfers_, [&](const Transfer& t) {
        return t.joiner == NodeId{event.node} && event.node != self_.node && (t.request & 0xff) == event.shard;
    });
    const bool is_digest = (event.flags & DERECHO_FLAG_OWN) != 0;
    if (is_digest) coverage_.hit("a state was asked for, to be compared");
    auto bytes = encode(state, padding);
    if (is_digest && differs_) bytes.back() ^= std::byte{1};
    transfers_.push_back({NodeId{event.node}, event.id, std::move(bytes), 0,
                          now + Duration{calm_ ? 0 : random_.magnitude(1'000, 1'000'000)}});
}

bool Caller::send_states(Instant now) {
    bool acted = false;
    std::erase_if(transfers_, [&](Transfer& one) {
        while (one.due <= now) {
            const size_t piece = std::min(one.bytes.size() - one.sent, random_.magnitude(1, rpc_.letter_max_bytes()));
            const bool last = one.sent + piece == one.bytes.size();
            const auto status =
                rpc_.send_state(one.joiner, one.request, std::span(one.bytes).subspan(one.sent, piece), last);
            if (status == DERECHO_AGAIN) {
                one.due = now + microseconds(20);
                return false;
            }
            if (status != DERECHO_OK) throw Violation("a state that was asked for can be sent: node " + self_.name());
            acted = true;
            if (last) return true;
            one.sent += piece;
            if (!calm_ && random_.chance(0.3)) one.due = now + Duration{random_.magnitude(1'000, 300'000)};
        }
        return false;
    });
    return acted;
}

bool Caller::on_state(const derecho_event& event, State& state) {
    auto& bytes = arriving_[event.shard];
    if (event.flags & DERECHO_FLAG_FIRST) {
        if (!bytes.empty()) coverage_.hit("a state was begun anew");
        bytes.clear();
    }
    const auto* data = static_cast<const std::byte*>(event.data);
    bytes.insert(bytes.end(), data, data + event.size_bytes);
    if (!(event.flags & DERECHO_FLAG_LAST)) return false;
    state = decode(bytes);
    bytes.clear();
    return true;
}

}  // namespace libderecho::sim
