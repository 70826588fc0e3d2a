// The stream of a TCP link: frames right and wrong, in pieces of any size, while regions are forgotten in between.
// Where nothing is forgotten, what comes of it must not depend on the pieces.
#include "fabric/tcp/receiver.hpp"

#include "input.hpp"

namespace libderecho {
namespace {

using fuzz::Input;
using fuzz::require;

constexpr MirrorTable::Limits kLimits{.region_bytes_max = 1 << 20, .total_bytes_max = 1 << 21, .regions_max = 8};
constexpr uint64_t kRegions = 4, kRegionBytes = 96 << 10;

using Stream = std::vector<std::byte>;

void append(Stream& stream, const void* from, size_t size_bytes) {
    const auto* first = static_cast<const std::byte*>(from);
    stream.insert(stream.end(), first, first + size_bytes);
}

void append_frame(Stream& stream, Input& input, WireFrameKind kind) {
    WireFrameHeader header;
    header.kind = static_cast<uint32_t>(kind);
    header.region = input.below(kRegions + 2);
    header.offset = kind == WireFrameKind::announce ? 0 : input.lie(input.number<uint16_t>());
    header.length_bytes = input.number<uint16_t>() % (kind == WireFrameKind::data ? 40000 : 512);
    if (kind == WireFrameKind::announce) header.length_bytes = kRegionBytes;
    const auto claimed = input.number<uint8_t>();
    WireFrameHeader said = header;
    if (claimed >= 240) said.length_bytes = input.lie(header.length_bytes);
    append(stream, &said, sizeof said);
    if (kind != WireFrameKind::data && kind != WireFrameKind::counters) return;
    // The payload is longer than the fuzzer's input need be.
    for (uint64_t i = 0; i < header.length_bytes; ++i) stream.push_back(static_cast<std::byte>(claimed + i));
}

void append_batch(Stream& stream, Input& input) {
    Stream frames;
    for (size_t n = input.below(5); n > 0; --n)
        append_frame(frames, input, input.below(8) > 0 ? WireFrameKind::counters : WireFrameKind::data);
    WireFrameHeader header;
    header.kind = static_cast<uint32_t>(WireFrameKind::batch);
    header.length_bytes = input.below(16) > 0 ? frames.size() : input.lie(frames.size());
    append(stream, &header, sizeof header);
    append(stream, frames.data(), frames.size());
}

Stream make_stream(Input& input) {
    Stream stream;
    while (input.more() && stream.size() < 1 << 19) {
        switch (input.below(12)) {
            case 0:
            case 1:
                append_frame(stream, input, WireFrameKind::announce);
                break;
            case 2:
            case 3:
            case 4:
                append_frame(stream, input, WireFrameKind::data);
                break;
            case 5:
            case 6:
                append_frame(stream, input, WireFrameKind::counters);
                break;
            case 7:
            case 8:
                append_batch(stream, input);
                break;
            case 9:
                append_frame(stream, input, WireFrameKind::synced);
                break;
            case 10:
                append_frame(stream, input, static_cast<WireFrameKind>(input.number<uint8_t>()));
                break;
            default: {
                const auto anything = input.bytes(input.below(48));
                append(stream, anything.data(), anything.size());
            }
        }
    }
    return stream;
}

// As a socket does: as much as is there, and as there is room for.
size_t deliver(TcpReceiver& receiver, std::span<const std::byte> bytes, Status& status) {
    iovec places[2];
    const size_t pieces = receiver.prepare(places);
    size_t done = 0;
    for (size_t i = 0; i < pieces; ++i) {
        const size_t n = std::min(places[i].iov_len, bytes.size() - done);
        if (n > 0) std::memcpy(places[i].iov_base, bytes.data() + done, n);
        done += n;
    }
    require(done > 0);
    status = receiver.received(done);
    return done;
}

struct End {
    End() : mirrors(kLimits), receiver(mirrors) {}
    MirrorTable mirrors;
    TcpReceiver receiver;
    Status status;
};

}  // namespace
}  // namespace libderecho

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace libderecho;
    Input input(data, size);
    std::vector<std::pair<size_t, bool>> cuts;  // bytes of a piece; whether something is forgotten after it
    for (size_t n = input.below(16); n > 0; --n) {
        const auto word = input.number<uint16_t>();
        cuts.emplace_back(1 + (word & 0x3fff) / 4, word >> 13 == 7);
    }
    const Stream stream = make_stream(input);

    End pieces, whole;
    bool forgotten = false;
    std::span<const std::byte> rest = stream;
    for (size_t i = 0; !rest.empty() && pieces.status.ok(); ++i) {
        const auto [bytes, forget] = cuts.empty() ? std::pair{rest.size(), false} : cuts[i % cuts.size()];
        rest = rest.subspan(deliver(pieces.receiver, rest.first(std::min(bytes, rest.size())), pieces.status));
        if (!forget) continue;
        pieces.mirrors.forget({i % kRegions});
        forgotten = true;
    }
    if (forgotten) return 0;
    for (rest = stream; !rest.empty() && whole.status.ok();)
        rest = rest.subspan(deliver(whole.receiver, rest, whole.status));
    require(pieces.status.code == whole.status.code && pieces.status.detail == whole.status.detail);
    for (uint64_t id = 0; id < kRegions; ++id)
        require(std::ranges::equal(pieces.mirrors.visible({id}), whole.mirrors.visible({id})));
    return 0;
}
