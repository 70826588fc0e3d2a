#include "fabric/verbs/pair.hpp"

#include <sched.h>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "fabric/verbs/parts.hpp"

namespace libderecho {
namespace {

constexpr uint64_t kExpectedWake = 0;  // as a request's id; writes count from 1
constexpr Duration kFenceAtMost = milliseconds(200);
constexpr std::array<uint32_t, 5> kInlineWanted{256, 128, 64, 32, 0};

// What an error means between two nodes; the first of a queue pair's is the cause, what follows is flushed.
std::string cause(ibv_wc_status status, const std::string& device) {
    switch (status) {
        case IBV_WC_RETRY_EXC_ERR:
            return "it acknowledges nothing that is sent to it";
        case IBV_WC_REM_ACCESS_ERR:
        case IBV_WC_REM_INV_REQ_ERR:
            return "it refused a write as one that it had not allowed";
        case IBV_WC_WR_FLUSH_ERR:
            return "this end of it stopped, as after a write to memory that is not given to the peer";
        default:
            return device + " failed to carry out a write";
    }
}

class Pair final : public VerbsPair, private VerbsPort::Taker {
public:
    Pair(std::shared_ptr<VerbsPort> port, uint64_t due_bytes) : port_(std::move(port)), due_bytes_(due_bytes) {
        port_->due_bytes += due_bytes_;
    }
    ~Pair() override { fence(); }

    Status make();
    void fence() override;
    VerbsEndpoint endpoint() const override;
    void connect(const VerbsEndpoint& theirs) override {
        connecting_.begin(port_, pair_, theirs, {.first_packet = first_packet_});
    }
    std::optional<Status> connected() override { return connecting_.outcome(); }
    uint32_t inline_bytes_max() const override { return inline_bytes_max_; }
    uint32_t write_bytes_max() const override { return port_->write_bytes_max; }
    uint32_t room() const override { return port_->queue_depth - static_cast<uint32_t>(added_ - landed_); }
    void add(const Write& write, bool complete) override;
    bool chained() const override { return chained_ > 0; }
    void post(Wake wake) override;
    uint64_t added() const override { return added_; }
    uint64_t landed() const override { return landed_; }
    const Status& broken() const override { return broken_; }
    bool take_wake(Wake kind) override {
        const bool was = wakes_[static_cast<size_t>(kind)];
        wakes_[static_cast<size_t>(kind)] = false;
        return was;
    }

private:
    void take(const ibv_wc& completion) override;
    void expect_wake();
    std::string device() const { return "RDMA device " + port_->name; }
    void breaks(const std::string& why) {
        if (broken_.ok()) broken_ = failure(DERECHO_UNREACHABLE, "its RDMA connection broke: " + why);
    }

    std::shared_ptr<VerbsPort> port_;
    const uint64_t due_bytes_;
    std::shared_ptr<ibv_qp> pair_;
    PairConnection connecting_;
    bool fenced_ = false, deaf_ = false;  // deaf: it takes nothing of the peer's any more
    uint32_t inline_bytes_max_ = 0;
    const uint32_t first_packet_ = first_packet_number();

    std::vector<ibv_send_wr> chain_;
    std::vector<ibv_sge> pieces_;
    std::vector<std::array<std::byte, 256>> values_;  // of inline writes, until they are posted
    size_t chained_ = 0;
    uint64_t added_ = 0, landed_ = 0, completing_ = 0;  // completing: the last whose completion was asked for
    std::array<bool, 3> wakes_{};
    Status broken_;
};

Status Pair::make() {
    ibv_qp_init_attr wanted{};
    wanted.send_cq = wanted.recv_cq = port_->completions.get();
    wanted.qp_type = IBV_QPT_RC;
    wanted.cap.max_send_wr = port_->queue_depth;
    wanted.cap.max_recv_wr = VerbsPort::kWakesMax;
    wanted.cap.max_send_sge = wanted.cap.max_recv_sge = 1;
    for (const uint32_t inline_bytes : kInlineWanted) {
        ibv_qp_init_attr attributes = wanted;
        attributes.cap.max_inline_data = inline_bytes;
        pair_ = owned(port_->verbs.create_qp(port_->domain.get(), &attributes), port_->verbs.destroy_qp);
        inline_bytes_max_ = inline_bytes;
        if (pair_) break;
    }
    if (!pair_) return failure(DERECHO_NO_MEMORY, verbs_error("an RDMA queue pair", errno));
    port_->pairs[pair_->qp_num] = this;
    chain_.resize(port_->queue_depth);
    pieces_.resize(port_->queue_depth);
    values_.resize(port_->queue_depth);
    if (Status status = initialize_pair(*port_, pair_.get(), IBV_ACCESS_REMOTE_WRITE); !status.ok()) return status;
    for (uint32_t i = 0; i < VerbsPort::kWakesMax; ++i) expect_wake();
    return {};
}

VerbsEndpoint Pair::endpoint() const {
    VerbsEndpoint endpoint;
    endpoint.pair = pair_->qp_num;
    endpoint.first_packet = first_packet_;
    endpoint.address = port_->address;
    return endpoint;
}

// A queue pair in the error state drops what arrives. The packet that it has in hand is done with once it gives back
// its receive requests. Destroying it would fence as well, but waits until the network has let go of its last packet:
// with Soft-RoCE three seconds, if the peer's host does not answer any more.
void Pair::fence() {
    if (std::exchange(fenced_, true)) return;
    port_->due_bytes -= due_bytes_;
    if (!pair_) return;
    const uint32_t number = pair_->qp_num;
    const bool stops = stop_pair(*port_, pair_.get()).ok();
    port_->poll();
    for (const Instant end = monotonic_now() + kFenceAtMost; stops && !deaf_ && monotonic_now() < end; port_->poll())
        ::sched_yield();
    if (!deaf_) pair_.reset();
    port_->pairs.erase(number);
}

void Pair::add(const Write& write, bool complete) {
    DERECHO_ASSERT(room() > 0);
    ibv_send_wr& request = chain_[chained_];
    ibv_sge& piece = pieces_[chained_];
    piece = {reinterpret_cast<uintptr_t>(write.from), write.size_bytes, write.local_key};
    request = {};
    request.wr_id = ++added_;
    request.sg_list = &piece;
    request.num_sge = 1;
    request.opcode = IBV_WR_RDMA_WRITE;
    request.wr.rdma.remote_addr = write.to;
    request.wr.rdma.rkey = write.remote_key;
    if (write.size_bytes <= inline_bytes_max_) {
        auto& value = values_[chained_];
        std::memcpy(value.data(), write.from, write.size_bytes);
        piece.addr = reinterpret_cast<uintptr_t>(value.data());
        request.send_flags = IBV_SEND_INLINE;
    }
    // Every half queue, so that there is always one under way whose completion makes room.
    if (complete || added_ - completing_ >= (port_->queue_depth + 1) / 2) {
        request.send_flags |= IBV_SEND_SIGNALED;
        completing_ = added_;
    }
    if (chained_ > 0) chain_[chained_ - 1].next = &request;
    ++chained_;
}

void Pair::post(Wake wake) {
    if (chained_ == 0) return;
    if (wake != Wake::none) {
        ibv_send_wr& last = chain_[chained_ - 1];
        last.opcode = IBV_WR_RDMA_WRITE_WITH_IMM;
        last.imm_data = htobe32(static_cast<uint32_t>(wake));
        last.send_flags |= IBV_SEND_SOLICITED;
    }
    port_->counts.work_requests += chained_;
    ++port_->counts.doorbells;
    chained_ = 0;
    if (!broken_.ok()) return;
    ibv_send_wr* refused = nullptr;
    if (const int error = ::ibv_post_send(pair_.get(), chain_.data(), &refused); error != 0)
        breaks(device() + " takes no more writes: " + std::strerror(error));
}

void Pair::expect_wake() {
    ibv_recv_wr request{};
    request.wr_id = kExpectedWake;
    ibv_recv_wr* refused = nullptr;
    if (const int error = ::ibv_post_recv(pair_.get(), &request, &refused); error != 0)
        breaks(device() + " takes no more requests: " + std::strerror(error));
}

void Pair::take(const ibv_wc& completion) {
    if (completion.status != IBV_WC_SUCCESS && completion.wr_id == kExpectedWake) deaf_ = true;
    if (completion.status != IBV_WC_SUCCESS)
        return breaks(cause(completion.status, device()) + " (" + port_->verbs.wc_status_str(completion.status) + ")");
    if (completion.opcode != IBV_WC_RECV_RDMA_WITH_IMM) {
        landed_ = completion.wr_id;
        return;
    }
    const uint32_t kind = be32toh(completion.imm_data);
    if (kind >= wakes_.size()) return breaks("it sent what is no wake");
    wakes_[kind] = true;
    expect_wake();
}

}  // namespace

Status make_verbs_pair(std::shared_ptr<VerbsPort> port, uint64_t due_bytes, std::unique_ptr<VerbsPair>& out) {
    auto pair = std::make_unique<Pair>(std::move(port), due_bytes);
    if (Status status = pair->make(); !status.ok()) return status;
    out = std::move(pair);
    return {};
}

}  // namespace libderecho
