// Every bound in one place. What crosses a wire is checked against these before it is believed.
#pragma once

#include <cstddef>
#include <cstdint>

#include <derecho.h>

namespace libderecho::limits {

inline constexpr size_t cache_line_bytes = 64;
inline constexpr uint32_t members_max = DERECHO_MEMBERS_MAX;  // a set of ranks is one 64-bit word
inline constexpr uint32_t joins_per_view_max = 8;
// Links of one node. Those of members are kept for them, whatever strangers do.
inline constexpr uint32_t links_max = 256;
inline constexpr uint32_t clients_max = 128;
inline constexpr uint32_t newcomers_max = 64;  // neither clients nor in the view
static_assert(members_max - 1 + clients_max + newcomers_max < links_max);
inline constexpr uint32_t handshakes_max = 64;  // connections from outside that are no links yet
inline constexpr uint32_t shards_max = 16;
inline constexpr size_t address_bytes = DERECHO_ADDRESS_BYTES;
inline constexpr size_t name_bytes = DERECHO_NAME_BYTES;

inline constexpr uint64_t ring_bytes_min = 64 << 10;
inline constexpr uint64_t ring_bytes_max = 1ull << 30;
inline constexpr uint64_t ring_share = 4;         // one message takes at most ring / 4
inline constexpr uint64_t batch_bytes = 8 << 10;  // of messages that are sent at once
static_assert(batch_bytes < ring_bytes_min / ring_share);
inline constexpr uint32_t open_claims_max = 1 << 12;        // messages claimed and not yet published, per sender
inline constexpr uint32_t leases_max = 1 << 10;             // polls whose data is still held
inline constexpr uint32_t calls_max = 1 << 16;              // calls that await replies
inline constexpr uint32_t memory_operations_max = 1 << 10;  // that have not ended, or whose events were not taken
inline constexpr uint32_t memory_runs_per_chunk = 64;       // pieces of memory that one letter is put together from
inline constexpr uint64_t outbox_bytes_max = 64 << 20;      // mail queued for a slow peer

inline constexpr uint32_t view_bits = 24;  // of a version; the rest is the sequence number
inline constexpr uint64_t view_max = (1ull << view_bits) - 1;
inline constexpr uint32_t sequence_bits = 64 - view_bits;
inline constexpr uint64_t rounds_max = 1ull << sequence_bits;          // in one view: nobody is led anywhere near it
inline constexpr uint64_t sequence_max = (1ull << sequence_bits) / 2;  // then the view is changed to start afresh

}  // namespace libderecho::limits
