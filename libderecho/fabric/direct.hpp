// Reads and writes between applications' own buffers, which the target's device carries out without its driver: what a
// Fabric may offer beside regions. Over RDMA it does; where there is none, bytes go by mail (rpc/memory).
//
// One node asks, the other one serves; each direction has a connection of its own, apart from the one that carries
// pushes, so that a request which the peer's device refuses breaks nothing else. Requests of one connection are carried
// out in the order they were posted, but that a write may overtake reads unless it is fenced. Memory is shown to one
// peer at a time: the key of it opens nothing to any other one, whatever number it sends.
//
// The thread that drives the Fabric, except where it says `any thread`.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/status.hpp"

namespace libderecho {

// Requests under way over one connection.
inline constexpr uint32_t kDirectRequestsMax = 16;

// Memory of another device, a GPU's above all. The processor reaches it only if that device's driver lets it be mapped.
class DeviceMemory {
public:
    virtual ~DeviceMemory() = default;

    // Addresses that nothing else in this process has, by which devices are told of it, too. If it is not mapped,
    // nothing may touch what is there.
    std::span<std::byte> bytes() const { return bytes_; }
    bool mapped() const { return mapped_; }
    // What the driver gave it away as.
    int fd() const { return fd_; }
    uint64_t offset() const { return offset_; }

    // Around the processor's reading or writing. Driver thread.
    virtual void begin_touching(bool write) const = 0;
    virtual void end_touching(bool write) const = 0;

protected:
    std::span<std::byte> bytes_;
    bool mapped_ = false;
    int fd_ = -1;
    uint64_t offset_ = 0;
};

// What an application registered: memory of its own, or another device's.
struct DirectBuffer {
    std::span<std::byte> bytes;
    const DeviceMemory* device = nullptr;
};

// Memory that the device reaches. Once this is destroyed, it does not any more. Any thread.
class DirectMemory {
public:
    virtual ~DirectMemory() = default;
    uint32_t key() const { return key_; }

protected:
    uint32_t key_ = 0;
};

// How one end of a connection is reached. The other end takes it as it came; it may be a lie.
using DirectEndpoint = std::array<std::byte, 32>;

// Where this node asks.
class DirectAsker {
public:
    struct Piece {
        std::span<std::byte> bytes;
        uint32_t key = 0;
    };
    struct Request {
        bool read = false;
        bool fenced = false;      // after all reads before it
        uint64_t address = 0;     // at the peer
        uint32_t remote_key = 0;  // of the memory there
        std::span<const Piece> pieces;
    };

    virtual ~DirectAsker() = default;  // a fence: nothing it asked for lands here any more

    virtual DirectEndpoint endpoint() const = 0;
    // Begins; nothing may be posted before it is connected(). May take seconds, which the driver does not wait for.
    virtual void connect(const DirectEndpoint& theirs) = 0;
    // Whether that came about; nothing while it may still.
    virtual std::optional<Status> connected() = 0;

    // At most kDirectRequestsMax at a time, within DirectAccess::limits().
    virtual void post(const Request& request) = 0;
    // How many requests have been carried out since the last call: the oldest ones.
    virtual uint32_t take_done() = 0;
    // Why no more will be, once one of them failed; what was posted after that one was not carried out, or was, with
    // nobody to say so. A peer that served it may do so until its own end is closed.
    virtual const Status& broken() const = 0;
    // Broken, and every request has come back: none is carried out from here on, as far as this end is concerned.
    virtual bool settled() const = 0;
};

// Where this node's memory is reached.
class DirectServer {
public:
    virtual ~DirectServer() = default;  // a fence: nothing of that peer's lands any more
    virtual DirectEndpoint endpoint() const = 0;
    // Whether it can be asked; nothing while it is being connected.
    virtual std::optional<Status> connected() = 0;
};

// Both, with one life of one peer. May outlive the link to it, and is of no use then.
class DirectAccess {
public:
    struct Limits {
        uint32_t pieces_max = 1;
        uint64_t request_bytes_max = 0;
        // A smaller operation does not pay for registering a buffer, unless that is used again.
        uint64_t worth_bytes = 0;
    };
    struct Rights {
        bool read = false, write = false;
    };

    virtual ~DirectAccess() = default;
    virtual Limits limits() const = 0;

    // Any thread; may take a while. For pieces of requests to any peer.
    virtual Status register_pieces(const DirectBuffer& buffer, std::unique_ptr<DirectMemory>& out) = 0;
    // Any thread; may take a while. For this peer to reach, over DirectServers of this access.
    virtual Status show(const DirectBuffer& buffer, Rights rights, std::unique_ptr<DirectMemory>& out) = 0;

    virtual Status ask(std::unique_ptr<DirectAsker>& out) = 0;
    virtual Status serve(const DirectEndpoint& asker, std::unique_ptr<DirectServer>& out) = 0;
};

}  // namespace libderecho
