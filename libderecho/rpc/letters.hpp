// What stands in front of the bytes of a call, a query, a reply, a piece of state and a chunk of memory, as they cross
// the wire.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "fabric/direct.hpp"

namespace libderecho {

// In front of the arguments of an ordered call, in its frame.
struct CallHeader {
    uint64_t call = 0;
    uint32_t method = 0;
    uint32_t flags = 0;  // DERECHO_CALL_REPLY
};

enum class LetterKind : uint8_t { query = 1, reply = 2, state = 3, digest = 4 };

struct QueryHeader {
    uint64_t call = 0;
    uint32_t method = 0;
    uint32_t shard = 0;
};

struct ReplyHeader {
    uint64_t call = 0;
    int32_t status = 0;
    uint32_t reserved = 0;
};

struct StateHeader {
    uint64_t view = 0;  // the request it answers
    uint32_t shard = 0;
    uint32_t flags = 0;  // DERECHO_FLAG_FIRST, DERECHO_FLAG_LAST, or one of kState...
};
inline constexpr uint32_t kStateEnvelope = 1u << 8;  // a StateEnvelope, and the core's section, instead of a piece
inline constexpr uint32_t kStateFailed = 1u << 9;    // there will be no state; why, as text, instead of a piece

// Before the pieces of a state: docs/layout.md. The service's section follows, in pieces.
struct StateEnvelope {
    static constexpr uint32_t kFormat = 1;
    uint32_t format = kFormat;
    uint32_t reserved = 0;
    uint64_t core_bytes = 0;     // right behind this: what the library itself keeps for the service
    uint64_t service_bytes = 0;  // all pieces together; kUnknown where it was not told
    static constexpr uint64_t kUnknown = ~0ull;
};
static_assert(sizeof(StateEnvelope) == 24);

// An ordered event's place and time; zeros before the first.
struct Moment {
    uint64_t version = 0;
    uint64_t timestamp_ns = 0;
};

// The core's section of an envelope. It may grow at its end.
struct StateCore {
    Moment as_of;  // the last ordered event that is in the state
};
static_assert(sizeof(StateCore) == 16);

// What a member's answers to so many calls came to, or its state after them. rpc/digests.
struct DigestHeader {
    uint64_t view = 0;
    uint32_t shard = 0;
    uint32_t interval = 0;  // 0, 1, ... of the view
};

// ---- registered memory, in mail of its own

enum class MemoryLetter : uint8_t { read = 1, write = 2, answer = 3, access = 4 };

using MemorySecret = std::array<uint64_t, 3>;

// In the number of memory that no processor can touch, a GPU's, say. Whoever has a key to it knows: by mail nothing of
// it can be had.
inline constexpr uint64_t kByDevicesOnly = 1ull << 63;

struct MemoryKey {
    uint64_t memory = 0;  // of the node whose it is
    MemorySecret secret{};
};
static_assert(sizeof(MemoryKey) == 32);

// In front of the data of a write.
struct MemoryRequest {
    MemoryKey key;
    uint64_t offset = 0;
    uint64_t size_bytes = 0;  // of this chunk
    uint64_t rest_bytes = 0;  // of the operation, from here on
};
static_assert(sizeof(MemoryRequest) == 56);

enum class MemoryOutcome : uint32_t { done = 0, no_key = 1, no_access = 2, outside = 3, no_way = 4 };

// In front of the data of a read.
struct MemoryAnswer {
    MemoryOutcome outcome{};
    uint32_t reserved = 0;
};
static_assert(sizeof(MemoryAnswer) == 8);

// Asks for direct access to what a key opens; and says what becomes of the connection over which it is used.
enum class MemoryWant : uint32_t { grant = 0, grant_and_connection = 1, close = 2 };
struct MemoryAccess {
    MemoryKey key;
    MemoryWant want{};
    uint32_t reserved = 0;
    DirectEndpoint asker{};
};
static_assert(sizeof(MemoryAccess) == 72);

// Behind the header of the answer to that.
struct MemoryGrant {
    uint64_t address = 0;
    uint64_t size_bytes = 0;
    uint32_t remote_key = 0;
    uint32_t access = 0;  // DERECHO_MEMORY_*; 0: there is none, use mail
    DirectEndpoint server{};
};
static_assert(sizeof(MemoryGrant) == 56);

// One size for all the others, so that what follows is 8-byte aligned wherever a frame is.
inline constexpr size_t kLetterHeaderBytes = 16;
static_assert(sizeof(CallHeader) == kLetterHeaderBytes);
static_assert(sizeof(QueryHeader) == kLetterHeaderBytes);
static_assert(sizeof(ReplyHeader) == kLetterHeaderBytes);
static_assert(sizeof(StateHeader) == kLetterHeaderBytes);
static_assert(sizeof(DigestHeader) == kLetterHeaderBytes);

template <class Header>
bool read_header(std::span<const std::byte> bytes, Header& header) {
    if (bytes.size() < sizeof header) return false;
    std::memcpy(&header, bytes.data(), sizeof header);
    return true;
}

template <class Header>
std::span<const std::byte> bytes_of(const Header& header) {
    return std::as_bytes(std::span<const Header, 1>(&header, 1));
}

}  // namespace libderecho
