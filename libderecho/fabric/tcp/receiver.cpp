#include "fabric/tcp/receiver.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/assert.hpp"

namespace libderecho {
namespace {

constexpr size_t kStagingBytes = 128 << 10;
static_assert(kStagingBytes > sizeof(WireFrameHeader) + kBatchBytesMax);
// While much of a payload is due, little more is asked for: then the next payload can go into place as well.
constexpr size_t kLongPayloadBytes = 16 << 10;
constexpr size_t kPeekBytes = 1024;

Status broken(const std::string& what) { return failure(DERECHO_INVALID, "it sent " + what); }

// Store words whole, in order, each visible not before those stored earlier.
void store_words(std::byte* to, const std::byte* from, size_t size_bytes) {
    while (size_bytes > 0) {
        const bool whole = reinterpret_cast<uintptr_t>(to) % 8 == 0 && size_bytes >= 8;
        if (whole) {
            uint64_t word;
            std::memcpy(&word, from, 8);
            std::atomic_ref<uint64_t>(*reinterpret_cast<uint64_t*>(to)).store(word, std::memory_order_release);
        } else {
            *to = *from;
        }
        const size_t n = whole ? 8 : 1;
        to += n, from += n, size_bytes -= n;
    }
}

}  // namespace

TcpReceiver::TcpReceiver(MirrorTable& mirrors) : mirrors_(mirrors), staging_(kStagingBytes) {}

void TcpReceiver::compact() {
    if (begin_ == 0) return;
    std::memmove(staging_.data(), staged(), staged_bytes());
    end_ -= begin_;
    begin_ = 0;
}

size_t TcpReceiver::prepare(std::span<iovec, 2> out) {
    compact();
    size_t pieces = 0, room = staging_.size() - end_;
    std::byte* place = nullptr;
    if (left_bytes_ > 0) mirrors_.place(region_, offset_, left_bytes_, place);
    offered_in_place_bytes_ = place ? left_bytes_ : 0;
    if (place) {
        out[pieces++] = {place, left_bytes_};
        if (left_bytes_ >= kLongPayloadBytes) room = kPeekBytes;
    }
    out[pieces++] = {staging_.data() + end_, room};
    return pieces;
}

Status TcpReceiver::received(size_t size_bytes) {
    const size_t in_place = std::min(size_bytes, offered_in_place_bytes_);
    offset_ += in_place;
    left_bytes_ -= in_place;
    end_ += size_bytes - in_place;
    DERECHO_ASSERT(end_ <= staging_.size());
    return parse();
}

// Move what is staged of the current payload to its place, or drop it if nobody wants it.
void TcpReceiver::take_into_place() {
    const size_t n = std::min<uint64_t>(left_bytes_, staged_bytes());
    if (n == 0) return;
    std::byte* place = nullptr;
    mirrors_.place(region_, offset_, n, place);
    if (place) std::memcpy(place, staged(), n);
    begin_ += n;
    offset_ += n;
    left_bytes_ -= n;
}

Status TcpReceiver::parse() {
    for (;;) {
        take_into_place();
        if (left_bytes_ > 0 || staged_bytes() < sizeof(WireFrameHeader)) return {};
        WireFrameHeader header;
        std::memcpy(&header, staged(), sizeof header);
        bool complete = true;
        if (Status status = frame(header, complete); !status.ok() || !complete) return status;
    }
}

Status TcpReceiver::frame(const WireFrameHeader& header, bool& complete) {
    const std::byte* payload = staged() + sizeof header;
    const size_t payload_staged = staged_bytes() - sizeof header;
    const auto kind = static_cast<WireFrameKind>(header.kind);
    size_t whole = 0;  // bytes of it that must be staged at once
    if (kind == WireFrameKind::counters || kind == WireFrameKind::batch) {
        if (header.length_bytes > (kind == WireFrameKind::batch ? kBatchBytesMax : kCountersBytesMax))
            return broken("a frame that is too long");
        whole = header.length_bytes;
        complete = payload_staged >= whole;
        if (!complete) return {};
    }
    begin_ += sizeof header + whole;
    switch (kind) {
        case WireFrameKind::announce:
            return mirrors_.announce({header.region}, header.length_bytes);
        case WireFrameKind::data:
            return data(header);
        case WireFrameKind::counters:
            return counters(header, payload);
        case WireFrameKind::batch:
            return batch({payload, whole});
        case WireFrameKind::synced:
            mirrors_.synced();
            return {};
    }
    return broken("a frame of unknown kind " + std::to_string(header.kind));
}

Status TcpReceiver::data(const WireFrameHeader& header) {
    std::byte* place = nullptr;
    if (!mirrors_.place({header.region}, header.offset, header.length_bytes, place))
        return broken("data outside region " + std::to_string(header.region));
    region_ = {header.region};
    offset_ = header.offset;
    left_bytes_ = header.length_bytes;
    return {};
}

Status TcpReceiver::counters(const WireFrameHeader& header, const std::byte* payload) {
    std::byte* place = nullptr;
    if (!mirrors_.place({header.region}, header.offset, header.length_bytes, place))
        return broken("counters outside region " + std::to_string(header.region));
    if (place) store_words(place, payload, header.length_bytes);
    return {};
}

Status TcpReceiver::batch(std::span<const std::byte> frames) {
    while (!frames.empty()) {
        WireFrameHeader header;
        if (frames.size() < sizeof header) return broken("a malformed batch");
        std::memcpy(&header, frames.data(), sizeof header);
        frames = frames.subspan(sizeof header);
        if (header.kind != static_cast<uint32_t>(WireFrameKind::counters) || header.length_bytes > frames.size())
            return broken("a malformed batch");
        if (Status status = counters(header, frames.data()); !status.ok()) return status;
        frames = frames.subspan(header.length_bytes);
    }
    return {};
}

}  // namespace libderecho
