// Driving: steps, waits, and whose turn it is. Joining and the rest of a node's life are in life.cpp.
#include "node/node.hpp"

#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <algorithm>
#include <cstring>
#include <new>
#include <system_error>

#include "node/drive.hpp"

namespace libderecho {
namespace {

// How long a poll that must not wait, waits for the right when there are events.
constexpr Duration kBriefly = milliseconds(5);
// Looks without result before the reactor sleeps.
constexpr int kReactorYields = 4;

}  // namespace

// ---------------------------------------------------------------------------------------------------- polling

derecho_status Node::poll(std::span<derecho_event> events, int64_t timeout_ns, size_t& count, uint64_t& lease) {
    count = 0;
    lease = 0;
    if (!right_.try_take()) [[unlikely]] {
        const Outcome outcome = take_right(timeout_ns);
        if (outcome == Outcome::closed) return DERECHO_CLOSED;
        if (outcome != Outcome::done) return timeout_ns == 0 ? DERECHO_OK : found_nothing();
    }
    begin_to_drive();
    try {
        return poll_as_driver(events, timeout_ns, count, lease);
    } catch (...) {  // no memory: whoever comes next goes on
        give_right();
        throw;
    }
}

// Gives the right back, unless it was lost on the way.
derecho_status Node::poll_as_driver(std::span<derecho_event> events, int64_t timeout_ns, size_t& count,
                                    uint64_t& lease) {
    step();
    derecho_status status = take(events, count, lease);
    if (status == DERECHO_OK && count == 0) {
        if (timeout_ns != 0) {
            const Instant deadline =
                timeout_ns < 0 ? kNever : now_.monotonic + Duration{static_cast<uint64_t>(timeout_ns)};
            const Outcome outcome = drive(deadline, Wakeable::yes, [&] {
                status = take(events, count, lease);
                return status != DERECHO_OK || count > 0;
            });
            if (outcome == Outcome::dispossessed) return closing_.load() ? DERECHO_CLOSED : found_nothing();
            if (outcome == Outcome::closed) status = DERECHO_CLOSED;
        }
        if (count == 0 && event_fd_used()) arm_event_fd();
    }
    give_right();
    return status;
}

derecho_status Node::take(std::span<derecho_event> events, size_t& count, uint64_t& lease) {
    if (group_->leases().full()) [[unlikely]] {
        group_->note_poll();
        return DERECHO_AGAIN;
    }
    if (states_missing_) [[unlikely]]
        note_states();  // before the events of this poll, so that a joiner hears of its view before it has its state
    count = rpc_->take(events, lease);
    if (const View* view = group_->taken_view(); view && view->id != noted_view_) [[unlikely]]
        note_view();
    if (count == 0) {
        if (events_ready_.load(std::memory_order_relaxed)) events_ready_.store(false, std::memory_order_relaxed);
        if (rpc_->over()) [[unlikely]]
            return DERECHO_CLOSED;
    }
    return DERECHO_OK;
}

void Node::note_view() {
    noted_view_ = group_->taken_view()->id;
    const std::lock_guard lock(view_mutex_);
    view_ = *group_->taken_view();
    states_missing_ = lacks_states();
}

// Of the view that the application knows, as long as it is the newest.
void Node::note_states() {
    const View* current = group_->view();
    if (!current || current->id != noted_view_) return;
    const std::lock_guard lock(view_mutex_);
    for (size_t rank = 0; rank < view_.members.size(); ++rank)
        view_.members[rank].shards_with_state |= group_->shards_held_by(Rank{static_cast<uint32_t>(rank)});
    states_missing_ = lacks_states();
}

bool Node::lacks_states() const {
    return std::ranges::any_of(view_.members, [&](const Member& member) { return !has_all_states(member); });
}

bool Node::has_all_states(const Member& member) const {
    const uint64_t all_shards = (1ull << options_.group.services.size()) - 1;
    return (member.shards_with_state & all_shards) == all_shards;
}

bool Node::release(uint64_t lease) {
    if (!group_->leases().release(lease)) return false;
    nudge();  // a sender may be waiting for the space
    return true;
}

void Node::wake() {
    wake_wanted_.store(true, std::memory_order_seq_cst);
    nudge();
    right_.interrupt();
}

bool Node::consume_wake() {
    return wake_wanted_.load(std::memory_order_relaxed) && wake_wanted_.exchange(false, std::memory_order_acq_rel);
}

// ---------------------------------------------------------------------------------------------------- with the right

bool Node::step() {
    now_ = clock_.now();
    ++steps_;
    try {
        return rpc_->step(now_);
    } catch (const std::bad_alloc&) {
        group_->end_for_lack("the system gave no memory");
    } catch (const std::system_error& error) {  // no thread, above all
        group_->end_for_lack(error.what());
    }
    return true;
}

void Node::begin_to_drive() {
    driver_.store(Driver::application, std::memory_order_relaxed);
    drives_.store(drives_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void Node::give_right() {
    if (event_fd_armed_.load(std::memory_order_relaxed) && rpc_->has_events()) [[unlikely]]
        signal_event_fd();
    const bool slept = slept_;
    slept_ = false;
    driver_.store(Driver::none, std::memory_order_relaxed);
    right_.give();
    if (slept) [[unlikely]]
        reactor_.end_rest();
}

WaitStages Node::wait_stages() const {
    Duration spin = microseconds(50);
    if (options_.spin_us >= 0) {
        spin = microseconds(static_cast<uint64_t>(options_.spin_us));
    } else if (fabric_->crowded()) {
        spin = {};
    }
    return {spin, microseconds(options_.yield_us)};
}

// True: there is no need to sleep, or no time.
bool Node::called_away(Wakeable wakeable) const {
    return closing_.load(std::memory_order_relaxed) || guests_.load(std::memory_order_relaxed) > 0 ||
           (wakeable == Wakeable::yes && wake_wanted_.load(std::memory_order_relaxed));
}

// Sleep until something happens or `deadline`. True if something moved.
bool Node::sleep(Instant deadline, Driver as, Wakeable wakeable) {
    asleep_.store(true, std::memory_order_seq_cst);
    Fences::heavy();
    fabric_->arm();
    const bool moved = step();
    bool stay = moved || called_away(wakeable);
    if (as == Driver::reactor) {
        note_events();
        stay |= reactor_gives_way();
    } else {
        slept_ = true;
        stay |= rpc_->has_events();
    }
    const Instant until = std::min(deadline, group_->next_deadline());
    if (stay || until <= now_.monotonic) {
        fabric_->disarm();
    } else {
        ++sleeps_;
        fabric_->wait(until - now_.monotonic);
    }
    asleep_.store(false, std::memory_order_seq_cst);
    return moved;
}

void Node::wake_driver() {
    if (asleep_.exchange(false, std::memory_order_seq_cst)) fabric_->wake();
}

// ---------------------------------------------------------------------------------------------------- getting it

// Another thread drives. Done: it is ours now.
Node::Outcome Node::take_right(int64_t timeout_ns) {
    Instant deadline = kNever;
    if (timeout_ns == 0) {
        if (nothing_to_poll()) return Outcome::timed_out;
        deadline = monotonic_now() + kBriefly;
    } else if (timeout_ns > 0) {
        deadline = monotonic_now() + Duration{static_cast<uint64_t>(timeout_ns)};
    }
    bool woken = false;
    const auto stop = [&] {
        // The reactor gives way as soon as it knows that somebody waits; an application thread when it has its events.
        if (driver_.load(std::memory_order_relaxed) == Driver::reactor) nudge();
        woken = timeout_ns != 0 && consume_wake();  // it is for those who wait
        return woken || closing_.load(std::memory_order_relaxed);
    };
    if (right_.wait(deadline, stop)) return Outcome::done;
    if (closing_.load(std::memory_order_relaxed)) return Outcome::closed;
    return woken ? Outcome::woken : Outcome::timed_out;
}

// A poll that must not wait, while another thread drives: whether it can go home at once.
bool Node::nothing_to_poll() {
    if (event_fd_used()) arm_event_fd();
    if (driver_.load(std::memory_order_relaxed) == Driver::application) return true;
    if (!event_fd_used()) {
        right_wanted_back_.store(true, std::memory_order_seq_cst);
        nudge();
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return !events_ready_.load(std::memory_order_relaxed);
}

// ---------------------------------------------------------------------------------------------------- the descriptor

int Node::event_fd() {
    if (!reactor_.running()) return -1;
    event_fd_used_.store(true, std::memory_order_relaxed);
    return event_fd_;
}

// A poll that waited got no turn. Whoever drives may have seen events before the descriptor was armed.
derecho_status Node::found_nothing() {
    if (event_fd_used()) {
        arm_event_fd();
        nudge();
    }
    return DERECHO_OK;
}

// Nothing was found: from now on the descriptor tells, and the reactor drives without delay.
void Node::arm_event_fd() {
    if (event_fd_signalled_.exchange(false, std::memory_order_acq_rel)) {
        uint64_t count;
        [[maybe_unused]] const ssize_t n = ::read(event_fd_, &count, sizeof count);
    }
    if (!event_fd_armed_.exchange(true, std::memory_order_seq_cst)) reactor_.look_in(microseconds(1));
}

bool Node::signal_event_fd() {
    if (!event_fd_armed_.exchange(false, std::memory_order_acq_rel)) return false;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(event_fd_, &one, sizeof one);
    // Not before the write: who arms it without the right would read nothing, and never again.
    event_fd_signalled_.store(true, std::memory_order_release);
    return true;
}

// ---------------------------------------------------------------------------------------------------- the reactor

Reactor::Look Node::look() {
    const uint32_t drives = drives_.load(std::memory_order_relaxed);
    const Driver driver = driver_.load(std::memory_order_relaxed);
    if (driver == Driver::application && asleep_.load(std::memory_order_seq_cst)) return Reactor::Look::rest;
    const bool driven = drives != drives_seen_ && !event_fd_armed_.load(std::memory_order_relaxed);
    drives_seen_ = drives;
    if (driven || closing_.load(std::memory_order_relaxed) || !right_.try_take()) return Reactor::Look::driven;
    driver_.store(Driver::reactor, std::memory_order_relaxed);
    drive_as_reactor();
    driver_.store(Driver::none, std::memory_order_relaxed);
    right_.give();
    return Reactor::Look::drove;
}

// The reactor leaves events to the application, and tells it.
void Node::note_events() {
    if (!rpc_->has_events()) return;
    events_ready_.store(true, std::memory_order_seq_cst);
    told_application_ |= signal_event_fd();
}

// An application thread wants the right, or will as soon as it looks at the descriptor.
bool Node::reactor_gives_way() const {
    return right_.somebody_waits() || told_application_ || right_wanted_back_.load(std::memory_order_relaxed) ||
           guests_.load(std::memory_order_relaxed) > 0 || closing_.load(std::memory_order_relaxed);
}

void Node::drive_as_reactor() {
    int idle = 0;
    told_application_ = false;
    right_wanted_back_.store(false, std::memory_order_relaxed);
    while (!reactor_gives_way()) {
        const bool moved = idle < kReactorYields ? step() : sleep(kNever, Driver::reactor, Wakeable::no);
        note_events();
        idle = moved ? 0 : idle + 1;
        if (!moved && idle < kReactorYields) sched_yield();
    }
}

}  // namespace libderecho
