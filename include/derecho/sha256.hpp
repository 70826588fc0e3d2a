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

template <size_t Count>
constexpr std::array<uint32_t, Count> root_fractions(bool cube) {
    std::array<uint32_t, Count> found{};
    uint32_t prime = 2;
    for (size_t i = 0; i < Count; prime++) {
        bool is_prime = true;
        for (uint32_t d = 2; d * d <= prime; d++) is_prime = is_prime && prime % d != 0;
        if (is_prime) found[i++] = root_fraction(prime, cube);
    }
    return found;
}

/** SHA-256 of a text that is put in piece by piece. */
class Sha256 {
public:
    constexpr void put(std::string_view text) {
        for (const char c : text) add(static_cast<uint8_t>(c));
    }
    constexpr void put_number(size_t number) {
        if (number >= 10) put_number(number / 10);
        add(static_cast<uint8_t>('0' + number % 10));
    }

    /** The first 8 bytes of the digest, as a little-endian number. Ends the text. */
    constexpr uint64_t head() {
        const uint64_t bits = count_ * 8;
        add(0x80);
        while (count_ % 64 != 56) add(0);
        for (int shift = 56; shift >= 0; shift -= 8) add(static_cast<uint8_t>(bits >> shift));
        uint64_t found = 0;
        for (size_t i = 0; i < 8; i++) found |= uint64_t{(hash_[i / 4] >> (24 - i % 4 * 8)) & 0xFF} << (i * 8);
        return found;
    }

private:
    static constexpr uint32_t rotate(uint32_t word, int by) { return (word >> by) | (word << (32 - by)); }

    constexpr void add(uint8_t byte) {
        uint32_t& word = words_[count_ % 64 / 4];
        word = (word << 8) | byte;
        if (++count_ % 64 == 0) mix();
    }

    constexpr void mix() {
        constexpr std::array<uint32_t, 64> kRounds = root_fractions<64>(true);
        for (size_t i = 16; i < 64; i++) {
            const uint32_t a = words_[i - 15];
            const uint32_t b = words_[i - 2];
            words_[i] = words_[i - 16] + (rotate(a, 7) ^ rotate(a, 18) ^ (a >> 3)) + words_[i - 7] +
                        (rotate(b, 17) ^ rotate(b, 19) ^ (b >> 10));
        }
        std::array<uint32_t, 8> s = hash_;
        for (size_t i = 0; i < 64; i++) {
            const uint32_t one = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) +
                                 ((s[4] & s[5]) ^ (~s[4] & s[6])) + kRounds[i] + words_[i];
            const uint32_t two = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) +
                                 ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
            s = {one + two, s[0], s[1], s[2], s[3] + one, s[4], s[5], s[6]};
        }
        for (size_t i = 0; i < 8; i++) hash_[i] += s[i];
    }

    std::array<uint32_t, 64> words_{};  // of the block, then of its schedule
    std::array<uint32_t, 8> hash_ = root_fractions<8>(false);
    size_t count_ = 0;
};

}  // namespace derecho::detail
