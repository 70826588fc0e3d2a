// One shared state table: this node's row, which it alone writes, and the rows of the others as far as they have
// arrived. Lives as long as its view's memory is needed. Driver only.
#pragma once

#include <span>
#include <vector>

#include "base/ids.hpp"
#include "fabric/fabric.hpp"
#include "sst/counter.hpp"

namespace libderecho {

class Table {
public:
    // Row `r` belongs to `members[r]`. The first `counter_bytes` of a row that has not arrived read as zero.
    Table(Fabric& fabric, RegionId id, std::vector<NodeId> members, Rank self, size_t row_bytes, size_t counter_bytes);
    ~Table();
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;

    // False when the system had no memory for the own row: the node cannot go on.
    bool ok() const { return region_ != nullptr; }

    // Look for rows that arrived since. Cheap once all are there.
    void refresh() {
        if (missing_ > 0) find_missing();
    }
    bool arrived(size_t rank) const { return arrived_[rank]; }

    size_t size() const { return rows_.size(); }
    const std::byte* row(size_t rank) const { return rows_[rank]; }
    const uint64_t* word(size_t rank, size_t offset) const {
        return reinterpret_cast<const uint64_t*>(rows_[rank] + offset);
    }
    uint64_t value(size_t rank, size_t offset) const { return load(word(rank, offset)); }

    std::byte* own() { return region_->bytes().data(); }
    uint64_t* own_word(size_t offset) { return reinterpret_cast<uint64_t*>(own() + offset); }

    // See Fabric: make part of the own row visible to the others.
    void push_data(size_t offset, size_t size) { fabric_.push_data(*region_, offset, size); }
    void push_counters(size_t offset, size_t size) { fabric_.push_counters(*region_, offset, size); }
    void push_quietly(size_t offset, size_t size) { fabric_.push_quietly(*region_, offset, size); }

private:
    void find_missing();

    Fabric& fabric_;
    RegionId id_;
    std::vector<NodeId> members_;
    size_t self_;
    size_t row_bytes_;
    Region* region_;
    std::vector<uint64_t> zeros_;
    std::vector<const std::byte*> rows_;
    std::vector<bool> arrived_;
    size_t missing_ = 0;
};

}  // namespace libderecho
