#include "smc/leases.hpp"

#include "base/assert.hpp"

namespace libderecho {

Leases::Leases() : leases_(std::make_unique<std::array<Lease, limits::leases_max>>()) {
    for (Lease& lease : *leases_) lease.marks.reserve(kMarksAtFirst);
}

uint64_t Leases::open(Batch& batch) {
    if (batch.marks.empty()) return 0;
    DERECHO_ASSERT(!full());
    const uint64_t id = next_++;
    Lease& lease = (*leases_)[id % limits::leases_max];
    lease.marks.swap(batch.marks);  // both keep their capacity: no allocation once warm
    batch.marks.clear();
    for (const Mark& mark : lease.marks) ++mark.point->leases_held;
    lease.id.store(id, std::memory_order_release);
    return id;
}

bool Leases::release(uint64_t id) {
    if (id == 0) return true;
    Lease& lease = (*leases_)[id % limits::leases_max];
    if (!lease.id.compare_exchange_strong(id, 0, std::memory_order_acq_rel)) return false;
    released_.fetch_add(1, std::memory_order_release);
    return true;
}

bool Leases::retire() {
    if (released_.load(std::memory_order_acquire) == 0) return false;
    bool moved = false;
    for (; first_ < next_; ++first_) {
        Lease& lease = (*leases_)[first_ % limits::leases_max];
        if (lease.id.load(std::memory_order_acquire) != 0) break;
        for (const Mark& mark : lease.marks) {
            mark.point->position = mark.position;
            --mark.point->leases_held;
        }
        lease.marks.clear();
        released_.fetch_sub(1, std::memory_order_relaxed);
        moved = true;
    }
    return moved;
}

}  // namespace libderecho
