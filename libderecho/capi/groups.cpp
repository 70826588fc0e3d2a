#include "capi/groups.hpp"

#include <unistd.h>
#include <new>
#include <utility>

#include "node/drive.hpp"

namespace libderecho::capi {

constinit std::array<GroupSlot, kGroupsMax> group_slots{};

namespace {

void next_generation(GroupSlot& slot) {
    const uint32_t generation = slot.generation.load(std::memory_order_relaxed);
    slot.generation.store(generation % (HandleBits::kGenerations - 1) + 1, std::memory_order_seq_cst);
}

bool nothing_held(OpenGroup& group) { return group.node->nothing_leased() && !group.claims.any_open(); }

[[maybe_unused]] const bool forks_handled = handle_forks();  // from before the first handle on
std::atomic<pid_t> joined_by{0};                             // the process that opened groups

derecho_status of_another_process() {
    return guarded([] {
        return fail(
            Status{DERECHO_CLOSED, "this process is a fork of process " + std::to_string(joined_by.load()) +
                                       ", which joined: only that one is the member. Use the group there, or join "
                                       "here as a node of its own, under another id and address"});
    });
}

// With the slot's lock.
void bury(GroupSlot& slot) {
    delete slot.owner;
    slot.owner = nullptr;
    slot.leased_generation = 0;
    slot.in_use = false;
}

}  // namespace

HandleBits Inside::bits() const {
    HandleBits bits;
    from_handle(reinterpret_cast<const void*>(handle_), bits);
    return bits;
}

// Why it is not the handle of something open.
derecho_status Inside::refuse(HandleKind kind) const {
    HandleBits bits;
    if (handle_ == 0) return fail(DERECHO_INVALID, "the handle is NULL");
    if (!from_handle(reinterpret_cast<const void*>(handle_), bits) || bits.kind != kind || bits.index >= kGroupsMax)
        return fail(DERECHO_BAD_HANDLE, "this is not a handle of this kind");
    if (bits.generation > group_slots[bits.index].generation.load(std::memory_order_acquire))
        return fail(DERECHO_BAD_HANDLE, "this was never a handle");
    if (bits.generation == group_slots[bits.index].inherited_generation) return of_another_process();
    return fail(DERECHO_CLOSED, "the group was closed");
}

derecho_status fail_to_send(const Inside& inside, derecho_status status) {
    if (status != DERECHO_AGAIN || !inside.node().group().holdups().any()) return fail(status);
    return guarded([&] {
        const std::string whose = inside.node().holdup(DERECHO_ANY_NODE).text();
        if (whose.empty()) return fail(DERECHO_AGAIN);
        return fail(Status{DERECHO_AGAIN, "there is no room: " + whose + "; poll and release, then try again"});
    });
}

void* add_group(std::unique_ptr<OpenGroup> group) {
    for (uint32_t index = 0; index < kGroupsMax; ++index) {
        GroupSlot& slot = group_slots[index];
        const std::lock_guard lock(slot.mutex);
        if (slot.in_use) continue;
        slot.in_use = true;
        joined_by.store(::getpid(), std::memory_order_relaxed);
        slot.owner = group.release();
        void* handle = to_handle({HandleKind::group, 0, index, slot.generation.load(std::memory_order_relaxed)});
        slot.handle.store(reinterpret_cast<uint64_t>(handle), std::memory_order_release);
        return handle;
    }
    return nullptr;
}

derecho_status close_group(const void* handle) {
    HandleBits bits;
    if (!handle) return fail(DERECHO_INVALID, "group is NULL");
    if (!from_handle(handle, bits) || bits.kind != HandleKind::group || bits.index >= kGroupsMax)
        return fail(DERECHO_BAD_HANDLE, "this is not the handle of a group");
    GroupSlot& slot = group_slots[bits.index];
    const std::lock_guard lock(slot.mutex);
    const uint32_t generation = slot.generation.load(std::memory_order_relaxed);
    if (bits.generation > generation) return fail(DERECHO_BAD_HANDLE, "this was never a handle");
    if (bits.generation != generation || slot.handle.load(std::memory_order_relaxed) == kNoGroup)
        return bits.generation == slot.inherited_generation ? of_another_process()
                                                            : fail(DERECHO_CLOSED, "the group was closed already");

    Node& node = *slot.owner->node;
    slot.handle.store(kNoGroup, std::memory_order_seq_cst);
    next_generation(slot);
    Fences::heavy();
    for (Duration pause = microseconds(20); anybody_inside(&slot); pause.ns *= pause < milliseconds(1) ? 2 : 1) {
        node.interrupt();
        sleep_for(pause);
    }
    node.interrupt();
    const bool held = !node.stop() || slot.owner->claims.any_open();
    if (held) {
        node.play_dead();
        slot.leased_generation = bits.generation;
    } else {
        bury(slot);
    }
    return DERECHO_OK;
}

// What a child of fork() keeps of its parent's groups for good: nothing in it may be touched, nor looks lost.
static OpenGroup* inherited_groups = nullptr;

void forget_groups_after_fork() {
    for (GroupSlot& slot : group_slots) {
        if (!slot.in_use) continue;
        new (&slot.mutex) std::mutex;  // a thread of the parent's may have held it
        if (slot.handle.exchange(kNoGroup) != kNoGroup) {
            slot.inherited_generation = slot.generation.load(std::memory_order_relaxed);
            next_generation(slot);
        }
        if (slot.owner) slot.owner->next_inherited = std::exchange(inherited_groups, slot.owner);
        slot.owner = nullptr;
        slot.leased_generation = 0;
        slot.in_use = false;
    }
}

bool release_closed(const HandleBits& bits, uint64_t lease) {
    if (bits.index >= kGroupsMax) return false;
    GroupSlot& slot = group_slots[bits.index];
    const std::lock_guard lock(slot.mutex);
    if (!slot.owner || slot.leased_generation != bits.generation) return false;
    if (!slot.owner->node->group().leases().release(lease)) return false;
    if (nothing_held(*slot.owner)) bury(slot);
    return true;
}

bool give_up_claim_of_closed(const HandleBits& bits, const derecho_claim& claim) {
    if (bits.index >= kGroupsMax) return false;
    GroupSlot& slot = group_slots[bits.index];
    const std::lock_guard lock(slot.mutex);
    if (!slot.owner || slot.leased_generation != bits.generation) return false;
    OpenClaim open;
    if (!slot.owner->claims.take(claim, ShardIndex{bits.shard}, open)) return false;
    if (nothing_held(*slot.owner)) bury(slot);
    return true;
}

}  // namespace libderecho::capi
