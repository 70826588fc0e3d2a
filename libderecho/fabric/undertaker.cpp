#include "fabric/undertaker.hpp"

#include <pthread.h>
#include <csignal>
#include <system_error>
#include <utility>

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
    // The process's signals are not for this thread.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
        thread_ = std::thread([this] { run(); });
        pthread_setname_np(thread_.native_handle(), "derecho-burial");
    } catch (const std::system_error&) {
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
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
