#include "fabric/regions/mirrors.hpp"

#include <string>

namespace libderecho {

Status MirrorTable::check(RegionId id, uint64_t size_bytes) {
    const std::string name = "region " + std::to_string(id.value);
    if (size_bytes == 0 || size_bytes > limits_.region_bytes_max)
        return failure(DERECHO_INVALID, name + " of " + std::to_string(size_bytes) + " bytes is outside the limits");
    if (has(id)) return failure(DERECHO_INVALID, name + " was announced twice");
    if (total_bytes_ + size_bytes > limits_.total_bytes_max || mirrors_.size() >= limits_.regions_max)
        return failure(DERECHO_INVALID, name + " exceeds the memory one peer may take here");
    return {};
}

Status MirrorTable::announce(RegionId id, uint64_t size_bytes) {
    if (Status status = check(id, size_bytes); !status.ok()) return status;
    if (unwanted_.erase(id.value)) return {};
    Mapping mapping;
    if (Status status = map_anonymous(size_bytes, mapping); !status.ok()) return status;
    add(id, std::move(mapping));
    return {};
}

Status MirrorTable::announce_sealed(RegionId id, uint64_t size_bytes, int fd) {
    if (Status status = check(id, size_bytes); !status.ok()) return status;
    if (unwanted_.erase(id.value)) return {};
    Mapping mapping;
    if (Status status = map_sealed(fd, size_bytes, mapping); !status.ok()) return status;
    add(id, std::move(mapping));
    return {};
}

void MirrorTable::add(RegionId id, Mapping memory) {
    total_bytes_ += memory.size();
    mirrors_.emplace(id.value, Mirror{std::move(memory)});
}

std::span<const std::byte> MirrorTable::visible(RegionId id) {
    const auto found = mirrors_.find(id.value);
    if (!synced_ || found == mirrors_.end()) return {};
    found->second.asked = true;
    return found->second.memory.bytes();
}

bool MirrorTable::place(RegionId id, uint64_t offset, uint64_t size_bytes, std::byte*& out) {
    out = nullptr;
    if (!last_ || last_id_ != id.value) {
        const auto found = mirrors_.find(id.value);
        if (found == mirrors_.end()) return true;
        last_ = &found->second.memory;
        last_id_ = id.value;
    }
    if (offset > last_->size() || size_bytes > last_->size() - offset) return false;
    out = last_->data() + offset;
    return true;
}

Mapping MirrorTable::take_out(RegionId id) {
    const auto found = mirrors_.find(id.value);
    if (found == mirrors_.end()) {
        if (unwanted_.size() < limits_.regions_max) unwanted_.insert(id.value);
        return {};
    }
    Mapping memory = std::move(found->second.memory);
    total_bytes_ -= memory.size();
    mirrors_.erase(found);
    last_ = nullptr;
    return memory;
}

Status MirrorTable::freeze_all() {
    Status status;
    for (auto entry = mirrors_.begin(); entry != mirrors_.end();) {
        Mirror& mirror = entry->second;
        Status frozen = freeze(mirror.memory);
        if (frozen.ok() || mirror.asked) {
            if (!frozen.ok()) status = std::move(frozen);
            ++entry;
            continue;
        }
        total_bytes_ -= mirror.memory.size();  // nobody ends for want of what nobody looks at
        entry = mirrors_.erase(entry);
    }
    last_ = nullptr;
    return status;
}

void MirrorTable::drop_unasked() {
    std::erase_if(mirrors_, [this](const auto& entry) {
        const Mirror& mirror = entry.second;
        if (!mirror.asked) total_bytes_ -= mirror.memory.size();
        return !mirror.asked;
    });
    unwanted_.clear();
    last_ = nullptr;
}

}  // namespace libderecho
