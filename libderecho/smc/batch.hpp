// Several messages in one claim, committed as FrameKind::batch: its payload is their frames, complete but for what the
// driver stamps on them when it publishes. In the ring a pad stands before them, where a claim's own header would.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>

#include <derecho.h>

#include "smc/frame.hpp"
#include "smc/own_lines.hpp"

namespace libderecho {

using Messages = std::span<const derecho_bytes>;

// Of what begins the given messages, and is no longer than `bytes_most`: how many they are, and the bytes of their
// frames.
struct BatchPlan {
    size_t count = 0;
    uint64_t bytes = 0;
};
inline BatchPlan plan_batch(Messages messages, uint64_t bytes_most) {
    BatchPlan plan;
    for (const derecho_bytes& message : messages) {
        if (message.size_bytes > bytes_most || plan.bytes + frame_bytes(message.size_bytes) > bytes_most) break;
        plan.bytes += frame_bytes(message.size_bytes);
        ++plan.count;
    }
    return plan;
}

inline void write_batch(Messages messages, std::byte* to) {
    for (const derecho_bytes& message : messages) {
        const uint64_t whole = frame_bytes(message.size_bytes);
        own_lines(to + kOwnAhead, whole);
        const FrameTag tag{static_cast<uint32_t>(message.size_bytes), FrameKind::message, 0, 0};
        std::memcpy(to, &tag, sizeof tag);
        if (message.size_bytes > 0) std::memcpy(to + sizeof(FrameHeader), message.data, message.size_bytes);
        to += whole;
    }
}

// Each frame of a batch's payload.
template <class Each>
void for_each_frame(std::byte* from, uint64_t bytes, Each&& each) {
    for (const std::byte* const end = from + bytes; from < end;) {
        auto* const frame = reinterpret_cast<FrameHeader*>(from);
        each(*frame);
        from += frame_bytes(frame->size_bytes);
    }
}

}  // namespace libderecho
