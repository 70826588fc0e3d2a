// Columns of a row, as offsets. A layout is computed from the view, the same way at every member; what is pushed
// together stands together.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.hpp"

namespace libderecho {

class Layout {
public:
    // `count` words, one after the other. Returns the offset of the first.
    size_t words(size_t count) { return take(count * sizeof(uint64_t)); }
    size_t bytes(size_t count) { return take((count + 7) & ~size_t{7}); }
    // What follows starts a cache line (or page) of its own.
    void align(size_t to = limits::cache_line_bytes) { end_ = (end_ + to - 1) / to * to; }
    size_t end() const { return end_; }

private:
    size_t take(size_t size) {
        const size_t at = end_;
        end_ += size;
        return at;
    }
    size_t end_ = 0;
};

}  // namespace libderecho
