// Registered memory: buffers of the application's that members read and write one-sidedly. The target's application
// takes no part: its driver answers. Stepped like the rest.
//
// Every operation is cut into chunks; a chunk is one request and one answer, by mail of their own, so that they never
// wait behind letters that an application has not taken. Whoever asks has at most kAskedMax requests under way with a
// peer, and is answered in the order in which it asked; so both ends need bounded room only, read whatever arrives at
// once, and never wait for each other in a circle. A write is carried out when it is read, a read when there is room
// for its answer: therefore no write is asked for while a read still awaits its answer.
//
// How an operation is carried out is decided in `advance` alone: by mail, or for the node itself by copying.
//
// One lock is held around all use of the tables and of the memory. So whoever deregisters waits for the copying of a
// chunk, and after that nothing of anybody's lands.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/limits.hpp"
#include "base/status.hpp"
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
    bool has_events() const { return ended_operations_.load(std::memory_order_relaxed) > 0; }
    // Events of operations that ended, in that order. Their data is static.
    size_t take(std::span<derecho_event> events);

private:
    static constexpr uint32_t kAskedMax = 16;
    static constexpr uint32_t kNone = ~0u;

    struct Key {
        NodeId node{};
        uint64_t incarnation = 0;
        MemorySecret secret{};
    };
    struct Buffer {
        std::span<std::byte> bytes;
        uint32_t access = 0;
        std::vector<Key> keys;  // one a member
        uint32_t uses = 0;      // pieces of operations that have not ended
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
        uint64_t id = 0;
        State state = State::free;
        Kind kind{};
        NodeId node{};
        MemoryKey key;
        uint64_t offset = 0;
        uint64_t size_bytes = 0;
        std::vector<Run> runs;
        uint64_t asked_bytes = 0;  // requests were sent for so many
        Cursor asked, moved;       // moved: of a read, what has arrived
        uint32_t under_way = 0;    // chunks
        bool asked_all = false;
        MemoryOutcome outcome = MemoryOutcome::done;
        derecho_status status = DERECHO_OK;
        uint32_t next = kNone;  // in the list that it is in
    };
    struct List {
        uint32_t first = kNone, last = kNone;
        bool empty() const { return first == kNone; }
    };
    // A request of this node's that awaits its answer. The operation may have ended meanwhile.
    struct Chunk {
        uint32_t slot;
        uint32_t size_bytes;
        uint64_t operation;
        Kind kind;
    };
    // A request of a peer's that was read and awaits being answered.
    struct Debt {
        MemoryRequest request;
        bool read = false;
        MemoryOutcome outcome = MemoryOutcome::done;  // of a write
    };
    template <class T>
    class Queue {
    public:
        bool empty() const { return first_ == end_; }
        bool full() const { return end_ - first_ == kAskedMax; }
        const T& front() const { return entries_[first_ % kAskedMax]; }
        void push(const T& entry) { entries_[end_++ % kAskedMax] = entry; }
        void pop() { ++first_; }
        template <class Visit>
        void each(Visit&& visit) const {
            for (uint64_t n = first_; n != end_; ++n) visit(entries_[n % kAskedMax]);
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
        bool lost = false;      // was connected, and never will be again
        bool offended = false;  // it breaks the rules: its letters are not read any more
        List waiting;           // operations that have not asked for all they want, in the order they were begun
        Queue<Chunk> asked;
        uint32_t reads_asked = 0;
        Queue<Debt> owed;
    };

    // any thread, with the lock
    Peer* find_member(NodeId node);
    Peer* find_connected(NodeId node);
    Peer& peer_of(NodeId node, uint64_t incarnation);
    Status plan(std::span<const Piece> pieces, Operation& operation);
    uint32_t free_slot();
    void append(List& list, uint32_t slot);
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
    bool ask(Peer& peer, uint32_t slot);
    bool copy(uint32_t slot);
    MemoryOutcome open(const Peer& from, const MemoryRequest& request, uint32_t access, std::span<std::byte>& run);
    MemoryRequest next_request(const Operation& operation, uint64_t most) const;
    template <class Visit>
    static uint64_t walk(const Operation& operation, Cursor& cursor, uint64_t size_bytes, Visit&& visit);
    void note_asked(Operation& operation, uint64_t size_bytes);
    void note_answered(uint32_t slot, MemoryOutcome outcome);
    void disconnect(NodeId node);
    void forget_strangers();
    void lose(Peer& peer);
    void finish(uint32_t slot);

    const NodeId self_;
    Fabric& fabric_;
    const uint64_t incarnation_;
    Mail mail_;
    const uint64_t chunk_bytes_max_;
    std::vector<std::span<const std::byte>> parts_;  // of a chunk, while it is being sent: its header, its runs
    std::vector<NodeId> offenders_;
    std::atomic<bool> work_{false};  // there may be something to ask, to copy or to answer
    std::atomic<uint32_t> ended_operations_{0};

    std::mutex mutex_;  // of what follows
    std::map<uint64_t, Buffer> buffers_;
    uint64_t last_buffer_ = 0;
    std::vector<Operation> operations_;
    std::vector<uint32_t> free_;
    uint64_t last_operation_ = 0;
    List ended_;                                // until their events are taken
    std::vector<std::unique_ptr<Peer>> peers_;  // the first is this node
    bool over_ = false;
};

}  // namespace libderecho
