#include "sim/memory_user.hpp"

#include <algorithm>

namespace libderecho::sim {
namespace {

constexpr uint64_t kSlotBytes = 5'000;  // several chunks
constexpr uint64_t kSlots = 32;         // nodes have smaller numbers
constexpr size_t kEndedMax = 16;
constexpr uint32_t kBoth = DERECHO_MEMORY_READ | DERECHO_MEMORY_WRITE;

// A device's memory that is the processor's.
class StandIn final : public DeviceMemory {
public:
    StandIn(std::span<std::byte> bytes, bool mapped) {
        bytes_ = bytes;
        mapped_ = mapped;
    }
    void begin_touching(bool) const override {
        if (!mapped_) throw Violation("memory that is not mapped is not touched");
    }
    void end_touching(bool) const override {}
};

}  // namespace

MemoryUser::MemoryUser(Life self, Rpc& rpc, MemoryUsers& users, Coverage& coverage, uint64_t pause_ns, Random random)
    : self_(self), rpc_(rpc), users_(users), coverage_(coverage), pause_ns_(pause_ns), random_(random) {
    buffer_ = enrol(kSlots * kSlotBytes, kBoth);
    users_[self] = this;
}

MemoryUser::Buffer MemoryUser::enrol(size_t size, uint32_t access) {
    Buffer buffer;
    buffer.bytes.resize(size);
    if (!random_.chance(0.2)) {
        buffer.id = rpc_.memory().enrol(buffer.bytes, access);
        return buffer;
    }
    const bool mapped = random_.chance(0.5);
    buffer.id = rpc_.memory().enrol(std::make_unique<StandIn>(buffer.bytes, mapped), access);
    buffer.by_devices_only = !mapped;
    return buffer;
}

void MemoryUser::violated(const char* promise) const {
    throw Violation(std::string(promise) + ": node " + self_.name());
}

bool MemoryUser::act(Instant now, const Ledger::Replica& replica) {
    if (calm_ || pause_ns_ == 0 || now < next_ || replica.closed || raw(replica.view.id) == 0) return false;
    next_ = now + Duration{random_.between(pause_ns_ / 4, pause_ns_ * 2)};
    check_ended();
    if (random_.chance(0.02)) renew_buffer();
    bool begun = false;
    MemoryUser* target = pick(replica);
    for (uint64_t n = random_.magnitude(1, 6); n > 0 && target; --n) begun |= begin(*target);
    return begun;
}

MemoryUser* MemoryUser::pick(const Ledger::Replica& replica) {
    const Member& member = replica.view.members[random_.below(replica.view.members.size())];
    const auto found = users_.find({raw(member.node), member.incarnation});
    return found == users_.end() ? nullptr : found->second;
}

bool MemoryUser::key_of(uint64_t node, uint64_t random, MemoryKey& key) {
    return rpc_.memory()
        .key_for(buffer_.id, NodeId{static_cast<uint32_t>(node)}, {random, random * 3, random * 7}, key)
        .ok();
}

bool MemoryUser::begin(MemoryUser& target) {
    Operation one{target.self_, target.buffer_.id, {}, random_.chance(0.5), random_.chance(0.05), 0, {}};
    const uint32_t key_owner = one.forged ? random_.chance(0.5) ? self_.node + 1 : target.self_.node : self_.node;
    one.forged = key_owner != self_.node;
    if (!target.key_of(key_owner, random_.next(), one.key)) return false;
    const std::pair slot{one.target, one.target_buffer};
    if (one.read && !wrote_.contains(slot)) one.read = false;
    one.seed = one.read ? wrote_[slot] : Ledger::seed_of(self_, 88, ++count_);
    one.scratch = enrol(kSlotBytes, 0);
    if (!one.read) Ledger::fill(one.seed, one.scratch.bytes.data(), kSlotBytes);
    // In pieces, some of them of no bytes.
    std::vector<Memory::Piece> pieces;
    for (uint64_t at = 0; at < kSlotBytes;) {
        const uint64_t size = std::min(kSlotBytes - at, random_.magnitude(0, kSlotBytes));
        pieces.push_back({one.scratch.id, at, size});
        at += size;
    }
    uint64_t id = 0;
    const auto kind = one.read ? Memory::Kind::read : Memory::Kind::write;
    const Status status = rpc_.begin(kind, NodeId{one.target.node}, one.key, self_.node * kSlotBytes, pieces, id);
    if (!status.ok()) {
        if (status.code == DERECHO_AGAIN) coverage_.hit("too many operations on memory");
        if (rpc_.memory().withdraw(one.scratch.id) != DERECHO_OK) violated("what is in no use can be deregistered");
        return false;
    }
    if (one.target == self_) coverage_.hit("own memory used");
    if (!one.read && !one.forged) wrote_[slot] = one.seed;
    operations_.emplace(id, std::move(one));
    return true;
}

void MemoryUser::on_event(const derecho_event& event, bool group_ended) {
    const auto found = operations_.find(event.id);
    if (found == operations_.end()) violated("an operation on memory ends once");
    Operation one = std::move(found->second);
    operations_.erase(found);
    if (event.node != one.target.node) violated("an operation's event names whose memory it was");
    const auto target = users_.find(one.target);
    switch (event.status) {
        case DERECHO_OK:
            if (one.forged) violated("a key opens nothing to anybody but the member it was made for");
            if (one.read && one.seed != 0 && !Ledger::filled(one.seed, one.scratch.bytes.data(), kSlotBytes))
                violated("a read brings what was written before it was begun, and nothing that was written later");
            coverage_.hit(one.read ? "memory read" : "memory written");
            if (one.scratch.by_devices_only || one.key.memory & kByDevicesOnly)
                coverage_.hit("memory that only devices reach used");
            break;
        case DERECHO_CLOSED:
            if (!group_ended) violated("no operation ends with a group that goes on");
            [[fallthrough]];
        case DERECHO_REMOVED:
            coverage_.hit("an operation on the memory of a member that went");
            if (!one.read) wrote_.erase({one.target, one.target_buffer});
            break;
        case DERECHO_INVALID:
            coverage_.hit("an operation on memory refused");
            if (MemoryKey key; !one.forged && target != users_.end() &&
                               target->second->buffer_.id == one.target_buffer &&
                               target->second->key_of(self_.node, 1, key) && key.secret == one.key.secret)
                violated("a good key opens what it was made for");
            break;
        case DERECHO_UNREACHABLE:
            on_unreachable(one);
            break;
        default:
            violated("an operation on memory ends well, refused, or with the member");
    }
    if (rpc_.memory().withdraw(one.scratch.id) != DERECHO_OK) violated("what is in no use can be deregistered");
    set_aside(one.scratch);
}

// Of a write nobody knows how much was done.
void MemoryUser::on_unreachable(const Operation& one) {
    if (!one.scratch.by_devices_only && !(one.key.memory & kByDevicesOnly))
        violated("only memory that nothing but devices reach is out of reach");
    if (one.forged) violated("of a key that opens nothing it is said so");
    coverage_.hit("memory that only devices reach out of reach");
    if (one.read) return;
    const std::pair slot{one.target, one.target_buffer};
    if (const auto found = wrote_.find(slot); found != wrote_.end() && found->second == one.seed) wrote_.erase(found);
    for (auto& [id, later] : operations_)
        if (later.read && later.seed == one.seed) later.seed = 0;
}

void MemoryUser::on_closed() {
    if (!operations_.empty()) violated("the end comes after all operations on memory");
    calm_ = true;
}

// What peers are about to write there must not land.
void MemoryUser::renew_buffer() {
    const derecho_status status = rpc_.memory().withdraw(buffer_.id);
    if (status == DERECHO_AGAIN) violated("only this node's pieces keep its memory registered");
    set_aside(buffer_);
    buffer_ = enrol(kSlots * kSlotBytes, kBoth);
    coverage_.hit("memory deregistered while members know it");
}

void MemoryUser::set_aside(Buffer& buffer) {
    if (ended_.size() == kEndedMax) ended_.erase(ended_.begin());
    ended_.push_back({std::move(buffer.bytes), {}});
    ended_.back().then = ended_.back().bytes;
}

void MemoryUser::check_ended() const {
    for (const Ended& one : ended_)
        if (one.bytes != one.then) violated("nothing lands in memory that was deregistered");
}

}  // namespace libderecho::sim
