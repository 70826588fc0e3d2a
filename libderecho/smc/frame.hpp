// What stands in a byte ring: frames, 8-byte aligned, none of which crosses the ring's end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace libderecho {

static_assert(std::endian::native == std::endian::little, "frames are little-endian in place");

enum class FrameKind : uint8_t {
    pad = 1,      // nothing; size_bytes is the whole frame's, 8 at least: only the first word is there
    nulls = 2,    // size_bytes rounds in which the sender has nothing to say
    message = 3,  // bytes of the application
    call = 4,     // a method call: a call header, then the arguments
    mail = 5,     // between two nodes; `flags` says which
    batch = 6,    // of a claim only: several messages
};

// The first word of a frame, and all of a pad.
struct FrameTag {
    uint32_t size_bytes;  // of the payload, except as said above
    FrameKind kind;
    uint8_t flags;
    uint16_t ticket;  // low bits of the sender's own count, to recognise its messages by
};
static_assert(sizeof(FrameTag) == 8);

// Read once: the frame may lie in memory that its writer shares, and can change between two looks.
inline FrameTag tag_at(const std::byte* frame) {
    return std::bit_cast<FrameTag>(__atomic_load_n(reinterpret_cast<const uint64_t*>(frame), __ATOMIC_RELAXED));
}

struct FrameHeader : FrameTag {
    uint64_t timestamp_ns;  // hybrid logical time, set when published
};
static_assert(sizeof(FrameHeader) == 16);

// Of a message or call.
inline bool bears_time(const FrameTag& tag) { return tag.kind == FrameKind::message || tag.kind == FrameKind::call; }
inline uint64_t time_of(const std::byte* frame) {
    return __atomic_load_n(&reinterpret_cast<const FrameHeader*>(frame)->timestamp_ns, __ATOMIC_RELAXED);
}

// Flag of a pad that was a claim, given back: it has a ticket, which pads at the wrap have not.
inline constexpr uint8_t kAbortedPad = 1;

constexpr uint64_t align8(uint64_t n) { return (n + 7) & ~7ull; }

// Room that a payload takes in a ring.
constexpr uint64_t frame_bytes(uint64_t payload_bytes) { return sizeof(FrameHeader) + align8(payload_bytes); }

// How far the next frame is, header included.
constexpr uint64_t whole_frame_bytes(const FrameTag& frame) {
    switch (frame.kind) {
        case FrameKind::pad:
            return frame.size_bytes;
        case FrameKind::nulls:
            return sizeof(FrameHeader);
        default:
            return frame_bytes(frame.size_bytes);
    }
}

}  // namespace libderecho
