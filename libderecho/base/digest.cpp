#include "base/digest.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace libderecho {
namespace {

constexpr uint64_t kPrime1 = 0x9e3779b185ebca87ull, kPrime2 = 0xc2b2ae3d27d4eb4full, kPrime3 = 0x165667b19e3779f9ull,
                   kPrime4 = 0x85ebca77c2b2ae63ull, kPrime5 = 0x27d4eb2f165667c5ull;

template <class Word>
uint64_t read(const std::byte* bytes) {
    Word word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

uint64_t round(uint64_t lane, uint64_t word) { return std::rotl(lane + word * kPrime2, 31) * kPrime1; }

}  // namespace

Digest::Digest(uint64_t seed)
    : seed_(seed), lanes_{seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1}, rest_{} {}

void Digest::take_block(const std::byte* block) {
    for (size_t lane = 0; lane < lanes_.size(); ++lane)
        lanes_[lane] = round(lanes_[lane], read<uint64_t>(block + 8 * lane));
}

void Digest::add(std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    total_bytes_ += bytes.size();
    if (rest_bytes_ > 0) {
        const size_t more = std::min(kBlockBytes - rest_bytes_, bytes.size());
        std::memcpy(rest_.data() + rest_bytes_, bytes.data(), more);
        rest_bytes_ += more;
        bytes = bytes.subspan(more);
        if (rest_bytes_ < kBlockBytes) return;
        take_block(rest_.data());
    }
    for (; bytes.size() >= kBlockBytes; bytes = bytes.subspan(kBlockBytes)) take_block(bytes.data());
    rest_bytes_ = bytes.size();
    if (rest_bytes_ > 0) std::memcpy(rest_.data(), bytes.data(), rest_bytes_);
}

uint64_t Digest::value() const {
    uint64_t hash = seed_ + kPrime5;
    if (total_bytes_ >= kBlockBytes) {
        hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) + std::rotl(lanes_[3], 18);
        for (const uint64_t lane : lanes_) hash = (hash ^ round(0, lane)) * kPrime1 + kPrime4;
    }
    hash += total_bytes_;
    const std::byte* at = rest_.data();
    const std::byte* const end = at + rest_bytes_;
    for (; end - at >= 8; at += 8) hash = std::rotl(hash ^ round(0, read<uint64_t>(at)), 27) * kPrime1 + kPrime4;
    for (; end - at >= 4; at += 4) hash = std::rotl(hash ^ (read<uint32_t>(at) * kPrime1), 23) * kPrime2 + kPrime3;
    for (; at != end; ++at) hash = std::rotl(hash ^ (read<uint8_t>(at) * kPrime5), 11) * kPrime1;
    hash = (hash ^ (hash >> 33)) * kPrime2;
    hash = (hash ^ (hash >> 29)) * kPrime3;
    return hash ^ (hash >> 32);
}

}  // namespace libderecho
