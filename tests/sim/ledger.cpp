#include "sim/ledger.hpp"

#include <algorithm>
#include <cstring>

#include "base/limits.hpp"

namespace libderecho::sim {
namespace {

uint64_t mix(uint64_t a, uint64_t b) { return Random(a ^ (b * 0x9e3779b97f4a7c15ull + 0x632be59bd9b4e019ull)).next(); }

uint64_t word(uint64_t seed, uint64_t index) { return (seed + index) * 0xd6e8feb86659fd93ull ^ seed >> 17; }

std::string text(uint64_t n) { return std::to_string(n); }

std::string members(const View& view) {
    std::string out = "view " + text(raw(view.id)) + " {";
    for (const Member& member : view.members)
        out += " " + Life{raw(member.node), member.incarnation}.name() + "/" + text(member.shards_with_state) +
               (member.votes ? "v" : "");
    return out + " }";
}

}  // namespace

// ------------------------------------------------------------------------------------------------- senders

uint64_t Ledger::seed_of(const Life& sender, uint32_t shard, uint64_t number) {
    return mix(mix(sender.node, sender.incarnation), mix(shard, number));
}

uint64_t Ledger::claimed(const Life& sender, uint32_t shard, uint64_t ticket, bool same_batch) {
    Sent& sent = sent_[{sender, shard}];
    if (!sent.in_order.empty() && ticket < sent.in_order.back().ticket + !same_batch)
        throw Violation("tickets grow: node " + sender.name() + " claimed " + text(ticket) + " after " +
                        text(sent.in_order.back().ticket));
    const uint64_t number = sent.place_of.size();
    sent.place_of.push_back(sent.in_order.size());
    sent.in_order.push_back(Message{number, ticket, Fate::open, {}});
    return number;
}

void Ledger::committed(const Life& sender, uint32_t shard, uint64_t number, uint64_t ticket, const Content& content) {
    Sent& sent = sent_[{sender, shard}];
    if (sent.in_order[sent.place_of[number]].ticket != ticket) {
        sent.in_order[sent.place_of[number]].fate = Fate::aborted;
        if (ticket <= sent.in_order.back().ticket)
            throw Violation("tickets grow: node " + sender.name() + " committed with ticket " + text(ticket));
        sent.place_of[number] = sent.in_order.size();
        sent.in_order.push_back(Message{number, ticket, Fate::open, {}});
    }
    Message& message = sent.in_order[sent.place_of[number]];
    if (sent.place_of[number] < sent.reached)
        throw Violation("a claim that lost its turn gets a later ticket: number " + text(number) + " of node " +
                        sender.name() + " was committed with ticket " + text(ticket));
    message.fate = Fate::committed;
    message.content = content;
}

void Ledger::aborted(const Life& sender, uint32_t shard, uint64_t number) {
    Sent& sent = sent_[{sender, shard}];
    sent.in_order[sent.place_of[number]].fate = Fate::aborted;
}

void Ledger::fill(uint64_t seed, std::byte* to, uint64_t size) {
    for (uint64_t at = 0; at < size; at += 8) {
        const uint64_t value = word(seed, at);
        std::memcpy(to + at, &value, std::min<uint64_t>(8, size - at));
    }
}

bool Ledger::filled(uint64_t seed, const void* at, uint64_t size) {
    const auto* bytes = static_cast<const std::byte*>(at);
    for (uint64_t n = 0; n < size; n += 8) {
        const uint64_t value = word(seed, n);
        if (std::memcmp(bytes + n, &value, std::min<uint64_t>(8, size - n)) != 0) return false;
    }
    return true;
}

// ------------------------------------------------------------------------------------------------- receivers

Ledger::Replica Ledger::joining(const Life& self) const {
    Replica replica;
    replica.self = self;
    replica.states.resize(shards_);
    replica.has_state.resize(shards_);
    replica.taken.resize(shards_);
    replica.last_version.resize(shards_);
    return replica;
}

std::string Ledger::where(const Replica& at, uint32_t shard) const {
    return "node " + at.self.name() + ", view " + text(raw(at.view.id)) + ", shard " + text(shard) + ", message " +
           text(at.taken[shard]);
}

// There is one view of each number.
void Ledger::check_view(const Replica& at, const View& view) {
    const uint64_t id = raw(view.id);
    const auto [known, fresh] = views_.try_emplace(id, view);
    if (fresh) first_seen_by_[id] = at.self;
    if (!(known->second == view))
        throw Violation("primary partition: node " + at.self.name() + " was given " + members(view) + " where node " +
                        first_seen_by_[id].name() + " was given " + members(known->second));
}

// A client may miss views, and is in none.
void Ledger::client_view(Replica& at, const View& view) {
    if (raw(view.id) <= raw(at.view.id)) throw Violation("views come in order: client " + at.self.name());
    if (view.holds(NodeId{at.self.node}, at.self.incarnation))
        throw Violation("a client is in no view: " + at.self.name() + " was given " + members(view));
    check_view(at, view);
    at.view = view;
}

void Ledger::view(Replica& at, const View& view) {
    const uint64_t id = raw(view.id);
    if (at.closed) throw Violation("CLOSED is the last event: node " + at.self.name() + " was given " + members(view));
    if (raw(at.view.id) != 0 && id != raw(at.view.id) + 1)
        throw Violation("views come one by one: node " + at.self.name() + " went from " + members(at.view) + " to " +
                        members(view));
    if (!view.holds(NodeId{at.self.node}, at.self.incarnation))
        throw Violation("a node is in its views: node " + at.self.name() + " was given " + members(view));
    check_view(at, view);
    const bool first = raw(at.view.id) == 0;
    if (!first && !liars_.contains(at.self)) end_view(at);
    at.view = view;
    const auto self = std::find_if(view.members.begin(), view.members.end(),
                                   [&](const Member& member) { return raw(member.node) == at.self.node; });
    for (uint32_t shard = 0; shard < shards_; ++shard) {
        const bool holds = self->shards_with_state >> shard & 1;
        if (self->votes && !holds)
            throw Violation("who votes holds the state: node " + at.self.name() + " in " + members(view));
        if (first && holds && id != 1)
            throw Violation("a joiner has no state yet: node " + at.self.name() + " joins " + members(view));
        if (first) at.has_state[shard] = holds;
        if (holds && !at.has_state[shard])
            throw Violation("who is said to hold the state holds it: node " + at.self.name() + " in " + members(view));
        at.taken[shard] = 0;
        if (at.has_state[shard] && !liars_.contains(at.self)) start_view(at, shard);
    }
}

// Whoever goes on to the next view has delivered exactly what all others who do so delivered.
void Ledger::end_view(Replica& at) {
    for (uint32_t shard = 0; shard < shards_; ++shard) {
        if (!at.has_state[shard]) continue;
        Log& log = logs_[{raw(at.view.id), shard}];
        if (log.entries.size() != at.taken[shard])
            throw Violation("agreement: " + where(at, shard) + " is where it ends the view, but node " +
                            (log.ended ? log.ended_by : log.longest_by).name() + " delivered " +
                            text(log.entries.size()) + " messages in it");
        if (!log.ended) log.ended_by = at.self;
        log.ended = true;
    }
}

void Ledger::start_view(Replica& at, uint32_t shard) {
    Log& log = logs_[{raw(at.view.id), shard}];
    if (!log.started) {
        log.started = true;
        log.started_by = at.self;
        log.hash_at_start = at.states[shard].hash;
    } else if (log.hash_at_start != at.states[shard].hash) {
        throw Violation("equal states: " + where(at, shard) + " starts the view with another state than node " +
                        log.started_by.name());
    }
}

void Ledger::state_received(Replica& at, uint32_t shard, const State& state) {
    at.states[shard] = state;
    at.has_state[shard] = true;
    if (!liars_.contains(at.self)) start_view(at, shard);
}

Life Ledger::sender_of(const Replica& at, const derecho_event& event) const {
    for (const Member& member : at.view.members)
        if (raw(member.node) == event.node) return {event.node, member.incarnation};
    throw Violation("senders are members: " + where(at, event.shard) + " came from node " + text(event.node));
}

const Ledger::Message& Ledger::next_of(const Replica& at, const Life& sender, uint32_t shard, uint64_t& place) const {
    const auto& state = at.states[shard];
    const auto known = state.next.find(sender);
    place = known == state.next.end() ? 0 : known->second;
    const auto found = sent_.find({sender, shard});
    if (found != sent_.end()) {
        const auto& all = found->second.in_order;
        while (place < all.size() && all[place].fate != Fate::committed) ++place;
        if (place < all.size()) return all[place];
    }
    throw Violation("nothing is delivered that was not sent: " + where(at, shard) + " would be claim " + text(place) +
                    " of node " + sender.name() + ", which made fewer (or it came twice)");
}

uint64_t Ledger::delivered(Replica& at, const derecho_event& event) {
    const uint32_t shard = event.shard;
    if (shard >= shards_) throw Violation("node " + at.self.name() + " was given a message of shard " + text(shard));
    if (at.closed) throw Violation("CLOSED is the last event: " + where(at, shard));
    if (raw(at.view.id) == 0) throw Violation("a view comes before messages: " + where(at, shard));
    if (!at.has_state[shard]) throw Violation("state comes before messages: " + where(at, shard));
    const Life sender = sender_of(at, event);
    if (liars_.contains(at.self)) return kUnknown;
    if (suspects_.contains(sender)) return delivered_by_liar(at, event, sender);
    uint64_t place_sent = 0;
    const Message& message = next_of(at, sender, shard, place_sent);
    const uint64_t number = message.number;
    const std::string what = where(at, shard) + ", number " + text(number) + " of node " + sender.name();
    if (message.content.size != event.size_bytes ||
        !filled(seed_of(sender, shard, number), event.data, event.size_bytes))
        throw Violation("no gaps, no duplicates, nothing corrupted, in the order sent: " + what + " has " +
                        text(event.size_bytes) + " bytes, sent were " + text(message.content.size));
    const uint32_t kind =
        message.content.kind == FrameKind::call ? uint32_t{DERECHO_EVENT_CALL} : uint32_t{DERECHO_EVENT_MESSAGE};
    if (event.kind != kind) throw Violation("a message keeps its kind: " + what);
    const bool own = sender == at.self;
    if (own != ((event.flags & DERECHO_FLAG_OWN) != 0)) throw Violation("own messages are marked: " + what);
    if ((event.flags & ~DERECHO_FLAG_OWN) != message.content.flags)
        throw Violation("a message keeps its flags: " + what);
    if (own && event.id != message.content.id)
        throw Violation("own messages bear the id they were given: " + what + " bears " + text(event.id) + ", not " +
                        text(message.content.id));
    if (event.version <= at.last_version[shard]) throw Violation("versions grow: " + what);
    if (event.version >> limits::sequence_bits != raw(at.view.id))
        throw Violation("versions begin with their view: " + what);
    at.last_version[shard] = event.version;

    State& state = at.states[shard];
    state.next[sender] = place_sent + 1;
    uint64_t& reached = sent_[{sender, shard}].reached;
    reached = std::max(reached, place_sent + 1);
    state.hash = mix(mix(state.hash, seed_of(sender, shard, number)), event.version);
    ++state.messages;
    note(at, event, {sender, number, event.version, event.timestamp_ns, state.hash, event.kind}, what);
    return number;
}

// Whatever it is, it is the same for all.
uint64_t Ledger::delivered_by_liar(Replica& at, const derecho_event& event, const Life& sender) {
    const uint32_t shard = event.shard;
    uint64_t hash = mix(event.size_bytes, event.kind);
    const auto* bytes = static_cast<const std::byte*>(event.data);
    for (uint64_t n = 0; n < event.size_bytes; n += 97) hash = mix(hash, static_cast<uint64_t>(bytes[n]));
    const std::string what = where(at, shard) + ", of the liar, node " + sender.name();
    if (event.version <= at.last_version[shard]) throw Violation("versions grow: " + what);
    at.last_version[shard] = event.version;
    State& state = at.states[shard];
    state.hash = mix(mix(state.hash, hash), event.version);
    ++state.messages;
    note(at, event, {sender, hash, event.version, event.timestamp_ns, state.hash, event.kind}, what);
    return kUnknown;
}

// The first who takes a message writes it down; all others must take the very same.
void Ledger::note(Replica& at, const derecho_event& event, const Entry& entry, const std::string& what) {
    const uint32_t shard = event.shard;
    at.states[shard].version = event.version;
    at.states[shard].timestamp_ns = event.timestamp_ns;
    const auto& [sender, number] = std::pair(entry.sender, entry.number);
    Log& log = logs_[{raw(at.view.id), shard}];
    const uint64_t place = at.taken[shard]++;
    if (place < log.entries.size()) {
        const Entry& first = log.entries[place];
        const std::string other = " where node " + log.longest_by.name() + " has number " + text(first.number) +
                                  " of node " + first.sender.name();
        if (first.sender != sender || first.number != number) throw Violation("total order: " + what + other);
        if (first.version != entry.version) throw Violation("versions are the same everywhere: " + what + other);
        if (first.timestamp != entry.timestamp) throw Violation("timestamps are the same everywhere: " + what + other);
        if (first.hash_after != entry.hash_after) throw Violation("equal states: " + what + other);
        return;
    }
    if (log.ended)
        throw Violation("a delivered message is delivered by every survivor: " + what + ", but node " +
                        log.ended_by.name() + " went on to the next view after " + text(log.entries.size()));
    uint64_t& last = last_time_[shard];
    if (event.timestamp_ns < last) throw Violation("time never goes back: " + what);
    if (event.timestamp_ns > latest_time())
        throw Violation("nobody's clock leads the others on: " + what + " is from " +
                        text(event.timestamp_ns - latest_time()) + " ns ahead of what a clock may show");
    last = event.timestamp_ns;
    log.entries.push_back(entry);
    log.longest_by = at.self;
    ++messages_;
}

void Ledger::as_of(const Replica& at, const derecho_event& event, uint64_t version) const {
    if (liars_.contains(at.self)) return;
    const State& state = at.states[event.shard];
    if (version != state.version || event.timestamp_ns != state.timestamp_ns)
        throw Violation("queries and states are as of the last message: " + where(at, event.shard) +
                        ", an event of kind " + text(event.kind) + " is as of version " + text(version) + ", not " +
                        text(state.version));
}

void Ledger::closed(Replica& at, derecho_status status) {
    if (at.closed) throw Violation("CLOSED comes once: node " + at.self.name());
    if (status == DERECHO_CLOSED && !leavers_.contains(at.self) && !liars_.contains(at.self))
        throw Violation("only who asked to leave has left: node " + at.self.name());
    if (status == DERECHO_CLOSED) departed_.insert(at.self);
    at.closed = true;
}

// ------------------------------------------------------------------------------------------------- the end

void Ledger::check_chain() const {
    for (const auto& [id, view] : views_) {
        const auto before = views_.find(id - 1);
        if (before == views_.end()) continue;
        size_t voted = 0, kept = 0;
        for (const Member& member : before->second.members) {
            const Life life{raw(member.node), member.incarnation};
            voted += member.votes;
            kept += member.votes &&
                    (view.holds(member.node, member.incarnation) || leavers_.contains(life) || liars_.contains(life));
        }
        if (2 * kept <= voted)
            throw Violation("primary partition: " + members(view) + " has no majority of " + members(before->second));
    }
}

void Ledger::check_all_delivered(const Life& sender, const Replica& at) const {
    if (suspects_.contains(sender)) return;
    for (uint32_t shard = 0; shard < shards_; ++shard) {
        const auto found = sent_.find({sender, shard});
        if (found == sent_.end()) continue;
        const auto& all = found->second.in_order;
        const auto next = at.states[shard].next.find(sender);
        for (uint64_t n = next == at.states[shard].next.end() ? 0 : next->second; n < all.size(); ++n)
            if (all[n].fate != Fate::aborted)
                throw Violation("nothing is lost: number " + text(all[n].number) + " of node " + sender.name() +
                                " in shard " + text(shard) + (all[n].fate == Fate::open ? " (open)" : "") +
                                " never came to node " + at.self.name() + ", which is in view " +
                                text(raw(at.view.id)));
    }
}

void Ledger::check_equal(const Replica& a, const Replica& b) const {
    const std::string who = "node " + a.self.name() + " and node " + b.self.name();
    if (!(a.view == b.view))
        throw Violation("one last view: " + who + " have " + members(a.view) + ", " + members(b.view));
    for (uint32_t shard = 0; shard < shards_; ++shard)
        if (a.states[shard].hash != b.states[shard].hash)
            throw Violation("equal states: " + who + " differ in shard " + text(shard) + " after " +
                            text(a.states[shard].messages) + " and " + text(b.states[shard].messages) + " messages");
}

}  // namespace libderecho::sim
