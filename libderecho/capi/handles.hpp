// Handles are numbers in the guise of pointers: a mark, a kind, an index and a generation. None of them is an address
// that could be valid, so that a foreign pointer is told from a handle, and an old handle from a new one.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/fences.hpp"
#include "capi/errors.hpp"
#include "capi/threads.hpp"

namespace libderecho::capi {

enum class HandleKind : uint8_t { config = 1, group = 2, shard = 3, buffer = 4, memory = 5 };

struct HandleBits {
    HandleKind kind{};
    uint32_t shard = 0;       // 5 bits: of a shard's handle
    uint32_t index = 0;       // 15 bits
    uint32_t generation = 0;  // 24 bits, from 1

    static constexpr uint32_t kIndices = 1 << 15;
    static constexpr uint32_t kGenerations = 1 << 24;

    // Of a handle as a number.
    static constexpr uint32_t index_of(uint64_t handle) { return static_cast<uint32_t>(handle >> 24) & (kIndices - 1); }
    static constexpr uint32_t shard_of(uint64_t handle) { return static_cast<uint32_t>(handle >> 39) & 0x1f; }
    // The handle of the group that the handle of something of this kind belongs to. Anything, for other kinds.
    static constexpr uint64_t of_group(uint64_t handle, HandleKind kind) {
        const auto other = static_cast<uint64_t>(kind) - static_cast<uint64_t>(HandleKind::group);
        return (handle & ~(0x1full << 39)) - (other << 44);
    }
};

// mark 16 | kind 4 | shard 5 | index 15 | generation 24
inline void* to_handle(const HandleBits& bits) {
    constexpr uint64_t mark = 0x0dec;
    return reinterpret_cast<void*>(mark << 48 | static_cast<uint64_t>(bits.kind) << 44 |
                                   static_cast<uint64_t>(bits.shard) << 39 | static_cast<uint64_t>(bits.index) << 24 |
                                   bits.generation);
}

// False if it is no handle at all.
inline bool from_handle(const void* handle, HandleBits& bits) {
    const auto value = reinterpret_cast<uint64_t>(handle);
    bits.kind = static_cast<HandleKind>(value >> 44 & 0xf);
    bits.shard = HandleBits::shard_of(value);
    bits.index = HandleBits::index_of(value);
    bits.generation = static_cast<uint32_t>(value) & (HandleBits::kGenerations - 1);
    return value >> 48 == 0x0dec && bits.generation != 0;
}

// Objects that are used rarely: one lock for all of a kind.
template <class Object, HandleKind kind>
class LockedTable {
public:
    void* add(std::unique_ptr<Object> object) {
        const std::lock_guard lock(mutex_);
        if (free_.empty() && slots_.size() >= HandleBits::kIndices) throw std::bad_alloc();
        if (free_.empty()) {
            slots_.emplace_back();
            free_.push_back(static_cast<uint32_t>(slots_.size()) - 1);
        }
        const uint32_t index = free_.back();
        free_.pop_back();
        slots_[index].object = std::move(object);
        return to_handle({kind, 0, index, slots_[index].generation});
    }

    // Run use(object) under the lock.
    template <class Use>
    derecho_status with(const void* handle, Use&& use) {
        const std::lock_guard lock(mutex_);
        Slot* slot = nullptr;
        if (const derecho_status status = find(handle, slot); status != DERECHO_OK) return status;
        return use(*slot->object);
    }

    // Run use(object) under the lock; take the object out if it answers true.
    template <class Use>
    derecho_status remove_if(const void* handle, Use&& use) {
        std::unique_ptr<Object> removed;  // destroyed without the lock
        const std::lock_guard lock(mutex_);
        Slot* slot = nullptr;
        if (const derecho_status status = find(handle, slot); status != DERECHO_OK) return status;
        if (!use(*slot->object)) return DERECHO_OK;
        removed = take_out(*slot);
        return DERECHO_OK;
    }

    // Take out all objects that match(object) answers true for.
    template <class Match>
    void remove_all(Match&& match) {
        std::vector<std::unique_ptr<Object>> removed;  // destroyed without the lock
        const std::lock_guard lock(mutex_);
        for (Slot& slot : slots_)
            if (slot.object && match(*slot.object)) removed.push_back(take_out(slot));
    }

    // Held over fork(), so that a child finds the table whole, and nobody in it.
    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

private:
    struct Slot {
        std::unique_ptr<Object> object;
        uint32_t generation = 1;
    };

    std::unique_ptr<Object> take_out(Slot& slot) {
        slot.generation = slot.generation % (HandleBits::kGenerations - 1) + 1;
        free_.push_back(static_cast<uint32_t>(&slot - slots_.data()));
        return std::move(slot.object);
    }

    derecho_status find(const void* handle, Slot*& slot) {
        HandleBits bits;
        if (!from_handle(handle, bits) || bits.kind != kind || bits.index >= slots_.size())
            return fail(DERECHO_BAD_HANDLE, "this is not a handle of this kind");
        slot = &slots_[bits.index];
        if (bits.generation == slot->generation && slot->object) return DERECHO_OK;
        if (bits.generation > slot->generation) return fail(DERECHO_BAD_HANDLE, "this was never a handle");
        return fail(DERECHO_CLOSED, "this handle was closed");
    }

    std::mutex mutex_;
    std::vector<Slot> slots_;
    std::vector<uint32_t> free_;
};

}  // namespace libderecho::capi
