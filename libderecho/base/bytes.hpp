// Reading and writing little-endian records. Reading never goes out of bounds: one bad field makes the whole read bad.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

namespace libderecho {

class ByteWriter {
public:
    template <class T>
    void number(T value) {
        const auto* raw = reinterpret_cast<const std::byte*>(&value);
        bytes_.insert(bytes_.end(), raw, raw + sizeof value);
    }
    void text(const std::string& value) {
        number(static_cast<uint32_t>(value.size()));
        const auto* raw = reinterpret_cast<const std::byte*>(value.data());
        bytes_.insert(bytes_.end(), raw, raw + value.size());
    }
    std::span<const std::byte> bytes() const { return bytes_; }

private:
    std::vector<std::byte> bytes_;
};

class ByteReader {
public:
    explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

    template <class T>
    T number() {
        T value{};
        if (bytes_.size() < sizeof value) {
            good_ = false;
            return value;
        }
        std::memcpy(&value, bytes_.data(), sizeof value);
        bytes_ = bytes_.subspan(sizeof value);
        return value;
    }
    std::string text(size_t length_max) {
        const auto length = number<uint32_t>();
        if (!good_ || length > length_max || length > bytes_.size()) {
            good_ = false;
            return {};
        }
        std::string value(reinterpret_cast<const char*>(bytes_.data()), length);
        bytes_ = bytes_.subspan(length);
        return value;
    }
    // A count of things to follow.
    uint32_t count(uint32_t most) {
        const auto n = number<uint32_t>();
        if (n > most) good_ = false;
        return good_ ? n : 0;
    }
    bool good() const { return good_; }
    bool finished() const { return good_ && bytes_.empty(); }

private:
    std::span<const std::byte> bytes_;
    bool good_ = true;
};

}  // namespace libderecho
