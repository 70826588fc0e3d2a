// The groups of this process. Using one costs no locked instruction: a thread says which slot it is inside of, looks at
// its generation, and is in. Whoever closes a group raises the generation, makes every thread fence, and waits until
// nobody is inside.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <type_traits>

#include "capi/claims.hpp"
#include "capi/handles.hpp"
#include "node/node.hpp"

namespace libderecho::capi {

struct OpenGroup {
    explicit OpenGroup(size_t shards) : claims(shards) {}

    std::unique_ptr<Node> node;
    std::vector<std::string> services;
    uint64_t message_max_bytes = 0;
    Claims claims;
};

struct alignas(64) GroupSlot {
    std::atomic<uint32_t> generation{1};
    std::atomic<OpenGroup*> open{nullptr};  // null while free, or closed
    std::mutex mutex;                       // of what follows
    OpenGroup* owner = nullptr;             // lives on after closing while something of it is held
    uint32_t leased_generation = 0;         // of the handle whose node lives on because something of it is still held
    bool in_use = false;
};

inline constexpr uint32_t kGroupsMax = 1024;
// Never destroyed: when the process ends, reactors and other threads may still be inside.
static_assert(std::is_trivially_destructible_v<GroupSlot>);
extern std::array<GroupSlot, kGroupsMax> group_slots;

// Inside a group, or a shard of it, for as long as this lives.
class Inside {
public:
    Inside(const void* handle, HandleKind kind) {
        if (!from_handle(handle, bits_) || bits_.kind != kind || bits_.index >= kGroupsMax) [[unlikely]] {
            status_ = bad_handle(handle);
            return;
        }
        GroupSlot& slot = group_slots[bits_.index];
        record_ = &thread_record();
        record_->inside.store(&slot, std::memory_order_relaxed);
        Fences::light();
        open_ = slot.open.load(std::memory_order_acquire);
        if (slot.generation.load(std::memory_order_acquire) != bits_.generation || !open_) [[unlikely]] {
            leave();
            status_ = stale(slot);
        }
    }
    ~Inside() { leave(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

    bool ok() const { return status_ == DERECHO_OK; }
    derecho_status status() const { return status_; }
    OpenGroup* operator->() const { return open_; }
    Node& node() const { return *open_->node; }
    ShardIndex shard() const { return ShardIndex{bits_.shard}; }
    const HandleBits& bits() const { return bits_; }

private:
    void leave() {
        if (record_) record_->inside.store(nullptr, std::memory_order_release);
        record_ = nullptr;
    }
    static derecho_status bad_handle(const void* handle);
    derecho_status stale(const GroupSlot& slot) const;

    HandleBits bits_;
    ThreadRecord* record_ = nullptr;
    OpenGroup* open_ = nullptr;
    derecho_status status_ = DERECHO_OK;
};

// The handle for a group that was joined; null when there are too many.
void* add_group(std::unique_ptr<OpenGroup> group);
derecho_status close_group(const void* handle);
// A lease, or a claim, of a group that was closed meanwhile: true if it was held, and is not any more.
bool release_closed(const HandleBits& bits, uint64_t lease);
bool give_up_claim_of_closed(const HandleBits& bits, const derecho_claim& claim);

}  // namespace libderecho::capi
