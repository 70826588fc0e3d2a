// A digest of bytes: XXH64, by its published definition. The same however the bytes are cut into pieces. It finds
// accidents, not forgeries.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace libderecho {

class Digest {
public:
    explicit Digest(uint64_t seed = 0);
    void add(std::span<const std::byte> bytes);
    uint64_t value() const;

private:
    static constexpr size_t kBlockBytes = 32;
    void take_block(const std::byte* block);

    uint64_t seed_;
    std::array<uint64_t, 4> lanes_;
    std::array<std::byte, kBlockBytes> rest_;  // what makes no block yet
    size_t rest_bytes_ = 0;
    uint64_t total_bytes_ = 0;
};

inline uint64_t digest_of(std::span<const std::byte> bytes, uint64_t seed = 0) {
    Digest digest(seed);
    digest.add(bytes);
    return digest.value();
}

}  // namespace libderecho
