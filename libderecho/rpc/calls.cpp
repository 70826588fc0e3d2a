#include "rpc/calls.hpp"

#include <new>

#include "base/assert.hpp"

namespace libderecho {

Roll::Roll(const View& view) : count(static_cast<uint32_t>(view.members.size())) {
    DERECHO_ASSERT(count <= limits::members_max);
    for (uint32_t rank = 0; rank < count; ++rank) {
        nodes[rank] = raw(view.members[rank].node);
        incarnations[rank] = view.members[rank].incarnation;
    }
}

int Roll::rank_of(NodeId node) const {
    for (uint32_t rank = 0; rank < count; ++rank)
        if (nodes[rank] == raw(node)) return static_cast<int>(rank);
    return -1;
}

uint64_t Roll::everybody() const { return count >= 64 ? ~0ull : (1ull << count) - 1; }

bool Roll::holds(const Roll& other, uint32_t rank) const {
    const int here = rank_of(NodeId{other.nodes[rank]});
    return here >= 0 && incarnations[static_cast<size_t>(here)] == other.incarnations[rank];
}

Calls::Calls() : calls_(static_cast<Call*>(std::calloc(limits::calls_max, sizeof(Call)))) {
    if (!calls_) throw std::bad_alloc();
}

uint64_t Calls::open(Call::Kind kind, NodeId target) {
    constexpr uint32_t kTries = 8;
    const uint64_t count = count_.fetch_add(1, std::memory_order_relaxed);
    for (uint32_t capacity = capacity_.load(std::memory_order_acquire);; capacity *= 2) {
        for (uint32_t i = 0; i < kTries; ++i)
            if (const uint64_t id = try_slot((count + i) & (capacity - 1), count, kind, target)) return id;
        if (capacity >= limits::calls_max) return 0;
        uint32_t expected = capacity;
        capacity_.compare_exchange_strong(expected, capacity * 2, std::memory_order_acq_rel);
    }
}

uint64_t Calls::try_slot(uint64_t slot, uint64_t count, Call::Kind kind, NodeId target) {
    Call& call = calls_[slot];
    uint64_t nobody = 0;
    if (__atomic_load_n(&call.id, __ATOMIC_RELAXED) != 0) return 0;
    if (!__atomic_compare_exchange_n(&call.id, &nobody, kBeingOpened, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return 0;
    call.pending = 0;
    call.roll = nullptr;
    call.target = target;
    call.kind = kind;
    call.announced = false;
    call.lost = false;
    open_.fetch_add(1, std::memory_order_relaxed);
    const uint64_t id = count << kCountShift | slot;
    __atomic_store_n(&call.id, id, __ATOMIC_RELEASE);
    return id;
}

Call* Calls::find(uint64_t id) {
    if (id == 0 || id == kBeingOpened || (id & kNoReply)) return nullptr;
    Call& call = calls_[id & kSlotMask];
    return __atomic_load_n(&call.id, __ATOMIC_ACQUIRE) == id ? &call : nullptr;
}

Call* Calls::at(size_t slot) {
    Call& call = calls_[slot];
    const uint64_t id = __atomic_load_n(&call.id, __ATOMIC_ACQUIRE);
    return id == 0 || id == kBeingOpened ? nullptr : &call;
}

void Calls::close(Call& call) {
    if (call.roll) --call.roll->calls;
    free_entry(call);
}

void Calls::withdraw(uint64_t id) {
    Call& call = calls_[id & kSlotMask];
    if (__atomic_compare_exchange_n(&call.id, &id, 0, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        open_.fetch_sub(1, std::memory_order_relaxed);
}

void Calls::free_entry(Call& call) {
    __atomic_store_n(&call.id, 0, __ATOMIC_RELEASE);
    open_.fetch_sub(1, std::memory_order_relaxed);
}

}  // namespace libderecho
