// Applications' memory over RDMA: what a peer may reach is registered in a protection domain of that peer's, so that
// the key it was told is of no use on another peer's queue pair; pieces of this node's own requests are in one that
// nobody can reach into. An asking end allows the peer nothing, a serving end posts nothing.
#include "fabric/verbs/direct.hpp"

#include <sched.h>
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <functional>
#include <mutex>
#include <vector>

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "fabric/verbs/parts.hpp"

namespace libderecho {
namespace {

constexpr uint64_t kRequestBytesMax = 1 << 20;  // so that a large operation leaves room for others
constexpr uint64_t kWorthBytes = 64 << 10;
constexpr uint64_t kLast = UINT64_MAX;  // as a request's id
constexpr Duration kFenceAtMost = milliseconds(200);

// What a DirectEndpoint holds.
struct Endpoint {
    uint32_t pair = 0;
    uint32_t first_packet = 0;
    std::array<uint8_t, 16> gid{};
    uint16_t lid = 0;
    uint8_t mtu = 0;
    uint8_t reads = 0;  // that this end serves at a time
    uint32_t reserved = 0;
};
static_assert(sizeof(Endpoint) == sizeof(DirectEndpoint));

using Domain = std::shared_ptr<ibv_pd>;  // and the port with it

class Memory final : public DirectMemory {
public:
    Memory(std::shared_ptr<VerbsPort> port, Domain domain, ibv_mr* region, bool remote, uint64_t locked_bytes)
        : port_(std::move(port)), domain_(std::move(domain)), region_(region), locked_bytes_(locked_bytes) {
        key_ = remote ? region->rkey : region->lkey;
        port_->lent_bytes += locked_bytes_;
    }
    ~Memory() override {
        const int error = port_->verbs.dereg_mr(region_);
        if (error != 0) log::warn(verbs_error("the RDMA device does not give registered memory back", error));
        port_->lent_bytes -= locked_bytes_;
    }

private:
    std::shared_ptr<VerbsPort> port_;
    Domain domain_;
    ibv_mr* region_;
    uint64_t locked_bytes_;
};

using Bury = std::function<void(std::shared_ptr<void>)>;

// One end of a connection. Closed by who has it, or by the loss of the peer.
class End {
public:
    End(std::shared_ptr<VerbsPort> port, Domain domain) : port_(std::move(port)), domain_(std::move(domain)) {}

    Status make(ibv_comp_channel* channel, uint32_t requests, unsigned access);
    void connect(const DirectEndpoint& theirs, bool asks);
    std::optional<Status> connected() {
        return pair_ ? connecting_.outcome() : failure(DERECHO_UNREACHABLE, "the peer is lost");
    }
    DirectEndpoint endpoint() const { return std::bit_cast<DirectEndpoint>(endpoint_); }
    ibv_qp* pair() const { return pair_.get(); }
    ibv_cq* completions() const { return made_->completions.get(); }
    VerbsPort& port() const { return *port_; }
    // Nothing moves over it any more, of what was asked for (so many requests) or of what the peer sends.
    void close(uint64_t under_way, const Bury& bury);
    // Whether it is the completion that says that it takes nothing any more.
    bool is_last(const ibv_wc& completion) {
        deaf_ = deaf_ || completion.wr_id == kLast;
        return completion.wr_id == kLast;
    }

private:
    // What the pair needs for as long as it is there: whoever connects it may be the last to let go of it.
    struct Made {
        Domain domain;
        Owned<ibv_cq> completions;
        Owned<ibv_qp> pair;
    };
    bool fence(uint64_t under_way);

    std::shared_ptr<VerbsPort> port_;
    Domain domain_;
    std::shared_ptr<Made> made_;
    std::shared_ptr<ibv_qp> pair_;  // null: closed
    PairConnection connecting_;
    bool deaf_ = false;
    Endpoint endpoint_;
};

Status End::make(ibv_comp_channel* channel, uint32_t requests, unsigned access) {
    const VerbsLibrary& verbs = port_->verbs;
    const int entries = static_cast<int>(requests) + 1;
    ibv_cq* const completions = verbs.create_cq(port_->context.get(), entries, nullptr, channel, 0);
    made_.reset(new Made{domain_, owned(completions, verbs.destroy_cq), owned<ibv_qp>(nullptr, verbs.destroy_qp)});
    if (!completions) return failure(DERECHO_NO_MEMORY, verbs_error("a completion queue", errno));
    ibv_qp_init_attr wanted{};
    wanted.send_cq = wanted.recv_cq = completions;
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap.max_send_wr = requests;
    wanted.cap.max_recv_wr = 1;
    wanted.cap.max_send_sge = port_->direct.pieces_max;
    wanted.cap.max_recv_sge = 1;
    made_->pair.reset(verbs.create_qp(domain_.get(), &wanted));
    pair_ = {made_, made_->pair.get()};
    if (!pair_) return failure(DERECHO_NO_MEMORY, verbs_error("an RDMA queue pair", errno));
    endpoint_.pair = pair_->qp_num;
    endpoint_.first_packet = first_packet_number();
    endpoint_.gid = port_->address.gid;
    endpoint_.lid = port_->address.lid;
    endpoint_.mtu = port_->address.mtu;
    endpoint_.reads = static_cast<uint8_t>(port_->direct.reads_served_max);
    if (Status status = initialize_pair(*port_, pair_.get(), access); !status.ok()) return status;
    ibv_recv_wr last{}, *refused = nullptr;  // given back when it closes, and no sooner
    last.wr_id = kLast;
    const int error = ::ibv_post_recv(pair_.get(), &last, &refused);
    return error == 0 ? Status{} : failure(DERECHO_NO_MEMORY, verbs_error("an RDMA queue pair", error));
}

// As VerbsPair::fence does. Destroying it may take seconds.
void End::close(uint64_t under_way, const Bury& bury) {
    if (!pair_) return;
    const bool quiet = fence(under_way);
    pair_.reset();
    if (bury && quiet)
        bury(std::move(made_));
    else
        made_.reset();
}

bool End::fence(uint64_t under_way) {
    if (!stop_pair(*port_, pair_.get()).ok()) return false;
    for (const Instant end = monotonic_now() + kFenceAtMost; monotonic_now() < end; ::sched_yield()) {
        ibv_wc completion{};
        while (::ibv_poll_cq(completions(), 1, &completion) > 0) {
            if (!is_last(completion) && under_way > 0) --under_way;
        }
        if (deaf_ && under_way == 0) return true;
    }
    return false;
}

void End::connect(const DirectEndpoint& to, bool asks) {
    if (!pair_) return;
    const auto given = std::bit_cast<Endpoint>(to);
    VerbsEndpoint theirs;
    theirs.pair = given.pair;
    theirs.first_packet = given.first_packet;
    theirs.address.gid = given.gid;
    theirs.address.lid = given.lid;
    theirs.address.mtu = given.mtu;
    PairTerms terms{.first_packet = endpoint_.first_packet, .sends = asks};
    if (asks)
        terms.reads_asked = static_cast<uint8_t>(std::min<uint32_t>(port_->direct.reads_asked_max, given.reads));
    else
        terms.reads_served = static_cast<uint8_t>(port_->direct.reads_served_max);
    connecting_.begin(port_, pair_, theirs, terms);
}

class Access;

class Asker final : public DirectAsker, private VerbsPort::Awaited {
public:
    Asker(std::shared_ptr<Access> access, Domain domain);
    ~Asker() override;

    Status make() { return end_.make(end_.port().channel.get(), kDirectRequestsMax, 0); }
    void close();
    DirectEndpoint endpoint() const override { return end_.endpoint(); }
    void connect(const DirectEndpoint& theirs) override { end_.connect(theirs, true); }
    std::optional<Status> connected() override { return end_.connected(); }
    void post(const Request& request) override;
    uint32_t take_done() override;
    const Status& broken() const override { return broken_; }
    bool settled() const override { return !broken_.ok() && (back_ == posted_ || !end_.pair()); }

private:
    void arm() override {
        if (back_ != posted_ && end_.pair()) ::ibv_req_notify_cq(end_.completions(), 0);
    }
    void breaks(const std::string& why) {
        if (broken_.ok()) broken_ = failure(DERECHO_UNREACHABLE, why);
    }

    std::shared_ptr<Access> access_;
    End end_;
    uint64_t posted_ = 0, back_ = 0;  // back: carried out, or not
    Status broken_;
};

class Server final : public DirectServer {
public:
    Server(std::shared_ptr<Access> access, Domain domain);
    ~Server() override;

    Status make(const DirectEndpoint& asker);
    void close();
    DirectEndpoint endpoint() const override { return end_.endpoint(); }
    std::optional<Status> connected() override { return end_.connected(); }

private:
    std::shared_ptr<Access> access_;
    End end_;
};

class Access final : public VerbsDirect, public std::enable_shared_from_this<Access> {
public:
    Access(std::shared_ptr<VerbsPort> of, Bury with) : port(std::move(of)), bury(std::move(with)) {}

    Limits limits() const override { return {port->direct.pieces_max, kRequestBytesMax, kWorthBytes}; }
    Status register_pieces(const DirectBuffer& buffer, std::unique_ptr<DirectMemory>& out) override {
        return enter(buffer, own_domain(), IBV_ACCESS_LOCAL_WRITE, out);
    }
    Status show(const DirectBuffer& buffer, Rights rights, std::unique_ptr<DirectMemory>& out) override;
    Status ask(std::unique_ptr<DirectAsker>& out) override;
    Status serve(const DirectEndpoint& asker, std::unique_ptr<DirectServer>& out) override;
    void shut() override {
        shut_ = true;
        for (Asker* asker : askers) asker->close();
        for (Server* server : servers) server->close();
        bury = nullptr;
    }

    const std::shared_ptr<VerbsPort> port;
    Bury bury;                   // until it is shut
    std::vector<Asker*> askers;  // that exist
    std::vector<Server*> servers;

private:
    Status enter(const DirectBuffer& buffer, const Domain& domain, int access, std::unique_ptr<DirectMemory>& out);
    ibv_mr* region_of(const DirectBuffer& buffer, ibv_pd* domain, int access) const;
    Domain own_domain() const { return {port, port->domain.get()}; }
    Status peers_domain(Domain& out);

    std::mutex mutex_;
    Domain peers_domain_;  // made when it is first needed
    bool shut_ = false;
};

// ------------------------------------------------------------------------------------------------- memory

// Null with errno.
ibv_mr* Access::region_of(const DirectBuffer& buffer, ibv_pd* domain, int access) const {
    const std::span<std::byte> bytes = buffer.bytes;
    if (!buffer.device) return port->verbs.reg_mr(domain, bytes.data(), bytes.size(), access);
    errno = EOPNOTSUPP;
    if (!port->verbs.reg_dmabuf_mr) return nullptr;
    return port->verbs.reg_dmabuf_mr(domain, buffer.device->offset(), bytes.size(),
                                     reinterpret_cast<uintptr_t>(bytes.data()), buffer.device->fd(), access);
}

Status Access::enter(const DirectBuffer& buffer, const Domain& domain, int access, std::unique_ptr<DirectMemory>& out) {
    const uint64_t locked_bytes = buffer.device ? 0 : buffer.bytes.size();
    if (Status status = check_lent_memory(*port, locked_bytes); !status.ok()) return status;
    ibv_mr* region = region_of(buffer, domain.get(), access);
    // What may only be looked at can still be sent.
    if (!region && errno == EFAULT && access == IBV_ACCESS_LOCAL_WRITE) region = region_of(buffer, domain.get(), 0);
    if (!region) return failure(DERECHO_NO_MEMORY, verbs_error("the RDMA device does not take it", errno));
    const bool remote = access & (IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE);
    out = std::make_unique<Memory>(port, domain, region, remote, locked_bytes);
    return {};
}

Status Access::peers_domain(Domain& out) {
    const std::lock_guard lock(mutex_);
    if (!peers_domain_) {
        ibv_pd* const domain = port->verbs.alloc_pd(port->context.get());
        if (!domain) return failure(DERECHO_NO_MEMORY, verbs_error("a protection domain", errno));
        peers_domain_ = Domain(domain, [port = port](ibv_pd* one) { port->verbs.dealloc_pd(one); });
    }
    out = peers_domain_;
    return {};
}

Status Access::show(const DirectBuffer& buffer, Rights rights, std::unique_ptr<DirectMemory>& out) {
    Domain domain;
    if (Status status = peers_domain(domain); !status.ok()) return status;
    const int read = rights.read ? IBV_ACCESS_REMOTE_READ : 0;
    const int write = rights.write ? IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE : 0;
    return enter(buffer, domain, read | write, out);
}

// ------------------------------------------------------------------------------------------------- asking

Status Access::ask(std::unique_ptr<DirectAsker>& out) {
    if (shut_) return failure(DERECHO_UNREACHABLE, "the peer is lost");
    auto asker = std::make_unique<Asker>(shared_from_this(), own_domain());
    if (Status status = asker->make(); !status.ok()) return status;
    out = std::move(asker);
    return {};
}

Asker::Asker(std::shared_ptr<Access> access, Domain domain)
    : access_(std::move(access)), end_(access_->port, std::move(domain)) {
    access_->askers.push_back(this);
    end_.port().awaited.push_back(this);
}

void Asker::close() {
    end_.close(posted_ - back_, access_->bury);
    breaks("the peer is lost");
}

Asker::~Asker() {
    close();
    std::erase(access_->askers, this);
    std::erase(end_.port().awaited, static_cast<VerbsPort::Awaited*>(this));
}

void Asker::post(const Request& request) {
    DERECHO_ASSERT(posted_ - back_ < kDirectRequestsMax);
    DERECHO_ASSERT(request.pieces.size() <= end_.port().direct.pieces_max);
    if (!broken_.ok()) return;
    std::array<ibv_sge, VerbsPort::kPiecesMax> pieces;
    uint64_t size_bytes = 0;
    for (size_t i = 0; i < request.pieces.size(); ++i) {
        const Piece& piece = request.pieces[i];
        pieces[i] = {reinterpret_cast<uintptr_t>(piece.bytes.data()), static_cast<uint32_t>(piece.bytes.size()),
                     piece.key};
        size_bytes += piece.bytes.size();
    }
    ibv_send_wr work{};
    work.wr_id = posted_;
    work.sg_list = pieces.data();
    work.num_sge = static_cast<int>(request.pieces.size());
    work.opcode = request.read ? IBV_WR_RDMA_READ : IBV_WR_RDMA_WRITE;
    work.send_flags = IBV_SEND_SIGNALED;
    if (request.fenced) work.send_flags |= IBV_SEND_FENCE;
    work.wr.rdma.remote_addr = request.address;
    work.wr.rdma.rkey = request.remote_key;
    ibv_send_wr* refused = nullptr;
    if (const int error = ::ibv_post_send(end_.pair(), &work, &refused); error != 0)
        return breaks(std::strerror(error));
    ++posted_;
    Fabric::RdmaCounts& counts = end_.port().counts;
    ++counts.work_requests;
    ++counts.doorbells;
    counts.direct_bytes += size_bytes;
}

uint32_t Asker::take_done() {
    uint32_t done = 0;
    std::array<ibv_wc, kDirectRequestsMax> completions;
    const int n = back_ == posted_ || !end_.pair()
                      ? 0
                      : ::ibv_poll_cq(end_.completions(), static_cast<int>(completions.size()), completions.data());
    for (int i = 0; i < n; ++i) {
        const ibv_wc& completion = completions[static_cast<size_t>(i)];
        if (end_.is_last(completion)) continue;
        ++end_.port().counts.completions;
        ++back_;
        if (completion.status != IBV_WC_SUCCESS)
            breaks(end_.port().verbs.wc_status_str(completion.status));
        else if (broken_.ok())
            ++done;
    }
    return done;
}

// ------------------------------------------------------------------------------------------------- serving

Status Access::serve(const DirectEndpoint& asker, std::unique_ptr<DirectServer>& out) {
    if (shut_) return failure(DERECHO_UNREACHABLE, "the peer is lost");
    Domain domain;
    if (Status status = peers_domain(domain); !status.ok()) return status;
    auto server = std::make_unique<Server>(shared_from_this(), std::move(domain));
    if (Status status = server->make(asker); !status.ok()) return status;
    out = std::move(server);
    return {};
}

Server::Server(std::shared_ptr<Access> access, Domain domain)
    : access_(std::move(access)), end_(access_->port, std::move(domain)) {
    access_->servers.push_back(this);
}

void Server::close() { end_.close(0, access_->bury); }

Server::~Server() {
    close();
    std::erase(access_->servers, this);
}

Status Server::make(const DirectEndpoint& asker) {
    const unsigned access = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
    if (Status status = end_.make(nullptr, 1, access); !status.ok()) return status;
    end_.connect(asker, false);
    return {};
}

}  // namespace

std::shared_ptr<VerbsDirect> make_verbs_direct(std::shared_ptr<VerbsPort> port,
                                               std::function<void(std::shared_ptr<void>)> bury) {
    return std::make_shared<Access>(std::move(port), std::move(bury));
}

}  // namespace libderecho
