// Who still looks at which ring bytes. Every take() that hands out data in place makes one lease; applications release
// them in any order and on any thread; rings move on in the order the leases were made.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/limits.hpp"

namespace libderecho {

// A reader's place in one ring, as far as the application has released it. Outlives the ring's view while leased.
struct ReleasePoint {
    uint64_t position = 0;     // driver only
    uint32_t leases_held = 0;  // driver only: the memory behind it must stay mapped
};

class Leases {
public:
    struct Mark {
        ReleasePoint* point;
        uint64_t position;
    };
    // Of one lease without any allocation: a mark for each ring that it is about.
    static constexpr size_t kMarksAtFirst = 8;
    // Marks gathered during one take(). Its buffer and a lease's change places, so it begins as large as theirs.
    struct Batch {
        Batch() { marks.reserve(kMarksAtFirst); }
        std::vector<Mark> marks;
    };

    Leases();

    // ---- the driver
    bool full() const { return next_ - first_ >= limits::leases_max; }
    uint64_t held() const { return next_ - first_; }
    uint64_t oldest() const { return first_; }
    // Turn a batch into a lease; 0 if it has no marks.
    uint64_t open(Batch& batch);
    // Apply what was released since, oldest first, as far as it goes. True if any ring moved on.
    bool retire();

    // ---- any thread. False if it is not held.
    bool release(uint64_t lease);
    bool any_released() const { return released_.load(std::memory_order_relaxed) != 0; }

private:
    struct Lease {
        std::atomic<uint64_t> id{0};  // while held and not released
        std::vector<Mark> marks;
    };
    std::unique_ptr<std::array<Lease, limits::leases_max>> leases_;
    uint64_t first_ = 1;  // oldest not retired
    uint64_t next_ = 1;
    std::atomic<uint64_t> released_{0};  // releases not yet looked at
};

}  // namespace libderecho
