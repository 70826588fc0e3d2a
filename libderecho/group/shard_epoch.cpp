#include "group/shard_epoch.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/coverage.hpp"

namespace libderecho {
namespace {

constexpr size_t kPage = 4096;
constexpr uint64_t kFramesAhead = 24;  // frames are walked one by one: what comes soon is asked for in time
constexpr Duration kPatienceWithOpenClaims = microseconds(200);

}  // namespace

ShardColumns::ShardColumns(size_t members, uint64_t ring_bytes) {
    Layout layout;
    sent = layout.words(1);
    sent_rounds = layout.words(1);
    received = layout.words(members);
    released = layout.words(members);
    counter_bytes = layout.end();
    stable = layout.words(members);
    front_bytes = layout.end();
    layout.align(kPage);
    ring = layout.bytes(ring_bytes);
    row_bytes = layout.end();
}

ShardEpoch::ShardEpoch(Fabric& fabric, RegionId region, Identity identity, uint64_t ring_bytes, HybridClock& clock)
    : identity_(std::move(identity)),
      clock_(clock),
      self_(raw(identity_.self)),
      senders_(identity_.members.size()),
      ring_bytes_(ring_bytes),
      columns_(senders_, ring_bytes),
      table_(fabric, region, identity_.members, identity_.self, columns_.row_bytes, columns_.front_bytes),
      cursors_(senders_),
      time_ns_(identity_.time_ns),
      diligence_(senders_) {}

void ShardEpoch::start(RingWriter& writer, const SenderEnd& before) {
    writer.move_to({table_.own() + columns_.ring, ring_bytes_}, before.trim, clock_.tick());
    cursors_[self_].ring = table_.own() + columns_.ring;
    cursors_[self_].ticket = before.ticket;
    announce(writer, 0);
    table_.push_counters(0, columns_.counter_bytes);
    writer.unseal();
}

// Say how much of the own ring is there.
void ShardEpoch::announce(const RingWriter& writer, uint64_t before) {
    const uint64_t sent = writer.published_bytes();
    push_published(before, sent);
    publish(table_.own_word(columns_.sent_rounds), writer.published_rounds());
    publish(table_.own_word(columns_.sent), sent);
    publish(table_.own_word(columns_.received + 8 * self_), sent);
}

bool ShardEpoch::step(RingWriter& writer, Instant now) {
    table_.refresh();
    if (seen_ahead_ != 0) [[unlikely]]
        judge_ahead();
    if (wedged_) return false;
    // The own messages first: others wait for them, and a look at counters that others have just written takes a while.
    bool moved = send(writer, now);
    moved |= receive();
    moved |= note_releases(writer);
    if (fill_rounds(writer)) moved |= send(writer, now);
    if (moved) {
        table_.push_counters(0, columns_.counter_bytes);
        unpushed_releases_ = 0;
    }
    find_stable();
    reuse(writer);
    return moved;
}

bool ShardEpoch::send(RingWriter& writer, Instant now) {
    const uint64_t before = writer.published_bytes();
    if (!writer.anything_claimed() || !publish_claims(writer, clock_.tick(), now)) return false;
    announce(writer, before);
    return true;
}

uint64_t ShardEpoch::furthest_round() const {
    return sequence_ / senders_ + senders_ * ring_bytes_ / sizeof(FrameHeader);
}

// Acknowledge all that arrived, a batch a sender.
bool ShardEpoch::receive() {
    bool moved = false;
    most_rounds_ = 0;
    // Nulls only catch up with messages, and each message that was not released everywhere has its place in a ring: no
    // honest sender is further ahead of what was taken here. Whoever says so is not followed, and not blamed either: it
    // may have followed somebody from where it stands.
    const uint64_t furthest = furthest_round();
    for (size_t s = 0; s < senders_; ++s) {
        if (s == self_) continue;
        const uint64_t* row = counters(s);
        const uint64_t sent = load(row + columns_.sent / 8);
        uint64_t* received = table_.own_word(columns_.received + 8 * s);
        const uint64_t rounds = load(row + columns_.sent_rounds / 8);
        if (rounds > limits::rounds_max) {
            offenders_ |= just(s);
            continue;
        }
        most_rounds_ = std::max(most_rounds_, std::min(rounds, furthest));
        if (sent == *received) continue;
        // No honest sender takes a counter back, nor overwrites what this member has not released.
        if (sent < *received || sent - *table_.own_word(columns_.released + 8 * s) > ring_bytes_ || sent % 8 != 0) {
            offenders_ |= just(s);
            continue;
        }
        cursors_[s].ring = table_.row(s) + columns_.ring;
        publish(received, sent);
        moved = true;
    }
    return moved;
}

// A sender with nothing to say says so for the rounds that others have already sent.
bool ShardEpoch::fill_rounds(RingWriter& writer) {
    const uint64_t rounds = writer.published_rounds();
    if (most_rounds_ <= rounds || writer.anything_claimed()) return false;
    const auto missing = static_cast<uint32_t>(std::min<uint64_t>(most_rounds_ - rounds, ~0u));
    if (!writer.claim_nulls(missing)) return false;
    null_rounds_ += missing;
    return true;
}

// Others must not wait for long for a claim that an application leaves open, and neither must the node's own leaving.
bool ShardEpoch::publish_claims(RingWriter& writer, uint64_t timestamp_ns, Instant now) {
    if (writer.publish(timestamp_ns)) {
        blocked_since_ = kNever;
        return true;
    }
    if (most_rounds_ <= writer.published_rounds() && !writer.sealed()) return false;
    blocked_since_ = std::min(blocked_since_, now);
    if (now - blocked_since_ < kPatienceWithOpenClaims) return false;
    blocked_since_ = kNever;
    return writer.set_aside_open_claims(timestamp_ns);
}

Instant ShardEpoch::next_deadline() const {
    return wedged_ || blocked_since_ == kNever ? kNever : blocked_since_ + kPatienceWithOpenClaims;
}

void ShardEpoch::push_published(uint64_t from, uint64_t to) {
    const uint64_t mask = ring_bytes_ - 1;
    while (from < to) {
        const uint64_t offset = from & mask;
        const uint64_t piece = std::min(to - from, ring_bytes_ - offset);
        table_.push_data(columns_.ring + offset, piece);
        from += piece;
    }
}

// Who says that it has more than there is harms nobody but itself: others say less.
uint64_t ShardEpoch::least_of(size_t column) const {
    uint64_t least = ~0ull;
    for (size_t m = 0; m < senders_; ++m) least = std::min(least, load(counters(m) + column));
    return least;
}

void ShardEpoch::find_stable() {
    for (size_t s = 0; s < senders_; ++s) {
        const uint64_t received = least_of(columns_.received / 8 + s);
        if (received > cursors_[s].stable) {
            cursors_[s].stable = received;
        } else if (received < cursors_[s].stable) [[unlikely]] {
            blame_below(columns_.received + 8 * s, cursors_[s].stable);
        }
    }
}

void ShardEpoch::reuse(RingWriter& writer) {
    const size_t column = columns_.released + 8 * self_;
    const uint64_t released = least_of(column / 8);
    if (released <= reusable_) return;  // what was released stays so, whatever its owner says later
    reusable_ = released;
    writer.reuse_below(reusable_);
}

// It said more before: a counter never goes back.
void ShardEpoch::blame_below(size_t column, uint64_t least) {
    for (size_t m = 0; m < senders_; ++m) offenders_ |= table_.value(m, column) < least ? just(m) : 0;
}

// What the application released is worth a push of its own only when a sender might be waiting for it.
bool ShardEpoch::note_releases(const RingWriter& writer) {
    for (size_t s = 0; s < senders_; ++s) {
        uint64_t* released = table_.own_word(columns_.released + 8 * s);
        uint64_t now = cursors_[s].released.position;
        if (s == self_) now = writer.reusable(now);
        if (now <= *released) continue;
        unpushed_releases_ += now - *released;
        publish(released, now);
    }
    return unpushed_releases_ > ring_bytes_ / 8;
}

void ShardEpoch::push_releases() {
    if (wedged_ || unpushed_releases_ == 0) return;
    unpushed_releases_ = 0;
    table_.push_quietly(0, columns_.counter_bytes);
}

ShardEpoch::Standing ShardEpoch::standing(size_t rank) const {
    Standing standing;
    const uint64_t* row = counters(rank);
    for (size_t s = 0; s < senders_; ++s) {
        const uint64_t sent = table_.value(self_, columns_.received + 8 * s);
        const uint64_t acknowledged = load(row + columns_.received / 8 + s);
        const uint64_t released = load(row + columns_.released / 8 + s);
        standing.behind |= acknowledged < sent;
        standing.holds_room |= sent > released + ring_bytes_ / 2;
        standing.acknowledged += acknowledged;
        standing.released += released;
    }
    const RankSet all = first_ranks(senders_);
    const uint64_t kept = least(table_, all, columns_.released + 8 * rank) + ring_bytes_ / 2;
    standing.rounds = load(row + columns_.sent_rounds / 8);
    standing.owes_rounds =
        standing.rounds < greatest(table_, all, columns_.sent_rounds) && load(row + columns_.sent / 8) <= kept;
    return standing;
}

void ShardEpoch::wedge() {
    wedged_ = true;
    for (size_t s = 0; s < senders_; ++s) {
        // Not taken yet perhaps, by an application that is slow; but the view is to end without who wrote it.
        if (malformed_behind(cursors_[s], *table_.own_word(columns_.received + 8 * s))) offenders_ |= just(s);
    }
    stop_at_ahead();
    for (size_t s = 0; s < senders_; ++s) publish(table_.own_word(columns_.stable + 8 * s), cursors_[s].stable);
    table_.push_counters(0, columns_.front_bytes);
}

RankSet ShardEpoch::arrived(RankSet members) const {
    RankSet here = 0;
    for_each(members, [&](size_t r) { here |= table_.arrived(r) ? just(r) : 0; });
    return here;
}

bool ShardEpoch::lies(size_t rank, Duration for_so_long) const {
    const Diligence& of = diligence_[rank];
    if (std::max(of.lags_for, of.silent_for) >= for_so_long) return true;
    for (size_t s = 0; s < senders_; ++s) {
        if (table_.value(rank, columns_.received + 8 * s) < cursors_[s].stable) return true;
        if (table_.value(rank, columns_.stable + 8 * s) > table_.value(rank, columns_.received + 8 * s)) return true;
    }
    return is_ahead(rank) || malformed_behind(cursors_[rank], table_.value(self_, columns_.received + 8 * rank));
}

// Whether what was received and not taken yet of one sender holds something that is no frame.
bool ShardEpoch::malformed_behind(Cursor cursor, uint64_t received) const {
    while (cursor.at < received) {
        const FrameTag frame = tag_at(frame_at(cursor));
        const uint64_t whole = whole_frame_bytes(frame);
        const uint64_t room = std::min(received - cursor.at, ring_bytes_ - (cursor.at & (ring_bytes_ - 1)));
        if (frame.kind < FrameKind::pad || frame.kind > FrameKind::call || whole < 8 || whole % 8 != 0 || whole > room)
            return true;
        cursor.at += whole;
    }
    return false;
}

void ShardEpoch::watch(RankSet members, Instant now, Duration patience) {
    Duration since = now - std::exchange(watched_at_, now);
    if (since > Duration{patience.ns / 2} || wedged_) since = {};  // this node was away: it proves nothing
    for_each(members & ~just(self_), [&](size_t m) {
        Diligence& of = diligence_[m];
        of.lags_for = lags(m) ? of.lags_for + since : Duration{};
        const bool silent = m == turn_ && is_waited_for() && of.sent == cursors_[m].at;
        of.silent_for = silent ? of.silent_for + since : Duration{};
        of.sent = cursors_[m].at;
    });
}

// It lacks what is here, and has acknowledged nothing since the last look.
bool ShardEpoch::lags(size_t rank) {
    uint64_t acknowledged = 0, own = 0;
    for (size_t s = 0; s < senders_; ++s) {
        const uint64_t here = table_.value(self_, columns_.received + 8 * s);
        acknowledged += std::min(here, table_.value(rank, columns_.received + 8 * s));
        own += here;
    }
    const bool moved = acknowledged > std::exchange(diligence_[rank].acknowledged,
                                                    std::max(acknowledged, diligence_[rank].acknowledged));
    return acknowledged < own && !moved;
}

// The sender at turn has nothing here, others say that they are ahead of it, and it has room to follow.
bool ShardEpoch::is_waited_for() const {
    const Cursor& at_turn = cursors_[turn_];
    if (at_turn.nulls > 0 || at_turn.at < table_.value(self_, columns_.received + 8 * turn_)) return false;
    const uint64_t reusable = least(table_, first_ranks(senders_), columns_.released + 8 * turn_);
    if (at_turn.at > reusable && at_turn.at - reusable + limits::cache_line_bytes > ring_bytes_) return false;
    const uint64_t round = sequence_ / senders_;
    const RankSet ahead = at_least(table_, first_ranks(senders_), columns_.sent_rounds, round + 1);
    return (ahead & ~just(turn_)) != 0 && round < furthest_round();
}

// What a member has delivered, all others had received. Where two say otherwise one of them lies: this member knows who
// if it is one of the two, and who else is will say so.
bool ShardEpoch::agreed(RankSet members) {
    for (size_t s = 0; s < senders_; ++s) {
        const size_t received = columns_.received + 8 * s, stable = columns_.stable + 8 * s;
        for_each(members & ~just(self_), [&](size_t m) {
            const bool lacks = table_.value(m, received) < *table_.own_word(stable);
            const bool knows_more = table_.value(m, stable) > *table_.own_word(received);
            const bool contradicts_itself = table_.value(m, stable) > table_.value(m, received);
            offenders_ |= lacks || knows_more || contradicts_itself ? just(m) : 0;
        });
        if (greatest(table_, members, stable) > least(table_, members, received)) return false;
    }
    return true;
}

bool ShardEpoch::fits(std::span<const uint64_t> trims, RankSet members) const {
    for (size_t s = 0; s < senders_; ++s) {
        if (greatest(table_, members, columns_.stable + 8 * s) > trims[s]) return false;
        if (least(table_, members, columns_.received + 8 * s) < trims[s]) return false;
        const uint64_t limit = clock_.ahead_by(drifts::proposable);
        if (has(members, self_) && first_ahead(cursors_[s], trims[s], limit) < trims[s]) return false;
    }
    return true;
}

void ShardEpoch::append_trims(RankSet survivors, std::vector<uint64_t>& trims) const {
    for (size_t s = 0; s < senders_; ++s) {
        const size_t column = columns_.received + 8 * s;
        const uint64_t all_have = least(table_, survivors, column);
        const uint64_t in_time = first_ahead(cursors_[s], all_have, clock_.ahead_by(drifts::convicted));
        trims.push_back(std::max(in_time, greatest(table_, survivors, columns_.stable + 8 * s)));
        if (trims.back() != greatest(table_, survivors, column)) coverage::hit(coverage::Branch::trim_ragged);
    }
}

bool ShardEpoch::finish(std::span<const uint64_t> trims) {
    DERECHO_ASSERT(wedged_ && trims.size() == senders_);
    for (size_t s = 0; s < senders_; ++s) {
        // All that any member may have delivered survives, and all that is to be delivered is here.
        if (trims[s] < cursors_[s].stable || trims[s] > *table_.own_word(columns_.received + 8 * s)) return false;
    }
    if (trims[self_] < *table_.own_word(columns_.sent)) coverage::hit(coverage::Branch::trim_cut_own_messages);
    for (size_t s = 0; s < senders_; ++s) {
        if (trims[s] > cursors_[s].stable) coverage::hit(coverage::Branch::trim_released_messages);
        cursors_[s].stable = trims[s];
    }
    finished_ = true;
    return true;
}

ShardEpoch::SenderEnd ShardEpoch::own_end() const {
    Cursor cursor = cursors_[self_];
    while (cursor.at < cursor.stable) {
        const FrameTag frame = tag_at(frame_at(cursor));
        if (whole_frame_bytes(frame) > cursor.stable - cursor.at) break;  // nobody delivers a part of a message
        note_ticket(cursor, frame);
        cursor.at += whole_frame_bytes(frame);
    }
    return {cursor.at, cursor.ticket};
}

const std::byte* ShardEpoch::frame_at(const Cursor& cursor) const {
    return cursor.ring + (cursor.at & (ring_bytes_ - 1));
}

// Tickets are consecutive in the ring, so that 16 bits tell them all. Pads at the wrap have none.
void ShardEpoch::note_ticket(Cursor& cursor, const FrameTag& frame) {
    if (frame.kind == FrameKind::pad && frame.flags != kAbortedPad) return;
    cursor.ticket += static_cast<uint16_t>(frame.ticket - cursor.ticket);
}

bool ShardEpoch::deliverable() const {
    const Cursor& next = cursors_[turn_];
    if (!finished_) return next.nulls > 0 || next.at < next.stable;
    return !drained();
}

bool ShardEpoch::untaken() const {
    return deliverable() && std::ranges::any_of(cursors_, [this](const Cursor& c) { return message_waits(c); });
}

// Looks past pads and nulls, of which there are few in a row.
bool ShardEpoch::message_waits(const Cursor& cursor) const {
    for (uint64_t at = cursor.at; at < cursor.stable;) {
        const FrameTag frame = tag_at(cursor.ring + (at & (ring_bytes_ - 1)));
        const uint64_t whole = whole_frame_bytes(frame);
        const bool silent = frame.kind == FrameKind::pad || frame.kind == FrameKind::nulls;
        if (!silent || whole < 8 || whole > cursor.stable - at) return true;
        at += whole;
    }
    return false;
}

bool ShardEpoch::drained() const {
    return finished_ && std::ranges::all_of(cursors_, [](const Cursor& c) { return c.nulls == 0 && c.at == c.stable; });
}

void ShardEpoch::skip() {
    for (Cursor& cursor : cursors_) {
        cursor.at = cursor.stable;
        cursor.nulls = 0;
    }
}

bool ShardEpoch::leased() const {
    return std::ranges::any_of(cursors_, [](const Cursor& c) { return c.released.leases_held > 0; });
}

// The receiving half of the message path. Where the next sender has something to say, one message is taken and the turn
// passes; where it has only nulls, a whole run.
size_t ShardEpoch::take(std::span<derecho_event> events, Leases& leases, Leases::Batch& batch) {
    size_t taken = 0;
    const uint64_t before = time_ns_;
    while (taken < events.size()) {
        Cursor& cursor = cursors_[turn_];
        if (cursor.nulls > 0) {
            if (turn_ == 0 && pass_silent_rounds()) continue;
            --cursor.nulls;
            pass_turn();
        } else if (cursor.at == cursor.stable) {
            // Beyond the trim a sender's rounds are missing for everybody alike: its turn passes.
            if (!finished_ || drained()) break;
            if (turn_ > 0 || !pass_silent_rounds()) pass_turn();
        } else if (const uint64_t quiet = quiet_rounds(); quiet == 0) {
            const size_t turns = take_turns(events.data() + taken, events.size() - taken);
            taken += turns;
            if (turns == 0 && !take_silent(cursor)) break;  // malformed
        } else {
            const size_t most = static_cast<size_t>(std::min<uint64_t>(events.size() - taken, quiet + 1));
            const size_t run = take_run(cursor, events.data() + taken, most);
            taken += run;
            pass_rounds(run, quiet);
            if (run == 0 && !take_silent(cursor)) break;  // malformed
        }
    }
    delivered_messages_ += taken;
    if (time_ns_ > clock_.ahead_by(drifts::suspicious)) [[unlikely]]
        note_leaps(events.first(taken), before);
    mark(taken > 0, leases, batch);
    return taken;
}

void ShardEpoch::pass_turn() {
    ++sequence_;
    turn_ = turn_ + 1 == senders_ ? 0 : turn_ + 1;
}

// Rounds in which nobody has anything to say, nor is missing for good: at once, for a frame may stand for billions.
bool ShardEpoch::pass_silent_rounds() {
    const auto missing = [this](const Cursor& c) { return finished_ && c.nulls == 0 && c.at == c.stable; };
    uint64_t rounds = ~0ull;
    for (const Cursor& cursor : cursors_) rounds = missing(cursor) ? rounds : std::min(rounds, cursor.nulls);
    for (Cursor& cursor : cursors_) cursor.nulls -= missing(cursor) ? 0 : rounds;
    sequence_ += rounds * senders_;
    return rounds > 0;
}

// Rounds in which all but the sender at turn have nothing to say. The usual case is decided by its neighbour.
uint64_t ShardEpoch::quiet_rounds() const {
    const size_t next = turn_ + 1 == senders_ ? 0 : turn_ + 1;
    if (next != turn_ && cursors_[next].nulls == 0) return 0;
    uint64_t quiet = ~0ull - 1;  // one more round must not overflow
    for (size_t s = 0; s < senders_; ++s) quiet = s == turn_ ? quiet : std::min(quiet, cursors_[s].nulls);
    return quiet;
}

// After each message of a run but the last the turn went once round; it stays here while more full rounds may follow.
void ShardEpoch::pass_rounds(size_t run, uint64_t quiet) {
    const uint64_t rounds = std::min<uint64_t>(run, quiet);
    if (rounds > 0) {
        for (size_t s = 0; s < senders_; ++s) cursors_[s].nulls -= s == turn_ ? 0 : rounds;
        sequence_ += rounds * senders_;
    }
    if (run > rounds) pass_turn();
}

// A frame that is all here, yet stable in part only, is nobody's fault yet: whoever acknowledged a part of it, because
// its sender had announced only that or out of its own head, will acknowledge the rest or be found to lag.
RankSet ShardEpoch::whoever_broke(const Cursor& cursor, uint64_t whole) const {
    const uint64_t room = ring_bytes_ - (cursor.at & (ring_bytes_ - 1));
    const uint64_t here = std::min(table_.value(self_, columns_.received + 8 * turn_) - cursor.at, room);
    const bool cut = whole >= 8 && whole % 8 == 0 && whole > cursor.stable - cursor.at && whole <= here;
    return cut ? 0 : just(turn_);
}

// What the sender at turn has, if it is no message: pads, or nulls. False if it is neither: delivery waits for the view
// to end without that sender. Then its messages end here, for all alike.
bool ShardEpoch::take_silent(Cursor& cursor) {
    const FrameTag frame = tag_at(frame_at(cursor));
    const uint64_t whole = whole_frame_bytes(frame);
    const uint64_t room = std::min(cursor.stable - cursor.at, ring_bytes_ - (cursor.at & (ring_bytes_ - 1)));
    const bool silent = frame.kind == FrameKind::pad || frame.kind == FrameKind::nulls;
    if (bears_time(frame) && whole <= room && waits_for_its_time(frame_at(cursor))) return false;
    if (!silent || whole < 8 || whole % 8 != 0 || whole > room) {
        offenders_ |= whoever_broke(cursor, whole);
        if (!finished_) return false;
        coverage::hit(coverage::Branch::rest_of_sender_skipped);
        cursor.at = cursor.stable;
        return true;
    }
    if (turn_ == self_) note_ticket(cursor, frame);
    cursor.at += whole;
    if (frame.kind == FrameKind::nulls) cursor.nulls = frame.size_bytes;
    return true;
}

namespace {

struct Origin {
    uint32_t node;
    uint32_t shard;
    bool own;
};

// A frame is believed only as far as it lies within what was received, and within the ring.
inline bool is_message(const FrameTag& tag, uint64_t at, uint64_t stable, uint64_t mask, uint64_t& whole) {
    whole = frame_bytes(tag.size_bytes);
    const uint64_t room = std::min(stable - at, mask + 1 - (at & mask));
    return (tag.kind == FrameKind::message || tag.kind == FrameKind::call) && whole <= room;
}

inline void fill(derecho_event& event, const std::byte* frame, const FrameTag& tag, uint64_t timestamp_ns,
                 const Origin& origin, uint64_t version, uint64_t ticket) {
    event.kind = tag.kind == FrameKind::call ? uint32_t{DERECHO_EVENT_CALL} : uint32_t{DERECHO_EVENT_MESSAGE};
    event.node = origin.node;
    event.version = version;
    event.timestamp_ns = timestamp_ns;
    event.data = frame + sizeof(FrameHeader);
    event.size_bytes = tag.size_bytes;
    event.id = origin.own ? ticket : 0;
    event.method = 0;
    event.shard = origin.shard;
    event.status = DERECHO_OK;
    const uint32_t flags = tag.flags & ~uint32_t{DERECHO_FLAG_OWN};  // nobody else's is
    event.flags = origin.own ? flags | DERECHO_FLAG_OWN : flags;
}

}  // namespace

// These two loops are the receiving half of the message path. They work on locals, as the events they write might be
// anything, and stop at whatever is not a message.

// A message a turn, as long as each sender has one: the usual case when several send.
size_t ShardEpoch::take_turns(derecho_event* event, size_t most) {
    Cursor* const cursors = cursors_.data();
    const NodeId* const nodes = identity_.members.data();
    const size_t senders = senders_, self = self_;
    const uint32_t shard = raw(identity_.shard);
    const uint64_t mask = ring_bytes_ - 1;
    uint64_t version = raw(identity_.view) << limits::sequence_bits | sequence_, bytes = 0, whole = 0;
    uint64_t time_ns = time_ns_;
    const uint64_t latest = latest_time();
    size_t turn = turn_, taken = 0;
    for (; taken < most; ++taken) {
        Cursor& cursor = cursors[turn];
        const uint64_t at = cursor.at;
        if (cursor.nulls != 0 || at == cursor.stable) break;
        const std::byte* const frame = cursor.ring + (at & mask);
        const FrameTag tag = tag_at(frame);
        if (!is_message(tag, at, cursor.stable, mask, whole)) break;
        __builtin_prefetch(cursor.ring + ((at + kFramesAhead * whole) & mask));
        const uint64_t timestamp_ns = time_of(frame);
        if (timestamp_ns > latest) [[unlikely]]
            break;
        time_ns = std::max(time_ns, timestamp_ns);
        if (turn == self) note_ticket(cursor, tag);
        fill(event[taken], frame, tag, time_ns, {raw(nodes[turn]), shard, turn == self}, version++, cursor.ticket);
        cursor.at = at + whole;
        bytes += tag.size_bytes;
        turn = turn + 1 == senders ? 0 : turn + 1;
    }
    turn_ = turn;
    sequence_ += taken;
    time_ns_ = time_ns;
    delivered_bytes_ += bytes;
    return taken;
}

// Messages of the sender at turn, as many as stand in a row while the others have only nulls.
size_t ShardEpoch::take_run(Cursor& cursor, derecho_event* event, size_t most) {
    const std::byte* const ring = cursor.ring;
    const uint64_t mask = ring_bytes_ - 1, stable = cursor.stable, step = senders_;
    const Origin origin{raw(identity_.members[turn_]), raw(identity_.shard), turn_ == self_};
    uint64_t at = cursor.at, version = raw(identity_.view) << limits::sequence_bits | sequence_;
    uint64_t bytes = 0, whole = 0, time_ns = time_ns_;
    const uint64_t latest = latest_time();
    size_t taken = 0;
    for (; taken < most && at != stable; ++taken) {
        const std::byte* const frame = ring + (at & mask);
        const FrameTag tag = tag_at(frame);
        if (!is_message(tag, at, stable, mask, whole)) break;
        __builtin_prefetch(ring + ((at + kFramesAhead * whole) & mask));
        const uint64_t timestamp_ns = time_of(frame);
        if (timestamp_ns > latest) [[unlikely]]
            break;
        time_ns = std::max(time_ns, timestamp_ns);
        if (origin.own) note_ticket(cursor, tag);
        fill(event[taken], frame, tag, time_ns, origin, version, cursor.ticket);
        at += whole;
        version += step;
        bytes += tag.size_bytes;
    }
    cursor.at = at;
    time_ns_ = time_ns;
    delivered_bytes_ += bytes;
    return taken;
}

// Note how far this take() went: under its lease, or at once if there was nothing in it and nothing is leased.
void ShardEpoch::mark(bool any_events, Leases& leases, Leases::Batch& batch) {
    for (Cursor& cursor : cursors_) {
        if (cursor.at == cursor.marked) continue;
        if (any_events) {
            batch.marks.push_back({&cursor.released, cursor.at});
        } else if (leases.held() == 0 && batch.marks.empty()) {
            cursor.released.position = cursor.at;
        } else {
            continue;
        }
        cursor.marked = cursor.at;
    }
}

}  // namespace libderecho
