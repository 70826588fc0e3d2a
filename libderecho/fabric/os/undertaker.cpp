#include "fabric/os/undertaker.hpp"

#include <pthread.h>
#include <system_error>
#include <utility>

#include "base/signals.hpp"

namespace libderecho {

Undertaker::~Undertaker() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void Undertaker::bury(std::shared_ptr<void> remains) {
    if (!thread_.joinable() && !start()) return;  // no thread to be had: here and now
    {
        const std::lock_guard lock(mutex_);
        due_.push_back(std::move(remains));
    }
    changed_.notify_one();
}

bool Undertaker::start() {
    try {
        const SignalsBlocked blocked;
        thread_ = std::thread([this] { run(); });
        pthread_setname_np(thread_.native_handle(), "derecho-burial");
    } catch (const std::system_error&) {
    }
    return thread_.joinable();
}

void Undertaker::run() {
    std::unique_lock lock(mutex_);
    while (true) {
        changed_.wait(lock, [this] { return closing_ || !due_.empty(); });
        if (due_.empty()) return;
        std::shared_ptr<void> next = std::move(due_.front());
        due_.pop_front();
        lock.unlock();
        next.reset();
        lock.lock();
    }
}

}  // namespace libderecho
