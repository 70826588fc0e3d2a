// The simulator's only source of chance: a small generator whose every run follows from one seed, on every machine.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace libderecho::sim {

// splitmix64: one multiplication-free state word, good enough for delays and coin tosses.
class Random {
public:
    explicit Random(uint64_t seed) : state_(seed) {}

    uint64_t next() {
        uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
    // 0 to bound - 1; 0 if bound is 0.
    uint64_t below(uint64_t bound) { return bound == 0 ? 0 : next() % bound; }
    // first to last, both included.
    uint64_t between(uint64_t first, uint64_t last) { return first + below(last - first + 1); }
    bool chance(double probability) { return static_cast<double>(next() >> 11) * 0x1p-53 < probability; }
    // Mostly near `smallest`, now and then near `largest`: every magnitude between is as likely.
    uint64_t magnitude(uint64_t smallest, uint64_t largest) {
        const auto low = static_cast<unsigned>(std::bit_width(smallest)),
                   high = static_cast<unsigned>(std::bit_width(largest));
        const unsigned bits = static_cast<unsigned>(between(low, high));
        const uint64_t value = bits == 0 ? 0 : (1ull << (bits - 1)) + below(1ull << (bits - 1));
        return value < smallest ? smallest : value > largest ? largest : value;
    }
    // A generator of its own, so that one part's draws do not move another's.
    Random fork() { return Random(next()); }

private:
    uint64_t state_;
};

}  // namespace libderecho::sim
