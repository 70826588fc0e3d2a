#include "node/reactor.hpp"

#include <pthread.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "base/after_fork.hpp"
#include "base/signals.hpp"

namespace libderecho {

Status Reactor::start(std::function<Look()> look) {
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    after_fork::own(timer_);
    if (timer_ < 0) return failure(DERECHO_NO_MEMORY, std::string("no timer for the reactor: ") + std::strerror(errno));
    look_ = std::move(look);
    Status status;
    try {
        const SignalsBlocked blocked;
        thread_ = std::thread([this] { run(); });
        pthread_setname_np(thread_.native_handle(), "derecho");
    } catch (const std::system_error& error) {
        status = failure(DERECHO_NO_MEMORY, std::string("no thread for the reactor: ") + error.what());
    }
    if (status.ok()) look_in(kTick);
    return status;
}

void Reactor::stop() {
    if (thread_.joinable()) {
        stopping_.store(true, std::memory_order_seq_cst);
        look_in({1});
        thread_.join();
    }
    if (timer_ >= 0) after_fork::close(timer_);
    timer_ = -1;
}

void Reactor::look_in(Duration delay) {
    itimerspec at{};
    at.it_value.tv_sec = static_cast<time_t>(delay.ns / 1'000'000'000);
    at.it_value.tv_nsec = static_cast<long>(delay.ns % 1'000'000'000);
    ::timerfd_settime(timer_, 0, &at, nullptr);
}

void Reactor::run() {
    while (!stopping_.load(std::memory_order_seq_cst)) {
        uint64_t expirations;
        if (::read(timer_, &expirations, sizeof expirations) < 0 && errno != EINTR) return;
        if (stopping_.load(std::memory_order_seq_cst)) return;
        resting_.store(false, std::memory_order_seq_cst);
        if (look_() != Look::rest) {
            look_in(kTick);
            continue;
        }
        resting_.store(true, std::memory_order_seq_cst);
        // Whoever stopped sleeping in between may not have seen this.
        if (look_() != Look::rest) look_in(kTick);
    }
}

}  // namespace libderecho
