#include "rpc/digests.hpp"

#include <algorithm>

#include "base/coverage.hpp"

namespace libderecho {
namespace {

// Bounds of what is remembered. Beyond them the oldest is not compared.
constexpr size_t kIntervalsMax = 256;
constexpr size_t kReportsMax = 1024;  // of one member
constexpr uint64_t kViewsKept = 16;
constexpr size_t kOwedMax = 1 << 18;
constexpr size_t kDifferencesMax = 256;
constexpr size_t kSavingsMax = 4;  // of states, under way in one shard

NodeLife life_of(const Member& member) { return {member.node, member.incarnation}; }

// "node 3", "nodes 1, 2".
std::string named(const std::vector<NodeLife>& nodes) {
    std::string text = nodes.size() == 1 ? "node " : "nodes ";
    for (size_t n = 0; n < nodes.size(); ++n) text += (n > 0 ? ", " : "") + std::to_string(raw(nodes[n].node));
    return text;
}

}  // namespace

uint64_t answer_digest(derecho_status status, std::span<const std::byte> data, uint64_t seed) {
    return status == DERECHO_OK ? digest_of(data, seed) : digest_of({}, ~seed - static_cast<uint64_t>(status));
}

Digests::Locked::~Locked() {
    digests_.has_events_.store(!digests_.due_.empty() || digests_.not_given_ > 0, std::memory_order_relaxed);
    digests_.has_letters_.store(!digests_.letters_.empty(), std::memory_order_relaxed);
    digests_.any_found_.store(digests_.not_over_ > 0 || !digests_.unsaved_.empty(), std::memory_order_relaxed);
}

Digests::Digests(const GroupOptions& options)
    : options_(options), self_(options.self), shards_(options.services.size()) {}

// ------------------------------------------------------------------------------------------------ intervals

void Digests::taken(std::span<const derecho_event> events, const View* view) {
    const Locked lock(*this);
    for (const derecho_event& event : events) {
        if (event.kind == DERECHO_EVENT_VIEW && view) enter(*view);
        if (event.kind == DERECHO_EVENT_CALL && view_) count(event);
    }
}

void Digests::enter(const View& view) {
    for (uint32_t shard = 0; shard < shards_.size(); ++shard) {
        close(shard);
        shards_[shard] = {};
    }
    view_ = std::make_shared<const View>(view);
    const auto is_old = [&](const Report& r) { return r.key.view + kViewsKept < raw(view.id); };
    for (auto& [node, reports] : reports_) std::erase_if(reports, is_old);
    std::erase_if(reports_, [](const auto& of) { return of.second.empty(); });
}

void Digests::count(const derecho_event& call) {
    Shard& shard = shards_[call.shard];
    if (!shard.open) {
        if (intervals_.size() >= kIntervalsMax) drop_oldest();
        Interval& made = intervals_.emplace_back();
        made.key = {raw(view_->id), call.shard, shard.intervals};
        made.view = view_;
        shard.open = &made;
    }
    Interval& interval = *shard.open;
    interval.version = call.version;
    ++interval.calls;
    if (!of_states() && (call.flags & DERECHO_FLAG_REPLY)) owe(interval, call);
    if (interval.calls == options_.digest.every) close(call.shard);
}

void Digests::owe(Interval& interval, const derecho_event& call) {
    if (interval.lost) return;
    if (owed_.size() >= kOwedMax) return give_up(interval);
    ++interval.owed;
    Interval* const forgotten = owed_.put({call.id, call.node, call.version, &interval});
    if (forgotten) give_up(*forgotten);
}

// The interval ends here.
void Digests::close(uint32_t index) {
    Shard& shard = shards_[index];
    Interval* const interval = std::exchange(shard.open, nullptr);
    if (!interval) return;
    ++shard.intervals;
    interval->closed = true;
    if (interval->lost) return forget(*interval);
    if (!of_states()) {
        if (interval->owed == 0) finish(*interval, interval->sum);
        return;
    }
    const auto under_way = std::ranges::count_if(
        intervals_, [&](const Interval& i) { return i.key.shard == index && i.request != 0 && !i.own; });
    if (static_cast<size_t>(under_way) >= kSavingsMax || shard.unsaved) return;  // others will be compared
    interval->request = ++requests_ << 8 | index;
    due_.push_back(interval->request);
}

void Digests::view_ends() {
    const Locked lock(*this);
    for (uint32_t shard = 0; shard < shards_.size(); ++shard) close(shard);
}

uint64_t Digests::events_until_due() const {
    const std::lock_guard lock(mutex_);
    uint64_t least = options_.digest.every;
    for (const Shard& shard : shards_)
        if (shard.open) least = std::min(least, options_.digest.every - shard.open->calls);
    return least;
}

bool Digests::take_due(derecho_event& event) {
    const Locked lock(*this);
    while (!due_.empty()) {
        const uint64_t request = due_.front();
        due_.pop_front();
        Interval* const interval = requested(request);
        if (interval && shards_[interval->key.shard].unsaved) interval->request = 0;
        if (!interval || interval->request == 0) continue;
        event.kind = DERECHO_EVENT_STATE_REQUEST;
        event.node = raw(self_);
        event.id = request;
        event.shard = interval->key.shard;
        event.flags = DERECHO_FLAG_OWN;
        return true;
    }
    return false;
}

// ------------------------------------------------------------------------------------------------ this node's digests

void Digests::answered(NodeId caller, uint64_t call, derecho_status status, std::span<const std::byte> data) {
    const Locked lock(*this);
    const auto owed = owed_.take(raw(caller), call);
    if (!owed) return;
    Interval& interval = *owed->of;
    interval.sum += answer_digest(status, data, owed->version);
    ++interval.answers;
    if (--interval.owed == 0 && interval.closed) finish(interval, interval.sum);
}

Digests::Interval* Digests::requested(uint64_t request) {
    const auto found = std::ranges::find(intervals_, request, &Interval::request);
    return request == 0 || found == intervals_.end() ? nullptr : &*found;
}

derecho_status Digests::state_piece(uint64_t request, std::span<const std::byte> data, bool last) {
    const Locked lock(*this);
    if ((request & 0xff) >= shards_.size() || request >> 8 > requests_) return DERECHO_INVALID;
    Interval* const interval = requested(request);
    if (!interval || interval->own) return DERECHO_OK;  // nobody waits for it any more
    interval->state.add(data);
    if (last) finish(*interval, interval->state.value());
    return DERECHO_OK;
}

derecho_status Digests::state_failed(uint64_t request, std::string_view why) {
    const Locked lock(*this);
    const size_t shard = request & 0xff;
    if (shard >= shards_.size() || request >> 8 > requests_) return DERECHO_INVALID;
    Interval* const interval = requested(request);
    if (!interval) return DERECHO_OK;
    interval->request = 0;
    const bool of_this_view = interval->key.view == raw(view_->id);
    if (!of_this_view || !std::exchange(shards_[shard].unsaved, true))
        unsaved_.push_back("the state of " + options_.services[shard].name + " at node " + std::to_string(raw(self_)) +
                           " is not compared with that of others, for it cannot be saved: " + std::string(why));
    return DERECHO_OK;
}

void Digests::finish(Interval& interval, uint64_t digest) {
    if (!of_states() && interval.answers == 0) return forget(interval);  // nobody wanted any: that is so at all
    interval.own = digest;
    for (const Member& member : interval.view->members) {
        if (member.node == self_ || !view_->holds(member.node, member.incarnation)) continue;
        letters_.push_back({member.node, {interval.key.view, interval.key.shard, interval.key.interval}, digest});
    }
    compare(interval);
}

// It is counted on to its end, and not compared.
void Digests::give_up(Interval& interval) {
    interval.lost = true;
    if (interval.owed > 0) owed_.forget(&interval);
    interval.owed = 0;
    if (interval.closed) forget(interval);
}

void Digests::drop_oldest() {
    const auto oldest = std::ranges::find_if(intervals_, [](const Interval& i) { return i.closed; });
    if (oldest != intervals_.end()) give_up(*oldest);
}

void Digests::forget(const Interval& interval) {
    std::erase_if(intervals_, [&](const Interval& i) { return &i == &interval; });
}

// ------------------------------------------------------------------------------------------------ other members

bool Digests::heard(NodeLife from, std::span<const std::byte> letter) {
    DigestHeader header;
    Report report;
    report.incarnation = from.incarnation;
    if (!read_header(letter, header) || letter.size() != sizeof header + sizeof report.digest) return false;
    if (header.shard >= shards_.size()) return false;
    std::memcpy(&report.digest, letter.data() + sizeof header, sizeof report.digest);
    report.key = {header.view, header.shard, header.interval};
    const Locked lock(*this);
    auto& known = reports_[from.node];
    if (known.size() >= kReportsMax) known.pop_front();
    known.push_back(report);
    compare(report.key);
    return true;
}

std::optional<uint64_t> Digests::reported(const Interval& interval, const Member& member) const {
    if (member.node == self_) return interval.own;
    const auto of = reports_.find(member.node);
    if (of == reports_.end()) return std::nullopt;
    for (const Report& report : of->second)
        if (report.key == interval.key && report.incarnation == member.incarnation) return report.digest;
    return std::nullopt;
}

void Digests::compare(const Key& key) {
    const auto interval = std::ranges::find(intervals_, key, &Interval::key);
    if (interval != intervals_.end() && interval->closed) compare(*interval);
}

void Digests::compare(Interval& interval) {
    std::map<uint64_t, std::vector<NodeLife>> said;
    size_t silent = 0, spoke = 0;
    for (const Member& member : interval.view->members) {
        const auto digest = reported(interval, member);
        if (digest) {
            said[*digest].push_back(life_of(member));
            ++spoke;
        } else if (view_->holds(member.node, member.incarnation)) {
            ++silent;
        }
    }
    totals_.compared += spoke - std::exchange(interval.reports_seen, spoke);
    const size_t members = interval.view->members.size();
    const auto most = std::ranges::max_element(said, {}, [](const auto& group) { return group.second.size(); });
    if (most == said.end()) return;
    const bool majority = 2 * most->second.size() > members;
    if (majority && said.size() > 1) {
        for (const auto& [digest, nodes] : said)
            for (const NodeLife& node : nodes)
                if (digest != most->first)
                    tell(interval, interval.view->members[raw(*interval.view->rank_of(node.node))], most->second);
    } else if (said.size() > 1 && 2 * (most->second.size() + silent) <= members) {
        tell_split(interval, said);
    }
    if (silent > 0) return;
    const Key key = interval.key;
    for (auto& [node, reports] : reports_) std::erase_if(reports, [&](const Report& r) { return r.key == key; });
    forget(interval);
}

// ------------------------------------------------------------------------------------------------ what is found

std::string Digests::subject(const Interval& interval) const {
    const std::string service = options_.services[interval.key.shard].name;
    const std::string version = std::to_string(interval.version);
    return of_states() ? "the state of " + service + " as of version " + version
                       : "what the calls of " + service + " up to version " + version + " were answered";
}

void Digests::add(Difference difference) {
    if (differences_.size() >= kDifferencesMax) return;
    differences_.push_back(std::move(difference));
    ++not_given_;
    ++not_over_;
    ++totals_.differences;
}

void Digests::tell(const Interval& interval, const Member& member, std::vector<NodeLife> majority) {
    for (Difference& known : differences_) {
        if (known.key.shard != interval.key.shard || known.who != life_of(member)) continue;
        known.majority = std::move(majority);
        return;
    }
    coverage::hit(coverage::Branch::replica_differs);
    const bool self = member.node == self_;
    std::string text = "the replica of node " + std::to_string(raw(member.node)) + (self ? " (this one)" : "") +
                       " differs from that of " + named(majority) + ": " + subject(interval) + " is not the same";
    add({interval.key, interval.version, life_of(member), std::move(majority), std::move(text)});
}

void Digests::tell_split(const Interval& interval, const std::map<uint64_t, std::vector<NodeLife>>& said) {
    const NodeLife nobody{NodeId{DERECHO_ANY_NODE}, interval.key.view};
    const auto same = [&](const Difference& d) { return d.key.shard == interval.key.shard && d.who == nobody; };
    if (std::ranges::any_of(differences_, same)) return;
    coverage::hit(coverage::Branch::replicas_split);
    std::string text = "replicas differ, and none of them are a majority: " + subject(interval) + " is one thing at ";
    bool first = true;
    for (const auto& [digest, nodes] : said)
        text += (std::exchange(first, false) ? "" : ", another at ") + named(nodes);
    add({interval.key, interval.version, nobody, {}, std::move(text)});
}

bool Digests::take_difference(derecho_event& event) {
    const Locked lock(*this);
    const auto next = std::ranges::find_if(differences_, [](const Difference& d) { return !d.given; });
    if (next == differences_.end()) return false;
    next->given = true;
    --not_given_;
    event.kind = DERECHO_EVENT_DIFFERENCE;
    event.node = raw(next->who.node);
    event.version = next->version;
    event.shard = next->key.shard;
    event.status = DERECHO_DIFFERS;
    event.flags = next->who.node == self_ ? DERECHO_FLAG_OWN : 0;
    event.data = next->text.data();
    event.size_bytes = next->text.size();
    return true;
}

Digests::Verdict Digests::judge(Instant now, const View& current) {
    const Locked lock(*this);
    Verdict verdict;
    verdict.troubles = std::exchange(unsaved_, {});
    for (Difference& difference : differences_)
        if (!difference.over) {
            decide(difference, now, current, verdict);
            not_over_ -= difference.over;
        }
    return verdict;
}

// Those that agree go on, if they can.
bool Digests::may_go(const Difference& difference, const View& current) const {
    const auto agrees = [&](const Member& member) {
        return member.votes && std::ranges::find(difference.majority, life_of(member)) != difference.majority.end();
    };
    return 2 * std::ranges::count_if(current.members, agrees) > std::ranges::count_if(current.members, &Member::votes);
}

void Digests::decide(Difference& difference, Instant now, const View& current, Verdict& verdict) {
    if (!std::exchange(difference.logged, true)) {
        verdict.troubles.push_back(difference.text);
        difference.found = now;
    }
    const auto& [node, incarnation] = difference.who;
    const bool split = raw(node) == DERECHO_ANY_NODE;
    const Duration since = now - difference.found;
    switch (options_.digest.policy) {
        case DigestOptions::Policy::report:
            difference.over = true;
            return;
        case DigestOptions::Policy::stop:
            // What the others need to find out is on its way.
            if (since < options_.heartbeat) return;
            verdict.end = failure(DERECHO_DIFFERS, "stopped, as option digest_policy says: " + difference.text);
            difference.over = true;
            return;
        case DigestOptions::Policy::eject:
            difference.over = split || !current.holds(node, incarnation);
            if (difference.over || !may_go(difference, current)) return;
            if (node == self_ && since >= options_.heartbeat) {
                verdict.end = failure(DERECHO_EJECTED, difference.text + "; start it anew, and it gets theirs");
            } else if (node != self_ && since >= options_.suspect_after) {
                verdict.expel.emplace_back(node, difference.text);
            } else {
                return;
            }
            difference.over = true;
            return;
    }
}

Digests::Totals Digests::totals() const {
    const std::lock_guard lock(mutex_);
    return totals_;
}

}  // namespace libderecho
