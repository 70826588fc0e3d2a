// The C ABI with owners and exceptions: one class a noun of derecho.h, no thread, no queue, no copy.
//
// Every class may be used after its group was closed: it throws Closed. Threads are as derecho.h says for each
// function.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../derecho.h"
#include "error.hpp"

namespace derecho {

using BytesView = std::span<const std::byte>;

/** The bytes of a text. */
inline BytesView bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

/** A length of time as the ABI takes it. */
inline int64_t nanoseconds(std::chrono::nanoseconds duration) { return duration.count(); }
inline int64_t milliseconds(std::chrono::nanoseconds duration) {
    return std::chrono::ceil<std::chrono::milliseconds>(duration).count();
}

namespace detail {

/** A text as C takes it, which would take a NUL for its end. @throws InvalidArgument */
inline const char* c_text(const std::string& text) {
    if (text.find('\0') == std::string::npos) return text.c_str();
    throw InvalidArgument("text contains a NUL character: \"" + std::string(text.c_str()) + "\\0...\"");
}

}  // namespace detail

/** Owner of a handle: moved, never copied; closed once. */
template <class Opaque, derecho_status (*Close)(Opaque*)>
class Handle {
public:
    explicit Handle(Opaque* handle = nullptr) : handle_(handle) {}
    Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Handle& operator=(Handle&& other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Handle() {
        if (handle_ != nullptr) Close(handle_);  // one that is closed already says so, which is fine
    }
    Opaque* get() const noexcept { return handle_; }

private:
    Opaque* handle_;
};

/** What nodes of one group agree on: a service, or with hash 0 a shard for plain messages. */
struct ServiceIdentity {
    std::string name;
    uint64_t schema_hash = 0;
    std::string schema = {};  // what the hash is of: schema_text()
    bool operator==(const ServiceIdentity&) const = default;
};

/** What a node is to be: options by name, as in docs/options.md, and the services of the group. */
class Config {
public:
    Config() : handle_(create()) {}

    /** Set an option. @throws InvalidArgument naming the known ones. */
    Config& set(const std::string& key, const std::string& value) {
        check(derecho_config_set(handle_.get(), detail::c_text(key), detail::c_text(value)));
        return *this;
    }
    Config& node(uint32_t id) { return set("node", std::to_string(id)); }
    Config& listen(const std::string& address) { return set("listen", address); }
    Config& contacts(const std::string& addresses) { return set("contacts", addresses); }
    Config& initial_members(const std::string& addresses) { return set("initial_members", addresses); }
    Config& found(bool alone = true) { return set("found", alone ? "true" : "false"); }
    Config& group(const std::string& name) { return set("group", name); }
    Config& wire(const std::string& name) { return set("wire", name); }

    /** Set options from a TOML file. @throws InvalidArgument with file, line and reason. */
    Config& load(const std::string& path) {
        check(derecho_config_load(handle_.get(), detail::c_text(path)));
        return *this;
    }

    /** Declare a service, or with hash 0 a shard for plain messages. Every node declares the same, in the same order.
     * @param schema what the hash is of, if known: for the error of a node that is refused. */
    Config& service(const std::string& name, uint64_t schema_hash = 0, const std::string& schema = "") {
        check(derecho_config_add_service(handle_.get(), detail::c_text(name), schema_hash));
        if (!schema.empty())
            check(derecho_config_describe_service(handle_.get(), detail::c_text(name), detail::c_text(schema)));
        services_.push_back({name, schema_hash, schema});
        return *this;
    }
    const std::vector<ServiceIdentity>& services() const { return services_; }

    std::string get(const std::string& key) const {
        const char* value = nullptr;
        check(derecho_config_get(handle_.get(), detail::c_text(key), &value));
        return value;
    }

    /** Make a join with it, in progress on another thread or yet to come, throw Closed within some milliseconds. */
    void cancel_join() { check(derecho_join_cancel(handle_.get())); }

    /** Free it now. Also done when it goes out of scope. */
    void close() { check(derecho_config_close(handle_.get())); }

    derecho_config* handle() const noexcept { return handle_.get(); }

private:
    static derecho_config* create() {
        derecho_config* made = nullptr;
        check(derecho_config_create(&made));
        return made;
    }
    Handle<derecho_config, derecho_config_close> handle_;
    std::vector<ServiceIdentity> services_;
};

/** One member of a view. */
struct Member {
    uint32_t node;
    std::string address;
    bool has_state;
    bool votes;  // counts where more than half are needed: since a view that began after it held the state
    bool operator==(const Member&) const = default;
};

/** An agreed list of members, by rank. */
struct View {
    static constexpr uint32_t kNoRank = UINT32_MAX;  // of a client

    uint64_t id = 0;
    uint32_t self_rank = kNoRank;
    std::vector<Member> members;
    std::string group_id; /* a UUID, made when the group was founded */

    std::vector<uint32_t> nodes() const {
        std::vector<uint32_t> found;
        for (const Member& member : members) found.push_back(member.node);
        return found;
    }
    std::vector<uint32_t> voters() const {
        std::vector<uint32_t> found;
        for (const Member& member : members)
            if (member.votes) found.push_back(member.node);
        return found;
    }
};

/** A member that holds others up: derecho_holdup. */
struct Holdup {
    uint32_t node;
    uint32_t cause; /* DERECHO_HOLDUP_* */
    std::chrono::milliseconds lasted;
    std::string text;
};

class Shard;

/** Room for one message in this node's ring, to be filled in place. Given back unsent when dropped open. */
class Claim {
public:
    Claim(Claim&& other) noexcept
        : shard_(other.shard_), claim_(std::exchange(other.claim_, {})), open_(std::exchange(other.open_, false)) {}
    Claim& operator=(Claim&& other) noexcept {
        std::swap(shard_, other.shard_);
        std::swap(claim_, other.claim_);
        std::swap(open_, other.open_);
        return *this;
    }
    ~Claim() {
        if (open_) derecho_claim_abort(shard_, &claim_);
    }

    /** The memory, 8-byte aligned. It may move when a commit throws RingFull. */
    std::span<std::byte> data() const noexcept { return {static_cast<std::byte*>(claim_.data), claim_.size_bytes}; }

    /** The ticket, or the call. Final once committed. */
    uint64_t id() const noexcept { return claim_.id; }

    /** Send it, or its first bytes. @throws RingFull with the claim still open; others as derecho_claim_commit(). */
    void commit(size_t used_bytes) { check(try_commit(used_bytes)); }
    void commit() { commit(claim_.size_bytes); }
    derecho_status try_commit(size_t used_bytes) {
        const derecho_status status = derecho_claim_commit(shard_, &claim_, used_bytes);
        if (status == DERECHO_OK) open_ = false;
        return status;
    }

    /** Give it back unsent. */
    void abort() {
        open_ = false;
        check(derecho_claim_abort(shard_, &claim_));
    }

    /** Not committed, not given back. */
    bool open() const noexcept { return open_; }

private:
    friend class Shard;
    Claim() = default;
    derecho_shard* shard_ = nullptr;
    derecho_claim claim_{};
    bool open_ = false;
};

/** The members that replicate one service. A name for it, freely copied; lives as long as its group. */
class Shard {
public:
    explicit Shard(derecho_shard* handle) : handle_(handle) {}

    /** Queue a message for ordered delivery, copied once. Returns its ticket. */
    uint64_t send(BytesView data) {
        uint64_t ticket = 0;
        check(try_send(data, &ticket));
        return ticket;
    }
    derecho_status try_send(BytesView data, uint64_t* ticket_out = nullptr) noexcept {
        return derecho_shard_send(handle_, data.data(), data.size(), ticket_out);
    }

    /** Queue several at a fraction of the cost. Returns how many went, at least one unless there are none. */
    size_t send_many(std::span<const derecho_bytes> messages, uint64_t* ticket_out = nullptr) {
        size_t sent = 0;
        check(derecho_shard_send_many(handle_, messages.data(), messages.size(), &sent, ticket_out));
        return sent;
    }

    /** Call a method of every member. @param flags DERECHO_CALL_REPLY when answers are wanted. Returns the call's id.
     */
    uint64_t call(uint32_t method, uint32_t flags, BytesView arguments) {
        uint64_t id = 0;
        check(try_call(method, flags, arguments, &id));
        return id;
    }
    derecho_status try_call(uint32_t method, uint32_t flags, BytesView arguments, uint64_t* call_out) noexcept {
        return derecho_shard_call(handle_, method, flags, arguments.data(), arguments.size(), call_out);
    }

    /** Claim room for a plain message, or for a call. */
    Claim claim(size_t size_bytes) { return claim(0, DERECHO_CLAIM_MESSAGE, size_bytes); }
    Claim claim(uint32_t method, uint32_t flags, size_t size_bytes) {
        std::pair<derecho_status, Claim> made = try_claim(method, flags, size_bytes);
        check(made.first);
        return std::move(made.second);
    }
    std::pair<derecho_status, Claim> try_claim(uint32_t method, uint32_t flags, size_t size_bytes) noexcept {
        Claim made;
        const derecho_status status = derecho_shard_claim(handle_, method, flags, size_bytes, &made.claim_);
        made.shard_ = handle_;
        made.open_ = status == DERECHO_OK;
        return {status, std::move(made)};
    }

    /** Call a method of one node, out of order. Returns the call's id. */
    uint64_t query(uint32_t node, uint32_t method, BytesView arguments) {
        uint64_t id = 0;
        check(try_query(node, method, arguments, &id));
        return id;
    }
    derecho_status try_query(uint32_t node, uint32_t method, BytesView arguments, uint64_t* call_out) noexcept {
        return derecho_shard_query(handle_, node, method, arguments.data(), arguments.size(), call_out);
    }

    derecho_shard* handle() const noexcept { return handle_; }

private:
    derecho_shard* handle_;
};

/** The payload of an event: memory of the ring, valid until its batch is released. */
inline BytesView data_of(const derecho_event& event) {
    return {static_cast<const std::byte*>(event.data), static_cast<size_t>(event.size_bytes)};
}

/** Completions of one poll, and their lease. Used over and over; released when it is polled into again, or dropped. */
class EventBatch {
public:
    explicit EventBatch(size_t capacity = 256) : events_(capacity) {}
    EventBatch(EventBatch&& other) noexcept
        : events_(std::move(other.events_)),
          count_(std::exchange(other.count_, 0)),
          group_(other.group_),
          lease_(std::exchange(other.lease_, 0)) {}
    EventBatch& operator=(EventBatch&& other) noexcept {
        std::swap(events_, other.events_);
        std::swap(count_, other.count_);
        std::swap(group_, other.group_);
        std::swap(lease_, other.lease_);
        return *this;
    }
    ~EventBatch() { release(); }

    const derecho_event* begin() const noexcept { return events_.data(); }
    const derecho_event* end() const noexcept { return events_.data() + count_; }
    const derecho_event& operator[](size_t index) const noexcept { return events_[index]; }
    size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }

    /** Give the payloads' memory back to the senders. */
    void release() noexcept {
        count_ = 0;
        if (lease_ != 0) derecho_release(group_, std::exchange(lease_, 0));  // a closed group's lease is gone anyway
    }

private:
    friend class RawGroup;

    std::vector<derecho_event> events_;
    size_t count_ = 0;
    derecho_group* group_ = nullptr;
    uint64_t lease_ = 0;
};

/** What opens one node's registered memory to one member: plain bytes, to be sent to it in any way. */
using MemoryKey = derecho_memory_key;

/** A buffer of the application's own that members may read and write one-sidedly; docs/memory.md. It is deregistered
 *  when dropped. */
class RegisteredMemory {
public:
    RegisteredMemory(RegisteredMemory&& other) noexcept
        : handle_(std::exchange(other.handle_, nullptr)), size_bytes_(other.size_bytes_), bytes_(other.bytes_) {}
    RegisteredMemory& operator=(RegisteredMemory&& other) noexcept {
        std::swap(handle_, other.handle_);
        std::swap(size_bytes_, other.size_bytes_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    /** Waits for this node's own operations that use it: the buffer may be freed next. */
    ~RegisteredMemory() {
        if (handle_ != nullptr) derecho_memory_deregister(handle_, -1);
    }

    /** The key that opens it to one member. @throws NotMember, InvalidArgument, Closed. */
    MemoryKey key_for(uint32_t node) const {
        MemoryKey key;
        check(derecho_memory_key_for(handle_, node, &key));
        return key;
    }

    /** A part of it, for reads and writes; without arguments all. */
    derecho_piece piece() const noexcept { return piece(0, size_bytes_); }
    derecho_piece piece(uint64_t offset, uint64_t size_bytes) const noexcept { return {handle_, offset, size_bytes}; }

    /** Its bytes, the application's own; none of a device's. */
    std::span<std::byte> bytes() const noexcept { return bytes_; }

    /** Take it back: afterwards nothing lands in it any more. @throws Timeout naming what is pending; it is still
     *  registered then. */
    void deregister(std::chrono::nanoseconds timeout) {
        check(derecho_memory_deregister(handle_, milliseconds(timeout)));
        handle_ = nullptr;
    }

private:
    friend class RawGroup;
    RegisteredMemory(derecho_memory* handle, uint64_t size_bytes, std::span<std::byte> bytes)
        : handle_(handle), size_bytes_(size_bytes), bytes_(bytes) {}
    derecho_memory* handle_;
    uint64_t size_bytes_;
    std::span<std::byte> bytes_;
};

/** This process's part in one group, polled by the application itself. */
class RawGroup {
public:
    /** Join, or found. Returns once a view holds this node. @throws as derecho_group_join() lists. */
    static RawGroup join(const Config& config, std::chrono::nanoseconds timeout) {
        derecho_group* handle = nullptr;
        check(derecho_group_join(config.handle(), milliseconds(timeout), &handle));
        return RawGroup(handle);
    }

    /** Leave in good order: what was sent is delivered first. */
    void leave(std::chrono::nanoseconds timeout) { check(derecho_group_leave(handle(), milliseconds(timeout))); }

    /** Stop at once, as a crash would. Also done when it goes out of scope. */
    void close() { check(derecho_group_close(handle())); }

    /** Take completions, waiting for the first; drives the protocol. Releases what the batch held before. */
    size_t poll(EventBatch& batch, std::chrono::nanoseconds timeout) {
        check(try_poll(batch, timeout));
        return batch.size();
    }
    derecho_status try_poll(EventBatch& batch, std::chrono::nanoseconds timeout) noexcept {
        batch.release();
        batch.group_ = handle();
        return derecho_poll(handle(), batch.events_.data(), batch.events_.size(), nanoseconds(timeout), &batch.count_,
                            &batch.lease_);
    }

    /** Make a poll on another thread return. */
    void wake() { check(derecho_wake(handle())); }

    /** Answer a call or query. */
    void reply(uint32_t node, uint64_t call, derecho_status status, BytesView data) {
        check(derecho_group_reply(handle(), node, call, status, data.data(), data.size()));
    }

    /** Send a piece of state to a joiner. */
    void state(uint32_t node, uint64_t request, BytesView piece, bool last) {
        check(derecho_group_state(handle(), node, request, piece.data(), piece.size(), last ? 1 : 0));
    }

    /** Tell a joiner how long its state will be, before its first piece. */
    void state_size(uint32_t node, uint64_t request, uint64_t total_bytes) {
        check(derecho_group_state_size(handle(), node, request, total_bytes));
    }

    /** Tell a joiner why there will be no state. */
    void state_fail(uint32_t node, uint64_t request, std::string_view why) {
        check(derecho_group_state_fail(handle(), node, request, why.data(), why.size()));
    }

    /** Register a buffer. @param access what peers may do: DERECHO_MEMORY_* or'ed. @throws InvalidArgument, Closed. */
    RegisteredMemory register_memory(std::span<std::byte> bytes, uint32_t access) {
        derecho_memory* made = nullptr;
        check(derecho_memory_register(handle(), bytes.data(), bytes.size(), access, &made));
        return RegisteredMemory(made, bytes.size(), bytes);
    }

    /** Register memory of another device, a GPU's above all, by its dma-buf, which is duplicated. @param access as of
     *  register_memory(). @throws InvalidArgument, Closed. */
    RegisteredMemory register_dmabuf(int fd, uint64_t offset, uint64_t size_bytes, uint32_t access) {
        derecho_memory* made = nullptr;
        check(derecho_memory_register_dmabuf(handle(), fd, offset, size_bytes, access, &made));
        return RegisteredMemory(made, size_bytes, {});
    }

    /** Begin to copy a run of a member's memory into pieces of this node's. Returns the operation's id, which its
     *  DERECHO_EVENT_MEMORY bears. @throws as derecho_memory_read() lists. */
    uint64_t read(uint32_t node, const MemoryKey& key, uint64_t offset, std::span<const derecho_piece> pieces) {
        uint64_t id = 0;
        check(try_read(node, key, offset, pieces, &id));
        return id;
    }
    derecho_status try_read(uint32_t node, const MemoryKey& key, uint64_t offset, std::span<const derecho_piece> pieces,
                            uint64_t* operation_out) noexcept {
        return derecho_memory_read(handle(), node, &key, offset, pieces.data(), pieces.size(), operation_out);
    }

    /** Begin to copy pieces of this node's memory to a run of a member's. As read(). */
    uint64_t write(uint32_t node, const MemoryKey& key, uint64_t offset, std::span<const derecho_piece> pieces) {
        uint64_t id = 0;
        check(try_write(node, key, offset, pieces, &id));
        return id;
    }
    derecho_status try_write(uint32_t node, const MemoryKey& key, uint64_t offset,
                             std::span<const derecho_piece> pieces, uint64_t* operation_out) noexcept {
        return derecho_memory_write(handle(), node, &key, offset, pieces.data(), pieces.size(), operation_out);
    }

    Shard shard(const std::string& service) const {
        derecho_shard* found = nullptr;
        check(derecho_shard_open(handle(), detail::c_text(service), &found));
        return Shard(found);
    }

    /** The view whose events are being given. */
    View view() const {
        derecho_view view;
        view.struct_bytes = sizeof view;
        check(derecho_group_view(handle(), &view));
        View found{view.id, view.self_rank, {}, view.group_id};
        for (const derecho_member& member : std::span(view.members, view.member_count)) {
            found.members.push_back({member.node, member.address, (member.flags & DERECHO_MEMBER_HAS_STATE) != 0,
                                     (member.flags & DERECHO_MEMBER_VOTES) != 0});
        }
        return found;
    }

    /** Whether a member holds others up; by default any, the one that does so the longest. */
    std::optional<Holdup> holdup(uint32_t node = DERECHO_ANY_NODE) const {
        derecho_holdup found;
        found.struct_bytes = sizeof found;
        check(derecho_group_holdup(handle(), node, &found));
        if (found.cause == DERECHO_HOLDUP_NONE) return std::nullopt;
        return Holdup{found.node, found.cause, std::chrono::milliseconds(found.lasted_ms), found.text};
    }
    /** What this node found out that no call can report, a sentence each: derecho_group_trouble. */
    std::vector<std::string> troubles() const {
        std::vector<std::string> found;
        derecho_trouble trouble;
        trouble.struct_bytes = sizeof trouble;
        while (check(derecho_group_trouble(handle(), static_cast<uint32_t>(found.size()), &trouble)),
               found.size() < trouble.count)
            found.emplace_back(trouble.text);
        return found;
    }
    derecho_stats stats() const {
        derecho_stats stats;
        stats.struct_bytes = sizeof stats;
        check(derecho_group_stats(handle(), &stats));
        return stats;
    }

    /** A descriptor that is readable when there is something to poll; never read or close it. */
    int fd() const {
        int found = -1;
        check(derecho_group_fd(handle(), &found));
        return found;
    }

    derecho_group* handle() const noexcept { return handle_.get(); }

private:
    explicit RawGroup(derecho_group* handle) : handle_(handle) {}
    Handle<derecho_group, derecho_group_close> handle_;
};

/** Zeroed, page-aligned memory, registered with the group's wires. Copies share it; the last one frees it. */
class Buffer {
public:
    explicit Buffer(size_t size_bytes) { check(derecho_buffer_create(size_bytes, &handle_)); }
    Buffer(const Buffer& other) : handle_(other.handle_), held_(other.held_) {
        if (held_) check(derecho_buffer_retain(handle_));
    }
    Buffer(Buffer&& other) noexcept : handle_(other.handle_), held_(std::exchange(other.held_, false)) {}
    Buffer& operator=(Buffer other) noexcept {
        std::swap(handle_, other.handle_);
        std::swap(held_, other.held_);
        return *this;
    }
    ~Buffer() {
        if (held_) derecho_buffer_release(handle_);
    }

    /** Its bytes, as long as somebody holds the buffer. @throws Closed when nobody does */
    std::span<std::byte> data() const {
        void* data = nullptr;
        uint64_t size = 0;
        check(derecho_buffer_data(handle_, &data, &size));
        return {static_cast<std::byte*>(data), static_cast<size_t>(size)};
    }

    /** Drop this reference now. A second time does nothing. */
    void release() {
        if (std::exchange(held_, false)) check(derecho_buffer_release(handle_));
    }

private:
    derecho_buffer* handle_ = nullptr;
    bool held_ = true;
};

}  // namespace derecho
