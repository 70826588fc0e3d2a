// The states that a reliable connection's queue pair goes through: initialized, connected, stopped.
#include <sys/random.h>
#include <algorithm>
#include <cstring>
#include <system_error>

#include "fabric/os/apart.hpp"
#include "fabric/verbs/parts.hpp"

namespace libderecho {
namespace {

constexpr uint8_t kRnrTimer = 12;   // 0.64 ms until what found no receive request is sent again
constexpr uint8_t kRnrForEver = 7;  // a slow reader of wakes is not a lost one

Status change(const VerbsPort& port, ibv_qp* pair, ibv_qp_attr attributes, int what, const char* verb) {
    const int error = port.verbs.modify_qp(pair, &attributes, what);
    if (error == 0) return {};
    return failure(DERECHO_UNREACHABLE, verbs_error((std::string(verb) + " an RDMA queue pair").c_str(), error));
}

// How packets get to a peer's port.
ibv_ah_attr route_to(const VerbsPort& port, const VerbsAddress& to) {
    constexpr uint8_t kHopLimit = 64;
    ibv_ah_attr route{};
    route.port_num = port.number;
    route.sl = static_cast<uint8_t>(port.options.service_level);
    route.dlid = to.lid;
    if (!port.address.ethernet) return route;
    route.is_global = 1;
    std::memcpy(route.grh.dgid.raw, to.gid.data(), to.gid.size());
    route.grh.sgid_index = port.gid_index;
    route.grh.hop_limit = kHopLimit;
    route.grh.traffic_class = static_cast<uint8_t>(port.options.traffic_class);
    return route;
}

}  // namespace

uint32_t first_packet_number() {
    uint32_t number = 0;
    [[maybe_unused]] const ssize_t n = ::getrandom(&number, sizeof number, 0);
    return number & kVerbsNumbers;
}

Status initialize_pair(const VerbsPort& port, ibv_qp* pair, unsigned access) {
    ibv_qp_attr a{};
    a.qp_state = IBV_QPS_INIT;
    a.pkey_index = static_cast<uint16_t>(port.options.pkey_index);
    a.port_num = port.number;
    a.qp_access_flags = access;
    return change(port, pair, a, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS, "initializing");
}

Status connect_pair(const VerbsPort& port, ibv_qp* pair, const VerbsEndpoint& theirs, const PairTerms& terms) {
    ibv_qp_attr a{};
    a.qp_state = IBV_QPS_RTR;
    a.path_mtu = std::min(port.mtu, static_cast<ibv_mtu>(theirs.address.mtu));
    a.dest_qp_num = theirs.pair & kVerbsNumbers;
    a.rq_psn = theirs.first_packet & kVerbsNumbers;
    a.max_dest_rd_atomic = terms.reads_served;
    a.min_rnr_timer = kRnrTimer;
    a.ah_attr = route_to(port, theirs.address);
    const int receiving = IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
                          IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
    Status status = change(port, pair, a, receiving, "connecting");
    if (!status.ok() || !terms.sends) return status;
    a.qp_state = IBV_QPS_RTS;
    a.sq_psn = terms.first_packet;
    a.timeout = static_cast<uint8_t>(port.options.ack_timeout);
    a.retry_cnt = static_cast<uint8_t>(port.options.retries);
    a.rnr_retry = kRnrForEver;
    a.max_rd_atomic = terms.reads_asked;
    const int sending =
        IBV_QP_STATE | IBV_QP_SQ_PSN | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY | IBV_QP_MAX_QP_RD_ATOMIC;
    return change(port, pair, a, sending, "connecting");
}

// A pair that is stopped first stays so: no state but the first follows that one.
void PairConnection::begin(std::shared_ptr<VerbsPort> port, std::shared_ptr<ibv_qp> pair, const VerbsEndpoint& theirs,
                           const PairTerms& terms) {
    port_ = port;
    ++port_->connecting;
    try {
        answer_ = apart([port = std::move(port), pair = std::move(pair), theirs, terms]() mutable {
            Status status = connect_pair(*port, pair.get(), theirs, terms);
            pair.reset();
            port.reset();
            return status;
        });
    } catch (const std::system_error&) {
        outcome_ = failure(DERECHO_NO_MEMORY, "no thread to connect an RDMA queue pair");
        forget();
    }
}

void PairConnection::forget() {
    if (port_) --port_->connecting;
    port_ = nullptr;
}

std::optional<Status> PairConnection::outcome() {
    if (answer_.valid()) {
        if (!is_there(answer_)) return std::nullopt;
        outcome_ = answer_.get();
        forget();
    }
    return outcome_;
}

Status stop_pair(const VerbsPort& port, ibv_qp* pair) {
    ibv_qp_attr a{};
    a.qp_state = IBV_QPS_ERR;
    return change(port, pair, a, IBV_QP_STATE, "stopping");
}

}  // namespace libderecho
