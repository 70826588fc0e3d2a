// What crosses a wire, and nothing but that: layouts, encoding, and decoding that believes nothing. Pure; any thread.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/status.hpp"

namespace libderecho {

static_assert(std::endian::native == std::endian::little, "numbers cross the wire as they lie in memory");

// Which wire a node wants, and which a pair agreed on (never automatic).
enum class Wire : uint8_t { automatic = 0, shm = 1, tcp = 2, verbs = 3 };
const char* wire_name(Wire wire);

struct ServiceId {
    std::string name;
    uint64_t schema_hash = 0;
    std::vector<std::string> schema = {};  // what the hash is of, by line, if known. It travels in refusals only
    bool operator==(const ServiceId&) const = default;
};

// What all nodes of a group must have alike.
struct AgreedLimits {
    uint64_t ring_bytes = 0;
    uint64_t mail_bytes = 0;
    uint64_t message_max_bytes = 0;
    // How digests are made; clients have none.
    uint64_t digest = 0;
    uint64_t digest_every = 0;
    uint64_t digest_policy = 0;
    bool operator==(const AgreedLimits&) const = default;
};

// ------------------------------------------------------------------------------------------------- bootstrap

inline constexpr uint32_t kBootstrapMagic = 0x48435244;  // "DRCH"
inline constexpr uint16_t kProtocolVersion = 6;
inline constexpr size_t kHelloBytesMax = 16 << 10;
inline constexpr size_t kServicesMax = 64;
inline constexpr size_t kDetailBytesMax = 1024;
inline constexpr size_t kSchemaBytesMax = 12 << 10;

enum class BootstrapKind : uint16_t {
    hello = 1,    // dialer, then answerer
    refused = 2,  // either side, instead of what was due; the connection ends
    already = 3,  // these two are connected, or about to be over another connection; this one ends
    ready = 4,    // dialer: the wire is set up, start
    go = 5,       // answerer: started
    verbs = 6,    // dialer, then answerer: its end of an RDMA connection
};

// Before every bootstrap message.
struct BootstrapHeader {
    uint32_t magic = kBootstrapMagic;
    uint16_t version = kProtocolVersion;
    uint16_t kind = 0;
    uint32_t length_bytes = 0;  // of what follows
    uint32_t reserved = 0;
};
static_assert(sizeof(BootstrapHeader) == 16);

// Two processes with equal values can pass descriptors to each other and map the same memory.
struct HostIdentity {
    std::array<uint8_t, 16> boot_id{};
    uint64_t network_namespace = 0;
    uint32_t user = 0;
    bool operator==(const HostIdentity&) const = default;
};

// Cores that a process may run on, as the host counts them; bit n of all is core n.
using CoreSet = std::array<uint64_t, 16>;

using Token = std::array<uint8_t, 16>;

// How one port of an RDMA device is reached.
struct VerbsAddress {
    bool possible = false;  // there is a device with an active port
    bool ethernet = false;  // RoCE; otherwise InfiniBand
    bool routable = false;  // RoCE v2 with an address that is not link-local
    uint8_t mtu = 0;        // as in ibv_mtu
    uint16_t lid = 0;
    std::array<uint8_t, 16> gid{};
    bool operator==(const VerbsAddress&) const = default;
};

// RDMA numbers queue pairs and packets with 24 bits.
inline constexpr uint32_t kVerbsNumbers = 0xffffff;

// One end of an RDMA connection, and the memory there that says how it stands. Not possible: there will be none.
struct VerbsEndpoint {
    VerbsAddress address;
    uint32_t pair = 0;          // queue pair number
    uint32_t first_packet = 0;  // sequence number
    uint64_t control_address = 0;
    uint32_t control_key = 0;
};

struct Hello {
    uint64_t abi_hash = 0;
    uint32_t page_bytes = 0;
    uint32_t byte_order = 0x01020304;
    AgreedLimits limits;
    std::string group_name;
    std::vector<ServiceId> services;

    NodeId node{};
    uint64_t incarnation = 0;
    bool client = false;
    Wire wire = Wire::automatic;
    bool shm_possible = false;  // this node could make sealed memory
    GroupId group;              // that it is in; none: not yet
    uint64_t time_ns = 0;       // what it takes the time to be, since the Unix epoch
    std::string address;        // where it listens; empty if it does not
    HostIdentity host;
    CoreSet cores{};
    std::string unix_name;  // abstract socket, without its leading NUL
    Token token{};          // ties a unix connection to this handshake
    VerbsAddress verbs;
};

struct Ready {
    Wire wire = Wire::tcp;
    bool never_up = false;  // the dialer has never had a link with this life of the answerer
};

struct Refusal {
    Status why;
    std::string service;              // whose schemas differ, if that is why
    std::vector<std::string> schema;  // ... and what is the refusing node's
    bool schema_is_cut = false;       // there was no room for all of it
};

// Whole messages, header included.
std::vector<std::byte> encode(const Hello& hello);
std::vector<std::byte> encode(const Refusal& refusal);
std::vector<std::byte> encode(const Ready& ready);
std::vector<std::byte> encode(const VerbsEndpoint& endpoint);
std::vector<std::byte> encode_empty(BootstrapKind kind);

// Of a header: why it is not one of ours, or of an ok status, that `length_bytes` may be read next.
Status check(const BootstrapHeader& header);
// Of what follows a header. Nothing if it is malformed.
std::optional<Hello> decode_hello(std::span<const std::byte> body);
std::optional<Refusal> decode_refused(std::span<const std::byte> body);
std::optional<Ready> decode_ready(std::span<const std::byte> body);
std::optional<VerbsEndpoint> decode_endpoint(std::span<const std::byte> body);

// Whether both are in groups, and in different ones that have one name: in words; ok if not.
Status compare_groups(const Hello& ours, const Hello& theirs);
// The first difference that keeps two nodes from working together, in words; ok if there is none.
// `service` is set to ours if it is that a service's schemas differ.
Status compare(const Hello& ours, const Hello& theirs, const ServiceId** service = nullptr);
// Which wire these two use with each other, and in `why`, unless it is null, the reason that it is no better one.
Status choose_wire(const Hello& ours, const Hello& theirs, Wire& out, std::string* why = nullptr);

// ------------------------------------------------------------------------------------------------- shm

enum class UnixKind : uint32_t {
    open = 1,    // token; control memory attached; both directions
    region = 2,  // region, size_bytes; memory attached
    synced = 3,  // every region that existed when the link came up has been sent
    wake = 4,    // nothing but that it arrives: the reader sleeps
};

struct UnixMessage {
    uint32_t kind = 0;
    uint32_t reserved = 0;
    uint64_t region = 0;
    uint64_t size_bytes = 0;
    Token token{};
};
static_assert(sizeof(UnixMessage) == 40);

// ------------------------------------------------------------------------------------------------- verbs

enum class VerbsMessageKind : uint32_t {
    announce = 1,  // region, size_bytes: give me the key of a mirror for it
    key = 2,       // region, address, key
    unwanted = 3,  // region: do not write it
    retired = 4,   // region: it is not written any more
};

// Over the bootstrap socket, once the link is up.
struct VerbsMessage {
    uint32_t kind = 0;
    uint32_t key = 0;
    uint64_t region = 0;
    uint64_t address = 0;
    uint64_t size_bytes = 0;
};
static_assert(sizeof(VerbsMessage) == 32);

// ------------------------------------------------------------------------------------------------- tcp

enum class WireFrameKind : uint32_t {
    announce = 1,  // region, length = size of the region; nothing follows
    data = 2,      // length bytes for region at offset
    counters = 3,  // as data, at most kCountersBytesMax, words untorn
    batch = 4,     // length bytes of counters frames, to be seen all at once
    synced = 5,    // every region that existed when the link came up has been sent
};

struct WireFrameHeader {
    uint32_t kind = 0;
    uint32_t reserved = 0;
    uint64_t region = 0;
    uint64_t offset = 0;
    uint64_t length_bytes = 0;
};
static_assert(sizeof(WireFrameHeader) == 32);

inline constexpr size_t kCountersBytesMax = 4096;
inline constexpr size_t kBatchBytesMax = 48 << 10;

}  // namespace libderecho
