// Moving the bytes of operations on registered memory: requests and answers, chunk by chunk. The driver's.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.hpp"
#include "rpc/memory.hpp"

namespace libderecho {
namespace {

// Of one step, so that messages do not wait for long: letters read; chunks asked for, and answered, with each peer;
// bytes that are copied within this node.
constexpr uint64_t kLettersPerStep = 8;
constexpr uint32_t kChunksPerStep = 4;
constexpr uint64_t kCopiedPerStep = 256 << 10;

// Takes as long for wrong secrets as for right ones.
bool same(const MemorySecret& a, const MemorySecret& b) {
    uint64_t difference = 0;
    for (size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
    return difference == 0;
}

}  // namespace

Memory::Touching::Touching(std::span<const Operation::Run> runs, bool write) : runs_(runs), write_(write) {
    for (const Operation::Run& run : runs_)
        if (run.buffer->device) run.buffer->device->begin_touching(write_);
}

Memory::Touching::~Touching() {
    for (const Operation::Run& run : runs_)
        if (run.buffer->device) run.buffer->device->end_touching(write_);
}

Memory::Touching Memory::touching(const Operation& operation, uint64_t size_bytes, bool write) {
    const bool any = operation.has_devices && size_bytes > 0;
    return {any ? std::span<const Operation::Run>(operation.runs) : std::span<const Operation::Run>(), write};
}

bool Memory::step(uint64_t timestamp_ns) {
    bool moved = mail_.step(timestamp_ns);
    if (!moved && !work_.load(std::memory_order_relaxed) && !mail_.has_letters()) return false;
    {
        const std::lock_guard lock(mutex_);
        bool work = false;
        moved |= mail_.has_letters();
        read_letters();
        for (const auto& peer : peers_) {
            moved |= join(*peer);
            moved |= take_done(*peer);
            moved |= answer(*peer);
            moved |= advance(*peer);
            work |= !peer->owed.empty() || !peer->waiting.empty() || !peer->posted.empty() || peer->joining;
        }
        work_.store(work, std::memory_order_relaxed);
    }
    if (!moved) return false;
    mail_.step(timestamp_ns);
    fabric_.flush();
    return true;
}

std::vector<NodeId> Memory::take_offenders() {
    std::vector<NodeId> all = std::exchange(offenders_, {});
    for (const NodeId node : mail_.take_offenders()) all.push_back(node);
    return all;
}

// ---------------------------------------------------------------------------------------------------- letters

void Memory::read_letters() {
    Mail::Letter letter;
    for (uint64_t n = 0; n < kLettersPerStep && mail_.read(letter); ++n) read_letter(letter);
}

void Memory::read_letter(const Mail::Letter& letter) {
    Peer* peer = find_connected(letter.from);
    if (peer && !peer->offended && !over_) {
        const bool good = letter.kind == static_cast<uint8_t>(MemoryLetter::answer) ? take_answer(*peer, letter)
                                                                                    : take_request(*peer, letter);
        if (!good) {
            peer->offended = true;
            offenders_.push_back(peer->node);
        }
    }
    mail_.done(letter);
}

// False if it breaks the rules. What a key does not allow does not: it may be an old one.
bool Memory::take_request(Peer& peer, const Mail::Letter& letter) {
    Debt debt;
    debt.letter = static_cast<MemoryLetter>(letter.kind);
    if (peer.owed.full()) return false;
    if (debt.letter == MemoryLetter::access) {
        MemoryAccess access;
        if (!read_header(letter.bytes, access) || letter.bytes.size() != sizeof access) return false;
        take_access(peer, access, debt);
        peer.owed.push(debt);
        return true;
    }
    if (!read_header(letter.bytes, debt.request)) return false;
    const MemoryRequest& request = debt.request;
    const auto data = letter.bytes.subspan(sizeof request);
    if (request.size_bytes > chunk_bytes_max_ || request.size_bytes > request.rest_bytes) return false;
    if (debt.letter == MemoryLetter::read) {
        if (!data.empty()) return false;
    } else {
        if (debt.letter != MemoryLetter::write || data.size() != request.size_bytes) return false;
        Operation::Run run{};
        debt.outcome = open(peer, request, DERECHO_MEMORY_WRITE, run);
        if (debt.outcome == MemoryOutcome::done && !data.empty()) {
            const Touching it(run, true);
            std::memcpy(run.bytes.data(), data.data(), data.size());
        }
    }
    peer.owed.push(debt);
    return true;
}

// Answers come in the order of the requests.
bool Memory::take_answer(Peer& peer, const Mail::Letter& letter) {
    MemoryAnswer header;
    if (peer.asked.empty() || !read_header(letter.bytes, header)) return false;
    if (header.outcome > MemoryOutcome::no_way) return false;
    const Chunk chunk = peer.asked.front();
    auto data = letter.bytes.subspan(sizeof header);
    if (chunk.letter == MemoryLetter::access) {
        MemoryGrant grant;
        if (!read_header(data, grant) || data.size() != sizeof grant) return false;
        peer.asked.pop();
        take_grant(peer, chunk, grant);
        return true;
    }
    const bool read = chunk.letter == MemoryLetter::read;
    if (data.size() != (read && header.outcome == MemoryOutcome::done ? chunk.size_bytes : 0)) return false;
    peer.asked.pop();
    if (read) --peer.reads_asked;
    Operation& operation = operations_[chunk.slot];
    if (operation.id != chunk.operation || operation.state != Operation::State::open) return true;
    {
        const Touching pieces = touching(operation, data.size(), true);  // which are forgotten when it finishes
        walk(operation, operation.moved, data.size(), [&](const Operation::Run& run) {
            std::memcpy(run.bytes.data(), data.data(), run.bytes.size());
            data = data.subspan(run.bytes.size());
            return true;
        });
    }
    const bool nothing_moved = operation.by_devices_only && operation.size_bytes > 0;
    const bool good = header.outcome == MemoryOutcome::done;
    note_answered(chunk.slot, good && nothing_moved ? MemoryOutcome::no_way : header.outcome);
    return true;
}

// ---------------------------------------------------------------------------------------------------- the one asked

// What a key opens to a peer.
MemoryOutcome Memory::open(const Peer& from, const MemoryRequest& request, uint32_t access, Operation::Run& run) {
    const auto found = buffers_.find(request.key.memory);
    if (found == buffers_.end()) return MemoryOutcome::no_key;
    Buffer& buffer = found->second;
    const auto key = std::ranges::find(buffer.keys, from.node, &Key::node);
    if (key == buffer.keys.end() || key->incarnation != from.incarnation || !same(key->secret, request.key.secret))
        return MemoryOutcome::no_key;
    if (!(buffer.access & access)) return MemoryOutcome::no_access;
    const uint64_t size = buffer.bytes.size();
    if (request.offset > size || request.rest_bytes > size - request.offset) return MemoryOutcome::outside;
    if (request.key.memory & kByDevicesOnly && request.size_bytes > 0) return MemoryOutcome::no_way;
    run = {&buffer, buffer.bytes.subspan(request.offset, request.size_bytes)};
    return MemoryOutcome::done;
}

bool Memory::answer(Peer& peer) {
    bool moved = false;
    for (uint32_t n = 0; n < kChunksPerStep && !peer.owed.empty(); ++n) {
        Debt& debt = peer.owed.front();
        bool sent = false;
        if (debt.letter == MemoryLetter::read)
            sent = answer_read(peer, debt.request);
        else if (debt.letter == MemoryLetter::write)
            sent = send_answer(peer, debt.outcome, {});
        else
            sent = !connects(peer, debt) && send_answer(peer, MemoryOutcome::done, bytes_of(debt.grant));
        if (!sent) break;
        peer.owed.pop();
        moved = true;
    }
    return moved;
}

bool Memory::answer_read(Peer& peer, const MemoryRequest& request) {
    Operation::Run run{};
    const MemoryOutcome outcome = open(peer, request, DERECHO_MEMORY_READ, run);
    const Touching it(run, false);
    return send_answer(peer, outcome, run.bytes);
}

bool Memory::send_answer(Peer& peer, MemoryOutcome outcome, std::span<const std::byte> data) {
    const MemoryAnswer header{outcome, 0};
    const std::span<const std::byte> parts[] = {bytes_of(header), data};
    return mail_.send(peer.node, static_cast<uint8_t>(MemoryLetter::answer), parts);
}

// ---------------------------------------------------------------------------------------------------- the one who asks

// Carry on with the operations on a peer's memory, in their order.
bool Memory::advance(Peer& peer) {
    bool moved = false;
    for (uint32_t n = 0; n < kChunksPerStep && !peer.waiting.empty(); ++n) {
        const uint32_t slot = peer.waiting.first;
        if (peer.node == self_ ? !copy(slot) : !carry_on(peer, slot)) break;
        moved = true;
        Operation& operation = operations_[slot];
        const bool failed = operation.outcome != MemoryOutcome::done;
        if (!operation.asked_all && !failed) continue;
        operation.asked_all = true;
        pop(peer.waiting);
        if (operation.under_way == 0) finish(slot);
    }
    return moved;
}

// The next chunk of an operation with a peer, or what has to come before it. False if nothing can be done now.
bool Memory::carry_on(Peer& peer, uint32_t slot) {
    using Way = Operation::Way;
    Operation& operation = operations_[slot];
    if (operation.outcome != MemoryOutcome::done) return true;  // there is nothing more to ask for
    if (!peer.connected) return false;
    if (operation.way == Way::undecided && !choose_way(peer, operation)) return false;
    if (operation.way == Way::undecided) return true;
    return operation.way == Way::direct ? post(peer, slot) : ask(peer, slot);
}

// By mail, once everything that went directly is done.
bool Memory::ask(Peer& peer, uint32_t slot) {
    Operation& operation = operations_[slot];
    if (!peer.posted.empty() || peer.asked.full()) return false;
    if (operation.kind == Kind::write && peer.reads_asked > 0) return false;
    if (peer.stale) return ask_for_access(peer, {}, MemoryWant::close);
    MemoryRequest request = next_request(operation, operation.by_devices_only ? 0 : chunk_bytes_max_);
    Cursor cursor = operation.asked;
    parts_.clear();
    parts_.push_back(bytes_of(request));
    if (operation.kind == Kind::write)
        request.size_bytes = walk(operation, cursor, request.size_bytes, [&](const Operation::Run& run) {
            parts_.push_back(run.bytes);
            return parts_.size() <= limits::memory_runs_per_chunk;
        });
    const auto kind = operation.kind == Kind::read ? MemoryLetter::read : MemoryLetter::write;
    {
        const Touching pieces = touching(operation, operation.kind == Kind::write ? request.size_bytes : 0, false);
        if (!mail_.send(peer.node, static_cast<uint8_t>(kind), parts_)) return false;
    }
    operation.asked = cursor;
    ++operation.under_way;
    note_asked(operation, operation.by_devices_only ? request.rest_bytes : request.size_bytes);
    if (operation.kind == Kind::read) ++peer.reads_asked;
    peer.asked.push({slot, static_cast<uint32_t>(request.size_bytes), operation.id, kind});
    return true;
}

// The next chunk of an operation on this node's own memory.
bool Memory::copy(uint32_t slot) {
    Operation& operation = operations_[slot];
    if (operation.outcome != MemoryOutcome::done) return true;
    const uint64_t most = operation.by_devices_only ? 0 : kCopiedPerStep / kChunksPerStep;
    const MemoryRequest request = next_request(operation, most);
    const bool read = operation.kind == Kind::read;
    Operation::Run other{};
    operation.outcome = open(*peers_.front(), request, read ? DERECHO_MEMORY_READ : DERECHO_MEMORY_WRITE, other);
    if (operation.outcome == MemoryOutcome::done && operation.by_devices_only && operation.size_bytes > 0)
        operation.outcome = MemoryOutcome::no_way;
    if (operation.outcome != MemoryOutcome::done) return true;
    const Touching pieces = touching(operation, request.size_bytes, read), its(other, !read);
    std::span<std::byte> there = other.bytes;
    walk(operation, operation.asked, request.size_bytes, [&](const Operation::Run& run) {
        const std::span<std::byte> here = run.bytes;
        std::memmove(read ? here.data() : there.data(), read ? there.data() : here.data(), here.size());
        there = there.subspan(here.size());
        return true;
    });
    note_asked(operation, request.size_bytes);
    return true;
}

MemoryRequest Memory::next_request(const Operation& operation, uint64_t most) const {
    MemoryRequest request;
    request.key = operation.key;
    request.offset = operation.offset + operation.asked_bytes;
    request.rest_bytes = operation.size_bytes - operation.asked_bytes;
    request.size_bytes = std::min(request.rest_bytes, most);
    return request;
}

void Memory::note_asked(Operation& operation, uint64_t size_bytes) {
    operation.asked_bytes += size_bytes;
    operation.asked_all = operation.asked_bytes == operation.size_bytes;
}

// The first thing that went wrong is what the operation came to.
void Memory::note_answered(uint32_t slot, MemoryOutcome outcome) {
    Operation& operation = operations_[slot];
    DERECHO_ASSERT(operation.under_way > 0);
    --operation.under_way;
    if (operation.outcome == MemoryOutcome::done) operation.outcome = outcome;
    if (operation.asked_all && operation.under_way == 0) finish(slot);
}

}  // namespace libderecho
