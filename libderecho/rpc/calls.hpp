// The calls of this node that still await something: bounded, made once, nothing allocated per call. Application
// threads open entries without locks; the driver does everything else.
//
// An id is `count << 17 | no_reply << 16 | slot`: never used twice in a node's life, and it finds its entry at once.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "smc/leases.hpp"
#include "view/view.hpp"

namespace libderecho {

// Who owed replies when a call was ordered. Application threads read `nodes` in place, under a lease.
struct Roll {
    explicit Roll(const View& view);
    int rank_of(NodeId node) const;  // -1 if it is not there
    uint64_t everybody() const;      // all ranks, as bits
    bool holds(const Roll& other, uint32_t rank) const;

    uint32_t count = 0;
    std::array<uint32_t, limits::members_max> nodes{};
    std::array<uint64_t, limits::members_max> incarnations{};
    // By shard: ranks that went into the next view without its state. They skipped this view's calls and never answer.
    std::array<uint64_t, limits::shards_max> skipped{};
    ReleasePoint point;  // held while an event shows `nodes`
    uint32_t calls = 0;  // that still refer to it
};

struct Call {
    enum class Kind : uint8_t { ordered, query };

    uint64_t id;       // atomic: 0 while free, kBeingOpened while the fields below are filled in
    uint64_t pending;  // ordered: ranks of `roll` that owe a reply
    Roll* roll;        // ordered: null until it was
    NodeId target;     // query
    Kind kind;
    bool announced;  // ordered: its event was given out
    bool lost;       // query: the target is gone
    uint32_t shard;  // ordered
    uint32_t next;   // in the list of those to be announced
};

class Calls {
public:
    Calls();

    // ---- any thread
    // An entry for a call that wants replies; 0 when too many are open.
    uint64_t open(Call::Kind kind, NodeId target);
    // An id without an entry.
    uint64_t anonymous() { return count_.fetch_add(1, std::memory_order_relaxed) << kCountShift | kNoReply; }
    // Take back what open() gave, before anybody heard of it. The end of the group may have closed it already.
    void withdraw(uint64_t id);

    // ---- the driver
    Call* find(uint64_t id);
    void close(Call& call);
    bool any_open() const { return open_.load(std::memory_order_relaxed) > 0; }
    size_t capacity() const { return capacity_.load(std::memory_order_acquire); }
    // The entry in a slot, or null.
    Call* at(size_t slot);

private:
    static constexpr uint64_t kBeingOpened = ~0ull;
    static constexpr unsigned kCountShift = 17;
    static constexpr uint64_t kNoReply = 1ull << 16;
    static constexpr uint64_t kSlotMask = limits::calls_max - 1;
    static constexpr uint32_t kCapacityAtFirst = 1 << 10;
    static_assert(limits::calls_max <= kNoReply);

    uint64_t try_slot(uint64_t slot, uint64_t count, Call::Kind kind, NodeId target);
    void free_entry(Call& call);

    struct Free {
        void operator()(Call* calls) const { std::free(calls); }
    };
    std::unique_ptr<Call[], Free> calls_;               // pages that were never used cost nothing
    std::atomic<uint32_t> capacity_{kCapacityAtFirst};  // slots in use so far; only grows
    std::atomic<uint64_t> count_{1};
    std::atomic<uint32_t> open_{0};
};

}  // namespace libderecho
