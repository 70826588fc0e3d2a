#include "fabric/net/net_fabric.hpp"

#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <deque>

#include "base/assert.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/names.hpp"
#include "fabric/bootstrap/bootstrap.hpp"
#include "fabric/bootstrap/crowd.hpp"
#include "fabric/net/links.hpp"
#include "fabric/os/host.hpp"
#include "fabric/os/sleeper.hpp"
#include "fabric/regions/own_region.hpp"
#include "fabric/verbs/peers.hpp"

namespace libderecho {
namespace {

// Sockets are asked that often; what matters sooner is memory, or TCP data that every poll receives.
constexpr Duration kLookEvery = microseconds(200);
constexpr Duration kThreadNap = milliseconds(1);
constexpr size_t kPastLivesMax = 1024;
// For what was pushed to a peer over RDMA before the link is ended here: a living device takes microseconds. The driver
// has others to look after; who closes the node has time.
constexpr Duration kLastWords = milliseconds(10), kLastWordsAtEnd = milliseconds(500);

Status check_options(const NetFabricOptions& options) {
    const auto invalid = [](const std::string& what) { return failure(DERECHO_INVALID, what); };
    if (!options.group_name.empty())
        if (Status status = check_name("the group", options.group_name); !status.ok()) return status;
    if (options.services.size() > kServicesMax)
        return invalid("more than " + std::to_string(kServicesMax) + " services");
    for (const ServiceId& service : options.services)
        if (Status status = check_name("a service", service.name); !status.ok()) return status;
    if (options.listen.size() >= limits::address_bytes) return invalid("the listen address is too long");
    if (options.advertise.size() + 5 >= limits::address_bytes) return invalid("the advertised address is too long");
    if (options.listen.empty() && !options.client)
        return invalid("a member needs a listen address, such as 127.0.0.1:7001");
    return {};
}

}  // namespace

class NetFabricImpl final : public NetFabric, private Directory {
public:
    explicit NetFabricImpl(NetFabricOptions options) : options_(std::move(options)) {}
    ~NetFabricImpl() override { verbs_.settle(verbs_.links(), kLastWordsAtEnd); }

    Status open();

    NodeId self() const override { return options_.self; }
    void enter_group(GroupId group) override { bootstrap_->enter_group(group); }
    void set_clock(int64_t offset_ns) override { bootstrap_->set_clock(offset_ns); }
    const std::string& listen_address() const override { return bootstrap_->address(); }
    Wire wire_to(NodeId peer) const override;

    void connect(std::string_view address) override { bootstrap_->connect(address); }
    void disconnect(NodeId peer) override;
    void shut() override;
    bool connected(NodeId peer) const override;
    void set_members(std::span<const NodeLife> members) override;

    Region* expose(RegionId id, size_t size_bytes, std::span<const NodeId> readers) override;
    void retire(Region* region) override;
    std::span<const std::byte> mirror(NodeId peer, RegionId id) override;
    void forget(NodeId peer, RegionId id) override;

    void push_data(Region& region, size_t offset, size_t size_bytes) override;
    void push_counters(Region& region, size_t offset, size_t size_bytes) override;
    void push_quietly(Region& region, size_t offset, size_t size_bytes) override;
    void flush() override;

    void poll(Instant now, std::vector<PeerEvent>& events) override;
    void arm() override;
    void disarm() override { sleeper_.disarm(); }
    void wait(Duration at_most) override;
    void wake() override { sleeper_.wake(); }

    std::shared_ptr<DirectAccess> direct(NodeId peer) override;
    const Status* lacking() const override { return lacking_.ok() ? nullptr : &lacking_; }
    std::string why_not_exposed() const override { return why_not_exposed_; }
    Shortage shortage() const override { return bootstrap_->shortage(); }
    bool crowded() const override { return crowded_; }
    Stats stats() const override;

private:
    Verdict judge(const Hello& hello, bool never_up, Status& why) override;
    bool ever_up(NodeId node, uint64_t incarnation) const override;
    bool is_member(const Hello& hello) const override;
    Verdict make_place(const Hello& hello, bool dialed, Status& why) override;
    void linked(NewLink link) override;

    Peer* find(NodeId node) const;
    Standing standing_of(const Hello& hello) const;
    std::vector<Peer*> displaceable(bool only_large) const;
    void displace(std::span<Peer* const> strangers, const char* why);
    void limit_newcomers();
    Status make_memory(size_t size_bytes, RegionMemory& out) const;
    bool watch(Peer& peer);
    void count_neighbours();
    void attach(OwnRegion& region, Peer& peer, bool older_than_link);
    void detach(const Peer& peer);
    Status look_at(Peer& peer);
    void look(Instant now);
    void breaks(Peer& peer, Status why);
    void pump_tcp(Peer& peer);
    void pump_verbs(Peer& peer);
    Status open_device();
    void push_counters(Region& region, size_t offset, size_t size_bytes, bool loud);
    void send(Peer& peer);
    void bury_broken();
    void bury(uint32_t slot, bool cut_off);
    void forget_past_life();
    void drop_last_words();
    void wake_sleepers();
    void watch_for_room();
    bool restless() const { return broken_ > 0 || bootstrap_->impatient(); }

    NetFabricOptions options_;
    Sleeper sleeper_;
    VerbsPeers verbs_;
    std::unique_ptr<Bootstrap> bootstrap_;
    bool sealed_memory_ = false;

    std::vector<std::unique_ptr<OwnRegion>> regions_;
    std::array<std::unique_ptr<Peer>, kLinksMax> peers_;   // by slot
    std::vector<Peer*> linked_, tcp_peers_, verbs_peers_;  // linked_: the oldest first
    std::vector<NodeLife> members_;                        // of the view
    bool crowded_ = false;
    std::deque<PastLife> past_;

    LinkSet to_wake_;       // pushed to since the last flush
    bool tcp_due_ = false;  // so have been peers over TCP
    uint32_t broken_ = 0;   // peers lost and not yet reported
    uint64_t polls_ = 0;
    bool last_words_ = false;  // a member has gone whose mirrors are kept though nobody has asked for them yet
    Instant last_look_{};
    std::vector<PeerEvent>* events_ = nullptr;  // of the poll in progress
    uint64_t pushes_ = 0, wakes_ = 0;
    Status lacking_;
    std::string why_not_exposed_;
};

// ------------------------------------------------------------------------------------------------- opening

Status NetFabricImpl::open() {
    // A kernel that cannot seal memory still does TCP.
    sealed_memory_ = (options_.wire == Wire::automatic || options_.wire == Wire::shm) && sleeper_.open(true).ok();
    if (options_.wire == Wire::shm && !sealed_memory_)
        return failure(DERECHO_INVALID, "wire shm is not possible: this system makes no sealed memory; use wire auto");
    if (!sealed_memory_)
        if (Status status = sleeper_.open(false); !status.ok()) return status;

    if (Status status = open_device(); !status.ok()) return status;

    BootstrapOptions bootstrap;
    bootstrap.listen = options_.listen;
    bootstrap.advertise = options_.advertise;
    bootstrap.connect_timeout = options_.connect_timeout;
    Hello& hello = bootstrap.hello;
    hello.abi_hash = options_.abi_hash;
    hello.page_bytes = static_cast<uint32_t>(::sysconf(_SC_PAGESIZE));
    hello.limits = options_.limits;
    hello.group_name = options_.group_name;
    hello.services = options_.services;
    hello.node = options_.self;
    hello.incarnation = options_.incarnation;
    hello.client = options_.client;
    hello.wire = options_.wire;
    hello.shm_possible = sealed_memory_;
    hello.host = identify_host();
    hello.cores = cores_of_this_process();
    if (verbs_.device()) hello.verbs = verbs_.device()->address();
    bootstrap_ =
        std::make_unique<Bootstrap>(std::move(bootstrap), sleeper_, verbs_.device(), static_cast<Directory&>(*this));
    return bootstrap_->open();
}

Status NetFabricImpl::open_device() {
    if (options_.wire != Wire::automatic && options_.wire != Wire::verbs) return {};
    const Status status = verbs_.open(options_.verbs, sleeper_);
    if (status.ok()) return {};
    if (options_.wire == Wire::verbs) return failure(status.code, "wire verbs is not possible: " + status.detail);
    const std::string line = "no RDMA, so wire auto uses TCP with other hosts: " + status.detail;
    status.code == DERECHO_NO_MEMORY ? log::warn(line) : log::info(line);
    return {};
}

Status open_net_fabric(NetFabricOptions options, std::unique_ptr<NetFabric>& out) {
    if (Status status = check_options(options); !status.ok()) return status;
    auto fabric = std::make_unique<NetFabricImpl>(std::move(options));
    if (Status status = fabric->open(); !status.ok()) return status;
    out = std::move(fabric);
    return {};
}

// ------------------------------------------------------------------------------------------------- regions

Status NetFabricImpl::make_memory(size_t size_bytes, RegionMemory& out) const {
    if (sealed_memory_) return create_sealed("derecho-region", size_bytes, out.fd, out.mapping);
    return map_anonymous(size_bytes, out.mapping);
}

Region* NetFabricImpl::expose(RegionId id, size_t size_bytes, std::span<const NodeId> readers) {
    auto memory = std::make_shared<RegionMemory>();
    if (Status status = make_memory(size_bytes, *memory); !status.ok()) {
        log::warn("no memory for a region: " + status.detail);
        why_not_exposed_ = status.detail;
        return nullptr;
    }
    regions_.push_back(std::make_unique<OwnRegion>(id, std::move(memory), readers));
    OwnRegion& region = *regions_.back();
    for (Peer* peer : linked_)
        if (region.is_read_by(peer->node())) {
            attach(region, *peer, false);
            send(*peer);
        }
    return &region;
}

void NetFabricImpl::attach(OwnRegion& region, Peer& peer, bool older_than_link) {
    if (peer.shm) {
        region.shm_readers.add(peer.slot);
        peer.shm->announce(region);
        return;
    }
    if (peer.verbs) {
        if (!region.verbs_key) {
            const Status status =
                verbs_.device()->register_memory(region.memory()->mapping.bytes(), false, region.verbs_key);
            if (!status.ok()) return breaks(peer, status);
        }
        VerbsRemote& remote = peer.verbs->announce(region, region.verbs_key);
        region.verbs_readers.push_back({peer.verbs.get(), &remote});
        if (older_than_link) peer.verbs->push_contents(remote);
        return;
    }
    region.tcp_readers.push_back(peer.tcp.get());
    if (older_than_link)
        peer.tcp->announce_with_contents(region);
    else
        peer.tcp->announce(region);
}

void NetFabricImpl::detach(const Peer& peer) {
    for (const auto& region : regions_) {
        region->shm_readers.remove(peer.slot);
        std::erase(region->tcp_readers, peer.tcp.get());
        std::erase_if(region->verbs_readers, [&](const VerbsReader& r) { return r.link == peer.verbs.get(); });
    }
}

void NetFabricImpl::retire(Region* region) {
    for (const VerbsReader& reader : static_cast<OwnRegion*>(region)->verbs_readers) {
        reader.link->retire(*reader.remote);
        verbs_.pushed();
    }
    const auto own = std::ranges::find(regions_, region, [](const auto& r) -> Region* { return r.get(); });
    if ((*own)->verbs_key) verbs_.device()->bury(std::move(*own));
    regions_.erase(own);
}

std::span<const std::byte> NetFabricImpl::mirror(NodeId node, RegionId id) {
    if (Peer* peer = find(node); peer && peer->mirrors->has(id)) return peer->mirrors->visible(id);
    for (auto life = past_.rbegin(); life != past_.rend(); ++life)
        if (life->node == node && life->mirrors->has(id)) return life->mirrors->visible(id);
    return {};
}

// An earlier life's first: whoever forgets a number means the mirror that he has had longest.
void NetFabricImpl::forget(NodeId node, RegionId id) {
    for (PastLife& life : past_)
        if (life.node == node && life.mirrors->has(id)) return life.mirrors->forget(id);
    if (const Peer* peer = find(node)) peer->verbs ? peer->verbs->forget(id) : peer->mirrors->forget(id);
}

// ------------------------------------------------------------------------------------------------- pushing

void NetFabricImpl::push_data(Region& any, size_t offset, size_t size_bytes) {
    auto& region = static_cast<OwnRegion&>(any);
    DERECHO_ASSERT(offset <= region.bytes().size() && size_bytes <= region.bytes().size() - offset);
    std::atomic_thread_fence(std::memory_order_release);
    ++pushes_;
    to_wake_ |= region.shm_readers;
    for (TcpLink* link : region.tcp_readers) {
        link->push_data(region, offset, size_bytes);
        tcp_due_ = true;
    }
    for (const VerbsReader& reader : region.verbs_readers) {
        reader.link->push_data(*reader.remote, offset, size_bytes);
        verbs_.pushed();
    }
}

void NetFabricImpl::push_counters(Region& region, size_t offset, size_t size_bytes) {
    to_wake_ |= static_cast<OwnRegion&>(region).shm_readers;
    push_counters(region, offset, size_bytes, true);
}

void NetFabricImpl::push_quietly(Region& region, size_t offset, size_t size_bytes) {
    push_counters(region, offset, size_bytes, false);
}

void NetFabricImpl::push_counters(Region& any, size_t offset, size_t size_bytes, bool loud) {
    auto& region = static_cast<OwnRegion&>(any);
    DERECHO_ASSERT(size_bytes <= kCountersBytesMax);
    DERECHO_ASSERT(offset <= region.bytes().size() && size_bytes <= region.bytes().size() - offset);
    std::atomic_thread_fence(std::memory_order_release);
    ++pushes_;
    for (TcpLink* link : region.tcp_readers) {
        link->push_counters(region, offset, size_bytes);
        tcp_due_ = true;
    }
    for (const VerbsReader& reader : region.verbs_readers) {
        reader.link->push_counters(*reader.remote, offset, size_bytes, loud);
        verbs_.pushed();
    }
}

void NetFabricImpl::flush() {
    if (to_wake_.any()) wake_sleepers();
    verbs_.flush();
    if (!tcp_due_) return;
    tcp_due_ = false;
    // A socket that was full is tried again by the next poll.
    for (Peer* peer : tcp_peers_)
        if (peer->tcp->backlog()) peer->tcp->socket_full() ? breaks(*peer, peer->tcp->check_backlog()) : send(*peer);
}

void NetFabricImpl::wake_sleepers() {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // Sleeper tells why
    to_wake_.for_each([this](uint32_t slot) {
        if (peers_[slot] && peers_[slot]->shm && peers_[slot]->shm->wake_if_asleep()) ++wakes_;
    });
    to_wake_.clear();
}

void NetFabricImpl::send(Peer& peer) {
    if (peer.shm) return breaks(peer, peer.shm->send());
    if (peer.verbs) return breaks(peer, peer.verbs->send());
    // What a broken connection had brought before can still be received; the receiver finds its end.
    if (!peer.tcp->send().ok()) log::debug("a connection broke while sending");
}

// ------------------------------------------------------------------------------------------------- polling

void NetFabricImpl::poll(Instant now, std::vector<PeerEvent>& events) {
    ++polls_;
    events_ = &events;
    for (size_t i = 0; i < tcp_peers_.size(); ++i) pump_tcp(*tcp_peers_[i]);
    for (Peer* peer : verbs_peers_)
        if (!peer->verbs->quiet()) pump_verbs(*peer);
    if (restless() || now >= last_look_ + kLookEvery) look(now);
    events_ = nullptr;
}

void NetFabricImpl::pump_tcp(Peer& peer) {
    if (!peer.broken.ok()) return;
    breaks(peer, peer.tcp->receive());
    if (peer.tcp->backlog()) send(peer);
}

void NetFabricImpl::pump_verbs(Peer& peer) {
    if (!peer.broken.ok()) return;
    breaks(peer, peer.verbs->step());
    if (peer.verbs->unsent()) send(peer);
}

void NetFabricImpl::look(Instant now) {
    last_look_ = now;
    drop_last_words();
    const Sleeper::Found found = sleeper_.look();
    const bool anything = found.anything;
    if (!verbs_.none()) verbs_.device()->poll();
    for (Peer* peer : verbs_peers_) pump_verbs(*peer);
    if (anything)
        if (const Status gone = verbs_.take_events(); !gone.ok()) {
            log::warn(gone.detail);
            bootstrap_->lost_device();
            for (Peer* peer : verbs_peers_) breaks(*peer, gone);
        }
    if (anything)
        for (Peer* peer : linked_)
            if (peer->broken.ok() && (!peer->shm || found.more || found.peers.has(peer->slot)))
                breaks(*peer, look_at(*peer));
    for (Peer* peer : linked_)
        if (peer->shm && peer->backlog() && peer->broken.ok()) send(*peer);
    limit_newcomers();
    bury_broken();
    if (anything || bootstrap_->impatient() || bootstrap_->awaits_thread() || bootstrap_->next_deadline() <= now)
        bootstrap_->look(now, *events_);
}

Status NetFabricImpl::look_at(Peer& peer) {
    if (peer.tcp) return peer.tcp->receive();
    if (peer.verbs) return peer.verbs->receive();
    // What it announced before it died still counts.
    if (Status status = peer.shm->receive(); !status.ok()) return status;
    char byte;
    const ssize_t n = ::recv(peer.bootstrap.get(), &byte, 1, MSG_DONTWAIT);
    if (n > 0) return failure(DERECHO_INVALID, "it sent more than the handshake");
    if (n == 0 || (errno != EAGAIN && errno != EINTR) || peer.shm->process_ended())
        return failure(DERECHO_UNREACHABLE, "its process ended or closed the connection");
    return {};
}

void NetFabricImpl::breaks(Peer& peer, Status why) {
    if (why.ok() || !peer.broken.ok()) return;
    peer.broken = std::move(why);
    ++broken_;
}

void NetFabricImpl::bury_broken() {
    if (broken_ == 0) return;
    broken_ = 0;
    for (uint32_t slot = 0; slot < kLinksMax; ++slot) {
        Peer* peer = peers_[slot].get();
        if (!peer || peer->broken.ok()) continue;
        PeerEvent event;
        event.kind = PeerEvent::Kind::lost;
        event.peer = peer->node();
        event.incarnation = peer->hello.incarnation;
        event.client = peer->hello.client;
        event.address = peer->hello.address;
        event.status = peer->broken;
        log::info("lost node " + std::to_string(raw(peer->node())) + ": " + peer->broken.detail);
        events_->push_back(std::move(event));
        bury(slot, false);
    }
}

// From here on nothing of this life becomes visible any more.
void NetFabricImpl::bury(uint32_t slot, bool cut_off) {
    const std::unique_ptr<Peer> peer = std::move(peers_[slot]);
    detach(*peer);
    std::erase(linked_, peer.get());
    count_neighbours();
    std::erase(tcp_peers_, peer.get());
    std::erase(verbs_peers_, peer.get());
    if (peer->verbs) {
        wakes_ += peer->verbs->wakes();
        verbs_.remove(*peer->verbs);
        if (peer->direct) peer->direct->shut();
        VerbsLink::bury(std::move(peer->verbs));
    }
    const bool last_words = peer->was_member && !cut_off;
    last_words_ |= last_words;
    if (!last_words) peer->mirrors->drop_unasked();
    if (peer->shm && !peer->shm->process_ended())
        if (Status frozen = peer->mirrors->freeze_all(); !frozen.ok()) lacking_ = std::move(frozen);
    if (past_.size() >= kPastLivesMax) forget_past_life();
    past_.push_back(
        {peer->node(), peer->hello.incarnation, polls_, cut_off, peer->was_member, std::move(peer->mirrors)});
}

// At the poll after the one that told of the end: whoever wanted to see them has asked.
void NetFabricImpl::drop_last_words() {
    if (!std::exchange(last_words_, false)) return;
    for (PastLife& life : past_) life.mirrors->drop_unasked();
}

// The oldest of which nothing is looked at any more; a stranger's rather than a member's, which must not come back.
void NetFabricImpl::forget_past_life() {
    const auto over = [](const PastLife& life) { return life.mirrors->empty(); };
    auto life = std::ranges::find_if(past_, [&](const PastLife& l) { return over(l) && !l.member; });
    if (life == past_.end()) life = std::ranges::find_if(past_, over);
    if (life != past_.end()) past_.erase(life);
}

// ------------------------------------------------------------------------------------------------- peers

Peer* NetFabricImpl::find(NodeId node) const {
    for (Peer* peer : linked_)
        if (peer->node() == node) return peer;
    return nullptr;
}

bool NetFabricImpl::connected(NodeId node) const {
    const Peer* peer = find(node);
    return peer && peer->broken.ok();
}

Wire NetFabricImpl::wire_to(NodeId node) const {
    const Peer* peer = find(node);
    return peer ? peer->wire() : Wire::automatic;
}

void NetFabricImpl::disconnect(NodeId node) {
    for (PastLife& life : past_)
        if (life.node == node) life.cut_off = true;
    const Peer* peer = find(node);
    if (!peer) return;
    if (!peer->broken.ok()) --broken_;
    if (VerbsLink* const link = peer->verbs.get(); link && peer->broken.ok()) verbs_.settle({&link, 1}, kLastWords);
    bury(peer->slot, true);
}

void NetFabricImpl::shut() {
    bootstrap_->shut();
    verbs_.settle(verbs_.links(), kLastWordsAtEnd);
    while (!linked_.empty()) disconnect(linked_.back()->node());
}

Directory::Verdict NetFabricImpl::judge(const Hello& hello, bool never_up, Status& why) {
    const std::string name = "node id " + std::to_string(raw(hello.node));
    const std::string here = "node " + std::to_string(raw(self()));
    if (hello.node == self()) {
        const bool same = hello.incarnation == options_.incarnation;
        why = same ? failure(DERECHO_INVALID, "that address is " + here + " itself")
                   : failure(DERECHO_DUPLICATE,
                             name + " is taken by the node at " + listen_address() + ": give every node its own id");
        return Verdict::refused;
    }
    if (Peer* peer = find(hello.node)) {
        if (peer->hello.incarnation == hello.incarnation) return Verdict::already;
        if (is_member(hello) && peer->standing != Standing::member) {
            breaks(*peer, failure(DERECHO_DUPLICATE, "the member with " + name + " has come"));
            return Verdict::later;
        }
        why = failure(DERECHO_DUPLICATE,
                      name + " is already connected from " + peer->hello.address + ": give every node its own id");
        return Verdict::refused;
    }
    for (const PastLife& life : past_) {
        if (life.node != hello.node) continue;
        if (life.ended_at_poll == polls_) return Verdict::later;  // its end must be heard of first
        if (life.incarnation != hello.incarnation || (never_up && !life.cut_off)) continue;
        why = failure(DERECHO_EJECTED, "the link between " + here + " and this life of " + name + " has " +
                                           (life.cut_off ? "been cut off" : "broken") +
                                           ": come back as a new incarnation");
        return Verdict::refused;
    }
    const auto clients = std::ranges::count(linked_, Standing::client, &Peer::standing);
    if (standing_of(hello) != Standing::client || clients < options_.shares.clients_max) return Verdict::welcome;
    why = failure(DERECHO_NO_MEMORY, here + " has " + std::to_string(clients) +
                                         " clients already, as many as its option clients_max allows");
    return Verdict::refused;
}

bool NetFabricImpl::ever_up(NodeId node, uint64_t incarnation) const {
    const Peer* peer = find(node);
    if (peer && peer->hello.incarnation == incarnation) return true;
    return std::any_of(past_.begin(), past_.end(),
                       [&](const PastLife& life) { return life.node == node && life.incarnation == incarnation; });
}

void NetFabricImpl::linked(NewLink link) {
    uint32_t slot = 0;
    while (peers_[slot]) ++slot;
    peers_[slot] = std::make_unique<Peer>();
    Peer& peer = *peers_[slot];
    peer.slot = slot;
    peer.hello = std::move(link.hello);
    peer.standing = standing_of(peer.hello);
    peer.was_member = peer.standing == Standing::member;
    peer.dialed = link.dialed;
    peer.source = std::move(link.source);
    peer.mirrors = std::make_unique<MirrorTable>(options_.shares.of(peer.standing));
    end_when_silent(link.tcp.get(), options_.vanished_after);
    if (link.wire == Wire::shm) {
        peer.shm = std::make_unique<ShmLink>(std::move(link.shm), *peer.mirrors);
        peer.bootstrap = std::move(link.tcp);
    } else if (link.wire == Wire::verbs) {
        peer.verbs = std::make_unique<VerbsLink>(std::move(link.verbs), std::move(link.tcp), *verbs_.device(),
                                                 *peer.mirrors, options_.tcp_queue_bytes_max);
        verbs_.add(*peer.verbs);
        verbs_peers_.push_back(&peer);
    } else {
        peer.tcp = std::make_unique<TcpLink>(std::move(link.tcp), *peer.mirrors, options_.tcp_queue_bytes_max);
        tcp_peers_.push_back(&peer);
    }
    linked_.push_back(&peer);
    count_neighbours();
    if (!watch(peer)) breaks(peer, failure(DERECHO_NO_MEMORY, "no memory to watch its sockets"));

    for (const auto& region : regions_)
        if (region->is_read_by(peer.node())) attach(*region, peer, true);
    peer.shm ? peer.shm->synced() : peer.verbs ? peer.verbs->synced() : peer.tcp->synced();
    send(peer);

    PeerEvent event;
    event.kind = PeerEvent::Kind::up;
    event.peer = peer.node();
    event.incarnation = peer.hello.incarnation;
    event.client = peer.hello.client;
    event.dialed = link.dialed;
    event.group = peer.hello.group;
    event.time_ns = peer.hello.time_ns;
    event.address = peer.hello.address;
    log::info("linked with node " + std::to_string(raw(peer.node())) + " at " + event.address + " over " +
              wire_name(link.wire) + " (" + link.why_no_better + ")");
    events_->push_back(std::move(event));
}

// ------------------------------------------------------------------------------------------------- shares

void NetFabricImpl::set_members(std::span<const NodeLife> members) {
    members_.assign(members.begin(), members.end());
    for (Peer* peer : linked_) {
        const Standing standing = standing_of(peer->hello);
        if (standing == peer->standing) continue;
        peer->standing = standing;
        peer->was_member |= standing == Standing::member;
        peer->mirrors->set_limits(options_.shares.of(standing));
    }
}

bool NetFabricImpl::is_member(const Hello& hello) const {
    return !hello.client && std::ranges::find(members_, NodeLife{hello.node, hello.incarnation}) != members_.end();
}

Standing NetFabricImpl::standing_of(const Hello& hello) const {
    return hello.client ? Standing::client : is_member(hello) ? Standing::member : Standing::newcomer;
}

// The oldest first. Not those that this node called, nor what is left of members.
std::vector<Peer*> NetFabricImpl::displaceable(bool only_large) const {
    std::vector<Peer*> strangers;
    for (Peer* peer : linked_)
        if (peer->standing == Standing::newcomer && !peer->dialed && !peer->was_member && peer->broken.ok() &&
            (!only_large || peer->mirrors->memory_bytes() > options_.shares.newcomer_idle_bytes))
            strangers.push_back(peer);
    return strangers;
}

void NetFabricImpl::displace(std::span<Peer* const> strangers, const char* why) {
    std::vector<std::string_view> sources;
    for (const Peer* peer : strangers) sources.push_back(peer->source);
    breaks(*strangers[who_gives_way(sources)], failure(DERECHO_NO_MEMORY, why));
}

Directory::Verdict NetFabricImpl::make_place(const Hello& hello, bool dialed, Status& why) {
    const auto strangers = displaceable(false);
    const bool crowded_out = standing_of(hello) == Standing::newcomer && !dialed;
    const bool full = linked_.size() >= kLinksMax;
    if (broken_ > 0 && full) return Verdict::later;
    if ((crowded_out && strangers.size() >= limits::newcomers_max) || (full && !strangers.empty()))
        displace(strangers, "it is in no view, and gave way to another that joins");
    if (!full) return Verdict::welcome;
    why = failure(DERECHO_NO_MEMORY,
                  "node " + std::to_string(raw(self())) + " has " + std::to_string(kLinksMax) + " links already");
    return broken_ > 0 ? Verdict::later : Verdict::refused;
}

// Only who is about to be a member has much to show, and few are at a time.
void NetFabricImpl::limit_newcomers() {
    if (members_.empty()) return;  // it joins itself: they may be members of the view that it is about to be in
    for (auto large = displaceable(true); !large.empty(); large = displaceable(true)) {
        uint64_t bytes = 0;
        for (const Peer* peer : large) bytes += peer->mirrors->memory_bytes();
        if (bytes <= options_.shares.newcomers_bytes_max) return;
        displace(large, "it is in no view, and the memory that it takes is needed for others that join");
    }
}

bool NetFabricImpl::watch(Peer& peer) {
    if (peer.verbs) return sleeper_.watch(peer.verbs->fd(), Sleeper::Interest::look, true, false).ok();
    if (peer.tcp) return sleeper_.watch(peer.tcp->fd(), Sleeper::Interest::link_data, true, false).ok();
    const auto watch_peer = [&](int fd) {
        return fd < 0 || sleeper_.watch(fd, Sleeper::Interest::peer, true, false, peer.slot).ok();
    };
    return watch_peer(peer.shm->fd()) && watch_peer(peer.bootstrap.get()) && watch_peer(peer.shm->process_fd());
}

std::shared_ptr<DirectAccess> NetFabricImpl::direct(NodeId node) {
    Peer* const peer = find(node);
    if (!peer || !peer->verbs) return nullptr;
    if (!peer->direct) peer->direct = verbs_.device()->make_direct();
    return peer->direct;
}

// Asked for at every wait, so reckoned when peers come and go.
void NetFabricImpl::count_neighbours() {
    const Hello& own = bootstrap_->hello();
    std::vector<CoreSet> theirs;
    for (const Peer* peer : linked_)
        if (peer->hello.host.boot_id == own.host.boot_id) theirs.push_back(peer->hello.cores);
    crowded_ = libderecho::crowded(own.cores, theirs);
}

Fabric::Stats NetFabricImpl::stats() const {
    Stats stats{.pushes = pushes_, .wakes = wakes_};
    for (const auto& region : regions_) stats.memory_bytes += region->bytes().size();
    for (const Peer* peer : linked_) {
        stats.memory_bytes += peer->mirrors->memory_bytes();
        if (peer->verbs) stats.wakes += peer->verbs->wakes();
    }
    for (const PastLife& life : past_) stats.memory_bytes += life.mirrors->memory_bytes();
    if (verbs_.device()) stats.rdma = verbs_.device()->counts();
    return stats;
}

// ------------------------------------------------------------------------------------------------- sleeping

void NetFabricImpl::arm() {
    watch_for_room();
    sleeper_.arm();
    verbs_.arm();
    for (Peer* peer : verbs_peers_) breaks(*peer, peer->verbs->step());
}

// Only who is about to sleep needs to be told that a full socket has room again.
void NetFabricImpl::watch_for_room() {
    for (Peer* peer : linked_) {
        const bool wanted = peer->backlog();
        if (wanted == peer->watched_for_room) continue;
        peer->watched_for_room = wanted;
        const auto interest = peer->tcp   ? Sleeper::Interest::link_data
                              : peer->shm ? Sleeper::Interest::peer
                                          : Sleeper::Interest::look;
        sleeper_.change(peer->link_fd(), interest, true, wanted, peer->slot);
    }
}

void NetFabricImpl::wait(Duration at_most) {
    if (restless()) return disarm();
    if (bootstrap_->awaits_thread() || verbs_.connecting()) at_most = std::min(at_most, kThreadNap);
    if (const Instant next = bootstrap_->next_deadline(); next != kNever)
        at_most = std::min(at_most, next - monotonic_now());
    sleeper_.wait(verbs_.nap(at_most));
    last_look_ = {};  // something may have happened
}

}  // namespace libderecho
