#include "fabric/os/sleeper.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace libderecho {

Status Sleeper::open(bool shared) {
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (epoll_.valid()) wakeup_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!epoll_.valid() || !wakeup_.valid())
        return failure(DERECHO_NO_MEMORY, std::string("no descriptors to sleep on: ") + std::strerror(errno));
    if (!shared) return map_anonymous(kControlBytes, control_);
    return create_sealed("derecho-control", kControlBytes, control_fd_, control_);
}

namespace {

constexpr unsigned kInterestBits = 8;

epoll_event event_of(Sleeper::Interest interest, bool readable, bool writable, uint32_t slot) {
    epoll_event event{};
    event.events = (readable ? EPOLLIN : 0u) | (writable ? EPOLLOUT : 0u);
    event.data.u64 = static_cast<uint64_t>(interest) | uint64_t{slot} << kInterestBits;
    return event;
}

}  // namespace

Status Sleeper::watch(int fd, Interest interest, bool readable, bool writable, uint32_t slot) {
    epoll_event event = event_of(interest, readable, writable, slot);
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
    return failure(DERECHO_NO_MEMORY, std::string("cannot watch a socket: ") + std::strerror(errno));
}

void Sleeper::change(int fd, Interest interest, bool readable, bool writable, uint32_t slot) {
    epoll_event event = event_of(interest, readable, writable, slot);
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event);
}

void Sleeper::unwatch(int fd) { ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr); }

Sleeper::Found Sleeper::look() {
    std::array<epoll_event, 64> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
    Found found;
    found.anything = found.more = n == static_cast<int>(events.size());
    for (int i = 0; i < n; ++i) {
        const uint64_t data = events[static_cast<size_t>(i)].data.u64;
        const auto interest = static_cast<Interest>(data & ((1u << kInterestBits) - 1));
        found.anything |= interest != Interest::link_data;
        if (interest == Interest::peer) found.peers.add(static_cast<uint32_t>(data >> kInterestBits));
    }
    return found;
}

void Sleeper::set_asleep(bool asleep) {
    if ((epoch_ % 2 == 1) == asleep) return;
    auto* control = reinterpret_cast<ControlMemory*>(control_.data());
    std::atomic_ref<uint64_t>(control->asleep_epoch).store(++epoch_, std::memory_order_seq_cst);
}

void Sleeper::arm() {
    set_asleep(true);
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

void Sleeper::disarm() { set_asleep(false); }

void Sleeper::wait(Duration at_most) {
    std::array<pollfd, 2> fds{{{wakeup_.get(), POLLIN, 0}, {epoll_.get(), POLLIN, 0}}};
    const timespec timeout{static_cast<time_t>(at_most.ns / 1'000'000'000),
                           static_cast<long>(at_most.ns % 1'000'000'000)};
    ::ppoll(fds.data(), fds.size(), &timeout, nullptr);
    disarm();
    uint64_t count;
    if (fds[0].revents & POLLIN) [[maybe_unused]]
        const ssize_t n = ::read(wakeup_.get(), &count, sizeof count);
}

void Sleeper::wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t n = ::write(wakeup_.get(), &one, sizeof one);
}

}  // namespace libderecho
