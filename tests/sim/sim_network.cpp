#include "sim/sim_network.hpp"

#include <algorithm>
#include <cstring>

#include "base/assert.hpp"

namespace libderecho::sim {
namespace {

PeerEvent lost_event(const Link& link, Status why) {
    PeerEvent event;
    event.kind = PeerEvent::Kind::lost;
    event.peer = link.from->self();
    event.incarnation = link.from->incarnation();
    event.status = std::move(why);
    return event;
}

}  // namespace

Network::Network(uint64_t seed, Weather weather) : weather_(weather), random_(seed), devices_(Random(seed ^ 0xd1ec7)) {}
Network::~Network() = default;

// ------------------------------------------------------------------------------------------------- time

void Network::at(Instant when, std::function<void()> act) {
    events_.push({std::max(when, now_), events_made_++, std::move(act)});
}

Instant Network::next() const { return events_.empty() ? kNever : events_.top().at; }

void Network::advance_to(Instant to) {
    while (!events_.empty() && events_.top().at <= to) {
        auto act = std::move(const_cast<Event&>(events_.top()).act);  // moved from, then popped at once
        now_ = events_.top().at;
        events_.pop();
        act();
    }
    now_ = std::max(now_, to);
}

Instant Network::draw_arrival() {
    const bool stall = random_.chance(weather_.stall);
    return now_ + Duration{stall ? random_.between(weather_.delay_max_ns, weather_.stall_max_ns)
                                 : random_.magnitude(weather_.delay_min_ns, weather_.delay_max_ns)};
}

void Network::wake(SimFabric& process) {
    if (on_wake && process.alive()) on_wake(process);
}

// ------------------------------------------------------------------------------------------------- processes

SimFabric& Network::start(const ProcessOptions& options) {
    DERECHO_ASSERT(!listening(options.address));
    processes_.push_back(std::make_unique<SimFabric>(*this, options));
    return *processes_.back();
}

SimFabric* Network::listening(const std::string& address) {
    for (const auto& process : processes_)
        if (process->alive() && process->address() == address) return process.get();
    return nullptr;
}

void Network::kill(SimFabric& process, Death death) {
    if (!process.alive()) return;
    process.die();
    for (Link* link : process.all_outgoing()) {
        if (!link->open || !link->sending) continue;
        truncate(*link, death);
        link->sending = false;
        for (auto& [id, pages] : link->mirrors) pages->freeze();
        for (Item& item : link->queue) {
            if (item.kind != Item::Kind::announce) continue;
            if (item.source) item.source->freeze();
            for (Item& one : item.together)
                if (one.source) one.source->freeze();
        }
        if (death == Death::silent) continue;
        Item lost{.kind = Item::Kind::lost, .reason = failure(DERECHO_REMOVED, "its process died")};
        post(*link, std::move(lost), now_ + Duration{random_.magnitude(weather_.lost_min_ns, weather_.lost_max_ns)});
    }
    for (Link* link : process.all_incoming()) close_incoming(*link);
}

// What was under way when the writer died, or the connection: some prefix of it arrives.
void Network::truncate(Link& link, Death death) {
    if (death == Death::clean || link.queue.empty()) return;
    link.queue.resize(random_.below(link.queue.size() + 1));
    if (link.queue.empty()) link.last_due = now_;
}

void Network::cut(SimFabric& a, SimFabric& b) {
    for (Link* link : {outgoing(a, b), outgoing(b, a)}) {
        if (!link || !link->open || !link->sending) continue;
        truncate(*link, Death::cut);
        link->sending = false;
        Item lost{.kind = Item::Kind::lost, .reason = failure(DERECHO_REMOVED, "the connection broke")};
        post(*link, std::move(lost), now_ + Duration{random_.magnitude(weather_.lost_min_ns, weather_.lost_max_ns)});
    }
}

Link* Network::outgoing(const SimFabric& from, const SimFabric& to) {
    for (const auto& link : links_)
        if (link->open && link->from == &from && link->to == &to) return link.get();
    return nullptr;
}

void Network::disconnect(SimFabric& at, Link& incoming) {
    SimFabric& peer = *incoming.from;
    at.cut_off().insert({raw(peer.self()), peer.incarnation()});
    close_incoming(incoming);
    Link* back = outgoing(at, peer);
    if (!back || !back->sending) return;
    back->sending = false;
    Item lost{.kind = Item::Kind::lost, .reason = failure(DERECHO_REMOVED, "the other side disconnected")};
    post(*back, std::move(lost), now_ + Duration{random_.magnitude(weather_.lost_min_ns, weather_.lost_max_ns)});
}

void Network::close_incoming(Link& link) {
    if (!link.open) return;
    link.open = false;
    if (link.access) link.access->shut();
    link.queue.clear();
    for (auto& [id, pages] : link.mirrors) pages->freeze();
}

// ------------------------------------------------------------------------------------------------- connecting

void Network::connect(SimFabric& from, std::string address) {
    at(draw_arrival(), [this, &from, address = std::move(address)] { try_connect(from, address); });
}

void Network::refuse(SimFabric& from, const std::string& address, Status why, const SimFabric* who) {
    at(draw_arrival(), [this, &from, address, why = std::move(why), who] {
        if (!from.alive()) return;
        PeerEvent event;
        event.kind = PeerEvent::Kind::refused;
        event.address = address;
        event.status = why;
        event.accepted = who != nullptr;
        if (who) event.peer = who->self(), event.incarnation = who->incarnation();
        from.add_event(std::move(event));
        wake(from);
    });
}

void Network::try_connect(SimFabric& from, const std::string& address) {
    if (!from.alive()) return;
    SimFabric* listener = listening(address);
    const auto unreachable = [&](const char* why) { refuse(from, address, failure(DERECHO_UNREACHABLE, why)); };
    if (!listener) return unreachable("nobody listens there");
    if (listener == &from) return unreachable("that is this node itself");
    for (const auto& [a, b] : blocked_)
        if ((a == from.self() && b == listener->self()) || (b == from.self() && a == listener->self()))
            return unreachable("no route");
    if (from.incoming(listener->self()) && from.incoming(listener->self())->from == listener) return;
    if (listener->cut_off().contains({raw(from.self()), from.incarnation()}) ||
        from.cut_off().contains({raw(listener->self()), listener->incarnation()}))
        return refuse(from, address, failure(DERECHO_EJECTED, "it cut this node off"), listener);
    if (listener->incoming(from.self()) && listener->incoming(from.self())->from == &from)
        return unreachable("the last connection is not over yet");
    if (duplicate_refused(from, *listener) || duplicate_refused(*listener, from))
        return refuse(from, address, failure(DERECHO_DUPLICATE, "it is connected to another node with this id"),
                      listener);
    if (from.group() && listener->group() && from.group() != listener->group()) return meet(from, *listener, address);
    make_connection(from, *listener);
}

// Members of two groups: they are not connected, and both are told.
void Network::meet(SimFabric& from, SimFabric& listener, const std::string& address) {
    const Status why = failure(DERECHO_INCOMPATIBLE, "there are two groups of this name");
    refuse(from, address, why, &listener);
    PeerEvent event;
    event.kind = PeerEvent::Kind::other_group;
    event.peer = from.self();
    event.group = from.group();
    event.status = why;
    listener.add_event(std::move(event));
    wake(listener);
}

// Another life of `from` may still count as connected at the listener. If it is dead in truth the listener may notice
// right now, or not yet.
bool Network::duplicate_refused(SimFabric& from, SimFabric& listener) {
    Link* old = listener.incoming(from.self());
    if (!old) return false;
    if (old->from->alive() || random_.chance(0.5)) return true;
    const bool reported = old->reported;
    close_incoming(*old);
    if (reported) listener.add_event(lost_event(*old, failure(DERECHO_REMOVED, "a new life of it connected")));
    return false;
}

void Network::make_connection(SimFabric& dialer, SimFabric& listener) {
    SimFabric* ends[] = {&dialer, &listener};
    for (int n = 0; n < 2; ++n) {
        auto made = std::make_unique<Link>();
        Link& link = *made;
        links_.push_back(std::move(made));
        link.from = ends[n];
        link.to = ends[1 - n];
        link.dialed = n == 1;
        link.group = link.from->group();
        link.time_ns = now_.ns + static_cast<uint64_t>(link.from->clock_offset_ns());
        link.shared = dialer.host() == listener.host();
        link.made = link.from->pushes_made();
        for (const auto& [peer, id] : link.to->refused_in_advance())
            if (peer == link.from->self()) link.refused.insert(id);
        link.from->all_outgoing().push_back(&link);
        link.to->all_incoming().push_back(&link);
        post(link, {.kind = Item::Kind::up}, draw_arrival());
        Item all{.kind = Item::Kind::announce};
        for (const auto& region : link.from->regions()) {
            if (region->retired || !region->read_by(link.to->self())) continue;
            Item item{.kind = Item::Kind::announce, .region = region->id};
            item.size_bytes = region->bytes().size();
            if (link.shared)
                item.source = region->pages->share();
            else
                item.values.assign(region->bytes().begin(), region->bytes().end());
            all.together.push_back(std::move(item));
        }
        post(link, std::move(all), draw_arrival());
    }
}

// ------------------------------------------------------------------------------------------------- moving bytes

void Network::block(NodeId from, NodeId to, bool blocked) {
    const auto pair = std::make_pair(from, to);
    std::erase(blocked_, pair);
    if (blocked) blocked_.push_back(pair);
    for (const auto& link : links_)
        if (link->open && link->from->self() == from && link->to->self() == to) schedule(*link);
}

bool Network::is_blocked(const Link& link) const {
    if (link.shared || blocked_.empty()) return false;
    return std::find(blocked_.begin(), blocked_.end(), std::make_pair(link.from->self(), link.to->self())) !=
           blocked_.end();
}

// In any direction.
bool Network::is_blocked(NodeId a, NodeId b) const {
    return std::ranges::any_of(blocked_,
                               [&](const auto& pair) { return pair == std::pair(a, b) || pair == std::pair(b, a); });
}

void Network::post(Link& link, Item item, Instant earliest) {
    if (!link.open) return;
    item.due = link.last_due = std::max(earliest, link.last_due);
    link.queue.push_back(std::move(item));
    schedule(link);
}

void Network::schedule(Link& link) {
    if (link.queue.empty() || is_blocked(link)) return;
    const Instant due = std::max(link.queue.front().due, now_);
    if (link.scheduled <= due && link.scheduled >= now_) return;
    link.scheduled = due;
    at(due, [this, &link, due] {
        if (link.scheduled == due) link.scheduled = kNever;
        deliver_due(link);
    });
}

void Network::deliver_due(Link& link) {
    if (is_blocked(link)) return;
    while (!link.queue.empty() && link.queue.front().due <= now_) deliver_front(link);
    schedule(link);
}

void Network::deliver_front(Link& link) {
    Item item = std::move(link.queue.front());
    link.queue.pop_front();
    if (!link.to->alive()) return;
    apply(link, item);
    if (item.wakes) wake(*link.to);
}

void Network::apply(Link& link, Item& item) {
    SimFabric& reader = *link.to;
    switch (item.kind) {
        case Item::Kind::up: {
            link.reported = true;
            PeerEvent event;
            event.peer = link.from->self();
            event.incarnation = link.from->incarnation();
            event.client = link.from->client();
            event.address = link.from->address();
            event.dialed = link.dialed;
            event.group = link.group;
            event.time_ns = link.time_ns;
            reader.add_event(std::move(event));
            return;
        }
        case Item::Kind::announce: {
            for (Item& one : item.together) apply(link, one);
            if (item.size_bytes == 0) return;
            if (link.refused.contains(item.region)) return;
            auto pages = link.shared ? item.source : Pages::make(item.size_bytes, false);
            if (!item.values.empty()) std::memcpy(pages->bytes().data(), item.values.data(), item.values.size());
            link.mirrors[item.region] = std::move(pages);
            return;
        }
        case Item::Kind::bytes: {
            const auto found = link.mirrors.find(item.region);
            if (found == link.mirrors.end()) return;  // forgotten
            const std::byte* bytes =
                item.values.empty() ? item.source->bytes().data() + item.offset : item.values.data();
            std::memcpy(found->second->bytes().data() + item.offset, bytes, item.size_bytes);
            return;
        }
        case Item::Kind::wake:
            return;
        case Item::Kind::lost: {
            const bool reported = link.reported;
            close_incoming(link);
            if (reported) reader.add_event(lost_event(link, item.reason));
            return;
        }
    }
}

void Network::deliver_some_early(SimFabric& reader) {
    if (!reader.alive() || reader.all_incoming().empty() || !random_.chance(weather_.mid_step)) return;
    Link& link = *reader.all_incoming()[random_.below(reader.all_incoming().size())];
    if (is_blocked(link) || !link.open) return;
    // Not the events: those come with poll() alone.
    for (uint64_t n = random_.between(1, 4); n > 0 && !link.queue.empty(); --n) {
        const auto kind = link.queue.front().kind;
        if (kind == Item::Kind::up || kind == Item::Kind::lost) break;
        deliver_front(link);
    }
}

}  // namespace libderecho::sim
