// Operations that the devices carry out between the buffers themselves: registering them, grants, requests, and what
// becomes of those that were under way when the connection broke.
#include <algorithm>

#include "base/coverage.hpp"
#include "base/log.hpp"
#include "rpc/memory.hpp"

namespace libderecho {
namespace {

constexpr uint32_t kFailuresMax = 3;
constexpr size_t kGrantsMax = 1024;

bool covers(const MemoryGrant& grant, Memory::Kind kind, uint64_t offset, uint64_t size_bytes) {
    const uint32_t needed = kind == Memory::Kind::read ? DERECHO_MEMORY_READ : DERECHO_MEMORY_WRITE;
    return (grant.access & needed) && offset <= grant.size_bytes && size_bytes <= grant.size_bytes - offset;
}

DirectAccess::Rights rights_of(uint32_t access) {
    return {.read = (access & DERECHO_MEMORY_READ) != 0, .write = (access & DERECHO_MEMORY_WRITE) != 0};
}

std::string name(NodeId node) { return "node " + std::to_string(raw(node)); }

void note_unserved(NodeId node, const Status& why) {
    log::info(name(node) + " cannot reach memory here directly: " + why.detail);
}

}  // namespace

// ---------------------------------------------------------------------------------------------------- registering

// On an application's thread. The lock is given back meanwhile; who deregisters waits. A small operation goes by mail
// the first time that it uses a buffer: many are used once.
void Memory::register_pieces(std::unique_lock<std::mutex>& lock, const Peer& peer, std::span<const Piece> pieces,
                             bool by_devices_only) {
    if (peer.given_up) return;
    const std::shared_ptr<DirectAccess> direct = peer.direct;  // the peer may be gone before this is done
    const uint64_t worth_bytes = direct->limits().worth_bytes;
    uint64_t size_bytes = 0;
    for (const Piece& piece : pieces) size_bytes += std::min(piece.size_bytes, worth_bytes);
    const bool worth = size_bytes >= worth_bytes || by_devices_only;
    const uint64_t operation = last_operation_ + 1;
    for (const Piece& piece : pieces) {
        const auto found = buffers_.find(piece.memory);
        if (found == buffers_.end() || piece.size_bytes == 0) continue;
        Buffer& buffer = found->second;
        if (buffer.used_first == 0) buffer.used_first = operation;
        if (buffer.local || buffer.by_mail) continue;
        if (buffer.used_first == operation && !worth) continue;
        std::unique_ptr<DirectMemory> memory;
        ++buffer.registering;
        lock.unlock();
        const Status status = direct->register_pieces({buffer.bytes, buffer.device.get()}, memory);
        lock.lock();
        --buffer.registering;
        registered_.notify_all();
        if (!status.ok()) note_refusal(buffer, status);
        if (!buffer.local) buffer.local = std::move(memory);
    }
}

// Likewise: let that peer's device reach what it has a key to.
void Memory::show(std::unique_lock<std::mutex>& lock, const Peer& peer, uint64_t id) {
    const std::shared_ptr<DirectAccess> direct = peer.direct;
    Buffer& buffer = buffers_.at(id);
    if (!direct || buffer.by_mail) return;
    const NodeId node = peer.node;
    const uint64_t incarnation = peer.incarnation;
    const DirectAccess::Rights rights = rights_of(buffer.access);
    std::unique_ptr<DirectMemory> memory;
    ++buffer.registering;
    lock.unlock();
    const Status status = direct->show({buffer.bytes, buffer.device.get()}, rights, memory);
    lock.lock();
    --buffer.registering;
    registered_.notify_all();
    if (!status.ok()) note_refusal(buffer, status);
    for (Key& key : buffer.keys)
        if (key.node == node && key.incarnation == incarnation && !key.shown) key.shown = std::move(memory);
}

// What was not done on an application's thread, because the peer was not connected then. Of memory that has no other
// way; its device keeps it in place anyway, so that this is quick.
void Memory::register_late(const Peer& peer, Operation& operation) {
    for (const Operation::Run& run : operation.runs) {
        Buffer& buffer = *run.buffer;
        if (buffer.local || buffer.by_mail) continue;
        const Status status = peer.direct->register_pieces({buffer.bytes, buffer.device.get()}, buffer.local);
        if (!status.ok()) note_refusal(buffer, status);
    }
    operation.reachable =
        std::ranges::all_of(operation.runs, [](const auto& run) { return run.buffer->local != nullptr; });
}

void Memory::show_late(const Peer& peer, Buffer& buffer, Key& key) {
    if (buffer.by_mail) return;
    const Status status = peer.direct->show({buffer.bytes, buffer.device.get()}, rights_of(buffer.access), key.shown);
    if (!status.ok()) note_refusal(buffer, status);
}

void Memory::note_refusal(Buffer& buffer, const Status& why) {
    if (std::exchange(buffer.by_mail, true)) return;
    const bool mapped = !buffer.device || buffer.device->mapped();
    log::warn("registered memory of " + std::to_string(buffer.bytes.size()) +
              (mapped ? " bytes goes by mail, not directly: " : " bytes, another device's, cannot be reached: ") +
              why.detail);
}

// ---------------------------------------------------------------------------------------------------- the one asked

// The old connection ends before anything that was asked for after it is read: nothing late can come over it.
void Memory::take_access(Peer& peer, const MemoryAccess& access, Debt& debt) {
    if (access.want != MemoryWant::grant) peer.server = nullptr;
    if (access.want == MemoryWant::close || !peer.direct) return;
    Operation::Run none{};
    const MemoryRequest nothing{access.key, 0, 0, 0};
    if (open(peer, nothing, DERECHO_MEMORY_READ | DERECHO_MEMORY_WRITE, none) != MemoryOutcome::done) return;
    Buffer& buffer = buffers_.at(access.key.memory);
    const auto key = std::ranges::find(buffer.keys, peer.node, &Key::node);
    if (!key->shown && access.key.memory & kByDevicesOnly) show_late(peer, buffer, *key);
    if (!key->shown) return;
    if (access.want == MemoryWant::grant_and_connection) {
        const Status status = peer.direct->serve(access.asker, peer.server);
        if (!status.ok()) return note_unserved(peer.node, status);
        debt.grant.server = peer.server->endpoint();
        debt.connects = true;
    }
    debt.grant.address = reinterpret_cast<uintptr_t>(buffer.bytes.data());
    debt.grant.size_bytes = buffer.bytes.size();
    debt.grant.remote_key = key->shown->key();
    debt.grant.access = buffer.access;
}

// Whether the answer has to wait: who has it may post.
bool Memory::connects(Peer& peer, Debt& debt) {
    if (!debt.connects || !peer.server) return false;
    const std::optional<Status> outcome = peer.server->connected();
    if (!outcome) return true;
    debt.connects = false;
    if (!outcome->ok()) {
        note_unserved(peer.node, *outcome);
        peer.server = nullptr;
        debt.grant = {};
    }
    return false;
}

// ---------------------------------------------------------------------------------------------------- the one who asks

// False: it has to wait. True and undecided: something was sent.
bool Memory::choose_way(Peer& peer, Operation& operation) {
    using Way = Operation::Way;
    if (operation.by_devices_only && !operation.reachable && peer.direct) register_late(peer, operation);
    if (!peer.direct || peer.given_up || !operation.reachable || operation.size_bytes == 0) {
        operation.way = Way::mail;
        return true;
    }
    const auto found = peer.grants.find(operation.key.memory);
    const bool known = found != peer.grants.end() && found->second.secret == operation.key.secret;
    if (known && !covers(found->second.what, operation.kind, operation.offset, operation.size_bytes)) {
        operation.way = Way::mail;  // which tells why
        return true;
    }
    const bool broken = peer.asker && !peer.asker->broken().ok();
    if (broken || peer.access_asked || peer.joining) return false;
    if (!known || !peer.joined)
        return ask_for_access(peer, operation.key, peer.joined ? MemoryWant::grant : MemoryWant::grant_and_connection);
    operation.way = Way::direct;
    operation.remote_address = found->second.what.address;
    operation.remote_key = found->second.what.remote_key;
    return true;
}

bool Memory::ask_for_access(Peer& peer, const MemoryKey& key, MemoryWant want) {
    if (peer.asked.full()) return false;
    MemoryAccess access{.key = key, .want = want};
    if (want == MemoryWant::grant_and_connection) {
        if (!peer.asker)
            if (const Status status = peer.direct->ask(peer.asker); !status.ok()) {
                note_failure(peer, status.detail);
                return true;
            }
        access.asker = peer.asker->endpoint();
    }
    const std::span<const std::byte> parts[] = {bytes_of(access)};
    if (!mail_.send(peer.node, static_cast<uint8_t>(MemoryLetter::access), parts)) return false;
    if (want == MemoryWant::close)
        peer.stale = false;
    else
        peer.access_asked = true;
    if (want == MemoryWant::grant_and_connection) peer.stale = false;
    peer.asked.push({.letter = MemoryLetter::access, .key = key, .want = want});
    return true;
}

void Memory::take_grant(Peer& peer, const Chunk& chunk, const MemoryGrant& grant) {
    if (chunk.want == MemoryWant::close) return;
    peer.access_asked = false;
    if (peer.grants.size() >= kGrantsMax) peer.grants.clear();
    peer.grants[chunk.key.memory] = {chunk.key.secret, grant};
    if (grant.access == 0) coverage::hit(coverage::Branch::direct_denied);
    if (chunk.want == MemoryWant::grant || !peer.asker) return;
    if (grant.access == 0) {
        peer.asker = nullptr;
        return;
    }
    peer.asker->connect(grant.server);
    peer.joining = true;
}

bool Memory::join(Peer& peer) {
    if (!peer.joining) return false;
    const std::optional<Status> outcome = peer.asker->connected();
    if (!outcome) return false;
    peer.joining = false;
    peer.joined = outcome->ok();
    if (!peer.joined) {
        peer.asker = nullptr;
        peer.stale = true;
        note_failure(peer, outcome->detail);
    }
    return true;
}

// The next part of an operation, once everything that went by mail is done.
bool Memory::post(Peer& peer, uint32_t slot) {
    Operation& operation = operations_[slot];
    if (!peer.asked.empty() || peer.posted.full() || !peer.asker->broken().ok()) return false;
    const DirectAccess::Limits limits = peer.direct->limits();
    const bool read = operation.kind == Kind::read;
    Cursor cursor = operation.asked;
    pieces_.clear();
    const uint64_t rest = operation.size_bytes - operation.asked_bytes;
    const uint64_t size =
        walk(operation, cursor, std::min(rest, limits.request_bytes_max), [&](const Operation::Run& run) {
            pieces_.push_back({run.bytes, run.buffer->local->key()});
            return pieces_.size() < limits.pieces_max;
        });
    peer.asker->post({.read = read,
                      .fenced = !read && peer.fence_due,
                      .address = operation.remote_address + operation.offset + operation.asked_bytes,
                      .remote_key = operation.remote_key,
                      .pieces = pieces_});
    if (!peer.asker->broken().ok()) return true;
    peer.fence_due = read;
    operation.asked = cursor;
    ++operation.under_way;
    note_asked(operation, size);
    peer.posted.push(
        {slot, static_cast<uint32_t>(size), operation.id, read ? MemoryLetter::read : MemoryLetter::write});
    return true;
}

bool Memory::take_done(Peer& peer) {
    if (!peer.asker) return false;
    const uint32_t done = peer.asker->take_done();
    for (uint32_t n = 0; n < done; ++n) {
        const Chunk chunk = peer.posted.front();
        peer.posted.pop();
        walk(operations_[chunk.slot], operations_[chunk.slot].moved, chunk.size_bytes,
             [](const auto&) { return true; });
        note_answered(chunk.slot, MemoryOutcome::done);
        if (operations_[chunk.slot].state == Operation::State::ended) coverage::hit(coverage::Branch::direct_done);
        peer.failures = 0;
    }
    if (!peer.asker->settled()) return done > 0;
    coverage::hit(coverage::Branch::direct_broken);
    break_off(peer);
    return true;
}

// What was not done is to be done again from where it was, in its order; the first of it by mail, which finds out what
// was wrong: it may have been deregistered there. No later write can have been carried out before an earlier read.
void Memory::break_off(Peer& peer) {
    const std::string why = peer.asker->broken().detail;
    peer.asker = nullptr;
    peer.joining = peer.joined = false;
    peer.stale = true;
    peer.fence_due = false;
    peer.grants.clear();
    const auto decide_again = [&](Operation& operation) {
        if (operation.way == Operation::Way::direct) operation.way = Operation::Way::undecided;
    };
    if (!peer.waiting.empty()) decide_again(operations_[peer.waiting.first]);
    peer.posted.each_from_the_newest([&](const Chunk& chunk) {
        Operation& operation = operations_[chunk.slot];
        --operation.under_way;
        operation.asked_bytes -= chunk.size_bytes;
        operation.asked = operation.moved;
        if (operation.asked_all) push_front(peer.waiting, chunk.slot);
        operation.asked_all = false;
        decide_again(operation);
    });
    peer.posted = {};
    // What has no other way is tried again, until that is given up.
    if (!peer.waiting.empty() && !operations_[peer.waiting.first].by_devices_only)
        operations_[peer.waiting.first].way = Operation::Way::mail;
    note_failure(peer, why);
}

void Memory::note_failure(Peer& peer, const std::string& why) {
    log::debug("memory of " + name(peer.node) + " is not reached directly for now: " + why);
    if (++peer.failures < kFailuresMax || peer.given_up) return;
    coverage::hit(coverage::Branch::direct_given_up);
    peer.given_up = true;
    log::warn("memory of " + name(peer.node) + " is reached by mail from now on: directly, " +
              std::to_string(kFailuresMax) + " times in a row: " + why);
}

}  // namespace libderecho
