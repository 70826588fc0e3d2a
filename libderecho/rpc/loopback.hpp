// Letters of a node to itself: a private byte ring that is read in place like any other. Driver only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "smc/leases.hpp"

namespace libderecho {

class Loopback {
public:
    explicit Loopback(uint64_t ring_bytes);  // a power of two

    // Copies the letter. False if the ring is full.
    bool send(uint8_t kind, std::span<const std::byte> letter);

    struct Letter {
        uint8_t kind = 0;
        std::span<const std::byte> bytes;
        Leases::Mark mark;  // its space comes back when this position is released
    };
    // The next unread letter; false if there is none.
    bool read(Letter& letter);
    bool has_letters() const { return read_ != end_; }

private:
    struct Header {
        uint32_t size_bytes;
        uint32_t kind;  // 0: skip to the end of the ring
    };
    Header* header_at(uint64_t position) {
        return reinterpret_cast<Header*>(ring_.get() + (position & (ring_bytes_ - 1)));
    }

    const uint64_t ring_bytes_;
    std::unique_ptr<std::byte[]> ring_;
    uint64_t end_ = 0;  // all positions count bytes and never wrap
    uint64_t read_ = 0;
    ReleasePoint released_;
};

}  // namespace libderecho
