// Who polls: whoever waits drives, and a background thread when nobody does.
//
// One thread at a time polls and dispatches, so handlers see ordered events in order. A thread that waits for an answer
// takes that right if it is free; otherwise it sleeps until the driver has dispatched something. The background thread
// has it while nobody waits, and yields at once to somebody who does.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "raw.hpp"

namespace derecho::detail {

using Clock = std::chrono::steady_clock;

/** When a wait ends; the greatest durations, which mean "ever", do not overflow. */
inline Clock::time_point deadline_after(std::chrono::nanoseconds timeout) {
    constexpr std::chrono::hours kYear{366 * 24};
    return Clock::now() + std::min<std::chrono::nanoseconds>(timeout, kYear);
}

/** Grows in every child of a fork, which has none of its parent's threads, nor any part in its groups. */
inline std::atomic<uint32_t> forks = 0;
[[maybe_unused]] inline const int forks_watched = ::pthread_atfork(nullptr, nullptr, [] { forks++; });

/** What the pump asks of its group. All are called by the thread that drives, and must not throw. */
struct Driven {
    std::function<void(const derecho_event&)> dispatch;
    std::function<bool()> retry;  // sends again what found no room; whether something is left
    std::function<void(derecho_status, const std::string&)> ended;  // polling failed for good
};

class Pump {
public:
    Pump(RawGroup& group, Driven driven) : group_(group), driven_(std::move(driven)) {}
    ~Pump() {
        stop();
        if (thread_.joinable()) thread_.detach();  // a handler gave up the group: this is that thread, at its end
    }

    /** Start the background thread, which keeps `owner` of this until it is stopped. */
    void start(std::shared_ptr<void> owner) {
        thread_ = std::thread([this, owner = std::move(owner)] { run_in_background(); });
        background_ = thread_.get_id();
    }

    /** End the background thread. Waits for it, and for whoever drives, unless called by one of them. */
    void stop() {
        stopping_ = true;
        derecho_wake(group_.handle());
        if (background_ == std::this_thread::get_id()) return;
        {
            const std::lock_guard lock(stop_mutex_);
            if (thread_.joinable()) thread_.join();
        }
        if (!in_handler()) const std::lock_guard lock(right_);
    }

    /** Whether the calling thread is dispatching right now. */
    bool in_handler() const { return driver_.load(std::memory_order_relaxed) == std::this_thread::get_id(); }

    /** Drive, or follow who does, until `done()`. @return false when the time passed. @throws InHandler */
    template <class Done>
    bool wait(Done done, std::chrono::nanoseconds timeout, const std::string& what) {
        if (done()) return true;
        if (in_handler()) {
            throw InHandler("a handler must not wait (" + what +
                            "): what it waits for is dispatched after it returned");
        }
        const Clock::time_point deadline = deadline_after(timeout);
        const Waiting waiting(*this);
        while (!done()) {
            const Clock::duration left = deadline - Clock::now();
            if (left <= Clock::duration::zero()) return false;
            turn_once(left);
        }
        return true;
    }

    /** Drive once, or follow once: for loops that retry something themselves. Does nothing in a handler. */
    void turn(std::chrono::nanoseconds timeout) {
        if (in_handler()) return;
        const Waiting waiting(*this);
        turn_once(timeout);
    }

private:
    using Milliseconds = std::chrono::milliseconds;
    static constexpr Milliseconds kDriveAtMost{100};
    static constexpr Milliseconds kFollow{2};
    static constexpr Milliseconds kBackgroundPoll{1000};
    static constexpr Milliseconds kPauseFirst{2};
    static constexpr Milliseconds kPauseAtMost{20};
    static constexpr std::chrono::microseconds kRetry{500};  // polls are this short while something is to be retried

    /** Announces that somebody waits, so that the background thread stands aside. */
    class Waiting {
    public:
        explicit Waiting(Pump& pump) : pump_(pump) {
            pump.waiters_++;
            pump.entries_++;
            if (pump.background_drives_) derecho_wake(pump.group_.handle());
        }
        ~Waiting() { pump_.waiters_--; }
        Waiting(const Waiting&) = delete;

    private:
        Pump& pump_;
    };

    void turn_once(std::chrono::nanoseconds timeout) {
        if (right_.try_lock()) {
            drive_and_unlock(std::min<std::chrono::nanoseconds>(timeout, kDriveAtMost));
            return;
        }
        std::unique_lock lock(changed_mutex_);
        followers_++;
        if (right_.try_lock()) {  // the driver finished before it could see that somebody follows
            followers_--;
            lock.unlock();
            return drive_and_unlock(std::min<std::chrono::nanoseconds>(timeout, kDriveAtMost));
        }
        if (background_drives_) derecho_wake(group_.handle());
        changed_.wait_for(lock, std::min<std::chrono::nanoseconds>(timeout, kFollow));
        followers_--;
    }

    /** Poll and dispatch once; the caller has just taken the right. */
    void drive_and_unlock(std::chrono::nanoseconds timeout) {
        driver_ = std::this_thread::get_id();
        drive(timeout);
        driver_ = std::thread::id();
        right_.unlock();
        if (followers_.load() != 0) {
            const std::lock_guard lock(changed_mutex_);
            changed_.notify_all();
        }
    }

    void drive(std::chrono::nanoseconds timeout) {
        if (ended_) return;
        if (must_retry_) timeout = std::min<std::chrono::nanoseconds>(timeout, kRetry);
        const derecho_status status = group_.try_poll(batch_, timeout);
        if (status == DERECHO_AGAIN) {  // too many leases are held: somebody must release batches of their own
            std::this_thread::sleep_for(kRetry);
            return;
        }
        if (status != DERECHO_OK) {
            ended_ = true;
            driven_.ended(status, derecho_last_error());
            return;
        }
        for (const derecho_event& event : batch_) driven_.dispatch(event);
        batch_.release();
        must_retry_ = driven_.retry();
    }

    void run_in_background() {
        uint64_t seen = UINT64_MAX;
        Milliseconds pause = kPauseFirst;
        while (!stopping_) {
            if (waiters_ != 0 || entries_ != seen) {  // somebody waits, or did so since the last look
                pause = entries_ == seen ? std::min(pause * 3 / 2, kPauseAtMost) : kPauseFirst;
                seen = entries_;
                std::this_thread::sleep_for(pause);
                continue;
            }
            if (!right_.try_lock()) {
                std::this_thread::sleep_for(kPauseFirst);
                continue;
            }
            background_drives_ = true;
            if (waiters_ != 0 || ended_) {  // came between the lines above, and saw that nobody drives
                right_.unlock();
            } else {
                drive_and_unlock(kBackgroundPoll);
            }
            background_drives_ = false;
            if (ended_) return;
        }
    }

    RawGroup& group_;
    Driven driven_;
    EventBatch batch_;  // of the driver
    std::mutex right_;  // to poll and dispatch
    bool must_retry_ = false;
    std::atomic<bool> ended_ = false;
    std::atomic<std::thread::id> driver_;
    std::atomic<bool> background_drives_ = false;
    std::atomic<int> waiters_ = 0;
    std::atomic<uint64_t> entries_ = 0;  // grows whenever somebody starts to wait
    std::mutex changed_mutex_;
    std::condition_variable changed_;
    std::atomic<int> followers_ = 0;
    std::atomic<bool> stopping_ = false;
    std::mutex stop_mutex_;  // several threads may close a group
    std::thread thread_;
    std::atomic<std::thread::id> background_;
};

}  // namespace derecho::detail
