// Registered memory: buffers of the application's that members read and write one-sidedly. The target's application
// takes no part: its driver answers. Stepped like the rest.
//
// Every operation is cut into chunks; a chunk is one request and one answer, by mail of their own, so that they never
// wait behind letters that an application has not taken. Whoever asks has at most kAskedMax requests under way with a
// peer, and is answered in the order in which it asked; so both ends need bounded room only, read whatever arrives at
// once, and never wait for each other in a circle. A write is carried out when it is read, a read when there is room
// for its answer: therefore no write is asked for while a read still awaits its answer.
//
// How an operation is carried out is decided in `advance` alone: by mail, for the node itself by copying, or, where the
// fabric can, directly: by the devices (memory_direct.cpp). For that its pieces are registered with the device here,
// and the peer was asked for a grant: where the memory of that key lies, and the device's key to it. Whatever goes
// wrong on that way, the rest of the operation goes by mail, which finds out what is to be said of it. One way is used
// at a time with a peer, so that order is kept.
//
// Memory of a device that the processor cannot touch has one way only. An operation with such memory at either end is
// asked for by mail without data when there is no other way, just to learn what is to be said of it.
//
// One lock is held around all use of the tables and of the memory. So whoever deregisters waits for the copying of a
// chunk, and for the device, and after that nothing of anybody's lands. It is not held while a device registers memory,
// or forgets it.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/assert.hpp"
#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/status.hpp"
#include "fabric/direct.hpp"
#include "rpc/letters.hpp"
#include "smc/mail.hpp"
#include "view/view.hpp"

namespace libderecho {

class Memory {
public:
    enum class Kind : uint8_t { read, write };
    // A part of a registered buffer of this node's.
    struct Piece {
        uint64_t memory = 0;
        uint64_t offset = 0;
        uint64_t size_bytes = 0;
    };

    // `mail_bytes`: of the ring to each peer, the same at all nodes.
    Memory(Fabric& fabric, uint64_t incarnation, uint64_t mail_bytes);
    ~Memory();

    // ---- any thread
    // The id of the buffer.
    uint64_t enrol(std::span<std::byte> bytes, uint32_t access);
    uint64_t enrol(std::unique_ptr<DeviceMemory> device, uint32_t access);
    // `secret`: random numbers, used if that node has no key to it yet.
    Status key_for(uint64_t memory, NodeId node, const MemorySecret& secret, MemoryKey& key);
    Status begin(Kind kind, NodeId node, const MemoryKey& key, uint64_t offset, std::span<const Piece> pieces,
                 uint64_t& operation);
    // OK: it is gone. AGAIN: operations of this node's use it. CLOSED: it is not registered.
    derecho_status withdraw(uint64_t memory);
    // How many of them, with whom.
    std::string users_of(uint64_t memory);

    // ---- the driver
    void peer_up(NodeId peer, uint64_t incarnation);
    void peer_lost(NodeId peer);
    void members_changed(const View& view);
    // This node is in no view any more: everything ends.
    void end();
    // True if something moved.
    bool step(uint64_t timestamp_ns);
    // Peers that broke the rules since the last call; to be disconnected.
    std::vector<NodeId> take_offenders();
    std::vector<NodeId> take_unserved() { return mail_.take_unserved(); }
    bool has_events() const { return ended_operations_.load(std::memory_order_relaxed) > 0; }
    // Events of operations that ended, in that order. Their data is static.
    size_t take(std::span<derecho_event> events);

private:
    static constexpr uint32_t kAskedMax = 16;
    static constexpr uint32_t kNone = ~0u;
    static_assert(kAskedMax >= kDirectRequestsMax);

    struct Key {
        NodeId node{};
        uint64_t incarnation = 0;
        MemorySecret secret{};
        std::unique_ptr<DirectMemory> shown;  // to that node's device
    };
    struct Buffer {
        std::unique_ptr<DeviceMemory> device;  // null: the process's own memory
        std::span<std::byte> bytes;
        uint32_t access = 0;
        std::vector<Key> keys;                // one a member
        uint32_t uses = 0;                    // pieces of operations that have not ended
        std::unique_ptr<DirectMemory> local;  // for this node's device
        uint64_t used_first = 0;              // in which operation
        uint32_t registering = 0;             // threads that register it with the device right now
        bool by_mail = false;                 // the device does not take it
    };
    // A place in the pieces of an operation.
    struct Cursor {
        size_t run = 0;
        uint64_t offset = 0;
    };
    struct Operation {
        struct Run {
            Buffer* buffer;
            std::span<std::byte> bytes;
        };
        enum class State : uint8_t { free, open, ended };
        enum class Way : uint8_t { undecided, mail, direct };
        uint64_t id = 0;
        State state = State::free;
        Kind kind{};
        NodeId node{};
        MemoryKey key;
        uint64_t offset = 0;
        uint64_t size_bytes = 0;
        std::vector<Run> runs;
        Way way{};
        bool by_devices_only = false;  // some of the memory, here or there, nobody else can touch
        bool has_devices = false;      // some of the memory here is a device's
        bool reachable = false;        // this node's device has all pieces
        uint64_t remote_address = 0;   // of the memory's first byte; and the key, if it goes directly
        uint32_t remote_key = 0;
        uint64_t asked_bytes = 0;  // requests were sent for so many
        Cursor asked, moved;       // moved: of a read, what has arrived; if it goes directly, of a write as well
        uint32_t under_way = 0;    // chunks
        bool asked_all = false;
        MemoryOutcome outcome = MemoryOutcome::done;
        derecho_status status = DERECHO_OK;
        uint32_t next = kNone;  // in the list that it is in
    };
    // While the processor reads or writes memory, some of which may be a device's.
    class Touching {
    public:
        Touching(std::span<const Operation::Run> runs, bool write);
        Touching(const Operation::Run& run, bool write) : Touching({&run, run.bytes.empty() ? 0u : 1u}, write) {}
        ~Touching();
        Touching(const Touching&) = delete;
        Touching& operator=(const Touching&) = delete;

    private:
        std::span<const Operation::Run> runs_;
        bool write_;
    };
    static Touching touching(const Operation& operation, uint64_t size_bytes, bool write);
    struct List {
        uint32_t first = kNone, last = kNone;
        bool empty() const { return first == kNone; }
    };
    // A request of this node's that awaits its answer. The operation may have ended meanwhile.
    struct Chunk {
        uint32_t slot = kNone;
        uint32_t size_bytes = 0;
        uint64_t operation = 0;
        MemoryLetter letter{};
        MemoryKey key = {};  // that access is asked for with
        MemoryWant want{};
    };
    // A request of a peer's that was read and awaits being answered.
    struct Debt {
        MemoryLetter letter{};
        MemoryRequest request;
        MemoryOutcome outcome = MemoryOutcome::done;  // of a write
        MemoryGrant grant;
        bool connects = false;  // answered once the connection is there
    };
    template <class T>
    class Queue {
    public:
        bool empty() const { return first_ == end_; }
        bool full() const { return end_ - first_ == kAskedMax; }
        T& front() { return entries_[first_ % kAskedMax]; }
        const T& front() const { return entries_[first_ % kAskedMax]; }
        void push(const T& entry) { entries_[end_++ % kAskedMax] = entry; }
        void pop() { ++first_; }
        template <class Visit>
        void each(Visit&& visit) const {
            for (uint64_t n = first_; n != end_; ++n) visit(entries_[n % kAskedMax]);
        }
        template <class Visit>
        void each_from_the_newest(Visit&& visit) const {
            for (uint64_t n = end_; n != first_; --n) visit(entries_[(n - 1) % kAskedMax]);
        }

    private:
        std::array<T, kAskedMax> entries_{};
        uint64_t first_ = 0, end_ = 0;
    };
    // One life of a node: a member, or connected, or both. A member that is not connected yet is waited for.
    struct Peer {
        NodeId node{};
        uint64_t incarnation = 0;
        bool member = false;
        bool connected = false;
        bool has_mail = false;  // both
        bool lost = false;      // was connected, and never will be again
        bool offended = false;  // it breaks the rules: its letters are not read any more
        List waiting;           // operations that have not asked for all they want, in the order they were begun
        Queue<Chunk> asked;
        uint32_t reads_asked = 0;
        Queue<Debt> owed;

        // Directly. Null: the fabric does not reach its memory so.
        std::shared_ptr<DirectAccess> direct;
        struct Grant {
            MemorySecret secret;
            MemoryGrant what;
        };
        std::unordered_map<uint64_t, Grant> grants;  // by the key's memory
        bool access_asked = false;                   // the answer is under way
        std::unique_ptr<DirectAsker> asker;
        bool joining = false;  // it was told the peer's endpoint, and is being connected to it
        bool joined = false;
        bool stale = false;      // one that broke is still open at the other end, and must not be when mail goes on
        bool fence_due = false;  // reads were posted since the last fence
        uint32_t failures = 0;   // in a row
        bool given_up = false;   // after too many
        Queue<Chunk> posted;
        std::unique_ptr<DirectServer> server;
    };

    // any thread, with the lock
    Peer* find_member(NodeId node);
    Peer* find_connected(NodeId node);
    Peer& peer_of(NodeId node, uint64_t incarnation);
    void give_mail(Peer& peer);
    uint64_t add(std::span<std::byte> bytes, uint32_t access, std::unique_ptr<DeviceMemory> device);
    Status plan(std::span<const Piece> pieces, Operation& operation);
    void register_pieces(std::unique_lock<std::mutex>& lock, const Peer& peer, std::span<const Piece> pieces,
                         bool by_devices_only);
    void show(std::unique_lock<std::mutex>& lock, const Peer& peer, uint64_t memory);
    void register_late(const Peer& peer, Operation& operation);
    void show_late(const Peer& peer, Buffer& buffer, Key& key);
    void note_refusal(Buffer& buffer, const Status& why);
    uint32_t free_slot();
    void append(List& list, uint32_t slot);
    void push_front(List& list, uint32_t slot);
    void pop(List& list);

    // the driver, with the lock
    void read_letters();
    void read_letter(const Mail::Letter& letter);
    bool take_request(Peer& peer, const Mail::Letter& letter);
    bool take_answer(Peer& peer, const Mail::Letter& letter);
    bool answer(Peer& peer);
    bool answer_read(Peer& peer, const MemoryRequest& request);
    bool send_answer(Peer& peer, MemoryOutcome outcome, std::span<const std::byte> data);
    bool advance(Peer& peer);
    bool carry_on(Peer& peer, uint32_t slot);
    bool ask(Peer& peer, uint32_t slot);
    bool copy(uint32_t slot);
    MemoryOutcome open(const Peer& from, const MemoryRequest& request, uint32_t access, Operation::Run& run);
    MemoryRequest next_request(const Operation& operation, uint64_t most) const;
    template <class Visit>
    static uint64_t walk(const Operation& operation, Cursor& cursor, uint64_t size_bytes, Visit&& visit);
    bool choose_way(Peer& peer, Operation& operation);
    bool ask_for_access(Peer& peer, const MemoryKey& key, MemoryWant want);
    void take_grant(Peer& peer, const Chunk& chunk, const MemoryGrant& grant);
    bool join(Peer& peer);
    bool post(Peer& peer, uint32_t slot);
    bool take_done(Peer& peer);
    void break_off(Peer& peer);
    void note_failure(Peer& peer, const std::string& why);
    void take_access(Peer& peer, const MemoryAccess& access, Debt& debt);
    bool connects(Peer& peer, Debt& debt);
    void note_asked(Operation& operation, uint64_t size_bytes);
    void note_answered(uint32_t slot, MemoryOutcome outcome);
    void disconnect(NodeId node);
    void forget_strangers();
    void lose(Peer& peer, derecho_status why);
    void finish(uint32_t slot);

    const NodeId self_;
    Fabric& fabric_;
    const uint64_t incarnation_;
    Mail mail_;
    const uint64_t chunk_bytes_max_;
    std::vector<std::span<const std::byte>> parts_;  // of a chunk, while it is being sent: its header, its runs
    std::vector<DirectAsker::Piece> pieces_;         // of a request, while it is being posted
    std::vector<NodeId> offenders_;
    std::atomic<bool> work_{false};  // there may be something to ask, to copy or to answer
    std::atomic<uint32_t> ended_operations_{0};

    std::mutex mutex_;  // of what follows
    std::condition_variable registered_;
    std::map<uint64_t, Buffer> buffers_;
    uint64_t last_buffer_ = 0;
    std::vector<Operation> operations_;
    std::vector<uint32_t> free_;
    uint64_t last_operation_ = 0;
    List ended_;                                // until their events are taken
    std::vector<std::unique_ptr<Peer>> peers_;  // the first is this node
    bool over_ = false;
};

// The runs that the next bytes of an operation lie in, until visit(run) answers false. Returns how many bytes they are.
template <class Visit>
uint64_t Memory::walk(const Operation& operation, Cursor& cursor, uint64_t size_bytes, Visit&& visit) {
    uint64_t walked = 0;
    for (bool more = true; more && walked < size_bytes;) {
        DERECHO_ASSERT(cursor.run < operation.runs.size());
        const Operation::Run& whole = operation.runs[cursor.run];
        const std::span<std::byte> rest = whole.bytes.subspan(cursor.offset);
        const uint64_t piece = std::min<uint64_t>(rest.size(), size_bytes - walked);
        more = visit(Operation::Run{whole.buffer, rest.first(piece)});
        walked += piece;
        cursor.offset += piece;
        if (piece == rest.size()) cursor = {cursor.run + 1, 0};
    }
    return walked;
}

}  // namespace libderecho
