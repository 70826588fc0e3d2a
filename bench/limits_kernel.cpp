// Sockets and wake-ups: what the kernel takes for them.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <atomic>
#include <cerrno>
#include <stdexcept>
#include <vector>

#include "limits.hpp"
#include "machine.hpp"

namespace bench {
namespace {

struct Sockets {
    int near = -1;
    int far = -1;
    ~Sockets() {
        close(near);
        close(far);
    }
};

void connect_loopback(Sockets& sockets, bool spin) {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    sockets.near = socket(AF_INET, SOCK_STREAM, 0);
    const bool ok = bind(listener, generic, length) == 0 && listen(listener, 1) == 0 &&
                    getsockname(listener, generic, &length) == 0 && connect(sockets.near, generic, length) == 0;
    if (ok) sockets.far = accept(listener, nullptr, nullptr);
    close(listener);
    if (sockets.far < 0) throw std::runtime_error("cannot connect over the loopback interface");
    for (const int fd : {sockets.near, sockets.far}) {
        const int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (spin) fcntl(fd, F_SETFL, O_NONBLOCK);
    }
}

bool read_all(int fd, char* data, size_t size) {
    while (size > 0) {
        const ssize_t n = read(fd, data, size);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n <= 0) return false;
        data += n;
        size -= static_cast<size_t>(n);
    }
    return true;
}

bool write_all(int fd, const char* data, size_t size) {
    while (size > 0) {
        const ssize_t n = write(fd, data, size);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) continue;
        if (n <= 0) return false;
        data += n;
        size -= static_cast<size_t>(n);
    }
    return true;
}

// `there` and `back` send one message each way; the first rounds are not counted.
template <class Round>
Histogram timed(uint64_t rounds, Round&& round) {
    Histogram times;
    for (uint64_t i = 0; i < rounds; ++i) {
        const uint64_t begin = now_ns();
        round();
        const uint64_t took = now_ns() - begin;
        if (i >= rounds / 20) times.record(took);
    }
    return times;
}

struct Futexes {
    alignas(128) std::atomic<int> there;
    alignas(128) std::atomic<int> back;
};

void futex_wait(std::atomic<int>& word, int value) {
    while (word.load() == value) syscall(SYS_futex, &word, FUTEX_WAIT, value, nullptr, nullptr, 0);
}

void futex_wake(std::atomic<int>& word) {
    word.fetch_add(1);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

}  // namespace

Histogram tcp_round_trips(const Cores& cores, size_t size_bytes, bool spin, uint64_t rounds) {
    Sockets sockets;
    connect_loopback(sockets, spin);
    std::vector<char> data(size_bytes, 1);
    const Pinned here(cores.first);
    const Child other([&] {
        pin_to(cores.second);
        while (read_all(sockets.far, data.data(), size_bytes) && write_all(sockets.far, data.data(), size_bytes)) {
        }
        return 0;
    });
    return timed(rounds, [&] {
        write_all(sockets.near, data.data(), size_bytes);
        read_all(sockets.near, data.data(), size_bytes);
    });
}

double tcp_stream_bytes_per_s(const Cores& cores, double seconds) {
    constexpr size_t kPiece = 256 << 10;
    Sockets sockets;
    connect_loopback(sockets, false);
    const Pinned here(cores.first);
    const Child sender([&] {
        pin_to(cores.second);
        const std::vector<char> data(kPiece, 1);
        while (write_all(sockets.far, data.data(), kPiece)) {
        }
        return 0;
    });
    std::vector<char> data(kPiece);
    const auto warm_until = now_ns() + static_cast<uint64_t>(seconds * 0.2e9);
    while (now_ns() < warm_until) read_all(sockets.near, data.data(), kPiece);
    const uint64_t begin = now_ns(), end = begin + static_cast<uint64_t>(seconds * 0.8e9);
    uint64_t received = 0, now = begin;
    for (; now < end; now = now_ns()) {
        if (!read_all(sockets.near, data.data(), kPiece)) throw std::runtime_error("the loopback stream broke");
        received += kPiece;
    }
    return static_cast<double>(received) / (static_cast<double>(now - begin) / 1e9);
}

Histogram futex_round_trips(int here, int there, uint64_t rounds) {
    auto* words = shared<Futexes>();
    const Pinned pinned(here);
    const Child other([&] {
        pin_to(there);
        for (int i = 0;; ++i) {
            futex_wait(words->there, i);
            futex_wake(words->back);
        }
        return 0;
    });
    int i = 0;
    Histogram times = timed(rounds, [&] {
        futex_wake(words->there);
        futex_wait(words->back, i++);
    });
    munmap(words, sizeof *words);
    return times;
}

Histogram eventfd_round_trips(int here, int there, uint64_t rounds) {
    const int to = eventfd(0, 0), from = eventfd(0, 0);
    const Pinned pinned(here);
    Histogram times;
    {
        const Child other([&] {
            pin_to(there);
            uint64_t value = 1;
            while (read(to, &value, 8) == 8 && write(from, &value, 8) == 8) {
            }
            return 0;
        });
        times = timed(rounds, [&] {
            uint64_t value = 1;
            if (write(to, &value, 8) != 8 || read(from, &value, 8) != 8) throw std::runtime_error("eventfd failed");
        });
    }
    close(to);
    close(from);
    return times;
}

double clock_read_ns() {
    constexpr int kReads = 200'000;
    const uint64_t begin = now_ns();
    for (int i = 0; i < kReads; ++i) now_ns();
    return static_cast<double>(now_ns() - begin) / kReads;
}

}  // namespace bench
