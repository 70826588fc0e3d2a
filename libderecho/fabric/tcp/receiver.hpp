// Turns the bytes of a TCP link into mirrors: large data straight into its place, the rest through a staging buffer.
// Knows no socket, believes nothing. Driver thread.
#pragma once

#include <sys/uio.h>
#include <cstddef>
#include <span>
#include <vector>

#include "base/status.hpp"
#include "fabric/regions/mirrors.hpp"
#include "fabric/wire_format.hpp"

namespace libderecho {

class TcpReceiver {
public:
    explicit TcpReceiver(MirrorTable& mirrors);

    // Where the next bytes of the stream are to go: one or two pieces.
    size_t prepare(std::span<iovec, 2> out);
    // So many of them arrived there. A failure is the peer's fault and final.
    Status received(size_t size_bytes);

private:
    Status parse();
    Status frame(const WireFrameHeader& header, bool& complete);
    Status data(const WireFrameHeader& header);
    Status counters(const WireFrameHeader& header, const std::byte* payload);
    Status batch(std::span<const std::byte> frames);

    std::byte* staged() { return staging_.data() + begin_; }
    size_t staged_bytes() const { return end_ - begin_; }
    void take_into_place();
    void compact();

    MirrorTable& mirrors_;
    std::vector<std::byte> staging_;
    size_t begin_ = 0, end_ = 0;

    // The data frame whose payload is arriving. Its place is looked up again each time: it may be forgotten meanwhile.
    RegionId region_{};
    uint64_t offset_ = 0;
    uint64_t left_bytes_ = 0;
    size_t offered_in_place_bytes_ = 0;
};

}  // namespace libderecho
