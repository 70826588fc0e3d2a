// How a node comes into a group, what it tells about itself, and how it ends.
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/after_fork.hpp"
#include "node/allocations.hpp"
#include "node/drive.hpp"
#include "node/marker_place.hpp"
#include "rpc/shares.hpp"

namespace libderecho {
namespace {

constexpr Duration kGuestsAtMost = microseconds(200);
constexpr uint64_t kCountersAtMost = 64 << 10;  // beside a ring in its region

Instant deadline_in(int64_t timeout_ms) {
    constexpr int64_t kLongest = INT64_MAX / 1'000'000;  // as nanoseconds, still a number
    if (timeout_ms < 0 || timeout_ms > kLongest) return kNever;
    return monotonic_now() + milliseconds(static_cast<uint64_t>(timeout_ms));
}

// What a view will need, had and given back: a node that cannot have it must find out before others count on it.
Status try_memory(Fabric& fabric, const GroupOptions& options) {
    if (options.client) return {};
    std::vector<Region*> had;
    for (size_t k = 0; k < options.services.size(); ++k)
        if (Region* region = fabric.expose({~uint64_t{k}}, options.ring_bytes + kCountersAtMost, {}))
            had.push_back(region);
    for (Region* region : had) fabric.retire(region);
    if (had.size() == options.services.size()) return {};
    return failure(DERECHO_NO_MEMORY, "no memory for the rings of " + std::to_string(options.services.size()) +
                                          " services of " + std::to_string(options.ring_bytes) +
                                          " bytes each (option ring_bytes): " + fabric.why_not_exposed());
}

}  // namespace

// ---------------------------------------------------------------------------------------------------- coming in

Status Node::join(NodeOptions options, int64_t timeout_ms, std::unique_ptr<Node>& out) {
    const uint32_t clients_max = options.fabric.shares.clients_max;
    options.fabric.shares = shares_of(options.group, options.mail_bytes);
    options.fabric.shares.clients_max = clients_max;
    std::unique_ptr<NetFabric> fabric;
    if (Status status = open_net_fabric(options.fabric, fabric); !status.ok()) return status;
    options.group.address = fabric->listen_address();
    if (Status status = try_memory(*fabric, options.group); !status.ok()) return status;
    // A call is a message with a header.
    options.group.message_max_bytes += kLetterHeaderBytes;
    std::unique_ptr<MarkerStore> marker;
    if (Status status = open_marker(options, marker); !status.ok()) return status;
    std::unique_ptr<Node> node(new Node(std::move(options), std::move(fabric), std::move(marker)));
    Status status = node->come_in(timeout_ms);
    if (status.ok()) out = std::move(node);
    return status;
}

Node::Node(NodeOptions options, std::unique_ptr<NetFabric> fabric, std::unique_ptr<MarkerStore> marker)
    : options_(std::move(options)),
      allocations_before_(allocations()),
      fabric_(std::move(fabric)),
      marker_(std::move(marker)),
      group_(std::make_unique<Group>(options_.group, *fabric_, read_clocks(), marker_.get())),
      rpc_(std::make_unique<Rpc>(*group_, options_.mail_bytes)) {}

Status Node::come_in(int64_t timeout_ms) {
    event_fd_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    after_fork::own(event_fd_);
    if (event_fd_ < 0) return failure(DERECHO_NO_MEMORY, std::string("no descriptor: ") + std::strerror(errno));
    if (!right_.try_take()) return failure(DERECHO_INTERNAL, "a new node is driven already");
    step();
    const Outcome outcome = drive_until_joined(deadline_in(timeout_ms));
    give_right();
    if (group_->phase() == Group::Phase::joining && join_cancelled())
        return failure(DERECHO_CLOSED, "joining was cancelled");
    if (group_->phase() == Group::Phase::ended) return group_->end();
    if (outcome != Outcome::done) {
        const Status waited = group_->end();
        return failure(waited.code == DERECHO_OK ? DERECHO_TIMEOUT : waited.code,
                       "not joined after " + std::to_string(timeout_ms) + " ms: waiting for " + waited.detail);
    }
    return options_.reactor ? reactor_.start([this] { return look(); }) : Status{};
}

// Nothing wakes it when the join is cancelled, so it looks now and then.
Node::Outcome Node::drive_until_joined(Instant deadline) {
    constexpr Duration kLook = milliseconds(10);
    Outcome outcome = Outcome::timed_out;
    while (outcome == Outcome::timed_out && now_.monotonic < deadline && !join_cancelled())
        outcome = drive(std::min(deadline, now_.monotonic + kLook), Wakeable::no,
                        [this] { return group_->phase() != Group::Phase::joining; });
    return outcome;
}

// ---------------------------------------------------------------------------------------------------- leaving

Status Node::leave(int64_t timeout_ms) {
    const Instant deadline = deadline_in(timeout_ms);
    const auto ended = [this] { return group_->phase() == Group::Phase::ended; };
    bool too_late = false;
    visit([&] {
        too_late = ended();
        if (!too_late) group_->leave();
    });
    if (too_late) return group_->end();
    drive_until(deadline, ended);
    if (closing_.load(std::memory_order_relaxed)) return failure(DERECHO_CLOSED, "the group was closed meanwhile");
    if (!ended())
        return failure(DERECHO_TIMEOUT, "the others have not installed a view without this node within " +
                                            std::to_string(timeout_ms) + " ms");
    const Status end = group_->end();
    return end.code == DERECHO_CLOSED ? Status{} : end;
}

Status Node::deregister(uint64_t memory, int64_t timeout_ms) {
    derecho_status status = rpc_->memory().withdraw(memory);
    const auto settled = [&] {
        if (status == DERECHO_AGAIN) status = rpc_->memory().withdraw(memory);
        return status != DERECHO_AGAIN;
    };
    if (status == DERECHO_AGAIN) drive_until(deadline_in(timeout_ms), settled);
    if (status == DERECHO_CLOSED) return failure(status, "the memory was deregistered");
    if (status == DERECHO_OK) return {};
    if (closing_.load(std::memory_order_relaxed)) return failure(DERECHO_CLOSED, "the group was closed meanwhile");
    return failure(DERECHO_TIMEOUT,
                   "after " + std::to_string(timeout_ms) +
                       " ms operations that use the memory are pending: " + rpc_->memory().users_of(memory));
}

std::string Node::why_closed() const {
    if (closing_.load(std::memory_order_relaxed)) return "the group was closed by another thread";
    return group_->phase() == Group::Phase::ended ? group_->end().detail : "the group has ended";
}

// Somebody wants the right for a moment, in the middle of a wait. False if it did not come back in time.
bool Node::let_guests_in(Instant deadline) {
    give_right();
    const Instant give_up = monotonic_now() + kGuestsAtMost;
    while (guests_.load(std::memory_order_relaxed) > 0 && monotonic_now() < give_up) sched_yield();
    if (!right_.wait(deadline, [this] { return closing_.load(std::memory_order_relaxed); })) return false;
    begin_to_drive();
    return true;
}

void Node::interrupt() {
    closing_.store(true, std::memory_order_seq_cst);
    asleep_.store(false, std::memory_order_seq_cst);
    fabric_->wake();
    right_.interrupt();
}

bool Node::stop() {
    reactor_.stop();
    return nothing_leased();
}

void Node::play_dead() { fabric_->shut(); }

bool Node::nothing_leased() {
    group_->leases().retire();
    return group_->leases().held() == 0;
}

Node::~Node() {
    interrupt();  // the reactor may be driving
    reactor_.stop();
    rpc_.reset();
    group_.reset();
    marker_.reset();
    fabric_.reset();
    if (event_fd_ >= 0) after_fork::close(event_fd_);
}

// ---------------------------------------------------------------------------------------------------- telling

Holdup Node::holdup(uint32_t node) const {
    if (!group_->holdups().any()) return {};
    for (Holdup& holdup : group_->holdups().current())
        if (node == DERECHO_ANY_NODE ? !holdup.unfelt : raw(holdup.node) == node) return std::move(holdup);
    return {};
}

void Node::view(derecho_view& out) {
    const std::lock_guard lock(view_mutex_);
    out.id = raw(view_.id);
    out.member_count = static_cast<uint32_t>(view_.members.size());
    const auto self = view_.rank_of(options_.group.self);
    to_text(view_.group).copy(out.group_id, sizeof out.group_id - 1);
    out.self_rank = self ? raw(*self) : UINT32_MAX;
    for (size_t rank = 0; rank < view_.members.size(); ++rank) {
        const Member& member = view_.members[rank];
        derecho_member& to = out.members[rank];
        to = {};
        to.node = raw(member.node);
        if (has_all_states(member)) to.flags |= DERECHO_MEMBER_HAS_STATE;
        if (member.votes) to.flags |= DERECHO_MEMBER_VOTES;
        member.address.copy(to.address, sizeof to.address - 1);
        const Holdup found = holdup(to.node);
        if (found.unfelt) continue;
        to.holdup = found.cause;
        to.holdup_ms = found.lasted.ns / 1'000'000;
    }
}

bool Node::troubles(std::vector<std::string>& out) {
    return visit([&] { out = group_->troubles(); });
}

bool Node::stats(derecho_stats& out) {
    return visit([&] {
        const Group::Stats group = group_->stats();
        const Fabric::Stats fabric = fabric_->stats();
        out.steps = steps_;
        out.delivered_messages = group.delivered_messages;
        out.delivered_bytes = group.delivered_bytes;
        out.sent_messages = group.sent_messages;
        out.null_messages = group.null_messages;
        out.views = group.views;
        out.pushes = fabric.pushes;
        out.wakes = fabric.wakes;
        out.sleeps = sleeps_;
        out.memory_bytes = fabric.memory_bytes;
        out.allocations = allocations() - allocations_before_;
        out.work_requests = fabric.rdma.work_requests;
        out.doorbells = fabric.rdma.doorbells;
        out.completions = fabric.rdma.completions;
        const Holdup found = holdup(DERECHO_ANY_NODE);
        out.holdup_node = raw(found.node);
        out.holdup = found.cause;
        out.holdup_ms = found.lasted.ns / 1'000'000;
        out.digests = rpc_->digest_totals().compared;
        out.differences = rpc_->digest_totals().differences;
    });
}

}  // namespace libderecho
