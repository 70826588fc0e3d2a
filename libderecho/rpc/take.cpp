// What the application takes: the group's ordered events, and what came by mail, as one stream.
#include <algorithm>
#include <iterator>
#include <utility>

#include "base/assert.hpp"
#include "base/coverage.hpp"
#include "base/log.hpp"
#include "rpc/rpc.hpp"

namespace libderecho {
namespace {

// Early replies beyond this wait in their rings.
constexpr uint64_t kEarlyBytesMax = limits::outbox_bytes_max;
constexpr size_t kSparesMax = 256;
constexpr size_t kSpareBytesMax = 16 << 10;
// A donor can be ahead of this node, but not by so much.
constexpr uint64_t kViewsAheadMax = 64;

}  // namespace

derecho_event& Rpc::Out::add() {
    DERECHO_ASSERT(!full());
    derecho_event& event = events[count++];
    event = {};
    return event;
}

size_t Rpc::take(std::span<derecho_event> events, uint64_t& lease) {
    DERECHO_ASSERT(!group_.leases().full());
    lease = 0;
    if (over_) return 0;
    Out out{events};
    if (announce_first_ != kNone) announce(out);
    if (sweeping()) sweep(out);
    // A view's consequences come before its events; the announcements of calls before whatever else is taken.
    if (announce_first_ == kNone && !sweeping() && !out.full()) {
        take_ordered(out);
        if (announce_first_ != kNone) announce(out);
        if (sweeping()) sweep(out);
    }
    if (!early_.empty()) give_early(out);
    take_letters(out);
    take_memory(out);
    if (digests_ && digests_->has_events()) take_differences(out);
    if (closed_ && !out.full() && announce_first_ == kNone && !sweeping()) {
        out.add() = *closed_;
        over_ = true;
    }
    lease = group_.leases().open(batch_);
    if (out.count == 0) group_.leases().release(std::exchange(lease, 0));  // only dropped letters
    return out.count;
}

bool Rpc::has_events() { return !over_ && (group_.has_events() || has_events_of_its_own()); }

bool Rpc::has_events_of_its_own() {
    if (announce_first_ != kNone || closed_ || memory_.has_events()) return true;
    if (digests_ && digests_->has_events()) return true;
    if (!parked_ && loopback_.has_letters()) return true;
    if (sweeping() && calls_.any_open()) return true;
    if (std::any_of(early_.begin(), early_.end(), [](const EarlyReply& e) { return e.ready && !e.given; })) return true;
    return parked_ ? !has_to_wait(*parked_) : mail_.has_letters();
}

// ---------------------------------------------------------------------------------------------------- ordered events

void Rpc::take_ordered(Out& out) {
    if (digests_ && digests_->of_states()) return take_up_to_digests(out);
    take_some(out, out.events.size());
}

// A state is asked for right after the last call that it contains, and at the end of a view. A view is the first of
// its batch.
void Rpc::take_up_to_digests(Out& out) {
    const size_t first = out.count;
    while (!out.full()) {
        if (group_.view_is_next()) digests_->view_ends();
        derecho_event request{};
        if (digests_->take_due(request)) {
            request.version = taken_[request.shard].version;
            request.timestamp_ns = taken_[request.shard].timestamp_ns;
            out.add() = request;
        } else if (group_.view_is_next() && out.count > first) {
            return;
        } else if (take_some(out, digests_->events_until_due()) == 0 && !group_.view_is_next()) {
            return;
        }
    }
}

void Rpc::take_differences(Out& out) {
    derecho_event difference{};
    while (!out.full() && digests_->take_difference(difference)) out.add() = std::exchange(difference, {});
}

// How many the group gave.
size_t Rpc::take_some(Out& out, size_t most) {
    const size_t first = out.count;
    const size_t room = std::min(most, out.events.size() - first);
    const size_t taken = group_.take(out.events.subspan(first, room), batch_);
    for (size_t i = first; i < first + taken; ++i) {
        derecho_event& event = out.events[i];
        bool keep = true;
        switch (event.kind) {
            case DERECHO_EVENT_CALL:
                keep = strip_call(event);
                break;
            case DERECHO_EVENT_VIEW:
                enter_view();
                break;
            case DERECHO_EVENT_STATE_REQUEST: {
                event.id = request_id(ViewId{event.id}, event.shard);
                stamp(event);
                const std::lock_guard lock(mutex_);
                std::erase_if(transfers_, [&](const Transfer& t) {
                    return t.node == NodeId{event.node} && (t.request & 0xff) == event.shard;
                });
                transfers_.push_back({.node = NodeId{event.node}, .request = event.id, .as_of = taken_[event.shard]});
                break;
            }
            case DERECHO_EVENT_CLOSED:
                closed_ = event;
                start_sweep();
                keep = false;
                break;
            default:
                break;
        }
        if (!keep) continue;
        if (out.count != i) out.events[out.count] = event;
        ++out.count;
    }
    note_last(out.events.subspan(first, out.count - first));
    if (digests_) digests_->taken(out.events.subspan(first, out.count - first), group_.taken_view());
    return taken;
}

// The last ordered event of each shard.
void Rpc::note_last(std::span<const derecho_event> events) {
    size_t left = taken_.size();
    for (size_t i = events.size(), seen = 0; i-- > 0 && left > 0;) {
        const derecho_event& event = events[i];
        const bool ordered = event.kind == DERECHO_EVENT_MESSAGE || event.kind == DERECHO_EVENT_CALL;
        if (!ordered || (seen >> event.shard & 1) != 0) continue;
        seen |= size_t{1} << event.shard;
        taken_[event.shard] = {event.version, event.timestamp_ns};
        --left;
    }
}

// As of which ordered event something is that has no place in the order itself.
void Rpc::stamp(derecho_event& event) const {
    event.version = taken_[event.shard].version;
    event.timestamp_ns = taken_[event.shard].timestamp_ns;
}

// Take the header off. False if there is none, which no member that runs this library sends.
bool Rpc::strip_call(derecho_event& event) {
    CallHeader header;
    const auto* bytes = static_cast<const std::byte*>(event.data);
    if (!read_header({bytes, event.size_bytes}, header)) {
        log::warn("node " + std::to_string(event.node) + " sent a call without a header; it is skipped");
        return false;
    }
    event.data = bytes + sizeof header;
    event.size_bytes -= sizeof header;
    event.id = header.call;
    event.method = header.method;
    event.flags = 0;
    if (header.flags & DERECHO_CALL_REPLY) event.flags |= DERECHO_FLAG_REPLY;
    if (NodeId{event.node} != self_) return true;
    event.flags |= DERECHO_FLAG_OWN;
    Call* call = calls_.find(header.call);
    if (!call || call->roll) return true;
    DERECHO_ASSERT(roll_ != nullptr);
    call->roll = roll_;
    call->shard = event.shard;
    call->pending = roll_->everybody();
    ++roll_->calls;
    call->next = kNone;
    const auto slot = static_cast<uint32_t>(header.call & (limits::calls_max - 1));
    if (announce_first_ == kNone) {
        announce_first_ = slot;
    } else {
        calls_.at(announce_last_)->next = slot;
    }
    announce_last_ = slot;
    return true;
}

void Rpc::announce(Out& out) {
    for (; announce_first_ != kNone && !out.full(); announce_first_ = calls_.at(announce_first_)->next) {
        Call& call = *calls_.at(announce_first_);
        derecho_event& event = out.add();
        event.kind = DERECHO_EVENT_ORDERED;
        event.node = raw(self_);
        event.id = call.id;
        event.flags = DERECHO_FLAG_OWN;
        event.data = call.roll->nodes.data();
        event.size_bytes = call.roll->count * sizeof(uint32_t);
        mark({&call.roll->point, 0});
        call.announced = true;
        for (EarlyReply& early : early_) early.ready |= early.call == call.id;
        // Members may have gone between the call and its announcement.
        if (call.roll != roll_) start_sweep();
    }
}

// Who starts a view without a shard's state is given it as of this start: whatever came before, it never takes.
void Rpc::note_skipped(Roll& before, const View& view) const {
    for (const Member& member : view.members) {
        const int rank = before.rank_of(member.node);
        if (rank < 0 || member.node == self_) continue;
        for (uint32_t shard = 0; shard < group_.options().services.size(); ++shard)
            if (!(member.shards_with_state >> shard & 1)) before.skipped[shard] |= 1ull << rank;
    }
}

void Rpc::enter_view() {
    const View* view = group_.taken_view();
    DERECHO_ASSERT(view != nullptr);
    std::erase_if(rolls_, [this](const auto& roll) {
        return roll->calls == 0 && roll->point.leases_held == 0 && !marked(roll->point);
    });
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(transfers_, [&](const Transfer& t) { return !view->rank_of(t.node); });
    }
    if (roll_ && !rolls_.empty() && rolls_.back().get() == roll_) note_skipped(*roll_, *view);
    rolls_.push_back(std::make_unique<Roll>(*view));
    roll_ = rolls_.back().get();
    start_sweep();
}

// ---------------------------------------------------------------------------------------------------- members that are
// gone

bool Rpc::is_gone(const Call& call, uint32_t rank) const {
    return (call.roll->skipped[call.shard] >> rank & 1) || !roll_->holds(*call.roll, rank);
}

void Rpc::sweep(Out& out) {
    if (!calls_.any_open()) {
        sweep_slot_ = ~size_t{0};
        return;
    }
    // Whoever answered before it left, did answer. Not for ever, though: the others' letters may never end.
    constexpr uint32_t kPatience = 1000;
    if (sweep_slot_ == 0 && ++sweep_delays_ < kPatience) {
        take_letters(out);
        if (out.full()) return;
    }
    sweep_delays_ = 0;
    for (; sweeping(); ++sweep_slot_) {
        Call* call = calls_.at(sweep_slot_);
        if (call && !sweep_call(*call, out)) return;
    }
    sweep_slot_ = ~size_t{0};
}

// False if there was no room for all its events.
bool Rpc::sweep_call(Call& call, Out& out) {
    const auto unanswered = [&](uint32_t node, bool gone) {
        derecho_event& event = out.add();
        event.kind = DERECHO_EVENT_REPLY;
        event.node = node;
        event.id = call.id;
        event.status = gone ? DERECHO_REMOVED : DERECHO_CLOSED;  // not to be blamed for the end of this node's part
    };
    if (call.kind == Call::Kind::query) {
        if (!call.lost && !closed_) return true;
        if (out.full()) return false;
        unanswered(raw(call.target), call.lost);
        calls_.close(call);
        return true;
    }
    if (!call.announced) return true;
    for (uint32_t rank = 0; rank < call.roll->count; ++rank) {
        const bool gone = is_gone(call, rank);
        if (!(call.pending >> rank & 1) || !(gone || closed_)) continue;
        if (std::any_of(early_.begin(), early_.end(), [&](const EarlyReply& e) {
                return e.call == call.id && raw(e.node) == call.roll->nodes[rank];
            }))
            continue;  // it did reply
        if (out.full()) return false;
        unanswered(call.roll->nodes[rank], gone);
        call.pending &= ~(1ull << rank);
    }
    if (call.pending == 0) calls_.close(call);
    return true;
}

// ---------------------------------------------------------------------------------------------------- mail

void Rpc::mark(const Leases::Mark& mark) {
    for (Leases::Mark& known : batch_.marks)
        if (known.point == mark.point) {
            known.position = mark.position;
            return;
        }
    batch_.marks.push_back(mark);
}

bool Rpc::marked(const ReleasePoint& point) const {
    return std::any_of(batch_.marks.begin(), batch_.marks.end(), [&](const auto& m) { return m.point == &point; });
}

void Rpc::take_letters(Out& out) {
    Incoming letter;
    while (!out.full() && next_letter(letter)) {
        if (has_to_wait(letter)) {
            park(letter);
            return;
        }
        const size_t before = out.count;
        switch (give(letter, out)) {
            case Verdict::give:
                DERECHO_ASSERT(out.count == before + 1);
                mark(letter.mark);
                break;
            case Verdict::drop:
                done(letter);
                break;
            case Verdict::break_:
                done(letter);
                expel(letter.from, "it sent a letter that nobody can read");
                break;
        }
    }
}

// Whether a letter is ahead of this node. A donor may install the view that asks it for state before this node does;
// and replies to calls that are not known to be ordered are kept up to a limit only. All later letters wait, too: no
// client may have that done. A member that is lost may until the next view, which comes without it: its letter is kept
// until then, because those behind it will be read.
bool Rpc::has_to_wait(const Incoming& letter) {
    if (letter.kind == LetterKind::reply && early_bytes_ + letter.bytes.size() > kEarlyBytesMax) {
        ReplyHeader header;
        const Call* call = read_header(letter.bytes, header) ? calls_.find(header.call) : nullptr;
        return call && call->kind == Call::Kind::ordered && !call->announced && !closed_;
    }
    StateHeader header;
    if (letter.kind != LetterKind::state || !read_header(letter.bytes, header) || closed_) return false;
    const View* installed = group_.view();
    uint64_t ahead_max = kViewsAheadMax;
    {
        const std::lock_guard lock(mutex_);
        const auto peer = peers_.find(letter.from);
        if (peer != peers_.end() && peer->second.client) return false;
        if (peer == peers_.end()) ahead_max = installed && installed->rank_of(letter.from) ? 1 : 0;
    }
    if (!roll_) return true;
    const bool plausible = installed && header.view <= raw(installed->id) + ahead_max;
    return plausible && header.view > raw(group_.taken_view()->id);
}

// Its bytes must outlive the loss of its sender, after which the mail drops boxes in which nothing is unread or held.
void Rpc::park(const Incoming& letter) {
    coverage::hit(coverage::Branch::letter_parked);
    parked_ = letter;
    ++parked_->mark.point->leases_held;
}

void Rpc::unpark() {
    if (parked_) --parked_->mark.point->leases_held;
    parked_.reset();
}

bool Rpc::next_letter(Incoming& letter) {
    if (parked_) {
        letter = *parked_;
        unpark();
        return true;
    }
    if (Loopback::Letter own; loopback_.read(own)) {
        letter = {self_, static_cast<LetterKind>(own.kind), own.bytes, own.mark};
        return true;
    }
    Mail::Letter mail;
    if (!mail_.read(mail)) return false;
    letter = {mail.from, static_cast<LetterKind>(mail.kind), mail.bytes, mail.mark};
    return true;
}

// Rings give space back in order: while letters before it are looked at, it goes with the next lease.
void Rpc::done(const Incoming& letter) {
    ReleasePoint& point = *letter.mark.point;
    if (point.leases_held > 0 || marked(point)) {
        mark(letter.mark);
    } else {
        point.position = letter.mark.position;
    }
}

void Rpc::take_memory(Out& out) {
    if (memory_.has_events()) out.count += memory_.take(out.events.subspan(out.count));
}

Rpc::Verdict Rpc::give(const Incoming& letter, Out& out) {
    switch (letter.kind) {
        case LetterKind::query:
            return give_query(letter, out);
        case LetterKind::reply:
            return give_reply(letter, out);
        case LetterKind::state:
            return give_state(letter, out);
        case LetterKind::digest:
            return hear_digest(letter);
    }
    return Verdict::break_;
}

Rpc::Verdict Rpc::give_query(const Incoming& letter, Out& out) {
    QueryHeader header;
    if (!read_header(letter.bytes, header) || header.shard >= group_.options().services.size()) return Verdict::break_;
    derecho_event& event = out.add();
    event.kind = DERECHO_EVENT_QUERY;
    event.node = raw(letter.from);
    event.id = header.call;
    event.method = header.method;
    event.shard = header.shard;
    event.flags = DERECHO_FLAG_REPLY | (letter.from == self_ ? DERECHO_FLAG_OWN : 0);
    event.data = letter.bytes.data() + sizeof header;
    event.size_bytes = letter.bytes.size() - sizeof header;
    stamp(event);
    return Verdict::give;
}

Rpc::Verdict Rpc::give_reply(const Incoming& letter, Out& out) {
    ReplyHeader header;
    if (!read_header(letter.bytes, header)) return Verdict::break_;
    if (header.status != DERECHO_OK && header.status != DERECHO_REMOTE_ERROR && header.status != DERECHO_UNKNOWN_METHOD)
        return Verdict::break_;
    Call* call = calls_.find(header.call);
    if (!call) return Verdict::drop;
    const bool of_query = call->kind == Call::Kind::query;
    if (of_query) {
        if (call->target != letter.from) return Verdict::drop;
        calls_.close(*call);
    } else {
        if (!call->announced) return owes_replies(letter.from) ? keep_early(letter, header) : Verdict::drop;
        const int rank = call->roll->rank_of(letter.from);
        if (rank < 0 || !(call->pending >> rank & 1)) return Verdict::drop;
        call->pending &= ~(1ull << rank);
        if (call->pending == 0) calls_.close(*call);
    }
    derecho_event& event = out.add();
    event.kind = DERECHO_EVENT_REPLY;
    event.node = raw(letter.from);
    event.id = header.call;
    event.status = header.status;
    const auto data = letter.bytes.subspan(sizeof header);
    event.data = data.data();
    event.size_bytes = data.size();
    if (!of_query) event.version = answer_digest(header.status, data);
    return Verdict::give;
}

// Nobody is called for a digest that comes from somewhere else.
Rpc::Verdict Rpc::hear_digest(const Incoming& letter) {
    const auto life = lives_.find(letter.from);
    if (!digests_ || life == lives_.end()) return digests_ ? Verdict::drop : Verdict::break_;
    return digests_->heard({letter.from, life->second}, letter.bytes) ? Verdict::drop : Verdict::break_;
}

// A call that is not known to be ordered yet was so in a view whose events are not all taken.
bool Rpc::owes_replies(NodeId node) const {
    return group_.is_in_a_view(node) ||
           std::ranges::any_of(rolls_, [&](const auto& roll) { return roll->rank_of(node) >= 0; });
}

// Copied, so that letters behind it (a joiner's state, say) are not held up.
Rpc::Verdict Rpc::keep_early(const Incoming& letter, const ReplyHeader& header) {
    for (const EarlyReply& early : early_)
        if (early.call == header.call && early.node == letter.from) return Verdict::drop;
    coverage::hit(coverage::Branch::early_reply);
    const auto data = letter.bytes.subspan(sizeof header);
    early_bytes_ += data.size();
    if (spare_early_.empty()) spare_early_.emplace_back();
    EarlyReply& early = spare_early_.front();
    early.call = header.call;
    early.node = letter.from;
    early.status = header.status;
    early.data.assign(data.begin(), data.end());
    early.ready = early.given = false;
    early.point = {};
    early_.splice(early_.end(), spare_early_, spare_early_.begin());
    return Verdict::drop;
}

void Rpc::give_early(Out& out) {
    for (auto it = early_.begin(); it != early_.end();) {
        if (it->given && it->point.leases_held == 0) {
            early_bytes_ -= it->data.size();
            const bool keep = it->data.capacity() <= kSpareBytesMax && spare_early_.size() < kSparesMax;
            const auto next = std::next(it);
            if (keep) {
                spare_early_.splice(spare_early_.end(), early_, it);
            } else {
                early_.erase(it);
            }
            it = next;
            continue;
        }
        Call* call = it->ready && !it->given ? calls_.find(it->call) : nullptr;
        const int rank = call ? call->roll->rank_of(it->node) : -1;
        if (it->ready && !it->given && !out.full()) {
            it->given = true;
            if (rank >= 0 && (call->pending >> rank & 1)) {
                call->pending &= ~(1ull << rank);
                derecho_event& event = out.add();
                event.kind = DERECHO_EVENT_REPLY;
                event.node = raw(it->node);
                event.id = it->call;
                event.status = it->status;
                event.data = it->data.data();
                event.size_bytes = it->data.size();
                event.version = answer_digest(it->status, it->data);
                mark({&it->point, 0});
                if (call->pending == 0) calls_.close(*call);
            }
        }
        ++it;
    }
}

// ---------------------------------------------------------------------------------------------------- state transfer

Rpc::Verdict Rpc::give_state(const Incoming& letter, Out& out) {
    StateHeader header;
    if (!read_header(letter.bytes, header) || header.shard >= group_.options().services.size()) return Verdict::break_;
    const StateWanted* wanted = group_.state_wanted(ShardIndex{header.shard});
    if (!wanted || header.view != raw(wanted->view) || letter.from != wanted->donor) return Verdict::drop;
    if ((header.flags & kStateEnvelope) != 0) return open_envelope(letter.bytes.subspan(sizeof header), header, out);
    const bool failed = (header.flags & kStateFailed) != 0;
    add_state(out, letter.from, header, failed ? DERECHO_REMOTE_ERROR : DERECHO_OK,
              letter.bytes.subspan(sizeof header));
    if (!failed && (header.flags & DERECHO_FLAG_LAST)) {
        mark(group_.state_taken(ShardIndex{header.shard}));
        Moment& taken = taken_[header.shard];
        if (taken.version < states_as_of_[header.shard].version) taken = states_as_of_[header.shard];
    }
    return Verdict::give;
}

// What it says of the pieces to come; no event, unless they would be of no use here.
Rpc::Verdict Rpc::open_envelope(std::span<const std::byte> bytes, const StateHeader& header, Out& out) {
    StateEnvelope envelope;
    if (!read_header(bytes, envelope) || envelope.core_bytes != bytes.size() - sizeof envelope) return Verdict::break_;
    const bool known = envelope.service_bytes != StateEnvelope::kUnknown;
    state_bytes_[header.shard] = known ? envelope.service_bytes : 0;
    if (envelope.format == StateEnvelope::kFormat) {
        StateCore core;
        read_header(bytes.subspan(sizeof envelope), core);
        states_as_of_[header.shard] = core.as_of;
        return Verdict::drop;
    }
    static constexpr std::string_view kText =
        "the state comes in a format that this version of the library does not know";
    add_state(out, group_.state_wanted(ShardIndex{header.shard})->donor, header, DERECHO_INCOMPATIBLE,
              std::as_bytes(std::span(kText)));
    return Verdict::give;
}

void Rpc::add_state(Out& out, NodeId donor, const StateHeader& header, derecho_status status,
                    std::span<const std::byte> data) {
    derecho_event& event = out.add();
    event.kind = DERECHO_EVENT_STATE;
    event.node = raw(donor);
    event.id = states_as_of_[header.shard].version;
    event.timestamp_ns = states_as_of_[header.shard].timestamp_ns;
    event.version = state_bytes_[header.shard];
    event.shard = header.shard;
    event.status = status;
    event.flags = status == DERECHO_OK ? header.flags & (DERECHO_FLAG_FIRST | DERECHO_FLAG_LAST) : 0;
    event.data = data.data();
    event.size_bytes = data.size();
}

}  // namespace libderecho
