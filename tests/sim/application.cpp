#include "sim/application.hpp"

#include <algorithm>

namespace libderecho::sim {

Application::Application(Life self, Group& group, Rpc* rpc, Ledger& ledger, MemoryUsers& users, Coverage& coverage,
                         Manners manners, Random random)
    : self_(self),
      group_(group),
      rpc_(rpc),
      ledger_(ledger),
      coverage_(coverage),
      manners_(manners),
      random_(random),
      replica_(ledger.joining(self)),
      bytes_sent_in_view_(group.options().services.size()) {
    if (!rpc) return;
    caller_ = std::make_unique<Caller>(self, *rpc, coverage, manners.calls, random_.fork());
    memory_user_ = std::make_unique<MemoryUser>(self, *rpc, users, coverage, manners.memory_pause_ns, random_.fork());
}

Instant Application::next_wish() const {
    Instant next = kNever;
    if (!calm_ && manners_.send_pause_ns != 0 && group_.phase() == Group::Phase::member) next = next_send_;
    for (const OpenClaim& claim : claims_) next = std::min(next, claim.until);
    for (const Lease& lease : leases_) next = std::min(next, lease.until);
    if (has_events()) next = std::min(next, awake_at_);
    if (caller_) next = std::min(next, caller_->next_wish());
    if (memory_user_) next = std::min(next, memory_user_->next_wish());
    return next;
}

bool Application::act(Instant now) {
    bool acted = finish_claims(now);
    acted |= take(now);
    acted |= release(now);
    if (caller_) acted |= caller_->act(now, replica_);
    if (memory_user_) acted |= memory_user_->act(now, replica_);
    if (!calm_ && manners_.send_pause_ns != 0 && group_.phase() == Group::Phase::member && now >= next_send_) {
        send_burst(now);
        acted = true;
    }
    return acted;
}

void Application::calm_down(Instant now) {
    calm_ = true;
    for (OpenClaim& claim : claims_) claim.until = now;
    if (caller_) caller_->calm_down(now);
    if (memory_user_) memory_user_->calm_down();
    if (stopped_) return;
    awake_at_ = now;
    manners_.sleepy = manners_.hold_lease = 0;
    for (Lease& lease : leases_) lease.until = now;
}

void Application::stop(bool takes_on) {
    stopped_ = true;
    for (Lease& lease : leases_) lease.until = kNever;
    if (takes_on) return;
    awake_at_ = kNever;
}

const char* Application::busy() const {
    if (!calm_) return "it was not told to be calm";
    if (!claims_.empty()) return "a claim could not be finished";
    if (!leases_.empty()) return "a lease is held";
    if (has_events()) return "events are there to be taken";
    const char* const operating = memory_user_ ? memory_user_->busy() : nullptr;
    if (operating) return operating;
    return caller_ ? caller_->busy() : nullptr;
}

void Application::drop() {
    for (const OpenClaim& claim : claims_) ledger_.aborted(self_, claim.shard, claim.number);
    claims_.clear();
    leases_.clear();
    if (caller_) caller_->drop();
    if (memory_user_) memory_user_->drop();
}

// ------------------------------------------------------------------------------------------------- sending

uint64_t Application::draw_size() {
    if (random_.chance(0.1)) return 0;
    if (random_.chance(manners_.huge)) return group_.options().message_max_bytes;
    return random_.magnitude(1, manners_.size_max);
}

void Application::send_burst(Instant now) {
    uint64_t pause = random_.between(manners_.send_pause_ns / 4, manners_.send_pause_ns * 2);
    for (uint64_t left = random_.between(1, manners_.burst_max); left > 0; --left)
        if (!send_one(now)) {
            pause = random_.between(2'000, 50'000);
            break;
        }
    next_send_ = now + Duration{pause};
}

// False if there was no room, or the view is changing.
bool Application::send_one(Instant now) {
    const auto shard = static_cast<uint32_t>(random_.below(group_.options().services.size()));
    if (random_.chance(0.1)) return send_batch(shard);
    uint64_t size = draw_size();
    OpenClaim open;
    open.shard = shard;
    open.through_rpc = rpc_ && random_.chance(0.5);
    derecho_status status = DERECHO_OK;
    if (open.through_rpc) {
        size = std::min(size, group_.options().message_max_bytes - kLetterHeaderBytes);
        open.flags = caller_->draw_flags();
        status = rpc_->claim_call(ShardIndex{shard}, 5, open.flags, size, open.claim, open.call);
    } else {
        status = group_.claim(ShardIndex{shard}, size, open.claim);
    }
    if (status == DERECHO_AGAIN) coverage_.hit("ring was full");
    if (status == DERECHO_WEDGED) coverage_.hit("claim refused while the view changed");
    if (status != DERECHO_OK) return false;
    if (size == 0) coverage_.hit("message of no bytes");
    if (size == group_.options().message_max_bytes) coverage_.hit("message of the largest size");
    bytes_sent_in_view_[shard] += frame_bytes(size);
    if (bytes_sent_in_view_[shard] > group_.options().ring_bytes) coverage_.hit("ring wrapped");
    open.view = raw(group_.view()->id);
    open.number = ledger_.claimed(self_, shard, open.claim.ticket);
    const bool hold = random_.chance(manners_.hold_claim);
    open.until = hold ? now + Duration{random_.between(1'000, manners_.hold_claim_ns)} : now;
    if (hold || !finish_claim(open)) claims_.push_back(open);
    return true;
}

bool Application::send_batch(uint32_t shard) {
    std::vector<std::vector<std::byte>> texts(random_.between(1, 6));
    std::vector<derecho_bytes> messages;
    const uint64_t number = ledger_.next_number(self_, shard);
    for (auto& text : texts) {
        text.resize(std::min(draw_size(), group_.options().message_max_bytes));
        Ledger::fill(Ledger::seed_of(self_, shard, number + messages.size()), text.data(), text.size());
        messages.push_back({text.data(), text.size()});
    }
    const BatchPlan plan = plan_batch(messages, limits::batch_bytes);
    if (plan.count == 0) return true;
    const Messages batch = Messages(messages).first(plan.count);
    uint64_t ticket = 0;
    if (group_.send_batch(ShardIndex{shard}, batch, plan.bytes, ticket) != DERECHO_OK) return false;
    coverage_.hit("batch sent");
    bytes_sent_in_view_[shard] += plan.bytes;
    for (size_t n = 0; n < batch.size(); ++n) {
        const Ledger::Content content{FrameKind::message, 0, batch[n].size_bytes, ticket};
        ledger_.committed(self_, shard, ledger_.claimed(self_, shard, ticket, n > 0), ticket, content);
    }
    return true;
}

void Application::abort_claim(OpenClaim& open) {
    ledger_.aborted(self_, open.shard, open.number);
    if (!open.through_rpc) return group_.abort(ShardIndex{open.shard}, open.claim);
    rpc_->abort_call(ShardIndex{open.shard}, open.claim, open.flags, open.call, true);
    caller_->gave_up(open.call);
}

derecho_status Application::commit_claim(OpenClaim& open, Ledger::Content& content) {
    const uint64_t header = open.through_rpc ? kLetterHeaderBytes : 0;
    const uint64_t room = open.claim.size_bytes - header;
    content.size = random_.chance(0.2) ? random_.below(room + 1) : room;
    Ledger::fill(Ledger::seed_of(self_, open.shard, open.number), open.claim.payload + header, content.size);
    derecho_status status = DERECHO_OK;
    if (open.through_rpc) {
        content.kind = FrameKind::call;
        content.flags = open.flags ? DERECHO_FLAG_REPLY : 0;
        status = rpc_->commit_call(ShardIndex{open.shard}, open.claim, content.size);
    } else {
        content.kind = !rpc_ && random_.chance(0.3) ? FrameKind::call : FrameKind::message;
        content.flags = !rpc_ && random_.chance(0.2) ? DERECHO_FLAG_REPLY : 0;
        const auto flags = static_cast<uint8_t>(content.flags);
        status = group_.commit(ShardIndex{open.shard}, open.claim, content.kind, flags, content.size);
    }
    content.id = open.through_rpc ? open.call : open.claim.ticket;
    return status;
}

// Commit or abort. False if it has to be tried again.
bool Application::finish_claim(OpenClaim& open) {
    const bool late = group_.view() && raw(group_.view()->id) != open.view;
    if (late) coverage_.hit("claim was open across a view change");
    if (random_.chance(manners_.abort)) {
        abort_claim(open);
        coverage_.hit(late ? "claim of an earlier view aborted" : "claim aborted");
        return true;
    }
    const uint64_t ticket = open.claim.ticket;
    Ledger::Content content;
    const derecho_status status = commit_claim(open, content);
    if (status == DERECHO_AGAIN) {
        coverage_.hit("commit had to wait for room in the next view");
        return false;
    }
    if (status == DERECHO_OK) {
        if (!late && open.claim.ticket != ticket) coverage_.hit("open claim was set aside");
        ledger_.committed(self_, open.shard, open.number, open.claim.ticket, content);
        if (open.through_rpc && open.flags) caller_->called(open.call);
        return true;
    }
    ledger_.aborted(self_, open.shard, open.number);
    if (open.through_rpc) {
        rpc_->abort_call(ShardIndex{open.shard}, open.claim, open.flags, open.call, false);
        caller_->gave_up(open.call);
    }
    return true;
}

bool Application::finish_claims(Instant now) {
    bool acted = false;
    for (size_t n = 0; n < claims_.size();) {
        OpenClaim& open = claims_[n];
        if (open.until > now) {
            ++n;
        } else if (finish_claim(open)) {
            claims_.erase(claims_.begin() + static_cast<ptrdiff_t>(n));
            acted = true;
        } else {
            open.until = now + Duration{random_.between(2'000, 50'000)};
            ++n;
        }
    }
    return acted;
}

// ------------------------------------------------------------------------------------------------- receiving

bool Application::take(Instant now) {
    if (now < awake_at_ || replica_.closed || group_.leases().full()) return false;
    if (random_.chance(manners_.sleepy)) {
        awake_at_ = now + Duration{random_.between(1'000, manners_.sleep_ns)};
        return false;
    }
    events_.resize(random_.between(1, manners_.batch_max));
    batch_.marks.clear();
    Lease lease;
    if (caller_ && group_.phase() == Group::Phase::ended) caller_->group_ended();
    const size_t count = rpc_ ? rpc_->take(events_, lease.id) : group_.take(events_, batch_);
    for (size_t n = 0; n < count; ++n) handle(events_[n], lease, now);
    if (!rpc_) lease.id = group_.leases().open(batch_);
    if (lease.id == 0) {
        if (!lease.messages.empty() && lease.messages.front().size != 0)
            throw Violation("data comes with a lease: node " + self_.name());
        return count > 0;
    }
    const bool hold = random_.chance(manners_.hold_lease);
    lease.until = hold ? now + Duration{random_.between(1'000, manners_.hold_lease_ns)} : now;
    if (stopped_) lease.until = kNever;
    leases_.push_back(std::move(lease));
    return true;
}

void Application::handle(const derecho_event& event, Lease& lease, Instant now) {
    switch (event.kind) {
        case DERECHO_EVENT_VIEW: {
            const View* view = group_.taken_view();
            if (!view || raw(view->id) != event.id)
                throw Violation("taken_view() is the view of the events: node " + self_.name());
            std::fill(bytes_sent_in_view_.begin(), bytes_sent_in_view_.end(), 0);
            if (caller_) caller_->on_view(*view);
            if (group_.options().client) return ledger_.client_view(replica_, *view);
            return ledger_.view(replica_, *view);
        }
        case DERECHO_EVENT_STATE_REQUEST:
            if (!replica_.has_state[event.shard])
                throw Violation("only who has the state is asked for it: node " + self_.name());
            if (caller_) ledger_.as_of(replica_, event, event.version);
            if (caller_) caller_->on_state_request(event, replica_.states[event.shard], now);
            if (event.flags & DERECHO_FLAG_OWN) return;
            return on_state_request(NodeId{event.node}, event.shard, ViewId{event.id}, replica_.states[event.shard]);
        case DERECHO_EVENT_STATE: {
            State state;
            if (!caller_->on_state(event, state)) return;
            take_state(event.shard, state);
            return ledger_.as_of(replica_, event, event.id);
        }
        case DERECHO_EVENT_MESSAGE:
            return handle_message(event, lease);
        case DERECHO_EVENT_CALL:
            handle_message(event, lease);
            if (caller_) caller_->on_call(event, replica_, now);
            return;
        case DERECHO_EVENT_ORDERED:
            return caller_->on_ordered(event);
        case DERECHO_EVENT_REPLY:
            return caller_->on_reply(event, replica_);
        case DERECHO_EVENT_QUERY:
            if (replica_.has_state[event.shard]) ledger_.as_of(replica_, event, event.version);
            return caller_->on_query(event, now);
        case DERECHO_EVENT_MEMORY:
            return memory_user_->on_event(event, group_.phase() == Group::Phase::ended);
        case DERECHO_EVENT_DIFFERENCE:
            if (!differing_.insert(event.node).second && event.node != DERECHO_ANY_NODE && replica_.states.size() == 1)
                throw Violation("a replica that differs is told of once: node " + self_.name());
            return;
        case DERECHO_EVENT_CLOSED:
            end_status_ = event.status;
            if (caller_) caller_->on_closed();
            if (memory_user_) memory_user_->on_closed();
            return ledger_.closed(replica_, event.status);
        default:
            throw Violation("node " + self_.name() + " was given an event of kind " + std::to_string(event.kind));
    }
}

void Application::handle_message(const derecho_event& event, Lease& lease) {
    const uint64_t number = ledger_.delivered(replica_, event);
    if (number == Ledger::kUnknown) return;
    for (const Member& member : replica_.view.members) {
        if (raw(member.node) != event.node) continue;
        const Life sender{event.node, member.incarnation};
        const uint64_t seed = Ledger::seed_of(sender, event.shard, number);
        lease.messages.push_back({seed, event.data, event.size_bytes, sender, number});
    }
}

void Application::take_state(uint32_t shard, const State& state) {
    if (replica_.has_state[shard]) throw Violation("a state is wanted once: node " + self_.name());
    ledger_.state_received(replica_, shard, state);
}

void Application::verify(const Lease& lease, const char* when) const {
    for (const Held& held : lease.messages)
        if (!Ledger::filled(held.seed, held.data, held.size))
            throw Violation(std::string("data stays intact until released: node ") + self_.name() + ", number " +
                            std::to_string(held.number) + " of node " + held.sender.name() + " changed " + when);
}

bool Application::release(Instant now) {
    bool acted = false;
    for (size_t n = 0; n < leases_.size();) {
        if (leases_[n].until > now) {
            ++n;
            continue;
        }
        verify(leases_[n], "while it was leased");
        if (n > 0) coverage_.hit("lease released before an older one");
        if (!group_.leases().release(leases_[n].id)) throw Violation("a lease can be released: node " + self_.name());
        leases_.erase(leases_.begin() + static_cast<ptrdiff_t>(n));
        acted = true;
    }
    return acted;
}

bool Application::state_arrived(uint32_t shard, ViewId request, NodeId donor, const State& state) {
    const View* taken = group_.taken_view();
    if (!taken || raw(taken->id) < raw(request)) return false;
    const StateWanted* wanted = group_.state_wanted(ShardIndex{shard});
    if (!wanted || wanted->view != request || wanted->donor != donor) {
        coverage_.hit("a stale state arrived");
        return true;
    }
    take_state(shard, state);
    group_.state_complete(ShardIndex{shard});
    return true;
}

}  // namespace libderecho::sim
