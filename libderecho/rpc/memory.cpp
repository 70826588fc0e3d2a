// What the application registers and begins, who may use it, and what it hears of. Moving the bytes is in
// memory_transfer.cpp.
#include "rpc/memory.hpp"

#include <algorithm>
#include <map>
#include <string_view>
#include <utility>

#include "base/assert.hpp"

namespace libderecho {
namespace {

// The group's own mail uses channel 0, calls use 1.
constexpr uint32_t kChannel = 2;
constexpr uint64_t kChunksPerRing = 16;
// So that no operation has the id of a call.
constexpr uint64_t kOperationBit = 1ull << 62;

// Aligned, as events' data are.
template <size_t N>
struct alignas(8) Text {
    char text[N];
    constexpr Text(const char (&from)[N]) { std::ranges::copy(from, text); }
};
constexpr Text kNothing{""};
constexpr Text kNoKey{
    "the key opens nothing for this node: it was not made by that member for this one, or what it opened was "
    "deregistered"};
constexpr Text kNoAccess{"the memory was not registered for that: peers may only read it, or only write it"};
constexpr Text kOutside{"the run reaches beyond the end of the memory"};
constexpr Text kNoWay{
    "only an RDMA device reaches this memory, which is another device's that the processor cannot map, and the two "
    "nodes have no such way to each other, or their device refused the memory: the log says why"};

std::string_view explain(MemoryOutcome outcome) {
    switch (outcome) {
        case MemoryOutcome::done:
            break;
        case MemoryOutcome::no_key:
            return kNoKey.text;
        case MemoryOutcome::no_access:
            return kNoAccess.text;
        case MemoryOutcome::outside:
            return kOutside.text;
        case MemoryOutcome::no_way:
            return kNoWay.text;
    }
    return kNothing.text;
}

derecho_status status_of(MemoryOutcome outcome) {
    return outcome == MemoryOutcome::no_way ? DERECHO_UNREACHABLE : DERECHO_INVALID;
}

bool by_devices_only(const MemoryKey& key, std::span<const Memory::Piece> pieces) {
    const auto only = [](const Memory::Piece& piece) { return piece.size_bytes > 0 && piece.memory & kByDevicesOnly; };
    return key.memory & kByDevicesOnly || std::ranges::any_of(pieces, only);
}

std::string name(NodeId node) { return "node " + std::to_string(raw(node)); }

}  // namespace

Memory::Memory(Fabric& fabric, uint64_t incarnation, uint64_t mail_bytes)
    : self_(fabric.self()),
      fabric_(fabric),
      incarnation_(incarnation),
      mail_(fabric, incarnation, kChannel, mail_bytes),
      chunk_bytes_max_(mail_bytes / kChunksPerRing - sizeof(MemoryRequest)) {
    parts_.reserve(limits::memory_runs_per_chunk + 1);
    peer_of(self_, incarnation).connected = true;
}

Memory::~Memory() = default;

// ---------------------------------------------------------------------------------------------------- buffers and keys

uint64_t Memory::enrol(std::span<std::byte> bytes, uint32_t access) { return add(bytes, access, nullptr); }

uint64_t Memory::enrol(std::unique_ptr<DeviceMemory> device, uint32_t access) {
    const std::span<std::byte> bytes = device->bytes();
    return add(bytes, access, std::move(device));
}

uint64_t Memory::add(std::span<std::byte> bytes, uint32_t access, std::unique_ptr<DeviceMemory> device) {
    const std::lock_guard lock(mutex_);
    const uint64_t id = ++last_buffer_ | (device && !device->mapped() ? kByDevicesOnly : 0);
    Buffer& buffer = buffers_[id];
    buffer.bytes = bytes;
    buffer.access = access;
    buffer.device = std::move(device);
    return id;
}

Status Memory::key_for(uint64_t memory, NodeId node, const MemorySecret& secret, MemoryKey& out) {
    std::unique_lock lock(mutex_);
    const auto found = buffers_.find(memory);
    if (found == buffers_.end()) return failure(DERECHO_CLOSED, "the memory was deregistered");
    Buffer& buffer = found->second;
    if (buffer.access == 0) return failure(DERECHO_INVALID, "the memory was registered for no peer's access");
    const Peer* peer = find_member(node);
    if (!peer) return failure(DERECHO_NOT_MEMBER, name(node) + " is not a member of the view, or was lost");
    auto key = std::ranges::find(buffer.keys, node, &Key::node);
    if (key == buffer.keys.end()) key = buffer.keys.insert(key, Key{node, peer->incarnation, secret, nullptr});
    out = {memory, key->secret};
    if (!key->shown) show(lock, *peer, memory);
    return {};
}

derecho_status Memory::withdraw(uint64_t memory) {
    decltype(buffers_)::node_type gone;  // taken back from the devices without the lock
    std::unique_lock lock(mutex_);
    for (;;) {
        const auto found = buffers_.find(memory);
        if (found == buffers_.end()) return DERECHO_CLOSED;
        if (found->second.uses > 0) return DERECHO_AGAIN;
        if (found->second.registering == 0) {
            gone = buffers_.extract(found);
            break;
        }
        registered_.wait(lock);  // as long as the device takes
    }
    lock.unlock();
    return DERECHO_OK;
}

std::string Memory::users_of(uint64_t memory) {
    const std::lock_guard lock(mutex_);
    const auto found = buffers_.find(memory);
    if (found == buffers_.end()) return {};
    std::map<NodeId, uint64_t> pending;
    for (const Operation& operation : operations_)
        if (std::ranges::find(operation.runs, &found->second, &Operation::Run::buffer) != operation.runs.end())
            ++pending[operation.node];
    std::string text;
    for (const auto& [node, count] : pending)
        text += (text.empty() ? "" : ", ") + std::to_string(count) + " with " + name(node);
    return text;
}

// ---------------------------------------------------------------------------------------------------- operations begin

Status Memory::begin(Kind kind, NodeId node, const MemoryKey& key, uint64_t offset, std::span<const Piece> pieces,
                     uint64_t& id) {
    std::unique_lock lock(mutex_);
    const bool only = by_devices_only(key, pieces);
    if (const Peer* known = find_member(node); known && known->direct && !over_)
        register_pieces(lock, *known, pieces, only);
    if (over_) return {DERECHO_CLOSED, {}};
    Peer* peer = find_member(node);
    if (!peer) return failure(DERECHO_NOT_MEMBER, name(node) + " is not a member of the view, or was lost");
    const uint32_t slot = free_slot();
    if (slot == kNone) return {DERECHO_AGAIN, {}};
    Operation& operation = operations_[slot];
    if (Status status = plan(pieces, operation); !status.ok()) {
        operation.runs.clear();
        free_.push_back(slot);
        return status;
    }
    for (const Operation::Run& run : operation.runs) ++run.buffer->uses;
    operation.id = kOperationBit | ++last_operation_;
    operation.state = Operation::State::open;
    operation.kind = kind;
    operation.node = node;
    operation.key = key;
    operation.offset = offset;
    operation.way = Operation::Way::undecided;
    operation.by_devices_only = only;
    operation.has_devices =
        std::ranges::any_of(operation.runs, [](const auto& run) { return run.buffer->device != nullptr; });
    operation.reachable =
        std::ranges::all_of(operation.runs, [](const auto& run) { return run.buffer->local != nullptr; });
    operation.asked_bytes = 0;
    operation.asked = operation.moved = {};
    operation.under_way = 0;
    operation.asked_all = false;
    const bool wraps = operation.size_bytes > UINT64_MAX - offset;
    operation.outcome = wraps ? MemoryOutcome::outside : MemoryOutcome::done;
    operation.status = DERECHO_OK;
    append(peer->waiting, slot);
    work_.store(true, std::memory_order_relaxed);
    id = operation.id;
    return {};
}

Status Memory::plan(std::span<const Piece> pieces, Operation& operation) {
    operation.runs.clear();
    operation.size_bytes = 0;
    for (size_t i = 0; i < pieces.size(); ++i) {
        const Piece& piece = pieces[i];
        const auto found = buffers_.find(piece.memory);
        if (found == buffers_.end())
            return failure(DERECHO_CLOSED, "the memory of piece " + std::to_string(i) + " was deregistered");
        const std::span<std::byte> bytes = found->second.bytes;
        if (piece.offset > bytes.size() || piece.size_bytes > bytes.size() - piece.offset)
            return failure(DERECHO_INVALID, "piece " + std::to_string(i) +
                                                " reaches beyond the end of its memory, of " +
                                                std::to_string(bytes.size()) + " bytes");
        if (piece.size_bytes > UINT64_MAX - operation.size_bytes)
            return failure(DERECHO_INVALID, "the pieces are too many bytes");
        operation.size_bytes += piece.size_bytes;
        if (piece.size_bytes > 0)
            operation.runs.push_back({&found->second, bytes.subspan(piece.offset, piece.size_bytes)});
    }
    return {};
}

uint32_t Memory::free_slot() {
    if (free_.empty()) {
        if (operations_.size() >= limits::memory_operations_max) return kNone;
        operations_.emplace_back();
        free_.reserve(operations_.capacity());
        return static_cast<uint32_t>(operations_.size()) - 1;
    }
    const uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
}

void Memory::append(List& list, uint32_t slot) {
    operations_[slot].next = kNone;
    if (list.first == kNone) {
        list.first = slot;
    } else {
        operations_[list.last].next = slot;
    }
    list.last = slot;
}

void Memory::push_front(List& list, uint32_t slot) {
    operations_[slot].next = list.first;
    if (list.first == kNone) list.last = slot;
    list.first = slot;
}

void Memory::pop(List& list) { list.first = operations_[list.first].next; }

Memory::Peer* Memory::find_member(NodeId node) {
    for (const auto& peer : peers_)
        if (peer->node == node && peer->member && !peer->lost) return peer.get();
    return nullptr;
}

Memory::Peer* Memory::find_connected(NodeId node) {
    for (const auto& peer : peers_)
        if (peer->node == node && peer->connected) return peer.get();
    return nullptr;
}

Memory::Peer& Memory::peer_of(NodeId node, uint64_t incarnation) {
    for (const auto& peer : peers_)
        if (peer->node == node && peer->incarnation == incarnation) return *peer;
    peers_.push_back(std::make_unique<Peer>());
    peers_.back()->node = node;
    peers_.back()->incarnation = incarnation;
    return *peers_.back();
}

// ---------------------------------------------------------------------------------------------------- operations end

void Memory::finish(uint32_t slot) {
    Operation& operation = operations_[slot];
    DERECHO_ASSERT(operation.state == Operation::State::open);
    operation.state = Operation::State::ended;
    for (const Operation::Run& run : operation.runs) {
        DERECHO_ASSERT(run.buffer->uses > 0);
        --run.buffer->uses;
    }
    operation.runs.clear();
    append(ended_, slot);
    ended_operations_.fetch_add(1, std::memory_order_relaxed);
}

size_t Memory::take(std::span<derecho_event> events) {
    const std::lock_guard lock(mutex_);
    size_t count = 0;
    for (; count < events.size() && !ended_.empty(); ++count) {
        const uint32_t slot = ended_.first;
        pop(ended_);
        Operation& operation = operations_[slot];
        derecho_event& event = events[count];
        event = {};
        event.kind = DERECHO_EVENT_MEMORY;
        event.node = raw(operation.node);
        event.id = operation.id;
        event.flags = operation.node == self_ ? DERECHO_FLAG_OWN : 0;
        event.status = operation.status;
        if (operation.outcome != MemoryOutcome::done) {
            event.status = status_of(operation.outcome);
            const std::string_view text = explain(operation.outcome);
            event.data = text.data();
            event.size_bytes = text.size();
        }
        operation.state = Operation::State::free;
        free_.push_back(slot);
        ended_operations_.fetch_sub(1, std::memory_order_relaxed);
    }
    return count;
}

// ---------------------------------------------------------------------------------------------------- peers

void Memory::peer_up(NodeId node, uint64_t incarnation) {
    const std::lock_guard lock(mutex_);
    disconnect(node);  // in case that an earlier life's end was not told
    Peer& peer = peer_of(node, incarnation);
    peer.connected = true;
    give_mail(peer);
}

// Only members have keys to each other's memory.
void Memory::give_mail(Peer& peer) {
    if (!peer.connected || !peer.member || peer.node == self_ || std::exchange(peer.has_mail, true)) return;
    mail_.peer_up(peer.node, peer.incarnation);
    peer.direct = fabric_.direct(peer.node);
}

void Memory::peer_lost(NodeId node) {
    const std::lock_guard lock(mutex_);
    disconnect(node);
}

void Memory::disconnect(NodeId node) {
    Peer* peer = find_connected(node);
    if (!peer) return;
    mail_.peer_lost(node);
    // What it had answered, it did.
    Mail::Letter letter;
    while (mail_.read(letter)) read_letter(letter);
    lose(*peer, DERECHO_REMOVED);
    peer->connected = false;
    peer->lost = true;
    peer->direct = nullptr;
    forget_strangers();
}

void Memory::members_changed(const View& view) {
    const std::lock_guard lock(mutex_);
    for (auto& [id, buffer] : buffers_)
        std::erase_if(buffer.keys, [&](const Key& key) { return !view.holds(key.node, key.incarnation); });
    for (const auto& peer : peers_) {
        peer->member = view.holds(peer->node, peer->incarnation);
        if (!peer->member) lose(*peer, DERECHO_REMOVED);
    }
    for (const Member& member : view.members) {
        Peer& peer = peer_of(member.node, member.incarnation);
        peer.member = true;
        give_mail(peer);
    }
    forget_strangers();
}

void Memory::forget_strangers() {
    std::erase_if(peers_, [](const auto& peer) { return !peer->connected && !peer->member; });
}

void Memory::end() {
    const std::lock_guard lock(mutex_);
    if (over_) return;
    over_ = true;
    for (auto& [id, buffer] : buffers_) buffer.keys.clear();
    for (const auto& peer : peers_) {
        lose(*peer, DERECHO_CLOSED);
        peer->member = false;
    }
}

// Its operations end, in the order they were begun. Answers to them may still come.
void Memory::lose(Peer& peer, derecho_status why) {
    take_done(peer);
    peer.asker = nullptr;  // fences: from here on nothing lands here of what was asked for, nor of the peer's
    peer.joining = peer.joined = false;
    peer.server = nullptr;
    peer.grants.clear();
    const auto remove = [&](uint32_t slot) {
        Operation& operation = operations_[slot];
        if (operation.state != Operation::State::open) return;
        operation.outcome = MemoryOutcome::done;
        operation.status = why;
        finish(slot);
    };
    const auto remove_asked = [&](const Chunk& chunk) {
        if (chunk.letter == MemoryLetter::access || operations_[chunk.slot].id != chunk.operation) return;
        if (peer.waiting.first == chunk.slot) pop(peer.waiting);  // it had not asked for all it wants
        remove(chunk.slot);
    };
    peer.posted.each(remove_asked);
    peer.posted = {};
    peer.asked.each(remove_asked);
    while (!peer.waiting.empty()) {
        const uint32_t slot = peer.waiting.first;
        pop(peer.waiting);
        remove(slot);
    }
    peer.owed = {};
}

}  // namespace libderecho
