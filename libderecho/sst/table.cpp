#include "sst/table.hpp"

namespace libderecho {

Table::Table(Fabric& fabric, RegionId id, std::vector<NodeId> members, Rank self, size_t row_bytes,
             size_t counter_bytes)
    : fabric_(fabric),
      id_(id),
      members_(std::move(members)),
      self_(raw(self)),
      row_bytes_(row_bytes),
      region_(fabric.expose(id, row_bytes, members_)),
      zeros_(counter_bytes / sizeof(uint64_t) + 1),
      rows_(members_.size(), reinterpret_cast<const std::byte*>(zeros_.data())),
      arrived_(members_.size(), false),
      missing_(members_.size() - 1) {
    arrived_[self_] = true;
    if (region_) rows_[self_] = region_->bytes().data();
}

Table::~Table() {
    for (size_t r = 0; r < members_.size(); ++r) {
        if (r != self_) fabric_.forget(members_[r], id_);
    }
    if (region_) fabric_.retire(region_);
}

void Table::find_missing() {
    for (size_t r = 0; r < members_.size(); ++r) {
        if (arrived_[r]) continue;
        const auto bytes = fabric_.mirror(members_[r], id_);
        if (bytes.size() != row_bytes_)
            continue;  // not there yet; of another size: never (its heartbeat will be missed)
        rows_[r] = bytes.data();
        arrived_[r] = true;
        --missing_;
    }
}

}  // namespace libderecho
