#include "fabric/wire_format.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "base/limits.hpp"
#include "base/names.hpp"

namespace libderecho {
namespace {

class Writer {
public:
    explicit Writer(BootstrapKind kind) : bytes_(sizeof(BootstrapHeader)), kind_(kind) {}

    template <typename T>
    void number(T value) {
        raw(&value, sizeof value);
    }
    void raw(const void* from, size_t n) {
        const auto* first = static_cast<const std::byte*>(from);
        bytes_.insert(bytes_.end(), first, first + n);
    }
    void text(const std::string& text) {
        number(static_cast<uint16_t>(text.size()));
        raw(text.data(), text.size());
    }
    void address(const VerbsAddress& address) {
        number(static_cast<uint8_t>(address.possible));
        number(static_cast<uint8_t>(address.ethernet));
        number(static_cast<uint8_t>(address.routable));
        number(address.mtu);
        number(address.lid);
        raw(address.gid.data(), address.gid.size());
    }
    std::vector<std::byte> finish() {
        BootstrapHeader header;
        header.kind = static_cast<uint16_t>(kind_);
        header.length_bytes = static_cast<uint32_t>(bytes_.size() - sizeof header);
        std::memcpy(bytes_.data(), &header, sizeof header);
        return std::move(bytes_);
    }

private:
    std::vector<std::byte> bytes_;
    BootstrapKind kind_;
};

// Reads to the end or fails, for good.
class Reader {
public:
    explicit Reader(std::span<const std::byte> bytes) : rest_(bytes) {}

    template <typename T>
    void number(T& value) {
        raw(&value, sizeof value);
    }
    void flag(bool& value) {
        uint8_t byte = 0;
        number(byte);
        ok_ = ok_ && byte <= 1;
        value = byte == 1;
    }
    void raw(void* to, size_t n) {
        if (!ok_ || rest_.size() < n) {
            ok_ = false;
            return;
        }
        std::memcpy(to, rest_.data(), n);
        rest_ = rest_.subspan(n);
    }
    void text(std::string& text, size_t bytes_max) {
        uint16_t n = 0;
        number(n);
        if (n > bytes_max) ok_ = false;
        if (!ok_ || rest_.size() < n) {
            ok_ = false;
            return;
        }
        text.assign(reinterpret_cast<const char*>(rest_.data()), n);
        ok_ = is_printable(text);  // it ends up in messages
        rest_ = rest_.subspan(n);
    }
    void wire(Wire& wire) {
        uint8_t byte = 0;
        number(byte);
        ok_ = ok_ && byte <= 3;
        wire = static_cast<Wire>(byte);
    }
    void address(VerbsAddress& address) {
        flag(address.possible);
        flag(address.ethernet);
        flag(address.routable);
        number(address.mtu);
        number(address.lid);
        raw(address.gid.data(), address.gid.size());
    }
    bool finished() const { return ok_ && rest_.empty(); }
    bool ok() const { return ok_; }

private:
    std::span<const std::byte> rest_;
    bool ok_ = true;
};

std::string hex(uint64_t value) {
    char text[24];
    std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

std::string named(const Hello& hello) { return "node " + std::to_string(raw(hello.node)); }

Status differs(const std::string& what, const Hello& a, const std::string& of_a, const Hello& b,
               const std::string& of_b) {
    return failure(DERECHO_INCOMPATIBLE,
                   what + " differs: " + of_a + " at " + named(a) + ", " + of_b + " at " + named(b));
}

Status compare_services(const Hello& a, const Hello& b, const ServiceId** service) {
    if (a.services.size() != b.services.size())
        return differs("the number of services", a, std::to_string(a.services.size()), b,
                       std::to_string(b.services.size()));
    for (size_t i = 0; i < a.services.size(); ++i) {
        const ServiceId& of_a = a.services[i];
        const ServiceId& of_b = b.services[i];
        if (of_a.name != of_b.name)
            return differs("service " + std::to_string(i), a, "'" + of_a.name + "'", b, "'" + of_b.name + "'");
        if (of_a.schema_hash == of_b.schema_hash) continue;
        if (service) *service = &of_a;
        return differs("the schema of service '" + of_a.name + "'", a, hex(of_a.schema_hash), b, hex(of_b.schema_hash));
    }
    return {};
}

// Digests that were made in different ways would differ.
Status compare_digests(const Hello& a, const Hello& b) {
    static constexpr const char* kOf[] = {"off", "answers", "state"};
    static constexpr const char* kPolicies[] = {"report", "eject", "stop"};
    const auto word = [](const auto& words, uint64_t n) { return n < 3 ? std::string(words[n]) : std::to_string(n); };
    const AgreedLimits &of_a = a.limits, &of_b = b.limits;
    if (of_a.digest != of_b.digest)
        return differs("option digest", a, word(kOf, of_a.digest), b, word(kOf, of_b.digest));
    if (of_a.digest == 0) return {};
    if (of_a.digest_every != of_b.digest_every)
        return differs("option digest_every", a, std::to_string(of_a.digest_every), b,
                       std::to_string(of_b.digest_every));
    if (of_a.digest_policy != of_b.digest_policy)
        return differs("option digest_policy", a, word(kPolicies, of_a.digest_policy), b,
                       word(kPolicies, of_b.digest_policy));
    return {};
}

Status compare_limits(const Hello& a, const Hello& b) {
    const struct {
        const char* name;
        uint64_t AgreedLimits::*field;
    } fields[] = {{"ring_bytes", &AgreedLimits::ring_bytes},
                  {"mail_bytes", &AgreedLimits::mail_bytes},
                  {"message_max_bytes", &AgreedLimits::message_max_bytes}};
    for (const auto& [name, field] : fields)
        if (a.limits.*field != b.limits.*field)
            return differs(std::string("the limit ") + name, a, std::to_string(a.limits.*field), b,
                           std::to_string(b.limits.*field));
    return a.client || b.client ? Status{} : compare_digests(a, b);
}

}  // namespace

const char* wire_name(Wire wire) {
    switch (wire) {
        case Wire::automatic:
            return "auto";
        case Wire::shm:
            return "shm";
        case Wire::tcp:
            return "tcp";
        case Wire::verbs:
            return "verbs";
    }
    return "?";
}

std::vector<std::byte> encode(const Hello& hello) {
    Writer out(BootstrapKind::hello);
    out.number(hello.byte_order);
    out.number(hello.page_bytes);
    out.number(hello.abi_hash);
    out.number(hello.limits.ring_bytes);
    out.number(hello.limits.mail_bytes);
    out.number(hello.limits.message_max_bytes);
    out.number(hello.limits.digest);
    out.number(hello.limits.digest_every);
    out.number(hello.limits.digest_policy);
    out.text(hello.group_name);
    out.number(static_cast<uint16_t>(hello.services.size()));
    for (const ServiceId& service : hello.services) {
        out.text(service.name);
        out.number(service.schema_hash);
    }
    out.number(raw(hello.node));
    out.number(hello.incarnation);
    out.number(static_cast<uint8_t>(hello.client));
    out.number(static_cast<uint8_t>(hello.wire));
    out.number(static_cast<uint8_t>(hello.shm_possible));
    out.number(hello.group.high);
    out.number(hello.group.low);
    out.number(hello.time_ns);
    out.text(hello.address);
    out.raw(hello.host.boot_id.data(), hello.host.boot_id.size());
    out.number(hello.host.network_namespace);
    out.number(hello.host.user);
    for (const uint64_t word : hello.cores) out.number(word);
    out.text(hello.unix_name);
    out.raw(hello.token.data(), hello.token.size());
    out.address(hello.verbs);
    return out.finish();
}

std::optional<Hello> decode_hello(std::span<const std::byte> body) {
    Reader in(body);
    Hello hello;
    in.number(hello.byte_order);
    in.number(hello.page_bytes);
    in.number(hello.abi_hash);
    in.number(hello.limits.ring_bytes);
    in.number(hello.limits.mail_bytes);
    in.number(hello.limits.message_max_bytes);
    in.number(hello.limits.digest);
    in.number(hello.limits.digest_every);
    in.number(hello.limits.digest_policy);
    in.text(hello.group_name, limits::name_bytes);
    uint16_t services = 0;
    in.number(services);
    if (services > kServicesMax) return std::nullopt;
    for (uint16_t i = 0; i < services && in.ok(); ++i) {
        ServiceId service;
        in.text(service.name, limits::name_bytes);
        in.number(service.schema_hash);
        hello.services.push_back(std::move(service));
    }
    uint32_t node = 0;
    in.number(node);
    hello.node = NodeId{node};
    in.number(hello.incarnation);
    in.flag(hello.client);
    in.wire(hello.wire);
    in.flag(hello.shm_possible);
    in.number(hello.group.high);
    in.number(hello.group.low);
    in.number(hello.time_ns);
    in.text(hello.address, limits::address_bytes);
    in.raw(hello.host.boot_id.data(), hello.host.boot_id.size());
    in.number(hello.host.network_namespace);
    in.number(hello.host.user);
    for (uint64_t& word : hello.cores) in.number(word);
    in.text(hello.unix_name, limits::name_bytes);
    in.raw(hello.token.data(), hello.token.size());
    in.address(hello.verbs);
    if (!in.finished()) return std::nullopt;
    return hello;
}

std::vector<std::byte> encode(const Refusal& refusal) {
    Writer out(BootstrapKind::refused);
    out.number(static_cast<int32_t>(refusal.why.code));
    out.text(printable_start(refusal.why.detail, kDetailBytesMax));
    out.text(refusal.service);
    size_t bytes = 0, lines = 0;  // as far as there is room
    while (lines < refusal.schema.size() && bytes + refusal.schema[lines].size() + 2 <= kSchemaBytesMax)
        bytes += refusal.schema[lines++].size() + 2;
    out.number(static_cast<uint8_t>(lines < refusal.schema.size()));
    out.number(static_cast<uint16_t>(lines));
    for (size_t i = 0; i < lines; ++i) out.text(refusal.schema[i]);
    return out.finish();
}

std::optional<Refusal> decode_refused(std::span<const std::byte> body) {
    Reader in(body);
    int32_t code = 0;
    Refusal refusal;
    in.number(code);
    in.text(refusal.why.detail, kDetailBytesMax);
    in.text(refusal.service, limits::name_bytes);
    uint16_t lines = 0;
    in.flag(refusal.schema_is_cut);
    in.number(lines);
    size_t bytes = 0;
    for (uint16_t i = 0; i < lines && in.ok() && bytes <= kSchemaBytesMax; ++i) {
        in.text(refusal.schema.emplace_back(), kSchemaBytesMax);
        bytes += refusal.schema.back().size() + 2;
    }
    if (!in.finished() || bytes > kSchemaBytesMax || code <= DERECHO_OK || code > DERECHO_DIFFERS) return std::nullopt;
    refusal.why.code = code;
    return refusal;
}

std::vector<std::byte> encode(const Ready& ready) {
    Writer out(BootstrapKind::ready);
    out.number(static_cast<uint8_t>(ready.wire));
    out.number(static_cast<uint8_t>(ready.never_up));
    return out.finish();
}

std::optional<Ready> decode_ready(std::span<const std::byte> body) {
    Reader in(body);
    Ready ready;
    in.wire(ready.wire);
    in.flag(ready.never_up);
    if (!in.finished() || ready.wire == Wire::automatic) return std::nullopt;
    return ready;
}

std::vector<std::byte> encode(const VerbsEndpoint& endpoint) {
    Writer out(BootstrapKind::verbs);
    out.address(endpoint.address);
    out.number(endpoint.pair);
    out.number(endpoint.first_packet);
    out.number(endpoint.control_address);
    out.number(endpoint.control_key);
    return out.finish();
}

std::optional<VerbsEndpoint> decode_endpoint(std::span<const std::byte> body) {
    Reader in(body);
    VerbsEndpoint endpoint;
    in.address(endpoint.address);
    in.number(endpoint.pair);
    in.number(endpoint.first_packet);
    in.number(endpoint.control_address);
    in.number(endpoint.control_key);
    const bool mtu = !endpoint.address.possible || (endpoint.address.mtu >= 1 && endpoint.address.mtu <= 5);
    const bool numbers = endpoint.pair <= kVerbsNumbers && endpoint.first_packet <= kVerbsNumbers;
    if (!in.finished() || !mtu || !numbers) return std::nullopt;
    return endpoint;
}

std::vector<std::byte> encode_empty(BootstrapKind kind) { return Writer(kind).finish(); }

Status check(const BootstrapHeader& header) {
    if (header.magic == __builtin_bswap32(kBootstrapMagic))
        return failure(DERECHO_INCOMPATIBLE, "its byte order differs: all nodes must be alike");
    if (header.magic != kBootstrapMagic) return failure(DERECHO_INCOMPATIBLE, "it does not speak Derecho's protocol");
    if (header.version != kProtocolVersion)
        return failure(DERECHO_INCOMPATIBLE, "the protocol version differs: " + std::to_string(kProtocolVersion) +
                                                 " here, " + std::to_string(header.version) +
                                                 " there; run the same release everywhere");
    if (header.kind < 1 || header.kind > 6 || header.length_bytes > kHelloBytesMax)
        return failure(DERECHO_INCOMPATIBLE, "it sent a malformed bootstrap message");
    return {};
}

Status compare_groups(const Hello& ours, const Hello& theirs) {
    if (!ours.group || !theirs.group || ours.group == theirs.group) return {};
    const auto told = [](const Hello& hello) {
        return named(hello) + (hello.address.empty() ? "" : " at " + hello.address) + " is in " + to_text(hello.group);
    };
    return failure(DERECHO_INCOMPATIBLE, "there are two groups of the name '" + ours.group_name + "': " + told(ours) +
                                             ", " + told(theirs) +
                                             "; end one of them, or give it another name with option group");
}

Status compare(const Hello& ours, const Hello& theirs, const ServiceId** service) {
    if (ours.byte_order != theirs.byte_order)
        return failure(DERECHO_INCOMPATIBLE, "the byte order of " + named(theirs) + " differs: all must be alike");
    if (ours.abi_hash != theirs.abi_hash)
        return differs("the library's ABI", ours, hex(ours.abi_hash), theirs, hex(theirs.abi_hash));
    if (ours.page_bytes != theirs.page_bytes)
        return differs("the page size", ours, std::to_string(ours.page_bytes), theirs,
                       std::to_string(theirs.page_bytes));
    if (ours.group_name != theirs.group_name)
        return differs("the group's name", ours, "'" + ours.group_name + "'", theirs, "'" + theirs.group_name + "'");
    if (Status status = compare_services(ours, theirs, service); !status.ok()) return status;
    return compare_limits(ours, theirs);
}

namespace {

// Why two nodes cannot share memory; empty if they can.
std::string obstacle_to_shm(const Hello& ours, const Hello& theirs) {
    for (const Hello* hello : {&ours, &theirs}) {
        if (hello->wire == Wire::tcp || hello->wire == Wire::verbs)
            return named(*hello) + " is set to wire " + wire_name(hello->wire);
        if (!hello->shm_possible) return named(*hello) + " cannot make sealed shared memory";
    }
    if (ours.host == theirs.host) return {};
    return named(theirs) + " is on another host (or in another network namespace, or runs as another user) than " +
           named(ours);
}

bool is_ipv4(const VerbsAddress& address) {
    constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return std::equal(kMapped.begin(), kMapped.end(), address.gid.begin());
}

// Why two nodes cannot use RDMA; empty if they can, as far as their addresses tell.
std::string obstacle_to_verbs(const Hello& ours, const Hello& theirs) {
    for (const Hello* hello : {&ours, &theirs}) {
        if (hello->wire == Wire::tcp || hello->wire == Wire::shm)
            return named(*hello) + " is set to wire " + wire_name(hello->wire);
        if (!hello->verbs.possible) return named(*hello) + " has no RDMA device that it can use (its log says why)";
    }
    const VerbsAddress &a = ours.verbs, &b = theirs.verbs;
    if (a.ethernet != b.ethernet) return "one has RoCE, the other InfiniBand";
    if (a.ethernet && a.routable != b.routable) return "one has a routable RoCE v2 address, the other has not";
    if (a.ethernet && is_ipv4(a) != is_ipv4(b)) return "one has an IPv4 RoCE address, the other an IPv6 one";
    if (!a.ethernet && !std::equal(a.gid.begin(), a.gid.begin() + 8, b.gid.begin()))
        return "their InfiniBand ports are in different subnets";
    return {};
}

}  // namespace

Status choose_wire(const Hello& ours, const Hello& theirs, Wire& out, std::string* why) {
    const std::string no_shm = obstacle_to_shm(ours, theirs), no_verbs = obstacle_to_verbs(ours, theirs);
    out = no_shm.empty() ? Wire::shm : no_verbs.empty() ? Wire::verbs : Wire::tcp;
    for (const Hello* hello : {&ours, &theirs}) {
        // One that is set to tcp gets it, unless the other one insists on something else, and is told.
        if (hello->wire == Wire::automatic || hello->wire == Wire::tcp || hello->wire == out) continue;
        const std::string& obstacle = hello->wire == Wire::shm ? no_shm : no_verbs;
        return failure(DERECHO_INCOMPATIBLE, named(*hello) + " is set to wire " + wire_name(hello->wire) + ", but " +
                                                 obstacle + "; use wire auto");
    }
    if (why) {
        *why = out == Wire::shm ? "both are on this host" : "no shm: " + no_shm;
        if (out == Wire::tcp) *why += "; no verbs: " + no_verbs;
    }
    return {};
}

}  // namespace libderecho
