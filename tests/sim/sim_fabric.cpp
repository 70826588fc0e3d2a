#include "sim/sim_fabric.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "sim/sim_network.hpp"

namespace libderecho::sim {

bool SimRegion::read_by(NodeId peer) const { return std::find(readers.begin(), readers.end(), peer) != readers.end(); }

SimFabric::SimFabric(Network& network, const ProcessOptions& options)
    : network_(network),
      id_(options.id),
      incarnation_(options.incarnation),
      address_(options.address),
      host_(options.host),
      client_(options.client) {}

void SimFabric::connect(std::string_view address) {
    if (alive_) network_.connect(*this, std::string(address));
}

void SimFabric::disconnect(NodeId peer) {
    Link* link = incoming(peer);
    if (alive_ && link) network_.disconnect(*this, *link);
}

bool SimFabric::connected(NodeId peer) const {
    const Link* link = incoming(peer);
    return link && link->reported;
}

Link* SimFabric::incoming(NodeId peer) const {
    for (Link* link : incoming_)
        if (link->open && link->from->self() == peer) return link;
    return nullptr;
}

Region* SimFabric::expose(RegionId id, size_t size_bytes, std::span<const NodeId> readers) {
    if (no_memory) return nullptr;
    for (const auto& region : regions_) DERECHO_ASSERT(region->id != id);  // never used twice by one owner
    auto region = std::make_unique<SimRegion>(id, Pages::make(size_bytes, true),
                                              std::vector<NodeId>(readers.begin(), readers.end()));
    SimRegion* made = region.get();
    regions_.push_back(std::move(region));
    if (!alive_) return made;
    for (Link* link : outgoing_) {
        if (!link->sending || !made->read_by(link->to->self())) continue;
        Item item{.kind = Item::Kind::announce, .region = id};
        item.size_bytes = size_bytes;
        if (link->shared) item.source = made->pages->share();
        network_.post(*link, std::move(item), network_.draw_arrival());
    }
    return made;
}

SimRegion& SimFabric::own(Region& region) {
    auto& mine = static_cast<SimRegion&>(region);
    DERECHO_ASSERT(!mine.retired);
    return mine;
}

// Whatever is still on its way from this region is read now: its owner may not change it any more, and from here on
// may not even look at it.
void SimFabric::stop_reading_from(SimRegion& region) {
    const auto read_now = [&](auto& push) {
        if (push.source != region.pages || !push.values.empty()) return;
        const auto bytes = region.bytes().subspan(push.offset, push.size_bytes);
        push.values.assign(bytes.begin(), bytes.end());
    };
    for (Link* link : outgoing_)
        for (Item& item : link->queue)
            if (item.kind == Item::Kind::bytes) read_now(item);
    for (Push& push : pending_) read_now(push);
}

void SimFabric::retire(Region* region) {
    SimRegion& mine = own(*region);
    stop_reading_from(mine);
    mine.retired = true;
    mine.pages->close();  // a shared mirror is a mapping of its own
}

std::span<const std::byte> SimFabric::mirror(NodeId peer, RegionId id) {
    network_.deliver_some_early(*this);
    // The newest connection first; those that were lost keep what had arrived.
    for (auto link = incoming_.rbegin(); link != incoming_.rend(); ++link) {
        if ((*link)->from->self() != peer) continue;
        const auto found = (*link)->mirrors.find(id);
        if (found != (*link)->mirrors.end()) return found->second->bytes();
    }
    return {};
}

void SimFabric::forget(NodeId peer, RegionId id) {
    Link* newest = nullptr;
    for (Link* link : incoming_) {
        if (link->from->self() != peer) continue;
        newest = link;
        const auto found = link->mirrors.find(id);
        if (found == link->mirrors.end()) continue;
        found->second->close();
        link->mirrors.erase(found);
        return;
    }
    if (newest)
        newest->refused.insert(id);
    else
        refused_in_advance_.insert({peer, id});
}

void SimFabric::push_data(Region& region, size_t offset, size_t size_bytes) {
    push(region, offset, size_bytes, false, true);
}

void SimFabric::push_counters(Region& region, size_t offset, size_t size_bytes) {
    DERECHO_ASSERT(size_bytes <= 4096);
    push(region, offset, size_bytes, true, true);
}

void SimFabric::push_quietly(Region& region, size_t offset, size_t size_bytes) {
    DERECHO_ASSERT(size_bytes <= 4096);
    push(region, offset, size_bytes, true, false);
}

void SimFabric::push(Region& region, size_t offset, size_t size_bytes, bool counters, bool wakes) {
    SimRegion& mine = own(region);
    DERECHO_ASSERT(offset + size_bytes <= mine.bytes().size());
    if (!alive_) return;
    ++stats_.pushes;
    network_.deliver_some_early(*this);
    Push push{.region = &mine, .source = mine.pages, .offset = offset, .size_bytes = size_bytes};
    push.by_reference = !counters && !on_bytes && !network_.random().chance(network_.weather().copy_early);
    push.wakes = wakes;
    push.number = ++pushes_made_;
    if (!push.by_reference) {
        const auto bytes = mine.bytes().subspan(offset, size_bytes);
        push.values.assign(bytes.begin(), bytes.end());
        if (on_bytes) on_bytes(mine.id, offset, push.values);
    }
    pending_.push_back(std::move(push));
    if (on_post) on_post({counters ? Post::Kind::counters : Post::Kind::data, mine.id, mine.bytes().size()});
}

void SimFabric::push_again(RegionId region, size_t offset, size_t size_bytes) {
    const auto found = std::ranges::find_if(regions_, [&](const auto& r) { return r->id == region && !r->retired; });
    if (found == regions_.end()) return;
    push(**found, offset, size_bytes, size_bytes <= 4096, true);
    flush();
}

void SimFabric::flush() {
    if (!alive_) return;
    network_.deliver_some_early(*this);
    for (Link* link : outgoing_) {
        if (!link->sending) continue;
        Instant at = network_.draw_arrival();
        for (const Push& push : pending_) {
            if (push.number <= link->made || !push.region->read_by(link->to->self())) continue;
            if (network_.random().chance(network_.weather().scatter)) at = std::max(at, network_.draw_arrival());
            send(*link, push, at);
        }
    }
    pending_.clear();
    if (on_post) on_post({Post::Kind::flush});
}

void SimFabric::send(Link& link, const Push& push, Instant at) {
    if (link.shared) {  // visible since it was stored; what remains is to wake the reader
        if (push.wakes) network_.post(link, {.kind = Item::Kind::wake}, at);
        return;
    }
    if (push.size_bytes == 0) return;
    if (!push.by_reference && push.size_bytes > 8 && network_.random().chance(network_.weather().tear))
        return send_torn(link, push, at);
    Item item{.kind = Item::Kind::bytes, .wakes = push.wakes, .region = push.region->id, .source = push.source};
    item.offset = push.offset;
    item.size_bytes = push.size_bytes;
    item.values = push.values;
    network_.post(link, std::move(item), at);
}

// The words of one push have no order among themselves: send some aligned piece ahead of the rest, or behind it.
void SimFabric::send_torn(Link& link, const Push& push, Instant at) {
    Random& random = network_.random();
    std::vector<size_t> cuts{0, push.size_bytes};  // piece boundaries, on aligned words
    for (int n = 0; n < 3; ++n) {
        const size_t word = (push.offset + random.below(push.size_bytes)) / 8 * 8;
        if (word > push.offset) cuts.push_back(word - push.offset);
    }
    std::sort(cuts.begin(), cuts.end());
    cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
    std::vector<size_t> order;
    for (size_t n = 0; n + 1 < cuts.size(); ++n) order.push_back(n);
    for (size_t n = order.size(); n > 1; --n) std::swap(order[n - 1], order[random.below(n)]);
    for (const size_t n : order) {
        Item item{.kind = Item::Kind::bytes, .wakes = push.wakes, .region = push.region->id, .source = push.source};
        item.offset = push.offset + cuts[n];
        item.size_bytes = cuts[n + 1] - cuts[n];
        item.values.assign(push.values.begin() + static_cast<ptrdiff_t>(cuts[n]),
                           push.values.begin() + static_cast<ptrdiff_t>(cuts[n + 1]));
        network_.post(link, std::move(item), at);
        if (random.chance(0.5)) at = std::max(at, network_.draw_arrival());
    }
}

void SimFabric::poll(Instant, std::vector<PeerEvent>& events) {
    if (!alive_) return;
    for (PeerEvent& event : events_) events.push_back(std::move(event));
    events_.clear();
}

void SimFabric::wake() { network_.wake(*this); }

std::shared_ptr<DirectAccess> SimFabric::direct(NodeId peer) {
    Link* link = incoming(peer);
    if (!alive_ || !link || link->shared || !network_.devices().possible) return nullptr;
    if (!link->access) link->access = std::make_shared<SimAccess>(network_, *this, peer);
    return link->access;
}

Fabric::Stats SimFabric::stats() const {
    Stats stats = stats_;
    for (const auto& region : regions_)
        if (!region->retired) stats.memory_bytes += region->bytes().size();
    for (const Link* link : incoming_)
        for (const auto& [id, pages] : link->mirrors) stats.memory_bytes += pages->bytes().size();
    return stats;
}

void SimFabric::die() {
    for (auto& region : regions_)
        if (!region->retired) stop_reading_from(*region);
    pending_.clear();
    alive_ = false;
}

}  // namespace libderecho::sim
