// Cache lines and copies. Partners are processes, as members of a group are, and die with this one.
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>
#include <algorithm>
#include <atomic>
#include <cstring>
#include <stdexcept>

#include "limits.hpp"
#include "machine.hpp"

namespace bench {
namespace {

struct Ping {
    alignas(128) std::atomic<uint64_t> there;
    alignas(128) std::atomic<uint64_t> back;
};

struct Turns {
    alignas(128) std::atomic<uint64_t> turn;
};

Child echo(Ping& ping, int core, uint64_t rounds) {
    return Child([&ping, core, rounds] {
        pin_to(core);
        for (uint64_t i = 1; i <= rounds; ++i) {
            while (ping.there.load(std::memory_order_acquire) != i) {
            }
            ping.back.store(i, std::memory_order_release);
        }
        return 0;
    });
}

void round_trip(Ping& ping, uint64_t i) {
    ping.there.store(i, std::memory_order_release);
    while (ping.back.load(std::memory_order_acquire) != i) {
    }
}

// With huge pages, where there are any: the machine at its best.
char* private_memory(size_t size) {
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::runtime_error("no memory");
    madvise(memory, size, MADV_HUGEPAGE);
    return static_cast<char*>(memory);
}

}  // namespace

Histogram cache_line_round_trips(const Cores& cores, uint64_t rounds) {
    auto* ping = shared<Ping>();
    const Pinned here(cores.first);
    const Child other = echo(*ping, cores.second, rounds);
    Histogram times;
    for (uint64_t i = 1; i <= rounds; ++i) {
        const uint64_t begin = now_ns();
        round_trip(*ping, i);
        const uint64_t took = now_ns() - begin;
        if (i > rounds / 20) times.record(took);
    }
    munmap(ping, sizeof *ping);
    return times;
}

double cache_line_mean_ns(const Cores& cores, uint64_t rounds) {
    auto* ping = shared<Ping>();
    const Pinned here(cores.first);
    const Child other = echo(*ping, cores.second, rounds);
    round_trip(*ping, 1);
    const uint64_t begin = now_ns();
    for (uint64_t i = 2; i <= rounds; ++i) round_trip(*ping, i);
    const double mean = static_cast<double>(now_ns() - begin) / static_cast<double>(rounds - 1);
    munmap(ping, sizeof *ping);
    return mean;
}

// Each passes the turn on and yields until it comes back: what three members on two cores cannot be faster than.
double ring_of_three_turn_ns(double seconds) {
    constexpr uint64_t kMembers = 3;
    auto* ring = shared<Turns>();
    const uint64_t begin = now_ns(), end = begin + static_cast<uint64_t>(seconds * 1e9);
    const auto take_part = [ring, end](uint64_t me) {
        while (true) {
            uint64_t turn = ring->turn.load(std::memory_order_acquire);
            if (turn % kMembers == me) {
                ring->turn.store(turn + 1, std::memory_order_release);
            } else {
                sched_yield();
            }
            if (now_ns() > end) return 0;
        }
    };
    const Child second([&] { return take_part(1); });
    const Child third([&] { return take_part(2); });
    const Child first([&] { return take_part(0); });
    while (now_ns() <= end) usleep(1000);
    const uint64_t turns = ring->turn.load();
    munmap(ring, sizeof *ring);
    return turns < kMembers ? 0 : seconds * 1e9 / (static_cast<double>(turns) / kMembers);
}

double memcpy_bytes_per_s(size_t piece_bytes, size_t working_set_bytes, double seconds) {
    const size_t pieces = working_set_bytes / piece_bytes;
    const size_t size = pieces * piece_bytes;
    char* const from = private_memory(size);
    char* const to = private_memory(size);
    std::memset(from, 1, size);
    std::memset(to, 2, size);
    uint64_t copied = 0;
    const uint64_t begin = now_ns(), end = begin + static_cast<uint64_t>(seconds * 1e9);
    uint64_t now = begin;
    while (now < end) {
        for (size_t i = 0; i < std::max<size_t>(pieces, 1000); ++i) {
            const size_t at = i % pieces * piece_bytes;
            std::memcpy(to + at, from + at, piece_bytes);
            asm volatile("" ::"r"(to) : "memory");
        }
        copied += std::max<size_t>(pieces, 1000) * piece_bytes;
        now = now_ns();
    }
    munmap(from, size);
    munmap(to, size);
    return static_cast<double>(copied) / (static_cast<double>(now - begin) / 1e9);
}

}  // namespace bench
