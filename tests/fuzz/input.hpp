// The fuzzer's bytes, read from the front as whatever a target asks for; zeros once they are used up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace libderecho::fuzz {

class Input {
public:
    Input(const uint8_t* data, size_t size) : rest_(std::as_bytes(std::span(data, size))) {}

    bool more() const { return !rest_.empty(); }
    std::span<const std::byte> bytes(size_t most) {
        const auto taken = rest_.first(std::min(most, rest_.size()));
        rest_ = rest_.subspan(taken.size());
        return taken;
    }
    std::span<const std::byte> rest() { return bytes(rest_.size()); }
    template <class T>
    T number() {
        T value{};
        const auto taken = bytes(sizeof value);
        std::memcpy(&value, taken.data(), taken.size());
        return value;
    }
    size_t below(size_t bound) { return number<uint8_t>() % bound; }
    // A number as somebody would pick it who lies about one that ought to be `truth`.
    uint64_t lie(uint64_t truth) {
        const auto how = number<uint8_t>();
        if (how < 96) return truth + 8 * static_cast<uint64_t>(int64_t{number<int8_t>()});
        if (how < 128) return truth + static_cast<uint64_t>(int64_t{number<int8_t>()});
        if (how < 192) return number<uint8_t>();
        return number<uint64_t>();
    }
    // Something well-formed, with a few places overwritten, and perhaps cut off or lengthened.
    std::vector<std::byte> damaged(std::span<const std::byte> whole) {
        std::vector<std::byte> result(whole.begin(), whole.end());
        for (size_t places = below(8); places > 0 && !result.empty(); --places) {
            const size_t at = number<uint16_t>() % result.size();
            const auto patch = bytes(1 + below(8));
            std::copy_n(patch.begin(), std::min(patch.size(), result.size() - at),
                        result.begin() + static_cast<ptrdiff_t>(at));
        }
        const auto end = number<uint8_t>();
        if (end >= 224) result.resize(number<uint16_t>() % (result.size() + 64));
        return result;
    }

private:
    std::span<const std::byte> rest_;
};

// What the core promises to whoever calls it, checked where sanitizers cannot.
inline void require(bool kept) {
    if (!kept) __builtin_trap();
}

// Every byte that was handed out can be read: the sanitizer looks on.
inline void read_all(std::span<const std::byte> bytes) {
    unsigned sum = 0;
    for (const std::byte each : bytes) sum += static_cast<unsigned>(each);
    asm volatile("" ::"r"(sum));
}

}  // namespace libderecho::fuzz
