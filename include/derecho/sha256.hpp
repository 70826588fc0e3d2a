// SHA-256 at compile time, for the hash of a schema.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace derecho::detail {

/** The first 32 bits of the fractional parts of square or cube roots of the first primes, as FIPS 180-4 has them. */
constexpr uint32_t root_fraction(uint32_t prime, bool cube) {
    // The largest r with r^2 (or r^3) at most prime * 2^64 (or 2^96): its low 32 bits are the fraction's first.
    __extension__ typedef unsigned __int128 Wide;
    uint64_t root = 0;
    for (int bit = 35; bit >= 0; bit--) {
        const uint64_t next = root | (uint64_t{1} << bit);
        const bool fits =
            cube ? Wide{next} * next <= ((Wide{prime} << 96) / next) : Wide{next} * next <= (Wide{prime} << 64);
        if (fits) root = next;
    }
    return static_cast<uint32_t>(root);
}

/** The words that the algorithm begins with and adds in each round, as plain arrays. */
struct Roots {
    uint32_t start[8]{};
    uint32_t rounds[64]{};

    constexpr Roots() {
        uint32_t prime = 2;
        for (size_t i = 0; i < 64; prime++) {
            bool is_prime = true;
            for (uint32_t d = 2; d * d <= prime; d++) is_prime = is_prime && prime % d != 0;
            if (!is_prime) continue;
            if (i < 8) start[i] = root_fraction(prime, false);
            rounds[i++] = root_fraction(prime, true);
        }
    }
};
inline constexpr Roots kRoots;

/** SHA-256 of a text that is put in piece by piece. Plain arrays and loops: compilers bound the steps of constant code.
 */
class Sha256 {
public:
    constexpr Sha256() {
        for (size_t i = 0; i < 8; i++) hash_[i] = kRoots.start[i];
    }

    constexpr void put(std::string_view text) {
        const char* at = text.data();
        for (size_t left = text.size(); left != 0; left--) add(static_cast<uint8_t>(*at++));
    }
    constexpr void put_number(size_t number) {
        if (number >= 10) put_number(number / 10);
        add(static_cast<uint8_t>('0' + number % 10));
    }

    /** The first 8 bytes of the digest, as a little-endian number. Ends the text. */
    constexpr uint64_t head() {
        finish();
        uint64_t found = 0;
        for (size_t i = 0; i < 8; i++) found |= uint64_t{byte(i)} << (i * 8);
        return found;
    }

    /** The digest, 32 bytes. Ends the text. */
    constexpr std::array<uint8_t, 32> digest() {
        finish();
        std::array<uint8_t, 32> found{};
        for (size_t i = 0; i < 32; i++) found[i] = byte(i);
        return found;
    }

private:
    static constexpr uint32_t rotate(uint32_t word, int by) { return (word >> by) | (word << (32 - by)); }

    constexpr uint8_t byte(size_t i) const { return static_cast<uint8_t>(hash_[i / 4] >> (24 - i % 4 * 8)); }

    constexpr void finish() {
        const uint64_t bits = count_ * 8;
        add(0x80);
        while (count_ % 64 != 56) add(0);
        for (int shift = 56; shift >= 0; shift -= 8) add(static_cast<uint8_t>(bits >> shift));
    }

    constexpr void add(uint8_t next) {
        uint32_t& word = words_[count_ % 64 / 4];
        word = (word << 8) | next;
        if (++count_ % 64 == 0) mix();
    }

    constexpr void mix() {
        for (size_t i = 16; i < 64; i++) {
            const uint32_t a = words_[i - 15];
            const uint32_t b = words_[i - 2];
            words_[i] = words_[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ (a >> 3)) + words_[i - 7] +
                        (rotate(b, 17) ^ rotate(b, 19) ^ (b >> 10));
        }
        uint32_t a = hash_[0], b = hash_[1], c = hash_[2], d = hash_[3];
        uint32_t e = hash_[4], f = hash_[5], g = hash_[6], h = hash_[7];
        for (size_t i = 0; i < 64; i++) {
            const uint32_t one = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
                                 kRoots.rounds[i] + words_[i];
            const uint32_t two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + one, d = c, c = b, b = a, a = one + two;
        }
        const uint32_t mixed[8] = {a, b, c, d, e, f, g, h};
        for (size_t i = 0; i < 8; i++) hash_[i] += mixed[i];
    }

    uint32_t words_[64]{};  // of the block, then of its schedule
    uint32_t hash_[8]{};
    size_t count_ = 0;
};

}  // namespace derecho::detail
