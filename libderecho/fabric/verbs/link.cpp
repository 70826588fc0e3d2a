#include "fabric/verbs/link.hpp"

#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/assert.hpp"
#include "base/log.hpp"

namespace libderecho {
namespace {

constexpr size_t kEntriesAtFirst = 64;
constexpr size_t kStagingBytes = 64 << 10;
constexpr size_t kMessagesPerReceive = 256;

uint64_t offset_of(uint64_t VerbsControl::*word) {
    const VerbsControl control{};
    return static_cast<uint64_t>(reinterpret_cast<const char*>(&(control.*word)) -
                                 reinterpret_cast<const char*>(&control));
}

}  // namespace

// ------------------------------------------------------------------------------------------------- handshake

Status VerbsParts::make(VerbsDevice& device, bool rings) {
    if (Status status = map_anonymous(kVerbsControlBytes, control); !status.ok()) return status;
    if (Status status = device.register_memory(control.bytes(), true, control_key); !status.ok()) return status;
    return device.make_pair(rings, pair);
}

VerbsEndpoint VerbsParts::endpoint() const {
    VerbsEndpoint endpoint = pair->endpoint();
    endpoint.control_address = reinterpret_cast<uintptr_t>(control.data());
    endpoint.control_key = control_key->remote_key();
    return endpoint;
}

void VerbsParts::connect(const VerbsEndpoint& to) {
    theirs = to;
    pair->connect(to);
}

void VerbsParts::probe() {
    auto* own = reinterpret_cast<VerbsControl*>(control.data() + kVerbsControlBytes / 2);  // nobody writes there
    own->probe = 1;
    pair->add({&own->probe, sizeof own->probe, control_key->local_key(), theirs.control_key,
               theirs.control_address + offset_of(&VerbsControl::probe)},
              true);
    pair->post();
}

void VerbsParts::bury(VerbsParts parts, VerbsDevice& device) {
    if (!parts.pair) return;
    parts.pair->fence();
    device.bury(std::make_shared<VerbsParts>(std::move(parts)));
}

// ------------------------------------------------------------------------------------------------- regions

VerbsLink::VerbsLink(VerbsParts parts, UniqueFd socket, VerbsDevice& device, MirrorTable& mirrors,
                     uint64_t queue_bytes_max)
    : socket_(std::move(socket)),
      device_(device),
      mirrors_(mirrors),
      queue_bytes_max_(queue_bytes_max),
      parts_(std::move(parts)),
      entries_(kEntriesAtFirst) {}

void VerbsLink::bury(std::unique_ptr<VerbsLink> link) {
    link->parts_.pair->fence();
    link->socket_.reset();
    VerbsDevice& device = link->device_;
    device.bury(std::move(link));
}

VerbsLink::Remote& VerbsLink::announce(const OwnRegion& region, std::shared_ptr<VerbsMemory> key) {
    remotes_.push_back(std::make_unique<Remote>());
    Remote& remote = *remotes_.back();
    remote.id = region.id();
    remote.memory = region.memory();
    remote.key = std::move(key);
    say(VerbsMessageKind::announce, region.id().value, 0, 0, region.bytes().size());
    return remote;
}

void VerbsLink::push_contents(Remote& remote) {
    append(Entry::Kind::contents, &remote, 0, remote.memory->mapping.size());
}

void VerbsLink::synced() { append(Entry::Kind::synced, nullptr, 0, 0); }

void VerbsLink::retire(Remote& remote) {
    append(Entry::Kind::retire, &remote, 0, 0);
    loud_ = true;
}

void VerbsLink::forget(RegionId id) {
    Mapping memory = mirrors_.take_out(id);
    if (mirror_keys_.contains(id.value)) forgotten_.emplace(id.value, std::move(memory));
}

VerbsLink::Remote* VerbsLink::find(uint64_t region) {
    for (const auto& remote : remotes_)
        if (remote->id.value == region) return remote.get();
    return nullptr;
}

// ------------------------------------------------------------------------------------------------- queue

VerbsLink::Entry& VerbsLink::append(Entry::Kind kind, Remote* remote, uint64_t offset, uint64_t size_bytes) {
    if (tail_ - head_ == entries_.size()) grow();
    Entry& entry = at(tail_++);
    entry.kind = kind;
    entry.remote = remote;
    entry.offset = offset;
    entry.size_bytes = size_bytes;
    return entry;
}

void VerbsLink::grow() {
    std::vector<Entry> larger(2 * entries_.size());
    for (uint64_t i = head_; i != tail_; ++i) larger[i & (larger.size() - 1)] = std::move(at(i));
    entries_ = std::move(larger);
}

void VerbsLink::push_data(Remote& remote, uint64_t offset, uint64_t size_bytes) {
    loud_ = true;
    // Data may become visible early, so what continues the newest run goes with it, whatever was pushed in between.
    if (last_data_ >= head_ && last_data_ < tail_) {
        Entry& last = at(last_data_);
        if (last.kind == Entry::Kind::data && last.remote == &remote && last.offset + last.size_bytes == offset) {
            last.size_bytes += size_bytes;
            return;
        }
    }
    last_data_ = tail_;
    append(Entry::Kind::data, &remote, offset, size_bytes);
}

void VerbsLink::push_counters(Remote& remote, uint64_t offset, uint64_t size_bytes, bool loud) {
    loud_ = loud_ || loud;
    // A newer value takes the place of the last one that waits, if nothing but data was pushed since.
    Entry* entry = backlog() ? &at(tail_ - 1) : nullptr;
    if (!entry || entry->kind != Entry::Kind::counters || entry->remote != &remote || entry->offset != offset ||
        entry->size_bytes != size_bytes)
        entry = &append(Entry::Kind::counters, &remote, offset, size_bytes);
    if (size_bytes > kSmallBytes && entry->large.size() < size_bytes) entry->large.resize(size_bytes);
    std::memcpy(entry->value(), remote.memory->mapping.data() + offset, size_bytes);
}

void VerbsLink::flush() {
    if (!parts_.pair->broken().ok()) return;
    if (backlog() && !loud_ && held_ == Held::no) {
        held_ = Held::now;
        return;
    }
    held_ = Held::no;
    if (backlog() && at(head_).remote && at(head_).remote->state == Remote::State::asked) hear();
    talk();
    drain();
    if (backlog()) {  // what has landed meanwhile makes room
        device_.poll();
        drain();
    }
    const uint64_t theirs = seen(control().asleep_epoch);
    const bool wake = loud_ && parts_.pair->chained() && asleep(theirs) && theirs != woken_epoch_;
    parts_.pair->post(wake ? VerbsPair::Wake::pushed : VerbsPair::Wake::none);
    if (wake) woken_epoch_ = theirs, ++wakes_;
    if (!backlog()) loud_ = false;
}

void VerbsLink::drain() {
    unstage();
    while (backlog() && post(at(head_))) ++head_;
}

// Whether it is on its way; otherwise it stays at the head until a key or room has come.
bool VerbsLink::post(Entry& entry) {
    if (entry.kind == Entry::Kind::synced) return post_word(&VerbsControl::synced, 1);
    Remote& remote = *entry.remote;
    if (remote.state == Remote::State::asked) return false;
    if (entry.kind == Entry::Kind::retire) {
        // Something whose completion comes soon, behind everything written to the region.
        if (!post_word(&VerbsControl::synced, 1, true)) return false;
        remote.retired = true;
        remote.last_write = parts_.pair->added();
        ++retiring_;
        return true;
    }
    if (remote.state == Remote::State::unwanted) return true;
    switch (entry.kind) {
        case Entry::Kind::data: {
            const uint64_t end = entry.offset + entry.size_bytes;
            const bool whole = post_range(remote, entry.offset, end);
            entry.size_bytes = end - entry.offset;
            return whole;
        }
        case Entry::Kind::contents:
            return post_contents(entry);
        default:
            return post_value(entry.value(), entry.size_bytes, remote.address + entry.offset, remote.remote_key);
    }
}

// Write [offset, end), as far as there is room; `offset` moves on.
bool VerbsLink::post_range(const Remote& remote, uint64_t& offset, uint64_t end) {
    while (offset < end) {
        if (parts_.pair->room() == 0) return false;
        const uint64_t size = std::min<uint64_t>(end - offset, parts_.pair->write_bytes_max());
        parts_.pair->add({remote.memory->mapping.data() + offset, static_cast<uint32_t>(size), remote.key->local_key(),
                          remote.remote_key, remote.address + offset});
        offset += size;
    }
    return true;
}

// What is not zero, in runs of blocks.
bool VerbsLink::post_contents(Entry& entry) {
    const std::span<const std::byte> bytes = entry.remote->memory->mapping.bytes();
    while (entry.offset < bytes.size()) {
        uint64_t end = entry.offset;
        while (end < bytes.size() && !all_zero(bytes.subspan(end, std::min(kBlockBytes, bytes.size() - end))))
            end = std::min<uint64_t>(end + kBlockBytes, bytes.size());
        if (!post_range(*entry.remote, entry.offset, end)) return false;
        entry.offset += kBlockBytes;  // that one was zero
    }
    return true;
}

bool VerbsLink::post_value(const void* value, uint64_t size_bytes, uint64_t to, uint32_t key, bool complete) {
    VerbsPair& pair = *parts_.pair;
    if (pair.room() == 0) return false;
    if (size_bytes <= pair.inline_bytes_max()) {
        pair.add({value, static_cast<uint32_t>(size_bytes), 0, key, to}, complete);
        return true;
    }
    if (!staging_.valid()) {
        if (!map_anonymous(kStagingBytes, staging_).ok() ||
            !device_.register_memory(staging_.bytes(), false, staging_key_).ok())
            return false;
    }
    uint64_t begin = staged_;
    if (begin % kStagingBytes + size_bytes > kStagingBytes) begin += kStagingBytes - begin % kStagingBytes;
    if (begin + size_bytes - unstaged_ > kStagingBytes) return false;
    std::byte* const from = staging_.data() + begin % kStagingBytes;
    std::memcpy(from, value, size_bytes);
    pair.add({from, static_cast<uint32_t>(size_bytes), staging_key_->local_key(), key, to}, complete);
    staged_ = begin + size_bytes;
    stages_.push_back({pair.added(), staged_});
    return true;
}

bool VerbsLink::post_word(uint64_t VerbsControl::*word, uint64_t value, bool complete) {
    return post_value(&value, sizeof value, parts_.theirs.control_address + offset_of(word), parts_.theirs.control_key,
                      complete);
}

void VerbsLink::unstage() {
    for (; !stages_.empty() && stages_.front().write <= parts_.pair->landed(); stages_.pop_front())
        unstaged_ = stages_.front().end;
}

// ------------------------------------------------------------------------------------------------- stepping

// Words about sleeping go at once, past what waits: that is posted later, and then wakes whom it must.
void VerbsLink::talk() {
    const uint64_t theirs = seen(control().asleep_epoch);
    if (asleep(theirs) && theirs != echoed_epoch_ && post_word(&VerbsControl::echoed_epoch, theirs))
        echoed_epoch_ = theirs;
    if (epoch_ == told_epoch_ || !post_word(&VerbsControl::asleep_epoch, epoch_)) return;
    told_epoch_ = epoch_;
    // A peer that sleeps itself must wake to answer, or this node could not sleep until it does. One that has not
    // answered yet is not asked again: it may be paused, and wakes that it takes no more would hold up what comes
    // after.
    const bool ask = asleep(epoch_) && asleep(theirs) && seen(control().echoed_epoch) >= asked_epoch_;
    if (ask) asked_epoch_ = epoch_;
    parts_.pair->post(ask ? VerbsPair::Wake::please_echo : VerbsPair::Wake::none);
}

Status VerbsLink::step() {
    if (!lost_.ok()) return lost_;
    if (!parts_.pair->broken().ok()) return parts_.pair->broken();
    if (!synced_ && seen(control().synced) != 0) {
        synced_ = true;
        mirrors_.synced();
    }
    talk();
    if (backlog()) {
        flush();
    } else {
        parts_.pair->post();
    }
    if (retiring_ > 0) settle_retired();
    return check();
}

void VerbsLink::settle_retired() {
    const auto first = std::stable_partition(remotes_.begin(), remotes_.end(), [this](const auto& remote) {
        return !remote->retired || remote->last_write > parts_.pair->landed();
    });
    for (auto settled = first; settled != remotes_.end(); ++settled) {
        say(VerbsMessageKind::retired, (*settled)->id.value);
        --retiring_;
        device_.bury(std::move(*settled));
    }
    remotes_.erase(first, remotes_.end());
}

// A completion is asked for only of the last.
bool VerbsLink::landed() {
    hear();
    if (!lost_.ok() || !parts_.pair->broken().ok()) return true;
    if (backlog()) {
        held_ = Held::once;
        flush();
        if (backlog()) return false;
    }
    if (last_word_ == 0) {
        if (!post_word(&VerbsControl::synced, 1, true)) return false;
        parts_.pair->post();
        last_word_ = parts_.pair->added();
    }
    return parts_.pair->landed() >= last_word_;
}

Status VerbsLink::check() const {
    const uint64_t held = (tail_ - head_) * sizeof(Entry);
    if (held <= queue_bytes_max_) return {};
    return failure(DERECHO_UNREACHABLE,
                   "it is reached too slowly: " + std::to_string(held) +
                       " bytes wait for it, more than tcp_queue_bytes_max = " + std::to_string(queue_bytes_max_));
}

// ------------------------------------------------------------------------------------------------- messages

void VerbsLink::say(VerbsMessageKind kind, uint64_t region, uint64_t address, uint32_t key, uint64_t size_bytes) {
    VerbsMessage message;
    message.kind = static_cast<uint32_t>(kind);
    message.key = key;
    message.region = region;
    message.address = address;
    message.size_bytes = size_bytes;
    outgoing_.push_back(message);
}

Status VerbsLink::send() {
    while (!outgoing_.empty()) {
        const auto* const from = reinterpret_cast<const std::byte*>(outgoing_.data()) + outgoing_sent_;
        const size_t due = outgoing_.size() * sizeof(VerbsMessage) - outgoing_sent_;
        const ssize_t n = ::send(socket_.get(), from, due, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM)) return {};
        if (n < 0) return {};  // the receiver finds the connection's end, and what came before it
        outgoing_sent_ += static_cast<size_t>(n);
        const auto whole = static_cast<std::ptrdiff_t>(outgoing_sent_ / sizeof(VerbsMessage));
        outgoing_.erase(outgoing_.begin(), outgoing_.begin() + whole);
        outgoing_sent_ %= sizeof(VerbsMessage);
    }
    return {};
}

// The key that the queue waits for may have come. Why the peer is lost, if that comes out, is for the next step.
void VerbsLink::hear() {
    if (Status status = receive(); !status.ok() && lost_.ok()) lost_ = std::move(status);
}

Status VerbsLink::receive() {
    for (size_t i = 0; i < kMessagesPerReceive;) {
        auto* const to = reinterpret_cast<std::byte*>(&incoming_) + incoming_got_;
        const ssize_t n = ::recv(socket_.get(), to, sizeof incoming_ - incoming_got_, MSG_DONTWAIT);
        if (n == 0) return failure(DERECHO_UNREACHABLE, "its process ended or closed the connection");
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS || errno == ENOMEM)) return {};
        if (n < 0) return failure(DERECHO_UNREACHABLE, std::string("connection broke: ") + std::strerror(errno));
        incoming_got_ += static_cast<size_t>(n);
        if (incoming_got_ < sizeof incoming_) continue;
        incoming_got_ = 0;
        ++i;
        if (Status status = take(incoming_); !status.ok()) return status;
    }
    return {};
}

Status VerbsLink::take(const VerbsMessage& message) {
    const auto kind = static_cast<VerbsMessageKind>(message.kind);
    if (kind == VerbsMessageKind::announce) return take_announcement(message);
    if (kind == VerbsMessageKind::retired) {
        drop_mirror(message.region);
        return {};
    }
    Remote* const remote = find(message.region);
    if ((kind != VerbsMessageKind::key && kind != VerbsMessageKind::unwanted) || !remote ||
        remote->state != Remote::State::asked)
        return failure(DERECHO_INVALID, "it sent a malformed message");
    remote->state = kind == VerbsMessageKind::key ? Remote::State::known : Remote::State::unwanted;
    remote->remote_key = message.key;
    remote->address = message.address;
    return {};
}

// The memory itself, if it is not forgotten, stays readable.
void VerbsLink::drop_mirror(uint64_t region) {
    struct Mirror {
        Mapping memory;
        std::shared_ptr<VerbsMemory> key;  // goes first
    };
    auto mirror = std::make_shared<Mirror>();
    if (auto key = mirror_keys_.extract(region)) mirror->key = std::move(key.mapped());
    if (auto memory = forgotten_.extract(region)) mirror->memory = std::move(memory.mapped());
    device_.bury(std::move(mirror));
}

Status VerbsLink::take_announcement(const VerbsMessage& message) {
    const RegionId id{message.region};
    if (mirror_keys_.contains(id.value))  // forgotten here, or not even that
        return failure(DERECHO_INVALID, "region " + std::to_string(id.value) + " was announced twice");
    if (Status status = mirrors_.announce(id, message.size_bytes); !status.ok()) return status;
    if (!mirrors_.has(id)) {
        say(VerbsMessageKind::unwanted, id.value);
        return send();
    }
    std::byte* memory = nullptr;
    mirrors_.place(id, 0, message.size_bytes, memory);
    std::shared_ptr<VerbsMemory>& key = mirror_keys_[id.value];
    if (Status status = device_.register_memory({memory, message.size_bytes}, true, key); !status.ok()) return status;
    say(VerbsMessageKind::key, id.value, reinterpret_cast<uintptr_t>(memory), key->remote_key());
    return send();
}

}  // namespace libderecho
