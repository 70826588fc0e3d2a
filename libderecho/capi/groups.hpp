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
    OpenGroup* next_inherited = nullptr;  // in a child of fork(): another one of the parent's
};

// No handle, nor what HandleBits::of_group() makes of any: it has a bit that is none of a group's.
inline constexpr uint64_t kNoGroup = uint64_t{1} << 39;
static_assert((HandleBits::of_group(~uint64_t{0}, HandleKind::group) & kNoGroup) == 0);

struct alignas(64) GroupSlot {
    std::atomic<uint64_t> handle{kNoGroup};  // of the group that is open here
    std::atomic<uint32_t> generation{1};
    std::mutex mutex;                // of what follows
    OpenGroup* owner = nullptr;      // for who is inside; lives on after closing while something of it is held
    uint32_t leased_generation = 0;  // of the handle whose node lives on because something of it is still held
    bool in_use = false;
    uint32_t inherited_generation = 0;  // of the handle that was open when a fork() made this process
};

inline constexpr uint32_t kGroupsMax = 1024;
// Never destroyed: when the process ends, reactors and other threads may still be inside.
static_assert(std::is_trivially_destructible_v<GroupSlot>);
extern std::array<GroupSlot, kGroupsMax> group_slots;

// Inside a group, or a shard of it, for as long as this lives. On the path of every message: mark, kind, index and
// generation are right if the handle, once it is made one of the group, equals the slot's.
class Inside {
public:
    Inside(const void* handle, HandleKind kind) : handle_(reinterpret_cast<uint64_t>(handle)) {
        GroupSlot& slot = group_slots[HandleBits::index_of(handle_) % kGroupsMax];
        record_ = &thread_record();
        record_->inside.store(&slot, std::memory_order_relaxed);
        Fences::light();
        if (slot.handle.load(std::memory_order_acquire) != HandleBits::of_group(handle_, kind)) [[unlikely]] {
            leave();
            status_ = refuse(kind);
            return;
        }
        open_ = slot.owner;
    }
    ~Inside() { leave(); }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

    bool ok() const { return status_ == DERECHO_OK; }
    derecho_status status() const { return status_; }
    OpenGroup* operator->() const { return open_; }
    Node& node() const { return *open_->node; }
    ShardIndex shard() const { return ShardIndex{HandleBits::shard_of(handle_)}; }
    HandleBits bits() const;

private:
    void leave() {
        if (record_) record_->inside.store(nullptr, std::memory_order_release);
        record_ = nullptr;
    }
    derecho_status refuse(HandleKind kind) const;

    const uint64_t handle_;
    ThreadRecord* record_ = nullptr;
    OpenGroup* open_ = nullptr;
    derecho_status status_ = DERECHO_OK;
};

// As fail(); where there is no room, it says whose fault that is.
derecho_status fail_to_send(const Inside& inside, derecho_status status);

// The handle for a group that was joined; null when there are too many.
void* add_group(std::unique_ptr<OpenGroup> group);
derecho_status close_group(const void* handle);
// A lease, or a claim, of a group that was closed meanwhile: true if it was held, and is not any more.
bool release_closed(const HandleBits& bits, uint64_t lease);
bool give_up_claim_of_closed(const HandleBits& bits, const derecho_claim& claim);
// In the child of a fork(), which has no part in any group: no handle is open any more. What the parent had open is not
// destroyed, only forgotten: its threads are not here, and its peers are not to hear anything.
void forget_groups_after_fork();
bool handle_forks();  // fork.cpp

}  // namespace libderecho::capi
