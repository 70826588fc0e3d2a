// How a thread that holds the right waits for something: the loop behind poll, join and leave.
#pragma once

#include <sched.h>
#include <algorithm>
#include <ctime>

#include "node/node.hpp"

namespace libderecho {

inline void pause_briefly() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Of who waits for the group's end, or an operation's, and of those who poll meanwhile.
inline constexpr Duration kTurn = milliseconds(10), kOthersTurn = milliseconds(1);

// Less than a second.
inline void sleep_for(Duration duration) {
    const timespec time{0, static_cast<long>(duration.ns)};
    ::nanosleep(&time, nullptr);
}

// Step until attempt() answers true. All outcomes but `dispossessed` leave the right with the caller.
template <class Attempt>
Node::Outcome Node::drive(Instant deadline, Wakeable wakeable, Attempt&& attempt) {
    Patience patience(wait_stages(), now_.monotonic);
    bool moved = false;
    while (true) {
        if (called_away(wakeable)) [[unlikely]] {
            if (closing_.load(std::memory_order_relaxed)) return Outcome::closed;
            if (wakeable == Wakeable::yes && consume_wake()) return Outcome::woken;
            if (guests_.load(std::memory_order_relaxed) > 0 && !let_guests_in(deadline)) return Outcome::dispossessed;
        }
        switch (patience.next(now_.monotonic, moved)) {
            case Patience::Stage::spin:
                pause_briefly();
                break;
            case Patience::Stage::yield:
                sched_yield();
                break;
            case Patience::Stage::sleep:
                moved = sleep(deadline, Driver::application, wakeable);
                break;
        }
        moved = step();
        if (attempt()) return Outcome::done;
        if (now_.monotonic >= deadline) return Outcome::timed_out;
    }
}

// Step until done() answers true, or see that somebody else does: whoever has the right meanwhile, may not come back
// for long. False when the deadline passed, or the node is being closed.
template <class Attempt>
bool Node::drive_until(Instant deadline, Attempt&& done) {
    const auto stop = [&] { return done() || closing_.load(std::memory_order_relaxed); };
    while (!stop() && monotonic_now() < deadline) {
        if (!right_.wait(std::min(deadline, monotonic_now() + milliseconds(2)), stop)) continue;
        begin_to_drive();
        step();
        // What it waits for may need the application, and so a thread that polls: it gets the right between two turns.
        const Instant turn_ends = std::min(deadline, monotonic_now() + kTurn);
        const Outcome outcome = done() ? Outcome::done : drive(turn_ends, Wakeable::no, done);
        const bool others_wait = right_.somebody_waits();
        if (outcome != Outcome::dispossessed) give_right();
        if (others_wait && !stop()) sleep_for(kOthersTurn);
    }
    return done() && !closing_.load(std::memory_order_relaxed);
}

// Do something small with the right, whoever drives. False when the node is being closed.
template <class Visit>
bool Node::visit(Visit&& visitor) {
    guests_.fetch_add(1, std::memory_order_seq_cst);
    nudge();
    const bool mine =
        right_.try_take() || right_.wait(kNever, [this] { return closing_.load(std::memory_order_relaxed); });
    if (mine) {
        visitor();
        right_.give();
    }
    guests_.fetch_sub(1, std::memory_order_seq_cst);
    return mine;
}

}  // namespace libderecho
