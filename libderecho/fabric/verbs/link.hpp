// One peer over one RDMA connection. Its mirrors here are memory that it writes itself; ours there are written from
// where the data lie. What is pushed waits in a queue until the region's key has come, and until the send queue has
// room; in it, data of one run become one write, and a counter's newer value takes an older one's place where no order
// changes. The bootstrap socket stays open: it carries the keys, and its end is the end of the peer. Driver thread.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "fabric/os/memory.hpp"
#include "fabric/regions/mirrors.hpp"
#include "fabric/regions/own_region.hpp"
#include "fabric/verbs/device.hpp"
#include "fabric/verbs/pair.hpp"
#include "fabric/wire_format.hpp"

namespace libderecho {

// Written by a peer in this node's memory, one for each peer.
struct alignas(64) VerbsControl {
    uint64_t asleep_epoch;  // odd while the peer sleeps
    uint64_t echoed_epoch;  // the newest of our epochs that the peer has seen: what it pushed before has landed
    uint64_t synced;        // every region that existed when the link came up has been sent
    uint64_t probe;         // the connection works
};

inline constexpr size_t kVerbsControlBytes = 4096;

// The parts of a verbs link that a handshake collects. The peer's own end goes first.
struct VerbsParts {
    Mapping control;
    std::shared_ptr<VerbsMemory> control_key;
    VerbsEndpoint theirs;
    std::unique_ptr<VerbsPair> pair;

    Status make(VerbsDevice& device, bool rings);
    VerbsEndpoint endpoint() const;
    void connect(const VerbsEndpoint& to);
    // Write to the peer's probe; when it has landed, the connection works in both directions.
    void probe();
    // It came to nothing.
    static void bury(VerbsParts parts, VerbsDevice& device);
};

// A region of this node's as one peer sees it.
struct VerbsRemote {
    enum class State : uint8_t { asked, known, unwanted };
    RegionId id;
    std::shared_ptr<const RegionMemory> memory;
    std::shared_ptr<VerbsMemory> key;
    State state = State::asked;
    uint32_t remote_key = 0;
    uint64_t address = 0;
    bool retired = false;
    uint64_t last_write = 0;  // once retired: when this one has landed, the peer may forget it
};

class VerbsLink {
public:
    using Remote = VerbsRemote;

    VerbsLink(VerbsParts parts, UniqueFd socket, VerbsDevice& device, MirrorTable& mirrors, uint64_t queue_bytes_max);

    int fd() const { return socket_.get(); }

    // Cut the peer off: nothing more of its lands. What takes time is done on another thread.
    static void bury(std::unique_ptr<VerbsLink> link);

    Remote& announce(const OwnRegion& region, std::shared_ptr<VerbsMemory> key);
    void push_contents(Remote& remote);  // as they are when they are sent, for they were pushed before
    void synced();
    void retire(Remote& remote);
    void forget(RegionId id);  // a mirror: its memory stays until the peer writes to it no more

    void push_data(Remote& remote, uint64_t offset, uint64_t size_bytes);
    void push_counters(Remote& remote, uint64_t offset, uint64_t size_bytes, bool loud);
    // Post what can be posted, with one doorbell, and wake a peer that sleeps. Counters that nobody is woken for are
    // left to the next flush if that comes before the second poll: one doorbell instead of two.
    void flush();

    // To be asked once in a poll, for it notes that one has passed: whether step() has nothing to do, but perhaps to
    // find that the peer is lost. What nearly every poll finds.
    bool quiet() {
        if (held_ == Held::now)
            held_ = Held::once;
        else if (backlog())
            return false;
        const uint64_t theirs = seen(control().asleep_epoch);
        return outgoing_.empty() && retiring_ == 0 && epoch_ == told_epoch_ &&
               (!asleep(theirs) || theirs == echoed_epoch_) && (synced_ || seen(control().synced) == 0);
    }
    // Take completions and the peer's control memory into account; exchange control messages. A failure means that the
    // peer is lost, with the reason.
    Status step();
    Status receive();
    Status send();
    // Whether all that was pushed has landed, or never will. Ask until it has.
    bool landed();
    bool unsent() const { return !outgoing_.empty(); }
    bool backlog() const { return head_ != tail_; }

    // Sleeping: what this node's epoch is now, and whether the peer has said that it knows.
    void tell(uint64_t epoch) { epoch_ = epoch; }
    bool is_known(uint64_t epoch) const { return seen(control().echoed_epoch) >= epoch; }
    bool take_wake() { return parts_.pair->take_wake(VerbsPair::Wake::pushed); }
    uint64_t wakes() const { return wakes_; }

private:
    static constexpr size_t kSmallBytes = 128;
    struct Entry {
        enum class Kind : uint8_t { data, counters, contents, synced, retire };
        Kind kind = Kind::data;
        Remote* remote = nullptr;
        uint64_t offset = 0, size_bytes = 0;
        std::array<std::byte, kSmallBytes> small;
        std::vector<std::byte> large;  // a value that is not small

        std::byte* value() { return size_bytes <= kSmallBytes ? small.data() : large.data(); }
    };

    Entry& at(uint64_t index) { return entries_[index & (entries_.size() - 1)]; }
    Entry& append(Entry::Kind kind, Remote* remote, uint64_t offset, uint64_t size_bytes);
    void grow();
    void drain();
    bool post(Entry& entry);
    bool post_range(const Remote& remote, uint64_t& offset, uint64_t end);
    bool post_contents(Entry& entry);
    bool post_value(const void* value, uint64_t size_bytes, uint64_t to, uint32_t key, bool complete = false);
    bool post_word(uint64_t VerbsControl::*word, uint64_t value, bool complete = false);
    void talk();
    void hear();
    void unstage();
    void settle_retired();
    Status check() const;

    const VerbsControl& control() const { return *reinterpret_cast<const VerbsControl*>(parts_.control.data()); }
    static uint64_t seen(const uint64_t& word) {
        return std::atomic_ref<uint64_t>(const_cast<uint64_t&>(word)).load(std::memory_order_acquire);
    }
    static bool asleep(uint64_t epoch) { return epoch % 2 == 1; }

    Remote* find(uint64_t region);
    Status take(const VerbsMessage& message);
    Status take_announcement(const VerbsMessage& message);
    void drop_mirror(uint64_t region);
    void say(VerbsMessageKind kind, uint64_t region, uint64_t address = 0, uint32_t key = 0, uint64_t size_bytes = 0);

    UniqueFd socket_;
    VerbsDevice& device_;
    MirrorTable& mirrors_;
    const uint64_t queue_bytes_max_;

    // What the pair writes, and what is written over it. The pair goes first.
    std::unordered_map<uint64_t, std::shared_ptr<VerbsMemory>> mirror_keys_;  // by region of the peer's
    std::unordered_map<uint64_t, Mapping> forgotten_;
    std::vector<std::unique_ptr<Remote>> remotes_;
    Mapping staging_;  // values too large to go inline, until they have landed: a ring
    std::shared_ptr<VerbsMemory> staging_key_;
    VerbsParts parts_;

    std::vector<Entry> entries_;  // a ring; its size is a power of two
    uint64_t head_ = 0, tail_ = 0;
    uint64_t last_data_ = UINT64_MAX;  // where the newest data entry waits
    bool loud_ = false;                // something waits, or waited, that the peer is to be woken for
    uint32_t retiring_ = 0;
    uint64_t last_word_ = 0;                                       // of landed(): a write behind all others
    enum class Held : uint8_t { no, now, once } held_ = Held::no;  // once: a poll has passed
    bool synced_ = false;  // the peer has sent every region that it had when the link came up

    struct Stage {
        uint64_t write, end;  // when that write has landed, the ring is free up to there
    };
    std::deque<Stage> stages_;
    uint64_t staged_ = 0, unstaged_ = 0;

    std::vector<VerbsMessage> outgoing_;
    size_t outgoing_sent_ = 0;  // bytes of the first
    VerbsMessage incoming_;
    size_t incoming_got_ = 0;

    uint64_t epoch_ = 0, told_epoch_ = 0, echoed_epoch_ = 0, woken_epoch_ = 0, asked_epoch_ = 0;
    uint64_t wakes_ = 0;
    Status lost_;
};

}  // namespace libderecho
