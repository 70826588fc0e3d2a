// How a thread that holds the right waits for something: the loop behind poll, join and leave.
#pragma once

#include <sched.h>

#include "node/node.hpp"

namespace libderecho {

inline void pause_briefly() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
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
