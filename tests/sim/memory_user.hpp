// The part of a simulated application that uses registered memory: it reads and writes members' buffers with keys that
// they hand it past the network. Checks what rpc/memory promises: every operation ends once and, as long as the key is
// good, well; operations on one member's memory are carried out in their order; nothing lands once an operation has
// ended or a buffer was deregistered; keys open nothing to others.
//
// Every user has a slot in everybody's buffer, which only it writes to. It knows what it wrote there last, so it knows
// what a read that was begun after that must bring, however many operations are under way.
#pragma once

#include <map>
#include <vector>

#include "rpc/rpc.hpp"
#include "sim/coverage.hpp"
#include "sim/ledger.hpp"
#include "sim/random.hpp"

namespace libderecho::sim {

class MemoryUser;
// Who is alive: the way that keys go.
using MemoryUsers = std::map<Life, MemoryUser*>;

class MemoryUser {
public:
    // `pause_ns`: typical time between operations; 0: it has a buffer, and uses none.
    MemoryUser(Life self, Rpc& rpc, MemoryUsers& users, Coverage& coverage, uint64_t pause_ns, Random random);
    ~MemoryUser() { drop(); }

    // Begin what is due. True if anything was.
    bool act(Instant now, const Ledger::Replica& replica);
    Instant next_wish() const { return calm_ || pause_ns_ == 0 ? kNever : next_; }
    void calm_down() { calm_ = true; }
    const char* busy() const { return operations_.empty() ? nullptr : "an operation on memory has not ended"; }
    void drop() { users_.erase(self_); }
    void on_event(const derecho_event& event, bool group_ended);
    void on_closed();

private:
    struct Buffer {
        uint64_t id = 0;
        bool by_devices_only = false;
        std::vector<std::byte> bytes;
    };
    struct Operation {
        Life target;
        uint64_t target_buffer;  // its id there
        MemoryKey key;
        bool read;
        bool forged;    // the key was made for somebody else
        uint64_t seed;  // of what was written, or must have been read; 0: nobody knows what is there
        Buffer scratch;
    };
    // One that has ended: its bytes must stay as they are.
    struct Ended {
        std::vector<std::byte> bytes, then;
    };

    MemoryUser* pick(const Ledger::Replica& replica);
    bool begin(MemoryUser& target);
    bool key_of(uint64_t node, uint64_t random, MemoryKey& key);
    void renew_buffer();
    void on_unreachable(const Operation& one);
    void set_aside(Buffer& buffer);
    void check_ended() const;
    Buffer enrol(size_t size, uint32_t access);
    [[noreturn]] void violated(const char* promise) const;

    const Life self_;
    Rpc& rpc_;
    MemoryUsers& users_;
    Coverage& coverage_;
    const uint64_t pause_ns_;
    Random random_;
    Buffer buffer_;                             // that others write to and read from
    std::map<uint64_t, Operation> operations_;  // by id
    std::map<std::pair<Life, uint64_t>, uint64_t>
        wrote_;  // seed of what is in this user's slot of a buffer, in the end
    std::vector<Ended> ended_;
    uint64_t count_ = 0;
    Instant next_{};
    bool calm_ = false;
};

}  // namespace libderecho::sim
