// One reliable connection to one peer, and the writes on their way over it. Driver thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/status.hpp"
#include "fabric/wire_format.hpp"

namespace libderecho {

class VerbsPair {
public:
    // What is to be written where. `value` is taken at once and needs no key if it is at most inline_bytes_max().
    struct Write {
        const void* from = nullptr;
        uint32_t size_bytes = 0;
        uint32_t local_key = 0;
        uint32_t remote_key = 0;
        uint64_t to = 0;
    };
    // Why a peer is woken, as the immediate value of the write that does it.
    enum class Wake : uint32_t { none = 0, pushed = 1, please_echo = 2 };

    virtual ~VerbsPair() = default;  // after fence() on any thread, else it fences
    // For good: nothing more of the peer's lands after it, and nothing more leaves. Cheap; destroying it may not be.
    virtual void fence() = 0;

    // How the peer connects to this end; keys and addresses of memory are filled in by who owns the memory.
    virtual VerbsEndpoint endpoint() const = 0;
    // Begins; nothing may be added before it is connected(). With RoCE the kernel looks for the peer on the network,
    // and gives up on one that does not answer after a second.
    virtual void connect(const VerbsEndpoint& theirs) = 0;
    // Whether that came about; nothing while it may still.
    virtual std::optional<Status> connected() = 0;

    virtual uint32_t inline_bytes_max() const = 0;
    virtual uint32_t write_bytes_max() const = 0;

    // Requests that fit before others complete.
    virtual uint32_t room() const = 0;
    // Add one to the chain. `complete`: its completion is wanted soon, not only with half a queue.
    virtual void add(const Write& write, bool complete = false) = 0;
    virtual bool chained() const = 0;
    // Post the chain with one doorbell, if there is any; its last write wakes the peer if it should.
    virtual void post(Wake wake = Wake::none) = 0;

    // Writes added, and of these so many have landed. Of the latter one hears a little late.
    virtual uint64_t added() const = 0;
    virtual uint64_t landed() const = 0;
    // Why it works no more; ok while it does.
    virtual const Status& broken() const = 0;
    // Take note of what the peer's wakes were, since the last call.
    virtual bool take_wake(Wake kind) = 0;
};

}  // namespace libderecho
