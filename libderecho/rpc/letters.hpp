// What stands in front of the bytes of a call, a query, a reply and a piece of state, as they cross the wire.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace libderecho {

// In front of the arguments of an ordered call, in its frame.
struct CallHeader {
    uint64_t call = 0;
    uint32_t method = 0;
    uint32_t flags = 0;  // DERECHO_CALL_REPLY
};

enum class LetterKind : uint8_t { query = 1, reply = 2, state = 3 };

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
    uint32_t flags = 0;  // DERECHO_FLAG_FIRST, DERECHO_FLAG_LAST
};

// One size for all, so that what follows is 8-byte aligned wherever a frame is.
inline constexpr size_t kLetterHeaderBytes = 16;
static_assert(sizeof(CallHeader) == kLetterHeaderBytes);
static_assert(sizeof(QueryHeader) == kLetterHeaderBytes);
static_assert(sizeof(ReplyHeader) == kLetterHeaderBytes);
static_assert(sizeof(StateHeader) == kLetterHeaderBytes);

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
